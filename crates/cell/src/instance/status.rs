//! What people are told about an instance.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What people are told about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Where it stands.
    pub(crate) state: State,
    /// Whether readiness checks let requests through.
    pub(crate) ready: bool,
    /// The app's port.
    pub(crate) port: u16,
    /// The SSH server's.
    pub(crate) ssh_port: u16,
    /// How often it crashed since it was pushed.
    pub(crate) crashes: u32,
    /// Why it crashed last.
    pub(crate) reason: Option<String>,
}

/// Where an instance stands, in the platform's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Not healthy yet.
    Starting,
    /// Healthy.
    Running,
    /// Ended by itself; it may be started again.
    Crashed,
    /// Not to run.
    Down,
}

impl State {
    /// Its word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Crashed => "crashed",
            Self::Down => "down",
        }
    }
}

/// A status that the supervisor reads while the instance changes it.
pub(crate) type Shared = Arc<Mutex<Status>>;

/// Changes what people are told.
pub(crate) fn change(status: &Shared, change: impl FnOnce(&mut Status)) {
    change(&mut status.lock().unwrap_or_else(PoisonError::into_inner));
}

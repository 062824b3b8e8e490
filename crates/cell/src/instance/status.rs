//! What people are told about an instance.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What people are told about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Where it stands.
    pub(crate) state: State,
    /// Since when it has been healthy.
    #[serde(skip)]
    pub(crate) healthy_since: Option<Instant>,
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

impl Status {
    /// Of an instance that has not begun yet.
    pub(crate) fn starting() -> Self {
        Self {
            state: State::Starting,
            healthy_since: None,
            ready: false,
            port: 0,
            ssh_port: 0,
            crashes: 0,
            reason: None,
        }
    }

    /// What counts of its life where crashes are counted: the time since it became healthy.
    pub(crate) fn lived(&self) -> Duration {
        self.healthy_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A status that the supervisor reads while the instance changes it.
pub(crate) type Shared = Arc<Mutex<Status>>;

/// Changes what people are told.
pub(crate) fn change(status: &Shared, change: impl FnOnce(&mut Status)) {
    change(&mut status.lock().unwrap_or_else(PoisonError::into_inner));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a `timeout` of five minutes it counted as long, and crashes before it were forgotten.
    #[test]
    fn a_life_that_was_never_healthy_counts_as_none() {
        let mut status = Status::starting();
        assert_eq!(status.lived(), Duration::ZERO);
        status.healthy_since = Some(Instant::now());
        assert_ne!(status.lived(), Duration::ZERO);
    }
}

//! An app as it is to run on this machine: what `apps/NAME/app.json` keeps.
//!
//! Made from a manifest, flags and the platform's defaults; [`crate::recipe`] turns it into the exact
//! argument lists of the contract.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::container::Isolation;

/// How an instance is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CheckKind {
    /// Whether the port accepts connections.
    Port,
    /// Whether a GET gives 200.
    Http,
    /// Nothing is asked: the process runs.
    Process,
}

/// A health check, times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// What is asked.
    pub(crate) kind: CheckKind,
    /// The path of a GET.
    pub(crate) endpoint: String,
    /// Limit of one check.
    pub(crate) timeout_ms: u64,
    /// From one check to the next, once the instance is up.
    pub(crate) interval_ms: u64,
}

impl Check {
    /// The platform's defaults (its contract, 5.4) for a check of `kind`.
    pub(crate) fn new(kind: CheckKind) -> Self {
        Self { kind, endpoint: "/".to_owned(), timeout_ms: 1000, interval_ms: 30_000 }
    }
}

/// A process type, as many instances as it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// `web`.
    pub(crate) kind: String,
    /// The user's start command; `None` for the droplet's.
    pub(crate) command: Option<String>,
    /// MiB.
    pub(crate) memory: u64,
    /// MiB.
    pub(crate) disk: u64,
    /// How many of it run.
    pub(crate) instances: u32,
    /// How long it may take until healthy.
    pub(crate) start_timeout_ms: u64,
    /// Start-up and liveness.
    pub(crate) health: Check,
    /// Readiness, if any.
    pub(crate) readiness: Option<Check>,
}

/// A process beside others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    /// Its name.
    pub(crate) name: String,
    /// Beside which process types.
    pub(crate) process_types: Vec<String>,
    /// Its start command.
    pub(crate) command: String,
    /// MiB; `None` for the process's.
    pub(crate) memory: Option<u64>,
}

/// What a sidecar's name may be.
pub(crate) const SIDECAR_NAMES: &str = "can't be a sidecar's name: use neither ']' nor line ends";

/// What log lines call a sidecar of this name; `None` where it can't stand in their head.
pub(crate) fn sidecar_source(name: &str) -> Option<String> {
    let is_wrong = |letter: char| letter.is_control() || letter == ']';
    (!name.is_empty() && !name.contains(is_wrong)).then(|| name.to_uppercase())
}

/// An app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct App {
    /// Its name.
    pub(crate) name: String,
    /// Its identity, the same over pushes: a UUID.
    pub(crate) guid: String,
    /// The version of what runs: a UUID, new with each push.
    pub(crate) version: String,
    /// Its stack.
    pub(crate) stack: String,
    /// What machine its programs are for, as `uname -m` says it; none for this one's.
    #[serde(default)]
    pub(crate) architecture: Option<String>,
    /// What walls its containers have.
    #[serde(default)]
    pub(crate) isolation: Isolation,
    /// The user's variables.
    pub(crate) environment: BTreeMap<String, String>,
    /// `VCAP_SERVICES`.
    pub(crate) services: Value,
    /// Its process types, `web` first.
    pub(crate) processes: Vec<Process>,
    /// Its sidecars.
    pub(crate) sidecars: Vec<Sidecar>,
    /// What staging found: command by process type.
    pub(crate) staged_commands: BTreeMap<String, String>,
    /// `execution_metadata` of `result.json`.
    pub(crate) execution_metadata: String,
}

/// Memory of staging at least, in MiB (platform contract, 3.1).
pub(crate) const STAGING_MEMORY: u64 = 1024;
/// Disk of staging at least, in MiB. What apps are told of disk is not enforced here.
pub(crate) const STAGING_DISK: u64 = 4096;

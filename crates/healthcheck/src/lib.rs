//! `healthcheck`: is the app up, and if not, why.
//!
//! `config` reads the flags; `schedule` decides when `probe` checks: one TCP connection, or one GET
//! (`url`, `connection`, `http`), to the address that `address` picks. The last failed check is the
//! one line the program says; `explain` adds in parentheses what `/proc` and the cgroups tell.
//! Nothing is printed on success, nothing ever on stdout.

pub mod address;
pub mod clock;
pub mod config;
pub mod connection;
pub mod duration;
pub mod error;
pub mod explain;
pub mod http;
pub mod probe;
pub mod schedule;
pub mod url;

use std::ffi::OsString;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lifecycle::report::{self, Failure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::clock::Stopwatch;
use crate::error::{Error, HealthError};
use crate::probe::Prober;

/// Checks as `arguments` (program name included) ask for.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Error> {
    let clock = Stopwatch::start();
    if process::id() == 1 {
        end_on_signals();
    }
    let config = config::read(arguments)?;
    let mut prober = Prober::new(config.check).map_err(|error| failure("", &error, ""))?;
    let outcome = schedule::run(config.schedule, &clock, &mut |budget| prober.check(budget));
    outcome.map_err(|ending| {
        let explanation = prober.explain(&ending.error);
        failure(&ending.prefix, &ending.error, &explanation)
    })
}

/// The kernel spares a container's first process: it ends with what its parent would have seen.
fn end_on_signals() {
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let always = Arc::new(AtomicBool::new(true));
        let _without_it = flag::register_conditional_shutdown(signal, 128 + signal, always);
    }
}

/// The one line about `error`.
fn failure(prefix: &str, error: &HealthError, explanation: &str) -> Error {
    let sentence = format!("{prefix}{}{explanation}", report::chain(error));
    Error::Check { sentence, status: error.status() }
}

//! Health checks: the bundle's `healthcheck`, run as the platform runs it, and what it said.

use std::io;

use lifecycle::report::system_words;

use crate::process::{Process, Reach, Said};

/// What a check that ended says (platform contract, 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether its exit status was 0.
    pub(crate) passed: bool,
    /// Its output and error, trimmed: the reason people read.
    pub(crate) text: String,
}

/// A check that runs.
#[derive(Debug)]
pub(crate) struct Check {
    process: Process,
    said: Said,
}

impl Check {
    /// Starts it by `start`; one that can't be started has failed.
    pub(crate) fn start(start: impl FnOnce(&Said) -> io::Result<Process>) -> Result<Self, Verdict> {
        let said = Said::kept();
        let failed = |text| Verdict { passed: false, text };
        let process = start(&said).map_err(|error| {
            failed(format!("Failed to invoke process: {}", system_words(&error)))
        })?;
        Ok(Self { process, said })
    }

    /// Reaches it while another thread waits.
    pub(crate) fn reach(&self) -> Reach {
        self.process.reach()
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Verdict {
        let status = self.process.wait().map_or(1, |exit| exit.status);
        let text = match self.said.text() {
            said if said.is_empty() => format!("the health check exited with status {status}"),
            said => said,
        };
        Verdict { passed: status == 0, text }
    }
}

//! What ends the server at its start, and with which exit status.

use std::io;

use lifecycle::flags::FlagError;
use lifecycle::report::Failure;

use crate::address::ListenError;
use crate::algorithms::AlgorithmError;
use crate::authorized_key::NoKey;
use crate::debug_server::DebugServerError;
use crate::host_key::HostKeyError;
use crate::log::RedactionError;

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A bad flag, or help.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// `-logLevel`.
    #[error("unknown log level: {0}; it is debug, info, error or fatal")]
    LogLevel(String),
    /// `-redactPatterns`.
    #[error("invalid value for flag -redactPatterns: {0}")]
    Redaction(#[from] RedactionError),
    /// `-address`.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// `-debugAddr`.
    #[error(transparent)]
    DebugServer(#[from] DebugServerError),
    /// The keys were on their way from the process as it was started, and lost.
    #[error("the keys could not be taken over")]
    Handover(#[source] io::Error),
    /// The system refuses what every server needs.
    #[error("the server could not start")]
    Runtime(#[source] io::Error),
    /// Keys or algorithms that cannot be served with.
    #[error("{}", join(.0))]
    Configuration(Vec<ConfigurationError>),
}

/// One thing that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// `-hostKey` or `SSHD_HOSTKEY`.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// Nobody could log in.
    #[error("Public user key is required")]
    AuthorizedKeyRequired,
    /// `-authorizedKey` or `SSHD_AUTHKEY`.
    #[error(transparent)]
    AuthorizedKey(#[from] NoKey),
    /// An allow-list.
    #[error(transparent)]
    Algorithms(#[from] AlgorithmError),
}

fn join(errors: &[ConfigurationError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Failure for Error {
    fn status(&self) -> u8 {
        match self {
            Self::Flags(error) => error.status(),
            Self::LogLevel(_) | Self::Redaction(_) => 2,
            Self::Handover(_)
            | Self::Runtime(_)
            | Self::Configuration(_)
            | Self::Listen(_)
            | Self::DebugServer(_) => 1,
        }
    }
}

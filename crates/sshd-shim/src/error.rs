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

    fn explanation(&self) -> Vec<String> {
        match self {
            Self::Configuration(errors) => {
                errors.iter().filter_map(ConfigurationError::explanation).collect()
            }
            Self::Listen(error) => error.explanation().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl ConfigurationError {
    /// Which setting is meant, which the contract's sentences leave open, and what it wants.
    fn explanation(&self) -> Option<String> {
        Some(match self {
            Self::HostKey(HostKeyError::NotFound { bytes, lines }) => format!(
                "The host key (-hostKey or SSHD_HOSTKEY) has {bytes} bytes in {lines} lines and no PEM block in them: \
                 a line with BEGIN, lines of base64, a line with END. Quotes keep a shell from joining the lines."
            ),
            Self::HostKey(HostKeyError::Encrypted) => {
                "Nobody can type the passphrase of the host key (-hostKey or SSHD_HOSTKEY): \
                 `ssh-keygen -p` takes it off."
                    .to_owned()
            }
            Self::AuthorizedKey(NoKey) => {
                "The authorized key (-authorizedKey or SSHD_AUTHKEY) has no line that is a public key of type RSA, \
                 ECDSA or Ed25519, such as `ssh-ed25519 AAAA...`."
                    .to_owned()
            }
            Self::AuthorizedKeyRequired => {
                "Without -authorizedKey nobody could log in. SSHD_AUTHKEY counts only beside SSHD_HOSTKEY."
                    .to_owned()
            }
            Self::HostKey(_) | Self::Algorithms(_) => return None,
        })
    }
}

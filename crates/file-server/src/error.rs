//! Why nothing is served, one sentence each.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use lifecycle::flags::FlagError;
use lifecycle::report::{Failure, system_words};

/// What ends the program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// No directory among the arguments.
    #[error("no directory to serve was given: file-server [-address IP:PORT] DIRECTORY")]
    NoDirectory,
    /// The directory to serve.
    #[error("cannot serve {}: {}", path.display(), system_words(cause))]
    Directory {
        /// As given.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The address is taken, or is none of this machine's.
    #[error("cannot listen at {address}: {}", system_words(cause))]
    Listen {
        /// As given.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// No event queue, no thread, no signals.
    #[error("cannot serve: {}", system_words(.0))]
    System(io::Error),
}

impl Failure for Error {
    fn status(&self) -> u8 {
        match self {
            Self::Flags(error) => error.status(),
            Self::NoDirectory => 2,
            Self::Directory { .. } | Self::Listen { .. } | Self::System(_) => 1,
        }
    }
}

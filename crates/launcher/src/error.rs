//! Every sentence the launcher ends with, and its exit status.

use std::ffi::OsString;

use lifecycle::exec::ExecError;
use lifecycle::flags::FlagError;
use lifecycle::report::{Failure, chain};
use lifecycle::services::ServicesError;
use lifecycle::staging_info::StagingInfoError;

/// Why the app was not launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The caller left arguments out.
    #[error(
        "{name}: received only {given} arguments\nUsage: {name} <app-directory> <start-command> <metadata>",
        name = own_name.display()
    )]
    TooFewArguments {
        /// The name it was called by.
        own_name: OsString,
        /// Number of arguments.
        given: usize,
    },
    /// `staging_info.yml` is there but of no use.
    #[error("Invalid staging info - {}", chain(.0))]
    StagingInfo(StagingInfoError),
    /// Neither the caller nor staging said what to start.
    #[error("{}: no start command specified or detected in droplet", own_name.display())]
    NoStartCommand {
        /// The name it was called by.
        own_name: OsString,
    },
    /// A bad flag, or help.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// The bound services could not be read.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// The start command could not be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

impl Failure for LaunchError {
    fn status(&self) -> u8 {
        match self {
            Self::TooFewArguments { .. } | Self::StagingInfo(_) | Self::NoStartCommand { .. } => 1,
            Self::Flags(error) => error.status(),
            Self::Services(_) => 3,
            Self::Exec(_) => 4,
        }
    }

    fn explanation(&self) -> Vec<String> {
        match self {
            Self::StagingInfo(error) => error.explanation(),
            _ => Vec::new(),
        }
    }
}

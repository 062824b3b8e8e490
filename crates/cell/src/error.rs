//! What ends a command, and with which status.

use std::io;
use std::path::PathBuf;

use lifecycle::exec::ExecError;
use lifecycle::file::FileError;
use lifecycle::report::Failure;

use crate::buildpacks::BuildpackError;
use crate::bundle::BundleError;
use crate::definition::DefinitionError;
use crate::isolation::IsolationError;
use crate::keys::KeyError;
use crate::roots::RootError;
use crate::shell_words::typed;
use crate::stacks::StacksError;
use crate::staging::StagingError;
use crate::state::StateError;
use crate::warehouse::WarehouseError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// The command line is not understood; the text is clap's, with usage.
    #[error("{0}")]
    CommandLine(String),
    /// The state can't be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Manifest, flags or services can't be used.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The stacks can't be read.
    #[error("{}", path.display())]
    Stacks {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StacksError,
    },
    /// No stack has this name.
    #[error("there is no stack '{name}': there are {known}; -s chooses one")]
    Stack {
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// An app can't have the walls it is to have.
    #[error(transparent)]
    Isolation(#[from] IsolationError),
    /// A root file system can't be used or removed.
    #[error(transparent)]
    Root(#[from] RootError),
    /// This program can't be started again with other rights.
    #[error(transparent)]
    Exec(ExecError),
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A buildpack can't be had.
    #[error(transparent)]
    Buildpack(#[from] BuildpackError),
    /// The lifecycle bundle can't be had.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The file server or the downloader failed.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The file server failed.
    #[error(transparent)]
    Server(#[from] file_server::Error),
    /// Staging failed.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// A file is no droplet.
    #[error("{} is no droplet", path.display())]
    Droplet {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such droplet.
    #[error("'{0}' is neither a file nor an app; `cell ps` lists the apps there are")]
    Neither(String),
    /// A droplet that is a file would replace an app, which nobody said.
    #[error(
        "'{0}' is an app that was pushed; this droplet takes its place with --name {typed}, and another one with another name",
        typed = typed(.0)
    )]
    Pushed(String),
    /// There is nothing to run.
    #[error("'{0}' was never staged: cell push it first")]
    NotStaged(String),
    /// The app does not run.
    #[error("'{0}' does not run; start it by cell run {typed}", typed = typed(.0))]
    NotRunning(String),
    /// It was stopped before it came up.
    #[error("'{0}' was stopped meanwhile")]
    Stopped(String),
    /// The app did not come up.
    #[error(
        "'{name}' crashed: {reason}; it is started again until cell stop {typed}; its log: cell logs {typed}",
        typed = typed(name)
    )]
    Crashed {
        /// The app.
        name: String,
        /// Why.
        reason: String,
    },
    /// The app's supervisor ended at once.
    #[error("{0}")]
    Supervisor(String),
    /// An instance that is not there.
    #[error("'{name}' has no instance {index} of process '{process}'")]
    NoInstance {
        /// The app.
        name: String,
        /// The process type.
        process: String,
        /// The index.
        index: u32,
    },
    /// OpenSSH's client is not there.
    #[error("`ssh` is not on the PATH: install OpenSSH's client")]
    NoSsh,
    /// The app's keys can't be had.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A system call failed.
    #[error("{what}")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A command in the container ended with this status.
    #[error("the command in the container exited with status {0}")]
    Ssh(u8),
}

impl Failure for CellError {
    fn status(&self) -> u8 {
        match self {
            Self::CommandLine(_) => 2,
            // As `ssh` does: the command's own.
            Self::Ssh(status) => *status,
            Self::State(_)
            | Self::Definition(_)
            | Self::Stacks { .. }
            | Self::Stack { .. }
            | Self::Isolation(_)
            | Self::Root(_)
            | Self::Exec(_)
            | Self::File(_)
            | Self::Buildpack(_)
            | Self::Bundle(_)
            | Self::Warehouse(_)
            | Self::Server(_)
            | Self::Staging(_)
            | Self::Droplet { .. }
            | Self::Neither(_)
            | Self::NotStaged(_)
            | Self::Pushed(_)
            | Self::NotRunning(_)
            | Self::Stopped(_)
            | Self::Crashed { .. }
            | Self::Supervisor(_)
            | Self::NoInstance { .. }
            | Self::NoSsh
            | Self::Keys(_)
            | Self::System { .. } => 1,
        }
    }
}

impl CellError {
    /// The error of a system call.
    pub fn on(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing ended a staging that hung.
    #[test]
    fn a_staging_that_takes_too_long_fails_in_the_platforms_words() {
        let words = "StagingError: staging failed (STG: exceeded 15m0s timeout)";
        assert_eq!(StagingError::TooLong.to_string(), words);
    }

    /// A shell took the name for two words.
    #[test]
    fn commands_in_sentences_can_be_typed_as_they_stand() {
        let name = || "my shop".to_owned();
        let crashed = CellError::Crashed { name: name(), reason: "why".to_owned() };
        for (error, command) in [
            (CellError::NotRunning(name()), "by cell run 'my shop'"),
            (StateError::Running(name()).into(), "to stop it: cell stop 'my shop'"),
            (crashed, "until cell stop 'my shop'; its log: cell logs 'my shop'"),
        ] {
            assert!(error.to_string().ends_with(command), "{error}");
        }
    }
}

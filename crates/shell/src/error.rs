//! Every sentence the shell ends with, and its exit status.

use lifecycle::exec::ExecError;
use lifecycle::flags::FlagError;
use lifecycle::report::Failure;
use lifecycle::services::ServicesError;

/// Why there is no shell.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The caller named an app directory that is not there. The spelling is the predecessor's.
    #[error("Provided app direcory does not exist")]
    AppDirMissing,
    /// The caller named none, and `$HOME/app` is not there.
    #[error("Could not infer app directory, please provide one")]
    AppDirUnknown,
    /// A bad flag, or help.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// The bound services could not be read.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// The command could not be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

impl Failure for ShellError {
    fn status(&self) -> u8 {
        match self {
            Self::Flags(error) => error.status(),
            Self::AppDirMissing | Self::AppDirUnknown | Self::Services(_) | Self::Exec(_) => 1,
        }
    }
}

//! What the shell is called with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;
use lifecycle::credhub;
use lifecycle::environment::Environment;
use lifecycle::{flags, paths};

use crate::error::ShellError;

/// `shell [app-directory [command [flags...]]]`
#[derive(Debug)]
pub(crate) struct Config {
    /// The name it was called by.
    pub(crate) own_name: OsString,
    /// Absolute, unless the working directory is gone.
    pub(crate) app_dir: PathBuf,
    /// A line of shell.
    pub(crate) command: OsString,
    /// What follows the command.
    pub(crate) flags: Vec<OsString>,
}

/// The flags, accepted behind the command.
#[derive(Debug, Default, Parser)]
#[command(name = "shell")]
// Its name is that of the struct flattened into it.
#[group(skip)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) credhub: credhub::Flags,
    /// If the bound services cannot be made ready, warn and leave them as they are
    #[arg(long = "keepServices", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value = "false", value_parser = flags::boolean)]
    pub(crate) keep_services: bool,
}

impl Config {
    pub(crate) fn read(
        mut arguments: impl Iterator<Item = OsString>,
        environment: &Environment,
    ) -> Result<Self, ShellError> {
        let own_name = arguments.next().unwrap_or_default();
        let app_dir = match arguments.next() {
            Some(given) => existing(given.into()).ok_or(ShellError::AppDirMissing)?,
            None => existing(usual_app_dir(environment)).ok_or(ShellError::AppDirUnknown)?,
        };
        Ok(Self {
            own_name,
            app_dir: paths::absolute(&app_dir, environment.get("PWD")),
            command: arguments.next().unwrap_or_else(|| "bash".into()),
            flags: arguments.collect(),
        })
    }
}

/// `$HOME/app`; `app` without `HOME`.
fn usual_app_dir(environment: &Environment) -> PathBuf {
    Path::new(environment.get("HOME").unwrap_or_default()).join("app")
}

/// A plain file passes too.
fn existing(path: PathBuf) -> Option<PathBuf> {
    path.metadata().is_ok().then_some(path)
}

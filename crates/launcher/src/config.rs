//! What the launcher is called with.

use std::ffi::OsString;

use clap::Parser;
use lifecycle::credhub;

use crate::error::LaunchError;

/// `launcher <app-directory> <start-command> <metadata> [...]`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// The name it was called by.
    pub(crate) own_name: OsString,
    /// Seen from the working directory if relative.
    pub(crate) app_dir: OsString,
    /// Empty: the staged one.
    pub(crate) start_command: OsString,
    /// Metadata and what follows. Metadata has no other use than to end the flags at once.
    pub(crate) flags: Vec<OsString>,
}

/// The flags, accepted in third place only.
#[derive(Debug, Default, Parser)]
#[command(name = "launcher")]
// Its name is that of the struct flattened into it.
#[group(skip)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) credhub: credhub::Flags,
}

impl Config {
    pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self, LaunchError> {
        let mut arguments = arguments;
        let own_name = arguments.next().unwrap_or_default();
        let arguments: Vec<OsString> = arguments.collect();
        let given = arguments.len();
        let mut rest = arguments.into_iter();
        let (Some(app_dir), Some(start_command), 3..) = (rest.next(), rest.next(), given) else {
            return Err(LaunchError::TooFewArguments { own_name, given });
        };
        Ok(Self { own_name, app_dir, start_command, flags: rest.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Config, LaunchError> {
        Config::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn three_arguments_are_needed_and_metadata_goes_where_flags_may_stand() {
        let config = read(&["launcher", "app", "", "{}", "-h"]).unwrap();
        assert_eq!(config.app_dir, "app");
        assert_eq!(config.start_command, "");
        assert_eq!(config.flags, ["{}", "-h"]);
    }

    #[test]
    fn fewer_arguments_are_counted_without_the_name() {
        for (arguments, count) in [(&["launcher"][..], 0), (&["launcher", "app", "run"], 2)] {
            let error = read(arguments).unwrap_err();
            assert!(matches!(error, LaunchError::TooFewArguments { given, .. } if given == count));
        }
    }
}

//! Which program a session runs, and its environment.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use lifecycle::environment::Environment;
use lifecycle::exec::{Program, find, is_executable};

use crate::config::Config;

use super::app;
use super::environment::{Inheritance, of_session};
use super::preparation::Preparation;

/// What is to be started.
#[derive(Debug)]
pub(super) struct Plan {
    /// The program.
    pub(super) program: Program,
    /// All variables it gets.
    pub(super) environment: Environment,
    /// What a person should know about it.
    pub(super) warning: Option<String>,
}

impl Plan {
    /// A shell, for `command` if there is one; in the app's environment if that is wanted.
    pub(super) fn new(preparation: &Preparation, command: Option<&[u8]>, config: &Config) -> Self {
        let variables = &preparation.variables;
        let server = &config.environment;
        let command = command.map(OsStr::from_bytes);
        let path = server.get("PATH").unwrap_or_default();
        let shell = shell(path);
        let mut warning = None;
        if config.app_env || app::is_wanted(variables) {
            let environment = of_session(server, Inheritance::All, variables);
            match app::program(&environment, command.unwrap_or(shell.as_os_str())) {
                Ok(program) => return Self { program, environment, warning },
                Err(error) => warning = Some(error.to_string()),
            }
        }
        let inheritance =
            if config.inherit_daemon_env { Inheritance::AllButPath } else { Inheritance::Nothing };
        let environment = of_session(server, inheritance, variables);
        Self { program: shell_for(shell, command), environment, warning }
    }
}

/// The shell of every session: bash if there is one (contract sshd 9.1).
fn shell(path: &OsStr) -> PathBuf {
    ["/bin/bash", "/usr/local/bin/bash", "/bin/sh"]
        .iter()
        .map(PathBuf::from)
        .find(|file| is_executable(file))
        .or_else(|| find("bash", path))
        .or_else(|| find("sh", path))
        .unwrap_or_else(|| Path::new("/bin/sh").to_owned())
}

fn shell_for(file: PathBuf, command: Option<&OsStr>) -> Program {
    let arguments = match command {
        Some(command) => vec!["-c".into(), command.to_owned()],
        None => Vec::<OsString>::new(),
    };
    Program { name: file.clone().into_os_string(), file, arguments }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_bash_and_gets_the_command_in_one_piece() {
        let shell = shell(OsStr::new(""));
        assert_eq!(shell, Path::new("/bin/bash"));
        let program = shell_for(shell.clone(), Some(OsStr::new("echo a; echo b")));
        assert_eq!(program.name, "/bin/bash");
        assert_eq!(program.arguments, ["-c", "echo a; echo b"]);
        assert_eq!(shell_for(shell, None).arguments, [""; 0]);
    }
}

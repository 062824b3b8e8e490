//! A session in the app's world: through `shell`, which lies beside this program and computes the
//! environment as the launcher does. It asks CredHub and runs profile scripts in a process of its own.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use lifecycle::environment::Environment;
use lifecycle::exec::{Program, is_executable};

/// The client's way to ask for it, with the value `1`.
const CF_SSH_APP_ENV: &[u8] = b"CF_SSH_APP_ENV";
/// The program beside this one.
const SHELL: &str = "shell";
/// Has the shell go on without what CredHub does not give: this is how one finds out why.
const KEEP_SERVICES: &str = "-keepServices";

/// Why a session is a plain one although the app's environment was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppError {
    /// No program to compute it.
    #[error(
        "the app's environment is not there: {} is missing, which belongs beside diego-sshd. This session has the plain \
         environment",
        .0.display()
    )]
    NoShell(PathBuf),
    /// No app.
    #[error(
        "the app's environment is not there: there is no app directory {}. This session has the plain environment",
        .0.display()
    )]
    NoApp(PathBuf),
}

/// Whether one of the client's `variables` asks for it, and none takes it back.
pub(super) fn is_wanted(variables: &[(Vec<u8>, Vec<u8>)]) -> bool {
    let last = variables.iter().rev().find(|(name, _)| name == CF_SSH_APP_ENV);
    last.is_some_and(|(_, value)| value == b"1")
}

/// The program that becomes `command`, a line of shell, in the environment of the app.
pub(super) fn program(environment: &Environment, command: &OsStr) -> Result<Program, AppError> {
    let directory = env::current_exe().unwrap_or_default();
    program_beside(&directory, environment, command)
}

fn program_beside(
    own: &Path,
    environment: &Environment,
    command: &OsStr,
) -> Result<Program, AppError> {
    let file = own.with_file_name(SHELL);
    if !is_executable(&file) {
        return Err(AppError::NoShell(file));
    }
    let app = Path::new(environment.get("HOME").unwrap_or_default()).join("app");
    if !app.is_dir() {
        return Err(AppError::NoApp(app));
    }
    let arguments = vec![app.into_os_string(), command.to_owned(), KEEP_SERVICES.into()];
    Ok(Program { name: file.clone().into_os_string(), file, arguments })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_client_asks_with_one_and_nothing_else() {
        let wanted = |values: &[&str]| {
            let variables: Vec<_> =
                values.iter().map(|&value| (CF_SSH_APP_ENV.to_vec(), value.into())).collect();
            is_wanted(&variables)
        };
        assert!(wanted(&["1"]) && wanted(&["0", "1"]));
        assert!(!wanted(&[]) && !wanted(&[""]) && !wanted(&["true"]) && !wanted(&["1", "0"]));
    }

    #[test]
    fn what_is_missing_is_named() {
        let home = tempfile::tempdir().unwrap();
        let environment = Environment::from_iter([("HOME".into(), home.path().into())]);
        let own = home.path().join("diego-sshd");
        let program = || program_beside(&own, &environment, OsStr::new("ls"));
        let text = program().unwrap_err().to_string();
        assert!(text.contains("/shell is missing, which belongs beside diego-sshd"), "{text}");
        symlink("/bin/sh", home.path().join("shell")).unwrap();
        let text = program().unwrap_err().to_string();
        assert!(text.contains("there is no app directory") && text.contains("/app"), "{text}");
        fs::create_dir(home.path().join("app")).unwrap();
        let app = home.path().join("app");
        assert_eq!(
            program().unwrap().arguments,
            [app.as_os_str(), "ls".as_ref(), KEEP_SERVICES.as_ref()]
        );
    }
}

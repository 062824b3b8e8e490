//! The environment of a session's program (contract sshd 9.1). Each session has its own, made anew.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use lifecycle::environment::Environment;

use crate::secrets::is_secret;

const PATH: &str = "PATH";

/// How much of the server's own environment a session sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inheritance {
    /// `HOME` and `USER`.
    Nothing,
    /// All but `PATH`: `-inheritDaemonEnv`.
    AllButPath,
    /// All, as the app has it.
    All,
}

/// The environment of a program: what the `server` was started with, as far as it is inherited, and what
/// the client sent as `variables`. Later ones win, but nothing wins over `HOME` and `USER`.
pub(super) fn of_session(
    server: &Environment,
    inheritance: Inheritance,
    variables: &[(Vec<u8>, Vec<u8>)],
) -> Environment {
    let mut environment = Environment::default();
    environment.set(PATH, "/bin:/usr/bin");
    environment.set("LANG", "en_US.UTF8");
    for (name, value) in server.iter().filter(|(name, _)| is_inherited(name, inheritance)) {
        environment.set(name, value);
    }
    for (name, value) in variables {
        environment.set(OsString::from_vec(name.clone()), OsString::from_vec(value.clone()));
    }
    for name in ["HOME", "USER"] {
        environment.set(name, server.get(name).unwrap_or_default());
    }
    environment
}

fn is_inherited(name: &OsStr, inheritance: Inheritance) -> bool {
    match inheritance {
        Inheritance::Nothing => false,
        Inheritance::AllButPath => !is_secret(name) && !name.eq_ignore_ascii_case(PATH),
        Inheritance::All => !is_secret(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Environment {
        [
            ("PATH", "/app/bin"),
            ("Path", "x"),
            ("LANG", "C"),
            ("HOME", "/home/vcap"),
            ("PORT", "8080"),
        ]
        .into_iter()
        .chain([("SSHD_HOSTKEY", "secret"), ("SSHD_AUTHKEY", "secret")])
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
    }

    fn session(inheritance: Inheritance, variables: &[(&str, &str)]) -> Vec<String> {
        let variables: Vec<(Vec<u8>, Vec<u8>)> =
            variables.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        let environment = of_session(&server(), inheritance, &variables);
        let lines = environment.iter();
        lines.map(|(name, value)| format!("{}={}", name.display(), value.display())).collect()
    }

    #[test]
    fn without_inheritance_there_are_four_variables_and_the_clients() {
        assert_eq!(
            session(Inheritance::Nothing, &[("LC_ALL", "C.UTF-8")]),
            ["PATH=/bin:/usr/bin", "LANG=en_US.UTF8", "LC_ALL=C.UTF-8", "HOME=/home/vcap", "USER="]
        );
    }

    #[test]
    fn the_servers_variables_are_inherited_but_its_keys_and_path() {
        let inherited = session(Inheritance::AllButPath, &[]);
        assert_eq!(
            inherited,
            ["PATH=/bin:/usr/bin", "LANG=C", "HOME=/home/vcap", "PORT=8080", "USER="]
        );
        assert_eq!(session(Inheritance::All, &[])[0], "PATH=/app/bin");
        assert!(!session(Inheritance::All, &[]).concat().contains("secret"));
    }

    #[test]
    fn the_client_wins_over_all_but_home_and_user() {
        let client =
            [("PATH", "/mine"), ("PORT", "1"), ("PORT", "2"), ("HOME", "/x"), ("USER", "x")];
        assert_eq!(
            session(Inheritance::AllButPath, &client),
            ["PATH=/mine", "LANG=C", "HOME=/home/vcap", "PORT=2", "USER="]
        );
    }
}

//! The shell from outside: every message, status, and what the command finds (contract, section 9).
//! `LIFECYCLE_BIN_DIR=/some/dir` tests the shell there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what surprises the harness is a failed test"
)]

mod command;
mod messages;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

fn shell() -> PathBuf {
    match env::var_os("LIFECYCLE_BIN_DIR") {
        Some(directory) => Path::new(&directory).join("shell"),
        None => cargo_bin!("shell").to_owned(),
    }
}

/// A home directory with an empty app in it.
struct Home {
    root: TempDir,
}

impl Home {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("app")).unwrap();
        Self { root }
    }

    /// The absolute path of `name` in the home, no symbolic link in it.
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// The shell, started in `/` as SSH sessions start it, with these arguments.
    fn shell<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(shell());
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.path(""));
        command.args(arguments).current_dir("/");
        command
    }

    /// `command` in the app's environment.
    fn run(&self, command: &str) -> Command {
        self.shell([self.path("app").to_str().unwrap(), command])
    }
}

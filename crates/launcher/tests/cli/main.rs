//! The launcher from outside: every message, status, and what the app finds.
//! `LIFECYCLE_BIN_DIR=/some/dir` tests the launcher there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what surprises the harness is a failed test"
)]

mod environment;
mod images;
mod messages;
mod process;
mod profiles;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

fn launcher() -> PathBuf {
    match env::var_os("LIFECYCLE_BIN_DIR") {
        Some(directory) => Path::new(&directory).join("launcher"),
        None => cargo_bin!("launcher").to_owned(),
    }
}

/// An unpacked droplet with an empty app, in a directory of its own.
struct Droplet {
    root: TempDir,
}

impl Droplet {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("app")).unwrap();
        Self { root }
    }

    /// The absolute path of `name` in the droplet, no symbolic link in it.
    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// `program` in the droplet's root, as the platform starts it.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(self.path(""));
        command
    }

    /// The launcher with these arguments.
    fn launcher<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = self.command(launcher());
        command.args(arguments);
        command
    }

    /// The launcher with a start command for the app.
    fn start(&self, start_command: &str) -> Command {
        self.launcher(["app", start_command, ""])
    }
}

/// What the app printed on stdout, behind the launcher's two lines.
fn app_output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, app) = text.split_once("Invoking start command.\n").unwrap_or_else(|| {
        panic!("not started: {text}{}", String::from_utf8_lossy(&output.stderr))
    });
    app.to_owned()
}

//! A builder that runs, and how it ended.
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{Staged, wait_for};

/// A builder at work. Its output goes to files: nobody can block it by holding a pipe.
#[derive(Debug)]
pub struct Running {
    child: Ended,
    root: TempDir,
}

/// A process that does not outlive the test, whatever fails.
#[derive(Debug)]
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Running {
    pub(crate) fn start(mut command: Command, root: TempDir) -> Self {
        let log = |name| File::create(root.path().join(name)).unwrap();
        command.stdout(log("stdout")).stderr(log("stderr"));
        let child = Ended(command.spawn().unwrap());
        Self { child, root }
    }

    /// A path in the staging's directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// Waits until a script has written a whole line to `name`, and gives the file's text.
    pub fn wait_for_line(&mut self, name: &str) -> String {
        let path = self.path(name);
        wait_for(&format!("a line in {name}"), || {
            let text = fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
            if text.is_none() && self.child.0.try_wait().unwrap().is_some() {
                let output = |name| fs::read_to_string(self.root.path().join(name)).unwrap();
                panic!("ended without a line in {name}:\n{}{}", output("stdout"), output("stderr"));
            }
            text
        })
    }

    /// Sends a signal to the builder alone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.0.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Waits for the end. Whatever happened, nothing may be left in the temporary directory.
    pub fn finish(mut self) -> Staged {
        let status = wait_for("the builder's end", || self.child.0.try_wait().unwrap());
        let staged = Staged::new(as_a_shell_sees(status), self.root);
        let left: Vec<_> = fs::read_dir(staged.path("tmp"))
            .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "left in TMPDIR: {left:?}\n{staged}");
        staged
    }
}

/// The exit status, or 128 and the signal's number.
pub(crate) fn as_a_shell_sees(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
}

/// Whether the process is there and not a zombie.
pub fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // `pid (name) state …`: the name may hold anything, so the state is looked for from the end.
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

//! The file server as a program of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program;

/// A running `file-server`, killed when dropped.
#[derive(Debug)]
pub struct FileServer {
    child: Child,
    /// What the names of files are appended to.
    pub url: String,
}

impl FileServer {
    /// Serves `directory` at a free port.
    pub fn of(directory: &Path) -> Self {
        let mut command = Command::new(program("file-server"));
        command.args(["-address", "127.0.0.1:0"]).arg(directory).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.ends_with("/v1/static/\n"), "{url:?}");
        Self { child, url: url.trim_end().to_owned() }
    }

    /// The URL of a file.
    pub fn url(&self, name: &str) -> String {
        format!("{}{name}", self.url)
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for the end and gives the status.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

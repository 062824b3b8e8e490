//! Clients as processes with a deadline, whose output goes to files: nobody can block them by holding a pipe.
use std::fmt;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::running::as_a_shell_sees;
use crate::{DEADLINE, wait_for};

/// How a client ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status as a shell sees it.
    pub status: i32,
    /// What it printed, as it is.
    pub bytes: Vec<u8>,
    /// The same as text.
    pub stdout: String,
    /// What it printed on stderr.
    pub stderr: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout: String = self.stdout.chars().take(4000).collect();
        write!(f, "status {}\n--- stdout\n{stdout}\n--- stderr\n{}", self.status, self.stderr)
    }
}

impl Outcome {
    /// Asserts status 0.
    #[must_use]
    pub fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// Asserts the status.
    #[must_use]
    pub fn ends_with(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Asserts status 0 and all of stdout.
    pub fn prints(self, expected: &str) {
        assert_eq!(self.status, 0, "{self}");
        assert_eq!(self.stdout, expected, "{self}");
    }

    /// Asserts a part of stderr.
    #[must_use]
    pub fn complains(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "no `{part}` on stderr: {self}");
        self
    }
}

/// Runs a client to its end with this as its whole input.
pub fn run(command: &mut Command, input: &[u8]) -> Outcome {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    file.rewind().unwrap();
    Client::spawn(command, Stdio::from(file)).finish()
}

/// A client that runs. It is killed when dropped.
#[derive(Debug)]
pub struct Client {
    child: Child,
    stdout: File,
    stderr: File,
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Client {
    /// Starts it with a pipe as its input, which stays open.
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command, Stdio::piped())
    }

    /// Starts it with a file as its input.
    pub fn reading(command: &mut Command, path: &Path) -> Self {
        Self::spawn(command, Stdio::from(File::open(path).unwrap()))
    }

    fn spawn(command: &mut Command, stdin: Stdio) -> Self {
        let [stdout, stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        command.stdin(stdin).stdout(stdout.try_clone().unwrap());
        command.stderr(stderr.try_clone().unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its input. To close it, take and drop it.
    pub fn stdin(&mut self) -> &mut Option<ChildStdin> {
        &mut self.child.stdin
    }

    /// Writes to its input.
    pub fn write(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> Vec<u8> {
        whole(&self.stdout)
    }

    /// What it has printed on stderr so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&whole(&self.stderr)).into_owned()
    }

    /// Waits until its stdout holds `text`, and gives all of it.
    pub fn wait_for_output(&mut self, text: &str) -> String {
        self.wait_for(text, |client| String::from_utf8_lossy(&client.stdout()).into_owned())
    }

    /// Waits until its stderr holds `text`, and gives all of it.
    pub fn wait_for_complaint(&mut self, text: &str) -> String {
        self.wait_for(text, Self::stderr)
    }

    fn wait_for(&mut self, text: &str, stream: fn(&Self) -> String) -> String {
        wait_for(&format!("`{text}` from the client"), || {
            let has_ended = !self.is_running();
            let printed = stream(self);
            let is_there = printed.contains(text);
            assert!(is_there || !has_ended, "no `{text}`: {printed}\n{}", self.stderr());
            is_there.then_some(printed)
        })
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Closes its input and waits for its end.
    pub fn finish(self) -> Outcome {
        self.finish_within(DEADLINE)
    }

    /// The same with another deadline.
    pub fn finish_within(mut self, deadline: Duration) -> Outcome {
        drop(self.child.stdin.take());
        let began = Instant::now();
        let ended = loop {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > deadline {
                break ended;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let (bytes, stderr) = (self.stdout(), self.stderr());
        let stdout = String::from_utf8_lossy(&bytes).into_owned();
        let status = ended.map_or(-1, as_a_shell_sees);
        let outcome = Outcome { status, bytes, stdout, stderr };
        assert!(ended.is_some(), "the client does not end within {deadline:?}: {outcome}");
        outcome
    }
}

fn whole(file: &File) -> Vec<u8> {
    // A descriptor shared with the client has one position for both: read at offsets instead.
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    let read = file.read_at(&mut bytes, 0).unwrap();
    bytes.truncate(read);
    bytes
}

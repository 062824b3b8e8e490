//! Runs the program and checks what holds for every run.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Run {
    /// `None` if a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// The line on stderr without its end; empty if there is none.
    pub(crate) line: String,
    pub(crate) took: Duration,
}

/// Runs it with these arguments and, so that nothing of the caller's shows, no environment.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Run {
    let started = Instant::now();
    finish(start(arguments), started)
}

/// Starts it for tests that look at it while it runs.
pub(crate) fn start<S: AsRef<OsStr>>(arguments: &[S]) -> Child {
    command(&program()).args(arguments).spawn().unwrap()
}

/// Waits for the end. Nothing may be on stdout, and no more than one line on stderr.
pub(crate) fn finish(child: Child, started: Instant) -> Run {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let took = started.elapsed();
    assert_eq!(stdout, b"", "stdout is never used");
    let text = String::from_utf8(stderr).unwrap();
    let line = text.strip_suffix('\n').unwrap_or(&text).to_owned();
    match status.code() {
        Some(0) | None => assert_eq!(text, "", "{status:?}"),
        Some(2) => {}
        Some(_) => assert!(!line.contains('\n') && text.ends_with('\n'), "{text:?}"),
    }
    Run { status: status.code(), signal: status.signal(), line, took }
}

/// A command without environment whose streams are pipes.
pub(crate) fn command(program: &OsStr) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program, run by a shell that first does something to itself.
pub(crate) fn by_shell(preparation: &str) -> Command {
    let mut command = command("/bin/sh".as_ref());
    command.arg("-c").arg(format!("{preparation}; exec \"$0\" \"$@\"")).arg(program());
    command
}

/// The program under test.
pub(crate) fn program() -> std::ffi::OsString {
    match std::env::var_os("LIFECYCLE_BIN_DIR") {
        Some(directory) => PathBuf::from(directory).join("healthcheck").into_os_string(),
        None => env!("CARGO_BIN_EXE_healthcheck").into(),
    }
}

impl Run {
    /// The run ended with this status and this sentence, an explanation aside.
    pub(crate) fn says(&self, status: i32, sentence: &str) {
        let rest = self.line.strip_prefix(sentence);
        let is_explained =
            |rest: &str| rest.is_empty() || rest.starts_with(" (") && rest.ends_with(')');
        assert!(rest.is_some_and(is_explained), "{self:?}\nexpected: {sentence}");
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(rest.is_some_and(|rest| rest.len() <= 300), "{self:?}");
    }

    /// The check passed, silently.
    pub(crate) fn passes(&self) {
        assert_eq!(self.status, Some(0), "{self:?}");
    }
}

/// The address of this machine that is checked: its first outside loopback.
pub(crate) fn own_address() -> IpAddr {
    let addresses = healthcheck::address::all().unwrap();
    healthcheck::address::choose(&addresses).expect("these tests need an address outside loopback")
}

/// Runs the program until a run lasts no longer than `limit` and 100 ms, a few times at most: the
/// machine may be busy. No run may last twice as long.
///
/// It may use no more than 32 MiB of addresses: what a server sends must not stay in memory. An emulator
/// (`scripts/with-qemu`) needs more for itself, and a second to start.
pub(crate) fn run_within(limit: Duration, arguments: &[String]) -> Run {
    let emulated = std::env::var_os("EMULATED").is_some();
    let more = Duration::from_millis(if emulated { 1000 } else { 100 });
    for _ in 0..10 {
        let started = Instant::now();
        let mut command = by_shell(if emulated { "true" } else { "ulimit -v 32768" });
        let run = finish(command.args(arguments).spawn().unwrap(), started);
        assert!(run.took < limit * 2 + Duration::from_secs(2), "{run:?}");
        if run.took <= limit + more {
            return run;
        }
    }
    panic!("never within {limit:?} and {more:?}: {arguments:?}");
}

//! Runs the buildpacks' scripts: directly, without a shell, with `/dev/null` as stdin and the
//! staging environment (contract, section 3.9).

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use lifecycle::architecture::Architecture;
use lifecycle::report::{system_words, warn};
use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};

use crate::buildpack::Buildpack;
use crate::staging::Staging;

/// How long the output of a script that has ended may stay open in a process it left behind.
const LINGERING_OUTPUT: Duration = Duration::from_secs(1);

/// The most of a captured output that is kept, in bytes: the platform reads 50 KiB of what comes of
/// it, and a script that prints without end must not take all memory.
const MOST_OUTPUT: usize = 1024 * 1024;

/// A script that failed.
#[derive(Debug, thiserror::Error)]
#[error("{outcome}")]
pub struct ScriptError {
    outcome: Outcome,
    path: PathBuf,
    buildpack: String,
    elapsed: Duration,
}

/// How a script failed, in the words of Go's `os/exec`.
#[derive(Debug, thiserror::Error)]
enum Outcome {
    #[error("exit status {0}")]
    Exited(i32),
    #[error("signal: {}{}", signal_words(*number), if *core_dumped { " (core dumped)" } else { "" })]
    Signaled { number: i32, core_dumped: bool },
    #[error("fork/exec {}: {}", path.display(), system_words(cause))]
    NotStarted { path: PathBuf, cause: io::Error },
}

impl ScriptError {
    fn not_started(path: PathBuf, buildpack: &Buildpack, cause: io::Error) -> Self {
        Self {
            outcome: Outcome::NotStarted { path: path.clone(), cause },
            path,
            buildpack: buildpack.shown.clone(),
            elapsed: Duration::ZERO,
        }
    }

    /// Which script of which buildpack, what became of it, and after what time.
    pub(crate) fn explanation(&self) -> Vec<String> {
        let name = self.path.file_name().unwrap_or_default().display();
        let mut line = format!("bin/{name} of buildpack {} ", self.buildpack);
        let seconds = self.elapsed.as_secs_f64();
        let _infallible = match &self.outcome {
            Outcome::Exited(status) => {
                write!(line, "ended with exit status {status} after {seconds:.1} s")
            }
            Outcome::Signaled { number, .. } => {
                let words = signal_words(*number);
                write!(line, "was ended by signal {number} ({words}) after {seconds:.1} s")
            }
            Outcome::NotStarted { cause, .. } => {
                write!(line, "could not be started: {}", start_advice(&self.path, cause))
            }
        };
        vec![line]
    }
}

/// What scripts have as stdin.
const NULL: &str = "/dev/null";

/// Why a script did not start, and what helps.
fn start_advice(path: &Path, cause: &io::Error) -> String {
    match cause.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EACCES) => {
            "it is not executable; set its executable bit in the buildpack".to_owned()
        }
        Some(Errno::ENOENT) => match interpreter(path) {
            None => "the buildpack has no such script".to_owned(),
            Some(interpreter) if !Path::new(&interpreter).exists() => {
                format!("its interpreter {interpreter} is not in this stack")
            }
            Some(_) if !Path::new(NULL).exists() => format!("{NULL} is not in this stack"),
            Some(interpreter) => {
                format!("the loader of its interpreter {interpreter} is not in this stack")
            }
        },
        Some(Errno::ENOEXEC) => match Architecture::of_file(path) {
            Ok(Some(other)) => {
                format!("it is a program for {other}, this cell is {}", Architecture::own().name())
            }
            _ => "it is neither a program nor a script with a #! line".to_owned(),
        },
        _ => system_words(cause),
    }
}

/// The program on the `#!` line of the script.
fn interpreter(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let line = text.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    line.split_whitespace().next().map(ToOwned::to_owned)
}

/// Go's words for a signal.
fn signal_words(number: i32) -> String {
    match number {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    }
    .to_owned()
}

/// Runs a script with its output going where the builder's goes.
pub(crate) fn run(
    staging: &Staging<'_>,
    buildpack: &Buildpack,
    script: &'static str,
    arguments: &[&OsStr],
) -> Result<(), ScriptError> {
    let run = Run::start(staging, buildpack, script, arguments, Stdio::inherit())?;
    let ended = run.wait(staging)?;
    ended.check()
}

/// Runs a script and gives what it wrote to stdout; stderr goes where the builder's goes.
pub(crate) fn capture(
    staging: &Staging<'_>,
    buildpack: &Buildpack,
    script: &'static str,
    arguments: &[&OsStr],
) -> Result<Vec<u8>, ScriptError> {
    let (chunks, stdout) = read_aside()
        .map_err(|cause| ScriptError::not_started(buildpack.script(script), buildpack, cause))?;
    let run = Run::start(staging, buildpack, script, arguments, stdout)?;
    let ended = run.wait(staging)?;
    let output = collect(&chunks, &ended);
    ended.check().map(|()| output)
}

/// A pipe for the script's stdout, read on a thread of its own: the script may leave a process
/// behind that keeps its output open.
fn read_aside() -> io::Result<(Receiver<Vec<u8>>, Stdio)> {
    let (mut stdout, written) = io::pipe()?;
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        let mut buffer = [0; 8192];
        let mut sent = 0;
        while let Ok(count @ 1..) = stdout.read(&mut buffer) {
            // What is too much is read all the same: the script must not wait for us, nor fail.
            let kept = if sent <= MOST_OUTPUT { count } else { 0 };
            if sender.send(buffer[..kept].to_vec()).is_err() {
                return;
            }
            sent = sent.saturating_add(count);
        }
    })?;
    Ok((receiver, written.into()))
}

/// Everything the script wrote, up to [`MOST_OUTPUT`]. Waits only a moment for those who hold its
/// stdout after its end.
fn collect(chunks: &Receiver<Vec<u8>>, ended: &Ended) -> Vec<u8> {
    let mut output = Vec::new();
    let deadline = Instant::now() + LINGERING_OUTPUT;
    let fault = loop {
        match chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(chunk) if output.len() + chunk.len() <= MOST_OUTPUT => output.extend(chunk),
            Ok(_) => break "wrote more than 1 MiB to stdout; the rest is ignored",
            Err(RecvTimeoutError::Disconnected) => return output,
            Err(RecvTimeoutError::Timeout) => {
                break "left a process that keeps its output open; not waiting for it";
            }
        }
    };
    let name = ended.path.file_name().unwrap_or_default().display();
    warn(&format!("WARNING: bin/{name} of buildpack {} {fault}", ended.buildpack));
    output
}

/// A running script.
struct Run {
    child: Child,
    path: PathBuf,
    buildpack: String,
    script: &'static str,
    started: Instant,
}

/// A script that has ended.
struct Ended {
    status: ExitStatus,
    path: PathBuf,
    buildpack: String,
    elapsed: Duration,
}

impl Run {
    fn start(
        staging: &Staging<'_>,
        buildpack: &Buildpack,
        script: &'static str,
        arguments: &[&OsStr],
        stdout: Stdio,
    ) -> Result<Self, ScriptError> {
        let path = buildpack.script(script);
        let mut command = Command::new(&path);
        command.args(arguments).env_clear().envs(staging.environment.iter());
        command.stdin(Stdio::null()).stdout(stdout);
        let started = Instant::now();
        match staging.cleanup.undisturbed(|| command.spawn()) {
            Ok(child) => {
                Ok(Self { child, path, buildpack: buildpack.shown.clone(), script, started })
            }
            Err(cause) => Err(ScriptError::not_started(path, buildpack, cause)),
        }
    }

    fn wait(mut self, staging: &Staging<'_>) -> Result<Ended, ScriptError> {
        reap_orphans_until_end_of(&self.child);
        let status = self.child.wait();
        // A script that our own signal ended has not failed.
        staging.cleanup.yield_to_signal();
        let elapsed = self.started.elapsed();
        staging.account.scripted(self.script, &self.buildpack, elapsed);
        match status {
            Ok(status) => Ok(Ended { status, path: self.path, buildpack: self.buildpack, elapsed }),
            Err(cause) => Err(ScriptError {
                outcome: Outcome::NotStarted { path: self.path.clone(), cause },
                path: self.path,
                buildpack: self.buildpack,
                elapsed,
            }),
        }
    }
}

/// Waits for the end of `child`, and takes leave of the orphans that end before: they are the
/// builder's children too, and as zombies would fill the container's table of processes.
fn reap_orphans_until_end_of(child: &Child) {
    let ends_unreaped = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    loop {
        match waitid(Id::All, ends_unreaped).map(|status| status.pid()) {
            Ok(Some(pid)) if pid.as_raw() != child.id().cast_signed() => {
                let _gone = waitpid(pid, None);
            }
            Err(Errno::EINTR) => {}
            _ => return,
        }
    }
}

impl Ended {
    fn check(self) -> Result<(), ScriptError> {
        let outcome = match (self.status.code(), self.status.signal()) {
            (Some(0), _) => return Ok(()),
            (Some(status), _) => Outcome::Exited(status),
            (None, number) => Outcome::Signaled {
                number: number.unwrap_or_default(),
                core_dumped: self.status.core_dumped(),
            },
        };
        let Self { path, buildpack, elapsed, .. } = self;
        Err(ScriptError { outcome, path, buildpack, elapsed })
    }
}

//! A program that runs in a container, and how it ended.

use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use lifecycle::sys::in_own_session;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::cgroup::Cgroup;
use crate::log::{Log, Stream};

/// How long what a program's children still write is waited for, once it ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The status of what was killed.
const KILLED: i32 = 128 + Signal::SIGKILL as i32;

/// A program that was started.
#[derive(Debug)]
pub(crate) struct Process {
    /// What its log lines begin with: source and index, `APP/PROC/WEB/0`.
    pub(crate) source: String,
    pid: Pid,
    reach: Reach,
    said: Said,
    /// Closed when nothing can be written any more.
    output: Receiver<()>,
    /// What limits its memory.
    cgroup: Option<Cgroup>,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its status, or 128 + n for a signal, as the platform counts.
    pub status: i32,
    /// Whether the kernel killed for memory in its container.
    pub out_of_memory: bool,
}

impl fmt::Display for Exit {
    /// As the platform writes it: `137 (out of memory)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.out_of_memory { " (out of memory)" } else { "" };
        write!(f, "{}{why}", self.status)
    }
}

/// Reaches a program that another thread waits for. Clones reach the same.
#[derive(Debug, Clone)]
pub(crate) struct Reach(Arc<Mutex<Target>>);

#[derive(Debug)]
struct Target {
    /// None once it has ended.
    pid: Option<Pid>,
    /// What is said of its end by SIGKILL.
    late: String,
}

impl Process {
    /// Starts `command` in a session of its own, as the platform does (its contract, 7); what it says goes to `said`.
    pub(crate) fn start(command: Command, source: &str, said: &Said) -> io::Result<Self> {
        Self::started_by(command, source, said, |child| Ok(pid_of(&child)))
    }

    /// As [`Self::start`] where `command` only starts the program, with its own input and output, and leaves: `find`
    /// waits for that and gives the program's number. It must be this process's to wait for.
    pub(crate) fn started_by(
        mut command: Command,
        source: &str,
        said: &Said,
        find: impl FnOnce(Child) -> io::Result<Pid>,
    ) -> io::Result<Self> {
        in_own_session(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // It holds the other ends of the pipes.
        drop(command);
        let (open, output) = mpsc::channel();
        let out =
            child.stdout.take().map(|pipe| (Stream::Out, Box::new(pipe) as Box<dyn Read + Send>));
        let error =
            child.stderr.take().map(|pipe| (Stream::Error, Box::new(pipe) as Box<dyn Read + Send>));
        for (stream, pipe) in [out, error].into_iter().flatten() {
            follow(said.clone(), source.to_owned(), stream, pipe, open.clone());
        }
        let pid = find(child)?;
        let reach = Reach(Arc::new(Mutex::new(Target { pid: Some(pid), late: String::new() })));
        Ok(Self { source: source.to_owned(), pid, reach, said: said.clone(), output, cgroup: None })
    }

    /// The same in a cgroup that says whether memory ran out.
    #[must_use]
    pub(crate) fn within(mut self, cgroup: Option<Cgroup>) -> Self {
        self.cgroup = cgroup;
        self
    }

    /// Reaches it while another thread waits.
    pub(crate) fn reach(&self) -> Reach {
        self.reach.clone()
    }

    /// Waits until it ends, and says so in its log as the platform does.
    pub(crate) fn wait(self) -> io::Result<Exit> {
        // Its number stays its own until it is reaped, which no signal may overtake.
        while waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            .is_err_and(|errno| errno == nix::errno::Errno::EINTR)
        {}
        let out_of_memory = self.cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory);
        let mut target = self.reach.0.lock().unwrap_or_else(PoisonError::into_inner);
        let status = status(waitpid(self.pid, None)?);
        target.pid = None;
        let late = if status == KILLED { mem::take(&mut target.late) } else { String::new() };
        drop(target);
        let _closed = self.output.recv_timeout(LAST_WORDS);
        let exit = Exit { status, out_of_memory: out_of_memory && status != 0 };
        if let Said::Log(log) = &self.said {
            log.line(&self.source, Stream::Out, format!("Exit status {exit}{late}").as_bytes());
        }
        Ok(exit)
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

fn status(ended: WaitStatus) -> i32 {
    match ended {
        WaitStatus::Exited(_, status) => status,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        _ => 1,
    }
}

/// Where a program's words go. Clones are the same place.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// Line by line to a log.
    Log(Log),
    /// Together into memory, at most `KEPT` bytes of each stream.
    Kept(Arc<Mutex<Vec<u8>>>),
}

/// How much of a stream is kept in memory, in bytes.
const KEPT: u64 = 64 << 10;

impl Said {
    /// A place in memory.
    pub(crate) fn kept() -> Self {
        Self::Kept(Arc::default())
    }

    /// What is kept, trimmed.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Log(_) => String::new(),
            Self::Kept(bytes) => {
                let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                String::from_utf8_lossy(&bytes).trim().to_owned()
            }
        }
    }
}

fn follow(
    said: Said,
    source: String,
    stream: Stream,
    pipe: Box<dyn Read + Send>,
    open: Sender<()>,
) {
    thread::spawn(move || {
        match said {
            Said::Log(log) => log.follow(&source, stream, pipe),
            Said::Kept(kept) => {
                let mut bytes = Vec::new();
                let _as_far_as_it_goes = pipe.take(KEPT).read_to_end(&mut bytes);
                kept.lock().unwrap_or_else(PoisonError::into_inner).append(&mut bytes);
            }
        }
        drop(open);
    });
}

impl Reach {
    /// Sends SIGTERM to the program alone, as the platform does.
    pub(crate) fn terminate(&self) {
        self.with(|pid| kill(pid, Signal::SIGTERM));
    }

    /// Kills its process group.
    pub(crate) fn kill(&self) {
        self.with(|pid| killpg(pid, Signal::SIGKILL));
    }

    /// The same; the line of its end says that `grace` was over.
    pub(crate) fn kill_late(&self, grace: Duration) {
        let late = format!(" (exceeded {}s graceful shutdown interval)", grace.as_secs());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).late = late;
        self.kill();
    }

    fn with(&self, signal: impl Fn(Pid) -> nix::Result<()>) {
        if let Some(pid) = self.0.lock().unwrap_or_else(PoisonError::into_inner).pid {
            let _gone = signal(pid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ended(status: i32) -> Exit {
        Exit { status, out_of_memory: false }
    }

    fn run(script: &str, then: impl FnOnce(&Process)) -> (Exit, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = Log::open(&path).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        let process = Process::start(command, "APP/PROC/WEB/0", &Said::Log(log)).unwrap();
        then(&process);
        let exit = process.wait().unwrap();
        let text = fs::read_to_string(path).unwrap();
        (exit, text.lines().map(|line| line.split_once("] ").unwrap().1.to_owned()).collect())
    }

    #[test]
    fn a_program_is_logged_with_its_end() {
        let (exit, log) = run("echo out; exit 3", |_| {});
        assert_eq!(
            (exit, log),
            (ended(3), vec!["OUT out".to_owned(), "OUT Exit status 3".to_owned()])
        );
        assert_eq!(run("echo error >&2", |_| {}).1, ["ERR error", "OUT Exit status 0"]);
    }

    #[test]
    fn signals_count_as_the_platform_counts_them() {
        assert_eq!(run("exec sleep 600", |process| process.reach().terminate()).0, ended(143));
        assert_eq!(run("sleep 600 & wait", |process| process.reach().kill()).0, ended(137));
    }

    /// It was told twice: as it is here, and as that of any end.
    #[test]
    fn the_end_of_what_was_killed_after_its_time_says_so() {
        let script = "trap '' TERM; sleep 600 & wait";
        let (exit, log) = run(script, |process| process.reach().kill_late(Duration::from_secs(10)));
        let line = "OUT Exit status 137 (exceeded 10s graceful shutdown interval)".to_owned();
        assert_eq!((exit, log), (ended(137), vec![line]));
    }

    #[test]
    fn a_child_that_holds_the_pipe_holds_up_nothing() {
        let (exit, log) = run("sleep 600 & echo $! >&2", |_| {});
        let child = log.iter().find_map(|line| line.strip_prefix("ERR ")).unwrap();
        kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL).unwrap();
        assert_eq!(exit, ended(0));
    }
}

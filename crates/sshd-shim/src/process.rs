//! Starting a program: with pipes in a process group of its own, or on a terminal in a session of
//! its own (contract sshd 9.1, 18.4).
//!
//! It is `posix_spawn`, which does not copy this process's memory and takes no `unsafe`. The program
//! gets its three descriptors and nothing else of ours: all others are close-on-exec. Signals are as
//! they are by default.

use std::ffi::{CString, NulError, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use lifecycle::environment::Environment;
use lifecycle::exec::{Program, TooLarge};
use lifecycle::report::system_words;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::POSIX_SPAWN_SETSID;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, pipe2};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::children::{Child, Children};
use crate::pty::{Pty, PtyError};

/// Why a program did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Environment and command line are strings that end with a zero byte.
    #[error("{0} contains a zero byte, which no program can be given: leave it out")]
    ZeroByte(String),
    /// The kernel passes only so much to a program.
    #[error("{0}")]
    TooLarge(TooLarge),
    /// No descriptors are left, most likely.
    #[error("no pipe to the program can be made: {}", system_words(.0))]
    Pipe(io::Error),
    /// There is no terminal to be had.
    #[error(transparent)]
    Pty(#[from] PtyError),
    /// As many processes or threads as the container may have.
    #[error(
        "{} cannot be started: the container has as many processes and threads as it may have, or no memory \
         for another one ({}); end some of them or raise its limits",
        file.display(),
        system_words(error)
    )]
    NoRoom {
        /// The program.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Anything else, in the system's words.
    #[error("{} cannot be started: {}", file.display(), system_words(error))]
    System {
        /// The program.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A program that runs, and our ends of what it reads and writes.
#[derive(Debug)]
pub struct Process {
    /// The program; dropped before it ended, it is hung up on.
    pub child: Child,
    /// What it reads.
    pub stdin: Sender,
    /// What it writes; of a program on a terminal, all it writes.
    pub stdout: Receiver,
    /// What it writes as errors, unless it is on a terminal.
    pub stderr: Option<Receiver>,
}

/// Starts `program` with pipes.
pub fn start(
    program: &Program,
    environment: &Environment,
    children: &Arc<Children>,
) -> Result<Process, StartError> {
    let (its_stdin, stdin) = pipe()?;
    let (stdout, its_stdout) = pipe()?;
    let (stderr, its_stderr) = pipe()?;
    let stdin = Sender::from_owned_fd(stdin).map_err(StartError::Pipe)?;
    let stdout = Receiver::from_owned_fd(stdout).map_err(StartError::Pipe)?;
    let stderr = Receiver::from_owned_fd(stderr).map_err(StartError::Pipe)?;
    let mut actions = Actions::new()?;
    for (its, number) in [(&its_stdin, 0), (&its_stdout, 1), (&its_stderr, 2)] {
        actions.duplicate(its.as_raw_fd(), number)?;
    }
    let flags = PosixSpawnFlags::POSIX_SPAWN_SETPGROUP;
    let child = spawn(program, environment, &actions, flags, children)?;
    Ok(Process { child, stdin, stdout, stderr: Some(stderr) })
}

/// Starts `program` on the terminal `pty`, which becomes its controlling one.
pub fn start_on_terminal(
    program: &Program,
    environment: &Environment,
    pty: Pty,
    children: &Arc<Children>,
) -> Result<Process, StartError> {
    let mut actions = Actions::new()?;
    // The first terminal that the leader of a new session opens becomes the controlling one.
    actions.open(0, pty.path())?;
    actions.duplicate(0, 1)?;
    actions.duplicate(0, 2)?;
    let flags = PosixSpawnFlags::from_bits_retain(POSIX_SPAWN_SETSID.into());
    let (stdout, stdin) = pty.into_ends().map_err(StartError::Pipe)?;
    let child = spawn(program, environment, &actions, flags, children)?;
    Ok(Process { child, stdin, stdout, stderr: None })
}

/// The reading and the writing end.
fn pipe() -> Result<(OwnedFd, OwnedFd), StartError> {
    pipe2(OFlag::O_CLOEXEC).map_err(|error| StartError::Pipe(error.into()))
}

/// What happens to descriptors in the new process.
struct Actions(PosixSpawnFileActions);

impl Actions {
    fn new() -> Result<Self, StartError> {
        PosixSpawnFileActions::init().map(Self).map_err(no_memory)
    }

    fn duplicate(&mut self, from: RawFd, to: RawFd) -> Result<(), StartError> {
        self.0.add_dup2(from, to).map_err(no_memory)
    }

    fn open(&mut self, number: RawFd, path: &str) -> Result<(), StartError> {
        self.0.add_open(number, path, OFlag::O_RDWR, Mode::empty()).map_err(no_memory)
    }
}

/// Nothing else can go wrong with lists that are only written down.
fn no_memory(error: Errno) -> StartError {
    StartError::Pipe(error.into())
}

fn spawn(
    program: &Program,
    environment: &Environment,
    actions: &Actions,
    flags: PosixSpawnFlags,
    children: &Arc<Children>,
) -> Result<Child, StartError> {
    let attributes = attributes(flags).map_err(no_memory)?;
    let arguments = arguments(program)?;
    let variables = variables(environment)?;
    let file = program.file.as_path();
    children
        .start(|| posix_spawn(file, &actions.0, &attributes, &arguments, &variables))
        .map_err(|error| start_error(error, program, environment))
}

fn attributes(flags: PosixSpawnFlags) -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        flags | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK,
    )?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigdefault(&SigSet::all())?;
    attributes.set_sigmask(&SigSet::empty())?;
    Ok(attributes)
}

fn arguments(program: &Program) -> Result<Vec<CString>, StartError> {
    let zero = |_: NulError| StartError::ZeroByte("the command".into());
    let arguments = program.arguments.iter().map(OsString::as_os_str);
    std::iter::once(program.name.as_os_str())
        .chain(arguments)
        .map(|argument| CString::new(argument.as_bytes()).map_err(zero))
        .collect()
}

fn variables(environment: &Environment) -> Result<Vec<CString>, StartError> {
    let joined = |(name, value): (&OsStr, &OsStr)| {
        let mut variable = name.to_owned();
        variable.push("=");
        variable.push(value);
        CString::new(variable.into_vec()).map_err(|_| {
            StartError::ZeroByte(format!("the environment variable {}", printable(name)))
        })
    };
    environment.iter().map(joined).collect()
}

/// The name without what could do something to a terminal.
fn printable(name: &OsStr) -> String {
    name.as_bytes().escape_ascii().to_string()
}

fn start_error(error: Errno, program: &Program, environment: &Environment) -> StartError {
    let file = program.file.clone();
    match error {
        Errno::E2BIG => StartError::TooLarge(TooLarge::explain(program, environment)),
        Errno::EAGAIN | Errno::ENOMEM => StartError::NoRoom { file, error: error.into() },
        _ => StartError::System { file, error: error.into() },
    }
}

#[cfg(test)]
mod tests;

//! The system calls that no safe wrapper exists for: the only `unsafe` of the project.
#![allow(unsafe_code, reason = "the calls below have no safe wrapper; each says why it is sound")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use nix::libc;
use nix::unistd::Pid;

/// The size of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
    /// Width in pixels, 0 if unknown.
    pub width: u16,
    /// Height in pixels, 0 if unknown.
    pub height: u16,
}

/// Tells the terminal its size; programs on it get SIGWINCH if that changes anything.
pub fn set_window_size(terminal: impl AsFd, size: WindowSize) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: size.width,
        ws_ypixel: size.height,
    };
    let terminal = terminal.as_fd().as_raw_fd();
    // SAFETY: TIOCSWINSZ reads one `winsize` behind the pointer, which is valid for the call.
    let done = unsafe { libc::ioctl(terminal, libc::TIOCSWINSZ, &raw const size) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets `command` start its program as the leader of a session of its own, which has no controlling terminal.
pub fn in_own_session(command: &mut Command) -> &mut Command {
    let lead = || match nix::unistd::setsid() {
        Ok(_) => Ok(()),
        Err(errno) => Err(errno.into()),
    };
    // SAFETY: between fork and exec there is one system call; nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(lead) }
}

/// Takes the exit status of `child`, or of any child, if one has ended. `None` if none has. Unlike
/// nix's `waitpid` it does not lose the status of a process killed by a real-time signal.
pub fn reap(child: Option<Pid>) -> io::Result<Option<(Pid, ExitStatus)>> {
    let mut status = 0;
    let child = child.map_or(-1, Pid::as_raw);
    // SAFETY: waitpid writes one int behind the pointer, which is valid for the call.
    match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
        0 => Ok(None),
        pid if pid > 0 => Ok(Some((Pid::from_raw(pid), ExitStatus::from_raw(status)))),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Closes all descriptors beyond the three standard ones in every program this process starts or
/// becomes, those it was itself given included. Kernels before 5.11 can't (`ENOSYS`).
pub fn keep_descriptors() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: close_range takes three numbers and touches no memory; with this flag it closes nothing now.
    let done = unsafe {
        libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

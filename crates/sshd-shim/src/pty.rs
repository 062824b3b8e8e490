//! A pseudo terminal: the end that stays here, and the name of the end that a program opens.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use lifecycle::report::system_words;
use lifecycle::sys::{WindowSize, set_window_size};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{SetArg, SpecialCharacterIndices, tcgetattr, tcsetattr};
use nix::unistd::{AccessFlags, Pid, access, tcgetpgrp};
use tokio::net::unix::pipe::{Receiver, Sender};

use crate::terminal_modes;

/// Why there is no terminal.
#[derive(Debug, thiserror::Error)]
pub enum PtyError {
    /// `/dev/ptmx` does not open.
    #[error(
        "there is no terminal to be had: /dev/ptmx cannot be opened ({}). The container needs a devpts file system on \
         /dev/pts with terminals left; without a terminal (ssh -T) commands run all the same",
        system_words(.0)
    )]
    Open(io::Error),
    /// The other end has no name, or can't be unlocked.
    #[error(
        "the terminal cannot be used: {}. The container needs a devpts file system on /dev/pts; without a terminal \
         (ssh -T) commands run all the same",
        system_words(.0)
    )]
    Unlock(io::Error),
}

/// A terminal on which nothing runs yet.
#[derive(Debug)]
pub struct Pty {
    master: PtyMaster,
    path: String,
}

impl Pty {
    /// A new terminal of `size`, with `modes` as a `pty-req` has them. What can't be set is left out.
    pub fn open(size: WindowSize, modes: &[u8]) -> Result<Self, PtyError> {
        let pty = Self::unlocked()?;
        pty.set_modes(modes);
        let _left_as_it_is = set_window_size(&pty.master, size);
        Ok(pty)
    }

    fn unlocked() -> Result<Self, PtyError> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let master = posix_openpt(flags).map_err(|error| PtyError::Open(error.into()))?;
        let unlock = |error: Errno| PtyError::Unlock(error.into());
        unlockpt(&master).map_err(unlock)?;
        let path = ptsname_r(&master).map_err(unlock)?;
        access(path.as_str(), AccessFlags::F_OK).map_err(unlock)?;
        Ok(Self { master, path })
    }

    fn set_modes(&self, modes: &[u8]) {
        let Ok(mut settings) = tcgetattr(&self.master) else { return };
        for mode in terminal_modes::parse(modes) {
            terminal_modes::apply(&mut settings, mode);
        }
        let _left_as_it_is = tcsetattr(&self.master, SetArg::TCSANOW, &settings);
    }

    /// The device that a program opens.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What a program writes to the terminal, and what it reads.
    pub fn into_ends(self) -> io::Result<(Receiver, Sender)> {
        let master = OwnedFd::from(self.master);
        let copy = master.try_clone()?;
        // They are no pipes, but all that is asked of them, waiting and non-blocking, they can.
        Ok((Receiver::from_owned_fd_unchecked(master)?, Sender::from_owned_fd_unchecked(copy)?))
    }
}

/// The character that means the end of input on the terminal, `^D` if none does.
pub fn end_of_input(terminal: impl AsFd) -> u8 {
    const CONTROL_D: u8 = 4;
    let character = tcgetattr(terminal)
        .map_or(0, |settings| settings.control_chars[SpecialCharacterIndices::VEOF as usize]);
    if character == 0 { CONTROL_D } else { character }
}

/// The process group in the foreground of the terminal, if there is one.
pub fn foreground(terminal: impl AsFd) -> Option<Pid> {
    tcgetpgrp(terminal).ok().filter(|group| group.as_raw() > 1)
}

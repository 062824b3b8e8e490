//! `cell pause`: the first process of a container. It reaps what others leave, and ends, with all that is in the
//! container, when the cell that made it is gone.

use std::io;
use std::thread;

use lifecycle::report::say;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;

use crate::error::CellError;

/// What it says once it is there.
pub(crate) const READY: &str = "ready";

/// Waits until nobody holds the other end of its standard input.
pub(crate) fn pause() -> Result<(), CellError> {
    let mut signals = Signals::new([SIGCHLD]).map_err(CellError::on("signals"))?;
    thread::spawn(move || {
        for _ in signals.forever() {
            while waitpid(None, Some(WaitPidFlag::WNOHANG))
                .is_ok_and(|ended| ended != WaitStatus::StillAlive)
            {}
        }
    });
    say(READY);
    let ended = io::copy(&mut io::stdin().lock(), &mut io::sink());
    ended.map(drop).map_err(CellError::on("standard input"))
}

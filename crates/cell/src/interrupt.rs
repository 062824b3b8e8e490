//! Ctrl-C and SIGTERM: what is being staged is ended in good order; a log that is followed is left, also when nobody
//! reads it any more; anything else ends at once.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::process::Reach;

/// Whether someone wants this program to end. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<Mutex<Wanted>>);

#[derive(Debug, Default)]
struct Wanted {
    is_listening: bool,
    /// How many look whether it has happened.
    attended: usize,
    end: bool,
    /// Nobody reads what is printed.
    unread: bool,
    reach: Option<Reach>,
}

/// As long as this lives, somebody looks whether it has happened.
#[derive(Debug)]
pub(crate) struct Attended<'a>(&'a Interrupt);

impl Drop for Attended<'_> {
    fn drop(&mut self) {
        let mut wanted = self.0.wanted();
        wanted.attended -= 1;
        wanted.reach = None;
    }
}

impl Interrupt {
    /// Keeps the signals from ending this program: the caller will look.
    pub(crate) fn attend(&self) -> io::Result<Attended<'_>> {
        let mut wanted = self.wanted();
        if !wanted.is_listening {
            let mut signals = Signals::new([SIGHUP, SIGINT, SIGPIPE, SIGTERM])?;
            let told = self.clone();
            thread::spawn(move || signals.forever().for_each(|signal| told.happen(signal)));
            wanted.is_listening = true;
        }
        wanted.attended += 1;
        Ok(Attended(self))
    }

    /// Whether it has happened.
    pub(crate) fn has_happened(&self) -> bool {
        self.wanted().end
    }

    fn happen(&self, signal: i32) {
        let mut wanted = self.wanted();
        if signal == SIGPIPE {
            wanted.unread = true;
            return;
        }
        if wanted.attended == 0 {
            let _ends_this_program = emulate_default_handler(signal);
        }
        wanted.end = true;
        if let Some(reach) = &wanted.reach {
            reach.terminate();
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attended<'_> {
    /// Ends a program too when it happens, or now if it has.
    pub(crate) fn ends(&self, reach: Reach) {
        let mut wanted = self.0.wanted();
        if wanted.end {
            reach.terminate();
        }
        wanted.reach = Some(reach);
    }

    /// Whether it has happened.
    pub(crate) fn has_happened(&self) -> bool {
        self.0.has_happened()
    }

    /// Whether it has, or nobody reads what is printed: `cell logs APP | head`.
    pub(crate) fn ends_reading(&self) -> bool {
        let wanted = self.0.wanted();
        wanted.end || wanted.unread
    }
}

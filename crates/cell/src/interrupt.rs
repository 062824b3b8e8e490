//! Ctrl-C and SIGTERM: what is being staged is ended in good order; a log that is followed is left.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::process::Reach;

/// Whether someone wants this program to end. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Mutex<Wanted>>);

#[derive(Debug, Default)]
struct Wanted {
    end: bool,
    reach: Option<Reach>,
}

impl Interrupt {
    /// Listens to the signals from now on.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let told = interrupt.clone();
        thread::spawn(move || {
            for _ in signals.forever() {
                told.happen();
            }
        });
        Ok(interrupt)
    }

    /// Ends a program too when it happens, or now if it has.
    pub fn ends(&self, reach: Reach) {
        let mut wanted = self.wanted();
        if wanted.end {
            reach.terminate();
        }
        wanted.reach = Some(reach);
    }

    /// Whether it has happened.
    pub fn has_happened(&self) -> bool {
        self.wanted().end
    }

    fn happen(&self) {
        let mut wanted = self.wanted();
        wanted.end = true;
        if let Some(reach) = &wanted.reach {
            reach.terminate();
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Tells an instance to stop, whether it lives or waits for its next start.

use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::instance::Event;

/// Set once, never taken back.
#[derive(Debug, Default)]
pub(crate) struct Stopper {
    state: Mutex<Stopping>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Stopping {
    stopped: bool,
    /// The life to tell: each has events of its own, so that none hears what was said of the one before.
    life: Option<Sender<Event>>,
}

impl Stopper {
    /// Tells the instance to stop.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        if let Some(life) = &state.life {
            let _ended_already = life.send(Event::Stop);
        }
        self.changed.notify_all();
    }

    /// A life begins, which is told by `events`; at once, if it came too late.
    pub(crate) fn attach(&self, events: Sender<Event>) {
        let mut state = self.state();
        if state.stopped {
            let _ended_already = events.send(Event::Stop);
        }
        state.life = Some(events);
    }

    /// Waits for `time`, or until stopped: whether it is.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), time, |state| !state.stopped);
        waited.unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    fn state(&self) -> MutexGuard<'_, Stopping> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_life_is_told_whenever_it_begins() {
        let stopper = Stopper::default();
        assert!(!stopper.wait(Duration::ZERO));
        let (events, early) = mpsc::channel();
        stopper.attach(events);
        stopper.stop();
        assert!(matches!(early.recv(), Ok(Event::Stop)));
        let (events, late) = mpsc::channel();
        stopper.attach(events);
        assert!(matches!(late.recv(), Ok(Event::Stop)));
        assert!(stopper.wait(Duration::from_mins(1)));
    }
}

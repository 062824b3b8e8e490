//! When checks happen and which outcome ends the program (contract, section 7).
//!
//! Clock and probe are handed in, so that the tests neither sleep nor open sockets.

use std::time::Duration;

use crate::duration;
use crate::error::HealthError;

/// The five modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// One check.
    Once,
    /// Checks at a fixed rate until one passes or the limit is over.
    Startup {
        /// Period of the ticks, counted from the first check.
        interval: Duration,
        /// Limit of all checks together; `None` for none.
        limit: Option<Duration>,
    },
    /// Checks until `threshold` in a row have failed.
    Liveness {
        /// Pause between the end of a check and the next.
        interval: Duration,
        /// At least 1.
        threshold: u64,
    },
    /// Checks until one fails.
    Readiness {
        /// Pause between the end of a check and the next.
        interval: Duration,
    },
    /// Checks until one passes, without limit and without a word.
    UntilReady {
        /// Pause between the end of a check and the next.
        interval: Duration,
    },
}

/// Time as the loops see it.
pub trait Clock {
    /// Time since the start of the process.
    fn now(&self) -> Duration;
    /// Returns `duration` later.
    fn sleep(&self, duration: Duration);
}

/// Why the program ends: the failed check, and what the mode says before it.
#[derive(Debug, PartialEq, Eq)]
pub struct Ending {
    /// Words of the mode; empty for a single check.
    pub prefix: String,
    /// The check that is reported.
    pub error: Box<HealthError>,
}

/// One check that may take at most the given time; `None` leaves it to its own limit.
pub type Probe<'a> = dyn FnMut(Option<Duration>) -> Result<(), HealthError> + 'a;

/// Makes the checks. Returns `Ok` when the mode's wish came true.
pub fn run(schedule: Schedule, clock: &dyn Clock, probe: &mut Probe<'_>) -> Result<(), Ending> {
    match schedule {
        Schedule::Once => {
            probe(None).map_err(|error| Ending { prefix: String::new(), error: error.into() })
        }
        Schedule::Startup { interval, limit } => startup(interval, limit, clock, probe),
        Schedule::Liveness { interval, threshold } => {
            Err(until_failure("Liveness", interval, threshold, clock, probe))
        }
        Schedule::Readiness { interval } => {
            Err(until_failure("Readiness", interval, 1, clock, probe))
        }
        Schedule::UntilReady { interval } => {
            while probe(None).is_err() {
                clock.sleep(interval);
            }
            Ok(())
        }
    }
}

/// Never passes: a liveness check that ends with status 0 takes the whole cell down (contract, 8.6).
fn until_failure(
    mode: &str,
    interval: Duration,
    threshold: u64,
    clock: &dyn Clock,
    probe: &mut Probe<'_>,
) -> Ending {
    let mut failures = 0;
    loop {
        match probe(None) {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                if failures >= threshold {
                    return Ending {
                        prefix: format!("{mode} check unsuccessful: "),
                        error: error.into(),
                    };
                }
            }
        }
        clock.sleep(interval);
    }
}

/// A fixed-rate ticker that remembers one missed tick, and a limit over everything. At the limit
/// the last completed check is reported; one in flight is cut short and only counted.
fn startup(
    interval: Duration,
    limit: Option<Duration>,
    clock: &dyn Clock,
    probe: &mut Probe<'_>,
) -> Result<(), Ending> {
    let deadline = limit.unwrap_or(Duration::MAX);
    let mut tick = clock.now();
    let mut attempts: u64 = 0;
    let mut completed = None;
    loop {
        let started = clock.now();
        attempts += 1;
        let Err(error) = probe(limit.map(|limit| limit.saturating_sub(started))) else {
            return Ok(());
        };
        // An outcome at the limit is that of a check in flight: it counts only if there is no other.
        if clock.now() < deadline || completed.is_none() {
            completed = Some(error);
        }
        tick = next_tick(tick, interval, started);
        // At the same instant the limit comes first.
        clock.sleep(tick.min(deadline).saturating_sub(clock.now()));
        if clock.now() >= deadline
            && let Some(error) = completed.take()
        {
            return Err(Ending { prefix: timed_out(deadline, attempts), error: error.into() });
        }
    }
}

/// The first tick after `time`, counting on from `tick`.
fn next_tick(tick: Duration, interval: Duration, time: Duration) -> Duration {
    let passed = time.saturating_sub(tick).as_nanos() / interval.as_nanos() + 1;
    let ahead = interval.as_nanos().saturating_mul(passed);
    tick.saturating_add(Duration::from_nanos(u64::try_from(ahead).unwrap_or(u64::MAX)))
}

fn timed_out(limit: Duration, attempts: u64) -> String {
    format!(
        "Timed out after {} ({attempts} attempts) waiting for startup check to succeed: ",
        duration::in_units(limit)
    )
}

#[cfg(test)]
mod tests;

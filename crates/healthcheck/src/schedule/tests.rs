//! The loops against a clock that only moves when somebody sleeps or a check takes time.

use std::cell::Cell;

use super::*;

/// Milliseconds.
const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[derive(Default)]
struct FakeClock(Cell<Duration>);

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        self.0.get()
    }
    fn sleep(&self, duration: Duration) {
        self.0.set(self.0.get() + duration);
    }
}

fn http(status: u16) -> HealthError {
    HealthError::Status { uri: "/".to_owned(), port: "1".to_owned(), status, milliseconds: 0 }
}

/// Runs `schedule` with checks of `length` that give `outcomes`, then panics; gives the starts in ms.
fn starts(
    schedule: Schedule,
    length: Duration,
    outcomes: &[Result<(), HealthError>],
) -> (Result<(), Ending>, Vec<u128>) {
    let clock = FakeClock::default();
    let mut starts = Vec::new();
    let mut outcomes = outcomes.iter();
    let outcome = run(schedule, &clock, &mut |budget| {
        starts.push(clock.now().as_millis());
        clock.sleep(budget.unwrap_or(Duration::MAX).min(length));
        match outcomes.next().expect("no more checks than outcomes") {
            Ok(()) => Ok(()),
            Err(HealthError::Status { status, .. }) => Err(http(*status)),
            Err(other) => panic!("{other}"),
        }
    });
    (outcome, starts)
}

#[test]
fn a_single_check_is_reported_without_prefix() {
    assert_eq!(starts(Schedule::Once, ms(5), &[Ok(())]), (Ok(()), vec![0]));
    let ending = Ending { prefix: String::new(), error: http(500).into() };
    assert_eq!(starts(Schedule::Once, ms(5), &[Err(http(500))]), (Err(ending), vec![0]));
}

#[test]
fn liveness_pauses_the_whole_interval_and_ends_with_the_first_failure() {
    let schedule = Schedule::Liveness { interval: ms(100), threshold: 1 };
    let (outcome, starts) = starts(schedule, ms(30), &[Ok(()), Ok(()), Err(http(500))]);
    let ending =
        Ending { prefix: "Liveness check unsuccessful: ".to_owned(), error: http(500).into() };
    assert_eq!((outcome, starts), (Err(ending), vec![0, 130, 260]));
}

#[test]
fn a_threshold_counts_failures_in_a_row_and_reports_the_last() {
    let schedule = Schedule::Liveness { interval: ms(100), threshold: 3 };
    let outcomes = [Err(http(1)), Err(http(2)), Ok(()), Err(http(3)), Err(http(4)), Err(http(5))];
    let (outcome, starts) = starts(schedule, ms(0), &outcomes);
    assert_eq!(*outcome.unwrap_err().error, http(5));
    assert_eq!(starts, [0, 100, 200, 300, 400, 500]);
}

#[test]
fn readiness_ends_with_the_first_failure() {
    let schedule = Schedule::Readiness { interval: ms(100) };
    let (outcome, starts) = starts(schedule, ms(0), &[Ok(()), Err(http(404))]);
    let ending =
        Ending { prefix: "Readiness check unsuccessful: ".to_owned(), error: http(404).into() };
    assert_eq!((outcome, starts), (Err(ending), vec![0, 100]));
}

#[test]
fn until_ready_goes_on_until_a_check_passes() {
    let schedule = Schedule::UntilReady { interval: ms(100) };
    let outcomes = [Err(http(1)), Err(http(2)), Ok(())];
    assert_eq!(starts(schedule, ms(10), &outcomes), (Ok(()), vec![0, 110, 220]));
}

#[test]
fn startup_follows_a_fixed_rate() {
    let schedule = Schedule::Startup { interval: ms(100), limit: Some(ms(1000)) };
    let outcomes = [Err(http(1)), Err(http(2)), Ok(())];
    assert_eq!(starts(schedule, ms(30), &outcomes), (Ok(()), vec![0, 100, 200]));
}

#[test]
fn startup_remembers_one_missed_tick() {
    let schedule = Schedule::Startup { interval: ms(200), limit: None };
    let outcomes = [Err(http(1)), Err(http(2)), Err(http(3)), Ok(())];
    assert_eq!(starts(schedule, ms(300), &outcomes), (Ok(()), vec![0, 300, 600, 900]));
    // Of the ticks at 100, 200, ... missed by a check of 450 only one is made up for.
    let schedule = Schedule::Startup { interval: ms(100), limit: None };
    assert_eq!(starts(schedule, ms(450), &outcomes), (Ok(()), vec![0, 450, 900, 1350]));
}

#[test]
fn at_the_same_instant_the_startup_limit_comes_before_the_tick() {
    let schedule = Schedule::Startup { interval: ms(500), limit: Some(ms(1500)) };
    let outcomes = [Err(http(1)), Err(http(2)), Err(http(3))];
    let (outcome, starts) = starts(schedule, ms(0), &outcomes);
    let prefix = "Timed out after 1.5s (3 attempts) waiting for startup check to succeed: ";
    assert_eq!(outcome, Err(Ending { prefix: prefix.to_owned(), error: http(3).into() }));
    assert_eq!(starts, [0, 500, 1000]);
}

#[test]
fn the_startup_limit_cuts_a_check_short_and_reports_the_one_before() {
    let schedule = Schedule::Startup { interval: ms(100), limit: Some(ms(1000)) };
    let (outcome, starts) = starts(schedule, ms(700), &[Err(http(1)), Err(http(2))]);
    let prefix = "Timed out after 1s (2 attempts) waiting for startup check to succeed: ";
    assert_eq!(outcome, Err(Ending { prefix: prefix.to_owned(), error: http(1).into() }));
    assert_eq!(starts, [0, 700]);
}

#[test]
fn the_startup_limit_in_the_first_check_reports_that_check() {
    let schedule = Schedule::Startup { interval: ms(100), limit: Some(ms(1000)) };
    let (outcome, _) = starts(schedule, ms(5000), &[Err(http(1))]);
    let prefix = "Timed out after 1s (1 attempts) waiting for startup check to succeed: ";
    assert_eq!(outcome, Err(Ending { prefix: prefix.to_owned(), error: http(1).into() }));
}

#[test]
fn a_pass_at_the_startup_limit_is_a_pass() {
    let schedule = Schedule::Startup { interval: ms(100), limit: Some(ms(1000)) };
    assert_eq!(starts(schedule, ms(5000), &[Ok(())]), (Ok(()), vec![0]));
}

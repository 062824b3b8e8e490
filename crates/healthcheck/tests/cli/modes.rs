//! The five modes in real time (contract, section 7); their arithmetic is tested in `schedule`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::run::{finish, own_address, run, run_within, start};
use crate::server::{ClosedPort, request, send, serve, stalling_after};

/// A server that answers the first `failures` requests with 500, the next `passes` with 200, and all
/// others with 500; and the count of requests.
fn changing(failures: u32, passes: u32) -> (u16, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let port = serve(move |mut stream| {
        request(&mut stream);
        let number = counter.fetch_add(1, Ordering::SeqCst);
        let status = if (failures..failures + passes).contains(&number) { 200 } else { 500 };
        send(&mut stream, format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").as_bytes());
    });
    (port, count)
}

fn arguments(port: u16, more: &[&str]) -> Vec<String> {
    let start = [format!("-port={port}"), "-uri=/".to_owned(), "-timeout=5s".to_owned()];
    start.into_iter().chain(more.iter().map(ToString::to_string)).collect()
}

#[test]
fn liveness_and_readiness_end_with_the_first_failure() {
    for (flag, word) in
        [("-liveness-interval=50ms", "Liveness"), ("-readiness-interval=50ms", "Readiness")]
    {
        let (port, count) = changing(0, 3);
        let run = run(&arguments(port, &[flag]));
        assert_eq!((run.status, count.load(Ordering::SeqCst)), (Some(6), 4), "{run:?}");
        let start = format!(
            "{word} check unsuccessful: failed to make HTTP request to '/' on port {port}: received status code 500 in "
        );
        assert!(run.line.starts_with(&start), "{run:?}");
        assert!(run.took >= Duration::from_millis(150), "{run:?}");
    }
    let closed = ClosedPort::new();
    let place = format!("{}:{}", own_address(), closed.number);
    run(&[format!("-port={}", closed.number), "-liveness-interval=1h".to_owned()]).says(
        4,
        &format!("Liveness check unsuccessful: failed to make TCP connection to {place}: dial tcp {place}: connect: connection refused"),
    );
}

#[test]
fn a_failure_threshold_forgives_single_failures_in_liveness_mode_only() {
    let (port, count) = changing(2, 1);
    let run = run(&arguments(port, &["-liveness-interval=20ms", "-failure-threshold=3"]));
    // Two failures, a pass, three failures.
    assert_eq!((run.status, count.load(Ordering::SeqCst)), (Some(6), 6), "{run:?}");
    assert!(run.line.starts_with("Liveness check unsuccessful: failed to make HTTP"), "{run:?}");
    let (port, count) = changing(2, 1);
    let run =
        crate::run::run(&arguments(port, &["-readiness-interval=20ms", "-failure-threshold=3"]));
    assert_eq!((run.status, count.load(Ordering::SeqCst)), (Some(6), 1), "{run:?}");
}

#[test]
fn until_ready_is_silent_and_goes_on_until_a_check_passes() {
    let (port, count) = changing(5, 1);
    run(&arguments(port, &["-until-ready-interval=20ms"])).passes();
    assert_eq!(count.load(Ordering::SeqCst), 6);
    // Even what can never pass is tried for ever: a failure would crash the instance.
    let words =
        [format!("-port={port}"), "-uri=bad".to_owned(), "-until-ready-interval=10ms".to_owned()];
    let mut child = start(&words);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    assert_eq!(finish(child, Instant::now()).signal, Some(9));
}

#[test]
fn startup_passes_with_the_first_check_that_does() {
    let (port, count) = changing(3, 1);
    let run = run(&arguments(port, &["-startup-interval=50ms", "-startup-timeout=10s"]));
    run.passes();
    assert_eq!(count.load(Ordering::SeqCst), 4);
    assert!(run.took >= Duration::from_millis(150), "{run:?}");
}

#[test]
fn startup_without_limit_goes_on() {
    for limit in ["-startup-timeout=0s", "-startup-timeout=-1s"] {
        let (port, _) = changing(30, 1);
        run(&arguments(port, &["-startup-interval=10ms", limit])).passes();
    }
}

#[test]
fn startup_tells_the_attempts_and_the_last_failure() {
    let closed = ClosedPort::new();
    let place = format!("{}:{}", own_address(), closed.number);
    let words = ["-startup-interval=200ms".to_owned(), "-startup-timeout=900ms".to_owned()];
    let words: Vec<String> =
        [format!("-port={}", closed.number)].into_iter().chain(words).collect();
    let run = run_within(Duration::from_millis(900), &words);
    run.says(
        4,
        &format!("Timed out after 900ms (5 attempts) waiting for startup check to succeed: failed to make TCP connection to {place}: dial tcp {place}: connect: connection refused"),
    );
    assert!(run.took >= Duration::from_millis(900), "{run:?}");
}

#[test]
fn the_startup_limit_in_the_first_check_reports_the_time_waited() {
    let port = stalling_after("");
    let words = arguments(port, &["-startup-interval=1s", "-startup-timeout=500ms"]);
    let run = run_within(Duration::from_millis(500), &words);
    let said = format!(
        "Timed out after 500ms (1 attempts) waiting for startup check to succeed: failed to make HTTP request to '/' on port {port}: timed out after "
    );
    let seconds = run.line.strip_prefix(&said).and_then(|rest| rest.split(' ').next());
    let seconds: f64 =
        seconds.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{run:?}"));
    // The limit counts from the start of the process, the check began a moment later: emulated, a long one.
    assert!(seconds > 0.0 && seconds <= 0.5, "{run:?}");
    assert_eq!(run.status, Some(65));
}

#[test]
fn the_startup_limit_cuts_a_hanging_check_short() {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let port = serve(move |mut stream| {
        request(&mut stream);
        if counter.fetch_add(1, Ordering::SeqCst) == 0 {
            send(&mut stream, b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n");
        } else {
            crate::server::wait_for_close(&mut stream);
        }
    });
    let words = arguments(port, &["-startup-interval=100ms", "-startup-timeout=600ms"]);
    let started = Instant::now();
    let run = finish(start(&words), started);
    assert!(run.took < Duration::from_secs(3), "{run:?}");
    let start = "Timed out after 600ms (2 attempts) waiting for startup check to succeed: failed to make HTTP request to '/' on port ";
    assert!(
        run.line.starts_with(start) && run.line.contains("received status code 503"),
        "{run:?}"
    );
    assert_eq!(run.status, Some(6));
}

#[test]
fn of_several_intervals_startup_comes_first() {
    let (port, _) = changing(0, 100);
    let all = [
        "-until-ready-interval=1h",
        "-readiness-interval=1h",
        "-liveness-interval=1h",
        "-startup-interval=1h",
    ];
    run(&arguments(port, &all)).passes();
}

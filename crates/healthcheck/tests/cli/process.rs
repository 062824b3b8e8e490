//! The process itself: signals, closed streams, few descriptors, no growth (contract, 7.6).

use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::run::{by_shell, command, finish, program, start};
use crate::server::{ClosedPort, answering, serve, stalling_after};

#[test]
fn signals_end_it_at_once_and_silently_in_every_mode() {
    let up = serve(drop);
    let closed = ClosedPort::new();
    let silent = stalling_after("");
    for (port, flags) in [
        (up, &["-liveness-interval=1h"][..]),
        (up, &["-readiness-interval=1h"]),
        (closed.number, &["-until-ready-interval=1h"]),
        (closed.number, &["-startup-interval=1h", "-startup-timeout=1h"]),
        // During a check.
        (silent, &["-uri=/", "-timeout=1h"]),
    ] {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let port = format!("-port={port}");
            let arguments: Vec<&str> = [port.as_str()].iter().chain(flags).copied().collect();
            let child = start(&arguments);
            std::thread::sleep(Duration::from_millis(50));
            let sent = Instant::now();
            kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
            let run = finish(child, sent);
            assert_eq!((run.signal, run.line.as_str()), (Some(signal as i32), ""), "{flags:?}");
            assert!(run.took < Duration::from_secs(30), "{flags:?}");
        }
    }
}

#[test]
fn root_signals_end_the_first_process_of_a_container_too() {
    // The kernel spares it what it does not handle: the platform waited, and then killed it.
    let (sender, checks) = std::sync::mpsc::channel();
    let port = format!("-port={}", serve(move |_| sender.send(()).unwrap()));
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut container = command("/usr/bin/unshare".as_ref());
        container.args(["--fork", "--pid"]).arg(program()).args([&port, "-liveness-interval=1h"]);
        let child = container.spawn().unwrap();
        checks.recv_timeout(Duration::from_secs(10)).unwrap();
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let first: i32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
        kill(Pid::from_raw(first), signal).unwrap();
        let sent = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(128 + signal as i32), "{signal}");
        assert_eq!((output.stdout, output.stderr), (vec![], vec![]), "{signal}");
        assert!(sent.elapsed() < Duration::from_secs(1), "{signal}");
    }
}

#[test]
fn closed_streams_change_no_status() {
    let up = [format!("-port={}", serve(drop))];
    let closed = ClosedPort::new();
    let down = [format!("-port={}", closed.number)];
    for preparation in ["exec 2>&-", "exec 0<&- 1>&- 2>&-", "exec 1>&-"] {
        assert_eq!(
            by_shell(preparation).args(&up).output().unwrap().status.code(),
            Some(0),
            "{preparation}"
        );
        assert_eq!(
            by_shell(preparation).args(&down).output().unwrap().status.code(),
            Some(4),
            "{preparation}"
        );
    }
}

#[test]
fn the_line_is_written_in_one_piece() {
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let closed = ClosedPort::new();
    // Every write is a message of its own.
    let status = command(&program())
        .args([format!("-port={}", closed.number), "-startup-interval=1h".to_owned()])
        .args(["-startup-timeout=1s"])
        .stderr(std::os::fd::OwnedFd::from(theirs))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(4));
    let mut message = [0; 4096];
    let length = ours.recv(&mut message).unwrap();
    let line = String::from_utf8_lossy(&message[..length]);
    assert!(line.starts_with("Timed out after 1s (1 attempts)") && line.ends_with('\n'), "{line}");
    assert!(ours.recv(&mut message).is_err());
}

#[test]
fn a_closed_stderr_pipe_changes_no_status() {
    let closed = ClosedPort::new();
    let script = "(\"$0\" \"$@\"; echo $? >&3) 2>&1 >/dev/null 3>\"$OUT\" | true";
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut child = command("/bin/sh".as_ref());
    // Sleeping for the interval lets `true` go first.
    let arguments = [
        format!("-port={}", closed.number),
        "-liveness-interval=300ms".to_owned(),
        "-failure-threshold=2".to_owned(),
    ];
    child.arg("-c").arg(script).arg(program()).args(arguments).env("OUT", out.path());
    child.env("PATH", "/usr/bin:/bin").status().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::read_to_string(out.path()).unwrap().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fs::read_to_string(out.path()).unwrap().trim(), "4");
}

#[test]
fn six_descriptors_are_enough() {
    let tcp = vec![format!("-port={}", serve(drop))];
    let http = vec![format!("-port={}", answering("HTTP/1.1 200 OK\r\n\r\n")), "-uri=/".to_owned()];
    for arguments in [&tcp, &http] {
        let output = by_shell("ulimit -n 6").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_loop_grows_neither_in_memory_nor_in_descriptors() {
    let (port, requests) =
        crate::server::recording("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let arguments =
        [format!("-port={port}"), "-uri=/".to_owned(), "-liveness-interval=1ms".to_owned()];
    let mut child = start(&arguments);
    let directory = format!("/proc/{}", child.id());
    let count = |checks: usize| {
        requests.iter().take(checks).for_each(drop);
        let status = fs::read_to_string(format!("{directory}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let memory: u64 = line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap();
        (memory, fs::read_dir(format!("{directory}/fd")).unwrap().count())
    };
    let (memory_before, descriptors_before) = count(100);
    let (memory_after, descriptors_after) = count(900);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(memory_after <= memory_before + 64, "{memory_before} then {memory_after} KiB");
    // One more or less is the connection of the moment.
    let differ = descriptors_after.abs_diff(descriptors_before);
    assert!(differ <= 1, "{descriptors_before} then {descriptors_after}");
}

#[test]
fn it_has_one_thread() {
    let mut child = start(&[format!("-port={}", serve(drop)), "-liveness-interval=1h".to_owned()]);
    std::thread::sleep(Duration::from_millis(100));
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(threads, 1);
}

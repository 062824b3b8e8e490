//! Explanations in whole sentences, in networks where nobody else listens. They need root and `ip`.
//! Apart from the other tests, whose process has more descriptors than can be looked through in 20 ms.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "shared with the other tests, and fails as they do"
)]

#[path = "cli/network.rs"]
mod network;
#[path = "cli/run.rs"]
mod run;
#[path = "cli/server.rs"]
mod server;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::network::{in_container, in_network, mount};
use crate::run::run;
use crate::server::{request, send, serve};

const NETWORK: [&str; 3] =
    ["link add d0 type veth peer name p0", "addr add 10.0.0.5/24 dev d0", "link set d0 up"];

/// An app of its own process, with `PORT` in its environment, that listens at an address.
struct App {
    process: Child,
    /// In the container.
    pid: String,
}

impl App {
    fn listening(address: &str, port: u16, told: u16) -> Self {
        let script = "import os,socket,sys,time\n\
                      s=socket.create_server((sys.argv[1],int(sys.argv[2])))\n\
                      print(os.getpid(),flush=True)\ntime.sleep(60)";
        let mut process = Command::new("python3")
            .args(["-c", script, address, &port.to_string()])
            .env("PORT", told.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { process, pid: line.trim().to_owned() }
    }

    /// As the explanation names it.
    fn name(&self) -> String {
        let command = std::fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap();
        format!("{}, pid {},", command.trim(), self.pid)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The explanation alone.
fn explanation(arguments: &[&str]) -> String {
    let run = run(arguments);
    let start = run.line.find(" (").unwrap_or(run.line.len());
    run.line[start..].to_owned()
}

/// The line is as `expected`, sooner or later: a busy machine with many processes is not looked
/// through in 20 ms.
fn says(arguments: &[&str], expected: impl Fn(&str) -> bool) -> bool {
    (0..50).any(|_| expected(&run(arguments).line))
}

/// Likewise, to the letter.
fn explains(arguments: &[&str], expected: &str) {
    let found = (0..50).map(|_| explanation(arguments)).find(|found| found == expected);
    assert_eq!(found.unwrap_or_else(|| explanation(arguments)), expected);
}

#[test]
fn root_bound_to_loopback_only() {
    in_container(&NETWORK, || {
        let app = App::listening("127.0.0.1", 8080, 8080);
        let expected = format!(
            " (nothing listens on port 8080; {} listens on 127.0.0.1:8080 only: bind 0.0.0.0:$PORT)",
            app.name()
        );
        explains(&["-port=8080"], &expected);
        explains(&["-port=8080", "-uri=/"], &expected);
        let sentence = "Liveness check unsuccessful: failed to make TCP connection to 10.0.0.5:8080: \
                        dial tcp 10.0.0.5:8080: connect: connection refused (nothing listens on port 8080; ";
        assert!(says(&["-port=8080", "-liveness-interval=1s"], |line| line.starts_with(sentence)));
    });
}

#[test]
fn root_another_port_than_the_one_it_was_told() {
    in_container(&NETWORK, || {
        let app = App::listening("0.0.0.0", 3000, 8080);
        let expected = format!(
            " (nothing listens on port 8080; {} listens on 0.0.0.0:3000, though its $PORT is 8080)",
            app.name()
        );
        explains(&["-port=8080"], &expected);
        // A proxy's port says nothing of the app.
        explains(&["-port=61001"], " (nothing listens on port 61001)");
    });
}

#[test]
fn root_nobody_listens_at_all() {
    in_container(&NETWORK, || {
        let expected = " (nothing listens on port 8080; nor does the app on any other port)";
        explains(&["-port=8080"], expected);
        let startup = ["-port=8080", "-startup-interval=1h", "-startup-timeout=50ms"];
        assert!(says(&startup, |line| line.contains(" (1 attempts)") && line.ends_with(expected)));
    });
}

#[test]
fn root_listening_on_both_families_just_now() {
    in_network(&NETWORK, || {
        // Refused at first, open before the startup limit: [::] does not mean "IPv6 only".
        // A busy machine is not looked through in 20 ms: the explanation is there sooner or later.
        let said = (0..20).any(|_| {
            let started = std::time::Instant::now();
            let flags = ["-port=8080", "-startup-interval=1h", "-startup-timeout=500ms"];
            let child = run::start(&flags);
            std::thread::sleep(Duration::from_millis(250));
            let _listener = TcpListener::bind("[::]:8080").unwrap();
            let line = run::finish(child, started).line;
            line.ends_with(" began to listen on port 8080 after this check)")
        });
        assert!(said);
    });
}

#[test]
fn root_listening_but_not_accepting() {
    in_container(&NETWORK, || {
        let app = App::listening("0.0.0.0", 8080, 8080);
        // Each check leaves a connection in the queue.
        let expected =
            format!(" ({} listens, but has not accepted the connection: N wait)", app.name());
        let mut found = (1..50).map(|number| {
            let text = explanation(&["-port=8080", "-uri=/", "-timeout=100ms"]);
            text.replace(&format!(": {number} wait)"), ": N wait)")
        });
        assert!(found.any(|text| text == expected), "never{expected}");
    });
}

#[test]
fn root_slow_answers_are_compared_with_those_before() {
    in_network(&NETWORK, || {
        let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let listener = TcpListener::bind("0.0.0.0:8080").unwrap();
        server::serve_on(listener, move |mut stream| {
            request(&mut stream);
            // 0, 20, 40, 60, 80 ms, then never; and from the start for the next run.
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 6;
            if number == 5 {
                return server::wait_for_close(&mut stream);
            }
            std::thread::sleep(Duration::from_millis(20 * number));
            send(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        });
        let arguments = ["-port=8080", "-uri=/", "-timeout=2s", "-liveness-interval=1ms"];
        let known =
            "accepted the connection, but sent nothing; before, the last of 5 answers took ";
        // A busy machine is not looked through in 20 ms.
        let mut texts = (0..5).map(|_| explanation(&arguments));
        let text = texts.find(|text| text.contains(known)).unwrap();
        let (_, history) = text.split_once(known).unwrap();
        let numbers: Vec<u32> = history
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse().ok())
            .collect();
        let [last, median, slowest] = numbers[..] else { panic!("{text}") };
        assert!(
            (80..1000).contains(&last) && (40..1000).contains(&median) && slowest >= last,
            "{text}"
        );
        assert!(median <= slowest, "{text}");
    });
}

#[test]
fn root_explanations_are_found_in_time() {
    in_network(&NETWORK, || {
        // A machine with many descriptors to look through.
        let many: Vec<u16> = (0..300).map(|_| serve(drop)).collect();
        let run = run::run_within(Duration::ZERO, &["-port=1".to_owned()]);
        assert_eq!(run.status, Some(4), "{run:?}");
        assert!(run.line.len() < 500, "{run:?}");
        drop(many);
    });
}

#[test]
fn root_short_of_cpu_time_and_memory() {
    in_container(&NETWORK, || {
        mount("-t tmpfs tmpfs /sys/fs/cgroup");
        for (name, content) in [
            ("cpu.stat", "nr_periods 60\nnr_throttled 45\n"),
            ("memory.max", "268435456\n"),
            ("memory.current", "266338304\n"),
            ("memory.stat", "anon 1\ninactive_file 4194304\n"),
        ] {
            std::fs::write(format!("/sys/fs/cgroup/{name}"), content).unwrap();
        }
        explains(
            &["-port=61001"],
            " (nothing listens on port 61001; the CPU quota throttled the container in 45 of 60 periods; \
             the container uses 250 of its 256 MiB of memory)",
        );
    });
}

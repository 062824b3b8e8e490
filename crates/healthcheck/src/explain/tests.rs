//! Explanations on a machine made of files.

use std::fs;

use super::*;

fn tcp_refused(to: &str) -> HealthError {
    let to = to.parse().unwrap();
    let reason = DialError::System {
        network: "tcp".to_owned(),
        to,
        call: "connect",
        errno: nix::libc::ECONNREFUSED,
    };
    HealthError::Tcp { endpoint: to.to_string(), reason }
}

fn http_timeout(progress: Progress) -> HealthError {
    HealthError::HttpTimeout {
        uri: "/".to_owned(),
        port: "8080".to_owned(),
        to: "10.0.0.5:8080".parse().unwrap(),
        after: Duration::from_secs(1),
        progress,
    }
}

/// A listener for the table: address and port in hex, waiting connections, inode.
type Row<'a> = (&'a str, u32, u64);

/// Explains `error` on a machine with these listeners. Process 17, `node`, holds the sockets with
/// inodes below 100 and has `PORT=8080`.
fn explained(error: &HealthError, rows: &[Row<'_>], answered: &[Duration]) -> String {
    let machine = tempfile::tempdir().unwrap();
    let proc = machine.path();
    fs::create_dir_all(proc.join("self/net")).unwrap();
    fs::create_dir_all(proc.join("17/fd")).unwrap();
    fs::write(proc.join("17/comm"), "node\n").unwrap();
    fs::write(proc.join("17/environ"), "A=b\0PORT=8080\0").unwrap();
    let mut four = "  sl  local_address rem_address   st\n".to_owned();
    let mut six = four.clone();
    for (index, (local, queued, inode)) in rows.iter().enumerate() {
        let table = if local.len() > 13 { &mut six } else { &mut four };
        let row = format!("  {index}: {local} 0:0 0A 00000000:{queued:08X} 0:0 0 0 0 {inode} 1\n");
        *table += &row;
        if *inode < 100 {
            let link = proc.join(format!("17/fd/{index}"));
            std::os::unix::fs::symlink(format!("socket:[{inode}]"), link).unwrap();
        }
    }
    fs::write(proc.join("self/net/tcp"), four).unwrap();
    fs::write(proc.join("self/net/tcp6"), six).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let machine = Machine { proc, sys: &proc.join("sys"), is_open: |_| false, until };
    enclosed(machine.facts(error, answered))
}

const LOOPBACK: &str = "0100007F:1F90";
const EVERYWHERE: &str = "00000000:1F90";
const PORT_3000: &str = "00000000:0BB8";
const SSH: &str = "00000000:08AE";
const SIX: &str = "00000000000000000000000000000000:1F90";

#[test]
fn a_refused_connection_tells_who_listens_where_instead() {
    for (rows, expected) in [
        (
            &[(LOOPBACK, 0, 7)][..],
            " (nothing listens on port 8080; node, pid 17, listens on 127.0.0.1:8080 only: bind 0.0.0.0:$PORT)",
        ),
        (
            &[(PORT_3000, 0, 7), (SSH, 0, 8)],
            " (nothing listens on port 8080; node, pid 17, listens on 0.0.0.0:3000, though its $PORT is 8080)",
        ),
        // Three are named, those bound to loopback last.
        (
            &[
                ("0100007F:0001", 0, 7),
                ("0100007F:0002", 0, 7),
                ("0100007F:0003", 0, 7),
                (PORT_3000, 0, 700),
            ],
            " (nothing listens on port 8080; a process listens on 0.0.0.0:3000; \
             node, pid 17, listens on 127.0.0.1:1, though its $PORT is 8080; \
             node, pid 17, listens on 127.0.0.1:2, though its $PORT is 8080)",
        ),
        // Whose socket it is cannot be seen.
        (
            &[(PORT_3000, 0, 700)],
            " (nothing listens on port 8080; a process listens on 0.0.0.0:3000)",
        ),
        (
            &[(SIX, 0, 7)],
            " (nothing listens on port 8080; node, pid 17, listens on [::]:8080 for IPv6 only: bind 0.0.0.0:$PORT)",
        ),
        (&[(SSH, 0, 8)], " (nothing listens on port 8080; nor does the app on any other port)"),
        (&[], " (nothing listens on port 8080; nor does the app on any other port)"),
        (&[(EVERYWHERE, 0, 7)], " (node, pid 17, began to listen on port 8080 after this check)"),
    ] {
        assert_eq!(explained(&tcp_refused("10.0.0.5:8080"), rows, &[]), expected);
    }
}

#[test]
fn an_ipv4_server_is_no_ipv6_server() {
    let text = explained(&tcp_refused("[fd00::5]:8080"), &[(EVERYWHERE, 0, 7)], &[]);
    let expected = " (nothing listens on port 8080; \
                    node, pid 17, listens on 0.0.0.0:8080 for IPv4 only: bind [::]:$PORT)";
    assert_eq!(text, expected);
}

#[test]
fn a_port_of_the_platform_says_nothing_of_the_app() {
    let text = explained(&tcp_refused("10.0.0.5:61001"), &[(EVERYWHERE, 0, 7)], &[]);
    assert_eq!(text, " (nothing listens on port 61001)");
}

#[test]
fn a_timeout_tells_where_it_hangs() {
    for (progress, queued, expected) in [
        (Progress::Connecting, 0, ""),
        (
            Progress::Connecting,
            129,
            " (node, pid 17, listens, but its accept queue is full: 129 connections wait)",
        ),
        (Progress::Waiting, 0, " (node, pid 17, accepted the connection, but sent nothing)"),
        (
            Progress::Waiting,
            2,
            " (node, pid 17, listens, but has not accepted the connection: 2 wait)",
        ),
        (Progress::Answering, 0, " (node, pid 17, began to answer, but too slowly)"),
    ] {
        for listener in [EVERYWHERE, SIX] {
            let rows = [(listener, queued, 7), (LOOPBACK, 9, 8)];
            assert_eq!(explained(&http_timeout(progress), &rows, &[]), expected, "{listener}");
        }
    }
}

#[test]
fn a_timeout_tells_how_long_answers_took_before() {
    let answered: Vec<Duration> = [30, 10, 500, 20].map(Duration::from_millis).to_vec();
    assert_eq!(
        explained(&http_timeout(Progress::Waiting), &[], &answered),
        " (before, the last of 4 answers took 20 ms, their median 30 ms, the slowest 500 ms)"
    );
}

#[test]
fn other_http_failures_say_what_they_are() {
    let http = |cause| HealthError::Http { uri: "/".to_owned(), port: "8080".to_owned(), cause };
    for (cause, expected) in [
        (
            HttpError::Closed(Progress::Waiting),
            " (the app closed the connection without an answer)",
        ),
        (HttpError::Malformed("x"), " (the app's answer is not HTTP: x)"),
        (
            HttpError::Redirect("https://x/: https is not followed".to_owned()),
            " (redirected to https://x/: https is not followed)",
        ),
        (HttpError::TooManyRedirects, " (gave up after 9 redirects)"),
        (HttpError::NoSuchPort, " (there is no such port)"),
        (HttpError::System("connection reset by peer".to_owned()), " (connection reset by peer)"),
    ] {
        assert_eq!(explained(&http(cause), &[(EVERYWHERE, 0, 7)], &[]), expected);
    }
}

#[test]
fn what_cannot_be_read_is_not_said() {
    let nowhere = Path::new("/nonexistent");
    let machine =
        Machine { proc: nowhere, sys: nowhere, is_open: |_| false, until: Instant::now() };
    for error in
        [tcp_refused("10.0.0.5:8080"), http_timeout(Progress::Waiting), HealthError::NoAddress]
    {
        assert_eq!(enclosed(machine.facts(&error, &[])), "");
    }
}

#[test]
fn no_more_than_300_bytes_on_one_line() {
    let fact = || "x".repeat(90);
    assert_eq!(
        enclosed(vec![fact(), fact(), fact(), fact(), "y".to_owned()]).len(),
        2 + 3 * 90 + 2 * 2 + 4
    );
    assert!(clipped(&"\u{e9}".repeat(300)).len() <= 200);
    assert_eq!(enclosed(vec!["a\nb\u{7}".to_owned()]), " (a?b?)");
    assert_eq!(enclosed(vec!["x".repeat(400)]), "");
}

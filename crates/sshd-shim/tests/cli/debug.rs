//! The debug listener (contract sshd, section 14).

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::daemon::{Daemon, free_address};

fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_log_level_changes_at_once() {
    let debug = free_address().to_string();
    let daemon = Daemon::open(&["-logLevel=fatal", "-debugAddr", &debug]);
    assert_eq!(daemon.stdout(), "");
    let put = |level: &str| {
        let length = level.len();
        ask(
            &debug,
            &format!(
                "PUT /log-level HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{level}"
            ),
        )
    };
    assert!(put("nonsense").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(put("debug").starts_with("HTTP/1.1 200 OK\r\n"));
    drop(TcpStream::connect(daemon.address).unwrap());
    suite::wait_for("a line about the connection", || {
        daemon.stdout().contains("sshd.handle-connection").then_some(())
    });
}

#[test]
fn there_is_nothing_else_and_no_request_is_waited_for_long() {
    let debug = free_address().to_string();
    let _daemon = Daemon::open(&["-debugAddr", &debug]);
    for request in ["GET /debug/pprof/ HTTP/1.1\r\n\r\n", "GET /log-level HTTP/1.1\r\n\r\n"] {
        assert!(ask(&debug, request).starts_with("HTTP/1.1 404 Not Found\r\n"), "{request}");
    }
    let endless = "x".repeat(16 * 1024);
    let mut stream = TcpStream::connect(&debug).unwrap();
    let _refused = stream.write_all(endless.as_bytes());
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer);
    // Says nothing: it is cut, and the next is served.
    let _silent = TcpStream::connect(&debug).unwrap();
    assert!(ask(&debug, "GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
}

//! The log on stdout (contract sshd, section 13).

use std::io::{PipeReader, Read, pipe};
use std::net::TcpStream;
use std::process::Stdio;

use suite::wait_for;
use tempfile::TempDir;

use crate::daemon::{Daemon, cleared, command, messages, program};

#[test]
fn start_and_stop_are_lines_in_the_predecessors_form() {
    let mut daemon = Daemon::open::<&str>(&[]);
    assert_eq!(daemon.stop(), Some(0));
    let stdout = daemon.stdout();
    let lines: Vec<&str> = stdout.lines().collect();
    let started: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
    let keys: Vec<&String> = started.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["timestamp", "source", "message", "log_level", "data"]);
    assert_eq!((&started["source"], &started["log_level"]), (&"sshd".into(), &1.into()));
    let (seconds, fraction) = started["timestamp"].as_str().unwrap().split_once('.').unwrap();
    assert!(seconds.parse::<u64>().unwrap() > 1_700_000_000, "{seconds}");
    assert_eq!(fraction.len(), 9);
    let messages = messages(&stdout);
    assert_eq!(messages[0].0, "started");
    assert!(messages[0].1.contains(&format!("\"address\":\"{}\"", daemon.address)), "{messages:?}");
    assert!(messages[0].1.contains("\"host-key\":\"SHA256:"), "{messages:?}");
    assert_eq!(messages.last().unwrap().0, "exited");
    let stopping =
        messages.iter().find(|(message, _)| message == "server.stopping-server").unwrap();
    assert_eq!(stopping.1, "{\"session\":\"1\"}");
}

#[test]
fn the_other_time_format_survives_the_hiding_of_keys() {
    // The predecessor lost the flag when it executed itself.
    let key = &crate::daemon::rsa().public;
    let daemon = Daemon::start(command().args(["-timeFormat=rfc3339", "-authorizedKey", key]));
    let stdout = wait_for("a line", || Some(daemon.stdout()).filter(|text| text.ends_with('\n')));
    let line: serde_json::Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["timestamp", "level", "source", "message", "data"]);
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 30 && timestamp.ends_with('Z'), "{timestamp}");
}

#[test]
fn at_the_level_of_production_nothing_is_printed() {
    let mut daemon = Daemon::open(&["-logLevel=fatal"]);
    // Not about one whose handshake failed, either.
    assert_eq!(greeting(&daemon), "SSH-2.0-diego-sshd\r\n");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!((daemon.stdout().as_str(), daemon.stderr().as_str()), ("", ""));
}

/// A server whose stdout is a pipe.
fn piped() -> (Daemon, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let mut start = command();
    start.args(["-allowUnauthenticatedClients", "-logLevel=debug"]).stdout(Stdio::from(writer));
    (Daemon::start_with(&mut start, TempDir::new().unwrap()), reader)
}

/// The version line of a new connection.
fn greeting(daemon: &Daemon) -> String {
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    let mut line = [0; 20];
    stream.read_exact(&mut line).unwrap();
    String::from_utf8_lossy(&line).into_owned()
}

#[test]
fn a_closed_stdout_is_no_end() {
    // The predecessor died of SIGPIPE.
    let (mut daemon, reader) = piped();
    drop(reader);
    for _ in 0..3 {
        assert_eq!(greeting(&daemon), "SSH-2.0-diego-sshd\r\n");
    }
    assert_eq!(daemon.stop(), Some(0));
    let mut start = cleared("sh");
    start.args(["-c", "exec \"$@\" >&-", "sh"]).arg(program()).arg("-allowUnauthenticatedClients");
    assert_eq!(Daemon::start(&mut start).stop(), Some(0));
}

#[test]
fn a_stdout_that_nobody_reads_holds_nothing_up() {
    let (mut daemon, mut reader) = piped();
    // A pipe holds no more than 64 KiB.
    for _ in 0..1024 {
        assert_eq!(greeting(&daemon), "SSH-2.0-diego-sshd\r\n");
    }
    assert_eq!(daemon.stop(), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let told = text.matches("sshd.handle-connection.started").count();
    assert!((1..1024).contains(&told), "the pipe was not filled: {told} connections");
}

//! The server met by two libraries of Python's and by Go's, which the platform's proxy is built with: `asyncssh_peer.py`,
//! `paramiko_peer.py` and `go_peer.go` say how.
use std::fs;

use suite::free_port;
use suite::ssh::{Client, HOST, Outcome, SshServer, run};

use super::forwards::{ask, echo_v4, tunnel};
use super::{LONG, noise, same};

pub(super) fn asyncssh(server: &SshServer, words: &[&str]) -> Outcome {
    peer(server, "asyncssh_peer.py", words).succeeds()
}

pub(super) fn paramiko(server: &SshServer, words: &[&str]) -> Outcome {
    peer(server, "paramiko_peer.py", words).succeeds()
}

pub(super) fn go(server: &SshServer, words: &[&str]) -> Outcome {
    peer(server, "go_peer.go", words).succeeds()
}

pub(super) fn peer(server: &SshServer, file: &str, words: &[&str]) -> Outcome {
    Client::start(&mut server.peer(file, words.iter().copied())).finish_within(LONG)
}

#[test]
fn asyncssh_runs_commands() {
    let _done = asyncssh(&SshServer::start(), &["commands"]);
}

#[test]
fn asyncssh_has_a_terminal() {
    let _done = asyncssh(&SshServer::start(), &["terminal"]);
}

#[test]
fn asyncssh_copies_files_by_sftp() {
    let outcome = asyncssh(&SshServer::start(), &["sftp"]);
    assert_eq!(outcome.stdout, "version 3 copies True\n");
}

#[test]
fn asyncssh_copies_trees_by_scp() {
    let _done = asyncssh(&SshServer::start(), &["scp"]);
}

#[test]
fn asyncssh_forwards_ports_and_sockets() {
    let _done = asyncssh(&SshServer::start(), &["forwards"]);
}

#[test]
fn paramiko_runs_commands() {
    let _done = paramiko(&SshServer::start(), &["commands"]);
}

#[test]
fn paramiko_may_try_several_ways_to_log_in() {
    // A second service request ended the predecessor's connection.
    let _done = paramiko(&SshServer::start(), &["attempts"]);
}

#[test]
fn a_client_with_too_many_wrong_keys_is_sent_away() {
    let _done = paramiko(&SshServer::start(), &["too_many_attempts"]);
}

#[test]
fn paramiko_copies_files_by_sftp() {
    let _done = paramiko(&SshServer::start(), &["sftp"]);
}

#[test]
fn paramiko_forwards_ports() {
    let _done = paramiko(&SshServer::start(), &["forwards"]);
}

#[test]
fn go_runs_commands() {
    let _done = go(&SshServer::start(), &["commands"]);
}

#[test]
fn go_has_a_terminal() {
    let _done = go(&SshServer::start(), &["terminal"]);
}

#[test]
fn go_forwards_ports() {
    let _done = go(&SshServer::start(), &["forwards"]);
}

/// A proxy like the platform's, for one client, and the options by which OpenSSH's goes there.
fn proxy(server: &SshServer) -> (Client, [String; 2]) {
    let mut proxy = Client::start(&mut server.peer("go_peer.go", ["proxy"]));
    let port = proxy.wait_for_output("\n").trim().to_owned();
    (proxy, [format!("-oPort={port}"), format!("-oHostKeyAlias=[127.0.0.1]:{}", server.port())])
}

/// What an OpenSSH client makes of these words behind a proxy, which ends when the client does.
fn by_proxy(server: &SshServer, program: &str, words: &[&str], input: &[u8]) -> Outcome {
    let (proxy, options) = proxy(server);
    let words = options.iter().map(String::as_str).chain(words.iter().copied());
    let outcome = run(&mut server.openssh(program, words), input);
    let _ended = proxy.finish().succeeds();
    outcome
}

#[test]
fn openssh_comes_through_a_proxy_in_go() {
    let server = SshServer::start();
    let input = noise(3_000_001, 1);
    let command = "cat; head -c 200000 /dev/zero >&2; exit 3";
    let outcome = by_proxy(&server, "ssh", &["-T", HOST, command], &input).ends_with(3);
    assert!(outcome.bytes == input && outcome.stderr.len() == 200_000);
    let outcome = by_proxy(&server, "ssh", &["-tt", HOST, "tty; kill -TERM $$"], b"");
    assert!(outcome.ends_with(255).stdout.starts_with("/dev/pts/"));
    let (source, there, back) = (server.work("source"), server.work("there"), server.work("back"));
    fs::write(&source, &input).unwrap();
    for protocol in ["-O", "-s"] {
        let far = format!("{HOST}:{}", there.display());
        let up = [protocol, source.to_str().unwrap(), &far];
        let _copied = by_proxy(&server, "scp", &up, b"").succeeds();
        let down = [protocol, far.as_str(), back.to_str().unwrap()];
        let _copied = by_proxy(&server, "scp", &down, b"").succeeds();
        same(&source, &back);
        for path in [&there, &back] {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn ports_are_forwarded_through_a_proxy_in_go() {
    let server = SshServer::start();
    let (here, there) = (free_port(), free_port());
    let service = echo_v4();
    let (_proxy, options) = proxy(&server);
    let (local, remote) =
        (format!("{here}:127.0.0.1:{service}"), format!("{there}:127.0.0.1:{service}"));
    let _tunnel = tunnel(&server, &[&options[0], &options[1], "-L", &local, "-R", &remote]);
    for port in [here, there] {
        assert_eq!(ask(port, b"there"), b"hello there");
    }
}

//! The server met by two libraries of Python's and by Go's, which the platform's proxy is built with: `asyncssh_peer.py`,
//! `paramiko_peer.py` and `go_peer.go` say how.
use suite::ssh::{Client, Outcome, SshServer};

use super::LONG;

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

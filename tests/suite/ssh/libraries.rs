//! The server met by the two Python libraries: `asyncssh_peer.py` and `paramiko_peer.py` say how.
use suite::ssh::{Client, Outcome, SshServer};

use super::LONG;

pub(super) fn asyncssh(server: &SshServer, words: &[&str]) -> Outcome {
    let mut command = server.peer("asyncssh_peer.py", words.iter().copied());
    Client::start(&mut command).finish_within(LONG).succeeds()
}

pub(super) fn paramiko(server: &SshServer, words: &[&str]) -> Outcome {
    let mut command = server.peer("paramiko_peer.py", words.iter().copied());
    Client::start(&mut command).finish_within(LONG).succeeds()
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

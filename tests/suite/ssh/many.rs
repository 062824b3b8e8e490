//! Many clients, channels, connections and sessions at once, and nothing left after them.
use std::thread;

use suite::ssh::{HOST, SshServer, run};
use suite::wait_for;

use super::libraries::asyncssh;

#[test]
fn a_hundred_clients_at_the_same_time() {
    let server = SshServer::start();
    let before = server.descriptors();
    thread::scope(|scope| {
        for number in 0..100 {
            let server = &server;
            scope.spawn(move || {
                let words = ["-T", "-o", "ConnectTimeout=50", HOST, &format!("echo {number}")];
                run(&mut server.openssh("ssh", words), b"").prints(&format!("{number}\n"));
            });
        }
    });
    wait_for("no child", || server.children().is_empty().then_some(()));
    wait_for("descriptors as before", || (server.descriptors() <= before).then_some(()));
}

#[test]
fn ten_thousand_short_channels_on_one_connection_leave_nothing() {
    let server = SshServer::start();
    let _done = asyncssh(&server, &["short_channels", "10000"]);
    assert!(server.children().is_empty());
}

#[test]
fn a_thousand_idle_connections() {
    let server = SshServer::start();
    let _done = asyncssh(&server, &["idle_connections", "1000"]);
}

#[test]
fn two_hundred_sessions_at_the_same_time() {
    let server = SshServer::start();
    let _done = asyncssh(&server, &["sessions", "200"]);
    assert!(server.children().is_empty());
}

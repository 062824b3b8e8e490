//! Many clients, channels, connections and sessions at once, and nothing left after them.
use std::thread;

use suite::ssh::{HOST, SshServer, run};
use suite::{program, tool, wait_for};

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

// Linked by a zig of 0.16 or later, whose libc keeps what it got, the server had 6.3 MiB after them.
#[test]
fn the_memory_of_fifty_sessions_comes_back() {
    let server = SshServer::start();
    let _used_again = asyncssh(&server, &["memory_of_sessions", "50"]);
    // Programs that are not static, as those of debug builds, have the machine's libc, which keeps it too.
    if !tool("readelf", ["-l".as_ref(), program("diego-sshd").as_os_str()]).contains("INTERP") {
        let memory = server.memory();
        assert!(memory <= 4096, "{memory} KiB");
    }
}

//! Clients that break off, lie, flood or never finish; and the server's own end.
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use suite::ssh::{Client, HOST, SshServer, run};
use suite::{free_port, is_alive, tool, wait_for};

use super::LONG;
use super::forwards::{echo_v4, tunnel};

/// Has `raw_peer.py` do something to a server; the server's log.
fn raw(words: &[&str]) -> String {
    let mut server = SshServer::start();
    meets(&mut server, words);
    server.log()
}

fn meets(server: &mut SshServer, words: &[&str]) {
    let mut peer = server.peer("raw_peer.py", words.iter().copied());
    let _done = Client::start(&mut peer).finish_within(LONG).succeeds();
    assert!(server.is_running(), "{}", server.log());
    wait_for("no child", || server.children().is_empty().then_some(()));
}

#[test]
fn malformed_and_unknown_requests_fail_and_the_session_goes_on() {
    raw(&["requests"]);
}

#[test]
fn keys_out_of_turn_end_the_connection() {
    // They were ignored.
    raw(&["late_keys"]);
}

#[test]
fn malformed_and_unknown_channels_are_refused_with_the_contracts_words() {
    raw(&["opens"]);
}

#[test]
fn a_window_that_is_never_opened_costs_no_memory() {
    raw(&["starving"]);
}

#[test]
fn input_nobody_reads_stays_with_the_client() {
    raw(&["unread_input"]);
}

#[test]
fn a_client_that_ignores_the_window_gains_nothing() {
    raw(&["beyond_the_window"]);
}

#[test]
fn a_flood_of_requests_is_borne() {
    raw(&["flood", "50000"]);
}

#[test]
fn variables_without_end_are_borne() {
    raw(&["many_variables"]);
}

#[test]
fn variables_of_a_session_are_not_kept_while_its_program_runs() {
    // They were, twice: 6 MiB a session.
    raw(&["variables_of_a_session"]);
}

#[test]
fn requests_without_end_before_login_are_borne() {
    // A client that nobody knows could have a mebibyte of answers wait.
    raw(&["services_without_end"]);
}

#[test]
fn no_service_is_asked_for_amid_a_key_exchange() {
    // The answers were kept until its end, which never came.
    raw(&["services_amid_key_exchange"]);
}

#[test]
fn the_log_says_why_logins_failed() {
    // It named wrong keys only, and the signature's algorithm as their type.
    let mut server = SshServer::start();
    meets(&mut server, &["failed_logins"]);
    // The server may not have seen yet that the client has gone.
    let told = |message: &str, words: &[&str]| {
        let message = format!("handle-connection.{message}\"");
        wait_for(&format!("{message} with {words:?}"), || {
            let log = server.log();
            let mut lines = log.lines().filter(|line| line.contains(&message));
            lines.any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        });
    };
    let key = ["\"key-type\":\"ssh-rsa\"", "\"fingerprint\":\"SHA256:"];
    told("authentication-failed", &[key[0], key[1], "not the authorized key", "rsa-sha2-"]);
    told("handshake-failed", &[key[0], key[1], "\"error\":\"Invalid signature\""]);
    told("authentication-failed", &["\"error\":\"the method password is not accepted\""]);
    told("handshake-failed", &["\"error\":\"too many authentication failures\""]);
}

#[test]
fn channels_without_end_are_refused() {
    raw(&["many_channels"]);
}

#[test]
fn nonsense_over_sftp_ends_its_channel_at_most() {
    // An unknown packet type ended the predecessor.
    raw(&["sftp_nonsense"]);
}

#[test]
fn a_signal_for_a_command_that_did_not_start() {
    // It ended the predecessor.
    raw(&["failed_start"]);
}

#[test]
fn variables_set_by_many_clients_at_once() {
    // One map for all sessions ended the predecessor.
    raw(&["concurrent_variables"]);
}

#[test]
fn requests_during_a_copy_do_not_stop_the_connection() {
    raw(&["requests_during_scp"]);
}

#[test]
fn a_silent_commands_client_is_asked_whether_it_is_there() {
    raw(&["keepalive"]);
}

#[test]
fn data_status_eof_and_close_come_in_this_order() {
    raw(&["endings"]);
}

#[test]
fn a_client_killed_in_a_transfer_leaves_nothing() {
    let server = SshServer::start();
    server.ssh("true", b"").prints("");
    let before = server.descriptors();
    fs::File::create(server.work("file")).unwrap().set_len(3 << 30).unwrap();
    let (file, there) = (server.work("file").display().to_string(), server.work("there"));
    let far = format!("box:{}", there.display());
    let far_file = format!("box:{file}");
    let commands: [(&str, &[&str]); 5] = [
        ("ssh", &[HOST, "cat /dev/zero"]),
        ("scp", &["-O", &file, &far]),
        ("scp", &["-s", &file, &far]),
        ("scp", &["-O", &far_file, "got"]),
        ("scp", &["-s", &far_file, "got"]),
    ];
    for (program, words) in commands {
        let client = Client::start(&mut server.openssh(program, words.iter().copied()));
        let grows = || {
            let written = [&there, &server.work("got")]
                .map(|path| fs::metadata(path).map_or(0, |it| it.len()));
            (client.stdout().len() > 1_000_000 || written.iter().any(|length| *length > 1_000_000))
                .then_some(())
        };
        wait_for("a transfer", grows);
        // scp's own ssh would go on and throw away what still comes.
        let own = format!("/proc/{0}/task/{0}/children", client.pid());
        for child in fs::read_to_string(own).unwrap().split_whitespace() {
            tool("kill", ["-KILL", child]);
        }
        drop(client);
        wait_for("no child", || server.children().is_empty().then_some(()));
        wait_for("descriptors as before", || (server.descriptors() <= before).then_some(()));
        for path in [&there, &server.work("got")] {
            let _gone = fs::remove_file(path);
        }
    }
    server.ssh("echo fine", b"").prints("fine\n");
}

#[test]
fn sigterm_tells_the_clients_and_ends_what_they_started() {
    let mut server = SshServer::start();
    let commands =
        ["echo $$; exec sleep 300", "trap '' HUP TERM; echo $$; while :; do sleep 1; done"];
    let mut clients: Vec<Client> = [["-T", HOST, commands[0]], ["-tt", HOST, commands[1]]]
        .into_iter()
        .map(|words| Client::start(&mut server.openssh("ssh", words)))
        .collect();
    let pids: Vec<String> =
        clients.iter_mut().map(|it| it.wait_for_output("\n").trim().to_owned()).collect();
    let began = Instant::now();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(), 0);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    for client in clients {
        let outcome = client.finish().ends_with(255);
        assert!(outcome.stderr.contains("Received disconnect from"), "{outcome}");
    }
    assert!(!pids.iter().any(|pid| is_alive(pid)));
}

#[test]
fn a_program_that_ignores_the_hangup_is_killed() {
    let server = SshServer::start();
    for terminal in ["-tt", "-T"] {
        let command = "trap '' HUP TERM; echo $$; while :; do sleep 1; done";
        let mut client = Client::start(&mut server.openssh("ssh", [terminal, HOST, command]));
        let pid = client.wait_for_output("\n").trim().to_owned();
        drop(client);
        let began = Instant::now();
        wait_for("the program's end", || (!is_alive(&pid)).then_some(()));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    wait_for("no child", || server.children().is_empty().then_some(()));
}

#[test]
fn garbage_before_the_banner_ends_the_connection_only() {
    let server = SshServer::start();
    server.ssh("true", b"").prints("");
    let before = server.memory();
    for garbage in [&b"x"[..], b"GET / HTTP/1.1\r\n", b"\0\xff\n", b"SSH-2.0-x\r\n\0\0\xff\xff"] {
        let mut stream = server.connect();
        stream.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(100))).unwrap();
        let chunk = garbage.repeat(65536 / garbage.len());
        let mut sent = 0;
        // The server hangs up long before it has read all of it.
        while sent < 10_000_000 && stream.write_all(&chunk).is_ok() {
            sent += chunk.len();
        }
        let mut rest = Vec::new();
        let _closed = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"SSH-2.0-"), "{rest:?}");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 2048, "{grown} KiB");
    server.ssh("echo fine", b"").prints("fine\n");
}

#[test]
fn clients_that_never_log_in_are_cut_after_a_minute() {
    let server = SshServer::start();
    let before = server.descriptors();
    let silent = server.connect();
    let mut slow = server.connect();
    let mut stuck = server.connect();
    stuck.write_all(b"SSH-2.0-stuck\r\n").unwrap();
    let began = Instant::now();
    wait_for("three connections", || (server.descriptors() >= before + 3).then_some(()));
    // A byte now and then does not help.
    while server.descriptors() > before && began.elapsed() < Duration::from_secs(100) {
        let _written = slow.write_all(b"x");
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = began.elapsed();
    assert!(server.descriptors() <= before, "{took:?}");
    assert!(took > Duration::from_secs(20), "{took:?}");
    drop((silent, slow, stuck));
    server.ssh("echo fine", b"").prints("fine\n");
}

#[test]
fn one_stopped_client_does_not_stop_the_others() {
    let server = SshServer::start();
    let stopped = Client::start(&mut server.openssh("ssh", ["-T", HOST, "cat /dev/zero"]));
    wait_for("data", || (stopped.stdout().len() > 100_000).then_some(()));
    stopped.signal(Signal::SIGSTOP);
    let before = server.memory();
    for _ in 0..20 {
        server.ssh("echo fine", b"").prints("fine\n");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
    stopped.signal(Signal::SIGCONT);
    drop(stopped);
    wait_for("no child", || server.children().is_empty().then_some(()));
}

#[test]
fn the_keys_are_nowhere_to_be_read() {
    let server = SshServer::start();
    let secret = fs::read_to_string(server.path("host")).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let public = fs::read_to_string(server.path("user.pub")).unwrap();
    let public = public.split(' ').nth(1).unwrap();
    let places = ["cmdline", "environ"].map(|name| format!("/proc/{}/{name}", server.pid()));
    for place in places {
        let text = String::from_utf8_lossy(&fs::read(&place).unwrap()).into_owned();
        assert!(!text.contains(secret) && !text.contains(public), "{place}");
    }
    let outcome =
        run(&mut server.openssh("ssh", [HOST, "env; cat /proc/$PPID/cmdline"]), b"").succeeds();
    assert!(!outcome.stdout.contains(secret) && !outcome.stdout.contains("SSHD_"), "{outcome}");
}

/// A network namespace, gone when dropped.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

impl Namespace {
    fn new() -> Self {
        let namespace = Self(format!("ssh-{}", std::process::id()));
        tool("ip", ["netns", "add", &namespace.0]);
        namespace.loopback("up");
        namespace
    }

    /// Up, or down: then every packet is lost and nobody is told.
    fn loopback(&self, state: &str) {
        tool("ip", ["-n", &self.0, "link", "set", "lo", state]);
    }

    fn enter(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.0]).arg(command.get_program());
        inside.args(command.get_args()).env_remove("SSH_AUTH_SOCK");
        inside
    }
}

#[test]
fn root_after_five_minutes_the_silent_live_and_the_lost_are_gone() {
    let server = SshServer::start();
    // The predecessor cut a silent command, and an idle forward, at 300 s.
    let words = ["-T", HOST, "sleep 315; echo awake"];
    let silent = Client::start(&mut server.openssh("ssh", words));
    let port = free_port();
    let _tunnel = tunnel(&server, &["-L", &format!("{port}:127.0.0.1:{}", echo_v4())]);
    let mut forwarded =
        wait_for("a forwarded port", || TcpStream::connect(("127.0.0.1", port)).ok());
    forwarded.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut greeting = [0; 6];
    forwarded.read_exact(&mut greeting).unwrap();
    let namespace = Namespace::new();
    let far = SshServer::setup().wrapped(["ip", "netns", "exec", &namespace.0]).start();
    let before = far.descriptors();
    let words = ["-T", HOST, "echo $$; exec sleep 1000"];
    let mut lost = Client::start(&mut namespace.enter(&far.openssh("ssh", words)));
    let pid = lost.wait_for_output("\n").trim().to_owned();
    namespace.loopback("down");
    drop(lost);
    let began = Instant::now();
    while is_alive(&pid) || far.descriptors() > before {
        assert!(began.elapsed() < Duration::from_secs(330), "the lost client's command lives on");
        std::thread::sleep(Duration::from_millis(100));
    }
    silent.finish_within(LONG).prints("awake\n");
    forwarded.write_all(b"still").unwrap();
    let mut answer = [0; 5];
    forwarded.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"still");
}

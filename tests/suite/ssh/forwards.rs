//! Forwarded ports and sockets of OpenSSH's client, and its control socket.
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use suite::ssh::{Client, HOST, Outcome, SshServer, run};
use suite::{free_port, wait_for};

use super::{dbclient, noise, putty};

/// A TCP service that sends back what it gets, behind a greeting, until its peer has no more.
fn echo(address: SocketAddr) -> u16 {
    let listener = TcpListener::bind(address).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut input = stream.try_clone().unwrap();
                let mut output = stream;
                let _copied = output
                    .write_all(b"hello ")
                    .and_then(|()| std::io::copy(&mut input, &mut output))
                    .and_then(|_| output.shutdown(Shutdown::Write));
            });
        }
    });
    port
}

/// The same on a port of 127.0.0.1.
pub(super) fn echo_v4() -> u16 {
    echo((Ipv4Addr::LOCALHOST, 0).into())
}

/// The same on a unix socket.
fn unix_echo(path: &PathBuf) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut input = stream.try_clone().unwrap();
                let mut output = stream;
                let _copied = output
                    .write_all(b"hello ")
                    .and_then(|()| std::io::copy(&mut input, &mut output))
                    .and_then(|_| output.shutdown(Shutdown::Write));
            });
        }
    });
}

/// Sends `input`, closes that half, and gives everything that comes back.
pub(super) fn ask(port: u16, input: &[u8]) -> Vec<u8> {
    let stream =
        wait_for("a forwarded port", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let _sent = writer.write_all(input).and_then(|()| writer.shutdown(Shutdown::Write));
        });
        let mut answer = Vec::new();
        (&stream).read_to_end(&mut answer).unwrap();
        answer
    })
}

fn ask_socket(path: &PathBuf, input: &[u8]) -> Vec<u8> {
    let mut stream = wait_for("a forwarded socket", || UnixStream::connect(path).ok());
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(input).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// `ssh -N` with these words, which stays until it is dropped.
pub(super) fn tunnel(server: &SshServer, words: &[&str]) -> Client {
    let fixed = ["-N", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=INFO"];
    Client::start(&mut server.openssh("ssh", fixed.iter().chain(words).copied().chain([HOST])))
}

fn greeted(input: &[u8]) -> Vec<u8> {
    [b"hello ", input].concat()
}

#[test]
fn local_ports_lead_to_services_beyond_the_server() {
    let server = SshServer::start();
    let (v4, v6) = (echo_v4(), echo((Ipv6Addr::LOCALHOST, 0).into()));
    let (one, two, three) = (free_port(), free_port(), free_port());
    let words = [
        format!("{one}:127.0.0.1:{v4}"),
        format!("{two}:[::1]:{v6}"),
        format!("{three}:localhost:{v4}"),
    ];
    let _tunnel = tunnel(&server, &["-L", &words[0], "-L", &words[1], "-L", &words[2]]);
    for port in [one, two, three] {
        assert_eq!(ask(port, b"there"), b"hello there");
        assert_eq!(ask(port, b""), b"hello ");
    }
    let input = noise(20_000_000, 1);
    assert!(ask(one, &input) == greeted(&input));
}

#[test]
fn a_hundred_connections_share_a_forward() {
    let server = SshServer::start();
    let (service, port) = (echo_v4(), free_port());
    let _tunnel = tunnel(&server, &["-L", &format!("{port}:127.0.0.1:{service}")]);
    let _ready = ask(port, b"");
    thread::scope(|scope| {
        for seed in 0..100 {
            scope.spawn(move || {
                let input = noise(200_000, seed);
                assert!(ask(port, &input) == greeted(&input));
            });
        }
    });
    server.ssh("echo fine", b"").prints("fine\n");
}

#[test]
fn a_target_that_refuses_is_told_to_the_client() {
    let server = SshServer::start();
    let target = format!("127.0.0.1:{}", free_port());
    let outcome =
        run(&mut server.openssh("ssh", ["-W", &target, "-o", "LogLevel=INFO", HOST]), b"");
    assert_eq!(outcome.status, 255, "{outcome}");
    assert!(outcome.stderr.to_lowercase().contains("connection refused"), "{outcome}");
    // A name that does not exist takes nothing down either.
    let words = ["-W", "no.such.host.invalid:1", HOST];
    let _refused = run(&mut server.openssh("ssh", words), b"").ends_with(255);
}

#[test]
fn standard_input_and_output_become_a_connection() {
    let server = SshServer::start();
    let target = format!("127.0.0.1:{}", echo_v4());
    let input = noise(1_000_000, 2);
    let outcome = run(&mut server.openssh("ssh", ["-W", &target, HOST]), &input).succeeds();
    assert!(outcome.bytes == greeted(&input));
}

#[test]
fn a_socks_client_reaches_services() {
    let server = SshServer::start();
    let (service, port) = (echo_v4(), free_port());
    let _tunnel = tunnel(&server, &["-D", &port.to_string()]);
    for host in ["127.0.0.1", "localhost"] {
        let mut stream =
            wait_for("the socks port", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        let name = u8::try_from(host.len()).unwrap();
        let request =
            [&[5, 1, 0, 5, 1, 0, 3, name], host.as_bytes(), &service.to_be_bytes()].concat();
        stream.write_all(&request).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[..4], [5, 0, 5, 0], "{host}");
        stream.write_all(b"socks").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"hello socks");
    }
}

#[test]
fn remote_ports_lead_back_to_the_client() {
    let server = SshServer::start();
    let service = echo_v4();
    for listen in ["", "localhost:", "127.0.0.1:", "0.0.0.0:", "[::1]:", "*:"] {
        let port = free_port();
        let _tunnel = tunnel(&server, &["-R", &format!("{listen}{port}:127.0.0.1:{service}")]);
        if listen == "[::1]:" {
            let mut stream =
                wait_for("the port", || TcpStream::connect((Ipv6Addr::LOCALHOST, port)).ok());
            let mut greeting = [0; 6];
            stream.read_exact(&mut greeting).unwrap();
            assert_eq!(&greeting, b"hello ");
            continue;
        }
        // The input's end must not cut the answer off: the predecessor closed both halves.
        let input = noise(1_000_000, 3);
        assert!(ask(port, &input) == greeted(&input), "{listen}");
    }
}

#[test]
fn the_server_chooses_a_remote_port_and_gives_it_back() {
    let server = SshServer::start();
    let service = echo_v4();
    let mut tunnel = tunnel(&server, &["-R", &format!("0:127.0.0.1:{service}")]);
    let said = tunnel.wait_for_complaint("for remote forward");
    let port = said.split("Allocated port ").nth(1).unwrap().split(' ').next().unwrap();
    let port: u16 = port.parse().unwrap();
    assert_eq!(ask(port, b"there"), b"hello there");
    drop(tunnel);
    wait_for("a free port", || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
}

#[test]
fn a_remote_port_in_use_is_refused() {
    let server = SshServer::start();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let outcome = tunnel(&server, &["-R", &format!("127.0.0.1:{port}:127.0.0.1:1")]).finish();
    assert_eq!(outcome.status, 255, "{outcome}");
    assert!(outcome.stderr.contains("remote port forwarding failed"), "{outcome}");
}

#[test]
fn unix_sockets_are_forwarded_both_ways() {
    let server = SshServer::start();
    let path = |name: &str| server.work(name);
    unix_echo(&path("service"));
    let (tcp, service) = (free_port(), echo_v4());
    let text = |name: &str| path(name).display().to_string();
    let words = [
        format!("{}:{}", text("local"), text("service")),
        format!("{tcp}:{}", text("service")),
        format!("{}:127.0.0.1:{service}", text("local-to-port")),
    ];
    let tunnels = tunnel(&server, &["-L", &words[0], "-L", &words[1], "-L", &words[2]]);
    let input = noise(1_000_000, 4);
    assert!(ask_socket(&path("local"), &input) == greeted(&input));
    assert!(ask(tcp, &input) == greeted(&input));
    assert!(ask_socket(&path("local-to-port"), &input) == greeted(&input));
    drop(tunnels);
    let words = [
        format!("{}:{}", text("remote"), text("service")),
        format!("{}:127.0.0.1:{service}", text("remote-to-port")),
    ];
    let _tunnels = tunnel(&server, &["-R", &words[0], "-R", &words[1]]);
    for name in ["remote", "remote-to-port"] {
        assert!(ask_socket(&path(name), &input) == greeted(&input), "{name}");
    }
    // A socket that is already there is somebody else's.
    let outcome = tunnel(&server, &["-R", &words[0]]).finish();
    assert_eq!(outcome.status, 255, "{outcome}");
    let word = format!("{}:{}", text("to-nobody"), text("nobody"));
    let _tunnel = tunnel(&server, &["-L", &word]);
    assert_eq!(ask_socket(&path("to-nobody"), b""), b"");
}

fn control(server: &SshServer, words: &[&str]) -> Outcome {
    let socket = server.path("control").display().to_string();
    run(
        &mut server
            .openssh("ssh", ["-S", &socket].into_iter().chain(words.iter().copied()).chain([HOST])),
        b"",
    )
}

#[test]
fn one_connection_serves_many_clients_through_its_control_socket() {
    let server = SshServer::start();
    let socket = server.path("control").display().to_string();
    let mut master = Client::start(&mut server.openssh("ssh", ["-M", "-N", "-S", &socket, HOST]));
    wait_for("the control socket", || fs::exists(&socket).unwrap().then_some(()));
    let _checked = control(&server, &["-O", "check"]).succeeds().complains("Master running");
    let (service, local, remote) = (echo_v4(), free_port(), free_port());
    let target = format!("127.0.0.1:{service}");
    let [local_word, remote_word] = [local, remote].map(|port| format!("{port}:{target}"));
    let _forwarded = control(&server, &["-O", "forward", "-L", &local_word]).succeeds();
    let _forwarded = control(&server, &["-O", "forward", "-R", &remote_word]).succeeds();
    for port in [local, remote] {
        assert_eq!(ask(port, b"there"), b"hello there");
    }
    let outcome = control(&server, &["-O", "forward", "-R", &format!("0:{target}")]).succeeds();
    let chosen: u16 = outcome.stdout.trim().parse().unwrap();
    assert_eq!(ask(chosen, b"there"), b"hello there");
    let _cancelled = control(&server, &["-O", "cancel", "-L", &local_word]).succeeds();
    // The predecessor compared addresses after resolving them: its listener stayed.
    let _cancelled = control(&server, &["-O", "cancel", "-R", &remote_word]).succeeds();
    for port in [local, remote] {
        wait_for("a free port", || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok());
    }
    assert_eq!(ask(chosen, b"there"), b"hello there");
    for number in 0..20 {
        let words = ["-S", &socket, HOST, &format!("echo {number}; exit {number}")];
        let outcome = run(&mut server.openssh("ssh", words), b"").ends_with(number);
        assert_eq!(outcome.stdout, format!("{number}\n"));
    }
    assert!(master.is_running());
    let _ended = control(&server, &["-O", "exit"]).succeeds();
    assert_eq!(master.finish().status, 255);
    wait_for("a free port", || TcpListener::bind((Ipv4Addr::LOCALHOST, chosen)).ok());
}

#[test]
fn other_clients_forward_ports_too() {
    let server = SshServer::start();
    let service = echo_v4();
    let make: [fn(&SshServer, &str, &str) -> Command; 2] = [
        |server, flag, word| putty(server, "plink", ["-N", flag, word, "root@127.0.0.1"]),
        |server, flag, word| dbclient(server, ["-N", flag, word]),
    ];
    for client in make {
        for flag in ["-L", "-R"] {
            let port = free_port();
            let word = format!("{port}:127.0.0.1:{service}");
            let mut command = client(&server, flag, &word);
            let running = Client::start(&mut command);
            let input = noise(1_000_000, 5);
            assert!(ask(port, &input) == greeted(&input), "{command:?}");
            drop(running);
        }
    }
    let target = format!("127.0.0.1:{service}");
    let mut command = putty(&server, "plink", ["-nc", &target, "root@127.0.0.1"]);
    assert_eq!(run(&mut command, b"there").bytes, b"hello there");
}

#[test]
fn a_hundred_and_twenty_eight_ports_are_asked_for_at_once() {
    // Of those 64 were granted.
    let (server, port) = (SshServer::start(), echo_v4());
    // The client asks once only for what it is told twice.
    let forwards: Vec<_> = (1..=128).map(|n| format!("-R127.0.0.1:0:127.0.0.{n}:{port}")).collect();
    let mut words: Vec<&str> = forwards.iter().map(String::as_str).collect();
    words.extend(["-v", "-N", "-o", "ExitOnForwardFailure=yes", HOST]);
    let mut client = Client::start(&mut server.openssh("ssh", words));
    wait_for("128 ports", || {
        assert!(client.is_running(), "{}", client.stderr());
        (client.stderr().matches("Allocated port").count() == 128).then_some(())
    });
}

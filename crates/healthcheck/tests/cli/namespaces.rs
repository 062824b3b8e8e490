//! Which address is checked, in network namespaces of the tests' own (contract, section 4). They
//! need root and `ip`.

use std::net::{SocketAddrV6, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn6, bind, listen, setsockopt, socket,
    sockopt,
};

use crate::network::{in_network, ip};
use crate::run::{finish, run, start};
use crate::server::serve;

/// An interface and the other end of its cable.
const CABLE: &str = "link add d0 type veth peer name p0";

/// The address in the sentence about a port on which nothing listens.
fn checked() -> String {
    let run = run(&["-port=1"]);
    let start = "failed to make TCP connection to ";
    run.line.strip_prefix(start).unwrap_or(&run.line).split(": ").next().unwrap().to_owned()
}

#[test]
fn root_the_first_address_outside_loopback_is_checked() {
    for (commands, expected) in [
        // Loopback is judged by the address.
        (
            &[
                "addr add 10.9.0.1/32 dev lo",
                CABLE,
                "addr add 10.0.0.5/24 dev d0",
                "link set d0 up",
            ][..],
            "10.9.0.1:1",
        ),
        (
            &[
                CABLE,
                "addr add 127.5.0.1/32 dev d0",
                "addr add 10.0.0.5/24 dev d0",
                "link set d0 up",
            ],
            "10.0.0.5:1",
        ),
        // Primary before secondary, the first interface before the second.
        (
            &[
                CABLE,
                "link add d1 type veth peer name p1",
                "addr add 10.1.0.1/24 dev d1",
                "addr add 10.0.0.5/24 dev d0",
                "addr add 10.0.0.4/24 dev d0",
            ],
            "10.0.0.5:1",
        ),
        // Of an interface that is down, too.
        (&[CABLE, "addr add 10.0.0.5/24 dev d0"], "10.0.0.5:1"),
        (&[CABLE, "addr add 169.254.0.5/16 dev d0", "link set d0 up"], "169.254.0.5:1"),
        // The own end of a point-to-point link.
        (&[CABLE, "addr add 10.0.0.5 peer 10.0.0.6 dev d0", "link set d0 up"], "10.0.0.5:1"),
        // IPv6 only where there is no IPv4.
        (
            &[
                CABLE,
                "addr add fd00::5/64 dev d0 nodad",
                "addr add 10.0.0.5/24 dev d0",
                "link set d0 up",
            ],
            "10.0.0.5:1",
        ),
        (&[CABLE, "addr add fd00::5/64 dev d0 nodad", "link set d0 up"], "[fd00::5]:1"),
    ] {
        in_network(commands, || assert_eq!(checked(), expected, "{commands:?}"));
    }
}

#[test]
fn root_no_address_is_status_3() {
    in_network(&[], || {
        run(&["-port=1"]).says(3, "failure to find suitable interface");
        run(&["-port=1", "-uri=/"]).says(3, "failure to find suitable interface");
        let liveness = run(&["-port=1", "-liveness-interval=1h"]);
        liveness.says(3, "Liveness check unsuccessful: failure to find suitable interface");
        let startup = run(&["-port=1", "-startup-interval=50ms", "-startup-timeout=120ms"]);
        assert_eq!(startup.status, Some(3), "{startup:?}");
        let end =
            " attempts) waiting for startup check to succeed: failure to find suitable interface";
        assert!(
            startup.line.starts_with("Timed out after 120ms (") && startup.line.ends_with(end),
            "{startup:?}"
        );
    });
}

#[test]
fn root_without_ipv4_an_ipv6_server_is_checked() {
    in_network(&["addr add fd00::5/128 dev lo nodad"], || {
        // The kernel adds the route to it by and by; until then nothing answers.
        let routes =
            || Command::new("ip").args("-6 route show table local".split(' ')).output().unwrap();
        while !String::from_utf8(routes().stdout).unwrap().contains("local fd00::5") {
            thread::sleep(Duration::from_millis(10));
        }
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        run(&[format!("-port={port}")]).passes();
        run(&[format!("-port={port}"), "-network=tcp6".to_owned()]).passes();
        let place = "[fd00::5]:1";
        run(&["-port=1"]).says(
            4,
            &format!("failed to make TCP connection to {place}: dial tcp {place}: connect: connection refused"),
        );
        let (port, requests) = {
            let (sender, requests) = std::sync::mpsc::channel();
            let listener = TcpListener::bind("[::]:0").unwrap();
            let port = crate::server::serve_on(listener, move |mut stream: TcpStream| {
                sender.send(crate::server::request(&mut stream)).unwrap();
                crate::server::send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n");
            });
            (port, requests)
        };
        run(&[format!("-port={port}"), "-uri=/".to_owned()]).passes();
        let host = format!("\r\nHost: [fd00::5]:{port}\r\n");
        assert!(requests.recv().unwrap().contains(&host));
    });
}

#[test]
fn root_an_ipv6_only_server_does_not_serve_ipv4() {
    in_network(&[CABLE, "addr add 10.0.0.5/24 dev d0", "link set d0 up"], || {
        let socket =
            socket(AddressFamily::Inet6, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&socket, sockopt::Ipv6V6Only, &true).unwrap();
        let address: SocketAddrV6 = "[::]:0".parse().unwrap();
        bind(socket.as_raw_fd(), &SockaddrIn6::from(address)).unwrap();
        listen(&socket, Backlog::new(1).unwrap()).unwrap();
        let listener = TcpListener::from(socket);
        let port = listener.local_addr().unwrap().port();
        let expected = format!("listens on [::]:{port} for IPv6 only: bind 0.0.0.0:$PORT)");
        // A busy machine is not looked through in 20 ms: the explanation is there sooner or later.
        let mut runs = (0..50).map(|_| run(&[format!("-port={port}")]));
        let explained = runs.find(|run| run.line.ends_with(&expected)).unwrap();
        assert_eq!(explained.status, Some(4), "{explained:?}");
        drop(listener);
    });
}

#[test]
fn root_addresses_are_read_anew_for_every_check() {
    in_network(&[CABLE, "addr add 10.0.0.5/24 dev d0", "link set d0 up"], || {
        let port = serve(drop);
        let child = start(&[format!("-port={port}"), "-liveness-interval=50ms".to_owned()]);
        thread::sleep(Duration::from_millis(200));
        // Another address is as good.
        ip("addr add 10.1.0.5/24 dev d0");
        ip("addr del 10.0.0.5/24 dev d0");
        thread::sleep(Duration::from_millis(200));
        ip("addr del 10.1.0.5/24 dev d0");
        let run = finish(child, Instant::now());
        run.says(3, "Liveness check unsuccessful: failure to find suitable interface");
    });
}

#[test]
fn root_an_interface_that_appears_later_is_seen() {
    in_network(&[], || {
        let port = serve(drop);
        let flag = format!("-port={port}");
        let until_ready = start(&[flag.clone(), "-until-ready-interval=20ms".to_owned()]);
        let startup = start(&[flag, "-startup-interval=20ms".to_owned()]);
        thread::sleep(Duration::from_millis(150));
        for command in [CABLE, "addr add 10.0.0.5/24 dev d0", "link set d0 up"] {
            ip(command);
        }
        finish(until_ready, Instant::now()).passes();
        finish(startup, Instant::now()).passes();
    });
}

/// A socket that connects to its own port: the kernel picks it where nothing listens.
fn connects_to_itself(port: u16) -> bool {
    let stream = TcpStream::connect(("10.0.0.5", port));
    stream.is_ok_and(|stream| stream.local_addr().unwrap() == stream.peer_addr().unwrap())
}

#[test]
fn root_a_socket_connected_to_itself_is_not_the_app() {
    in_network(&[CABLE, "addr add 10.0.0.5/24 dev d0", "link set d0 up"], || {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003").unwrap();
        let mut fooled = 0;
        for _ in 0..200 {
            fooled += u32::from(connects_to_itself(40000));
            let run = run(&["-port=40000"]);
            let sentence = "failed to make TCP connection to 10.0.0.5:40000: dial tcp 10.0.0.5:40000: connect: ";
            assert_eq!(run.status, Some(4), "{run:?}");
            assert!(run.line.starts_with(sentence), "{run:?}");
            let http = crate::run::run(&["-port=40000", "-uri=/"]);
            assert_eq!(http.status, Some(5), "{http:?}");
            if fooled > 2 {
                break;
            }
        }
        assert!(fooled > 0, "a plain connection is never fooled here: the test shows nothing");
    });
}

#[test]
fn root_other_failures_to_connect_are_said_in_the_systems_words() {
    for (route, words) in [
        ("route flush table main", "network is unreachable"),
        ("route add unreachable 10.0.0.5", "no route to host"),
        ("route add prohibit 10.0.0.5", "permission denied"),
    ] {
        in_network(&[CABLE, "addr add 10.0.0.5/24 dev d0", "link set d0 up"], || {
            // Without its own route the address is like any other.
            ip("route del local 10.0.0.5 dev d0 table local");
            ip(route);
            let sentence =
                "failed to make TCP connection to 10.0.0.5:80: dial tcp 10.0.0.5:80: connect: ";
            run(&["-port=80"]).says(4, &format!("{sentence}{words}"));
            let http = run(&["-port=80", "-uri=/"]);
            http.says(5, "failed to make HTTP request to '/' on port 80: connection refused");
            assert!(http.line.contains(&format!(" ({words}")), "{http:?}");
        });
    }
}

#[test]
fn root_no_port_left_to_connect_from_is_said() {
    in_network(&[CABLE, "addr add 10.0.0.5/24 dev d0", "link set d0 up"], || {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001").unwrap();
        let _taken = [40000, 40001].map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
        let sentence = "failed to make TCP connection to 10.0.0.5:80: dial tcp 10.0.0.5:80: connect: \
                        cannot assign requested address";
        run(&["-port=80"]).says(4, sentence);
    });
}

#[test]
fn root_the_kernels_own_timeout_is_a_timeout() {
    in_network(&[CABLE, "addr add 10.0.0.5/24 dev d0", "link set d0 up"], || {
        fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "1").unwrap();
        // Kernels before 6.5 have none.
        let _older = fs::write("/proc/sys/net/ipv4/tcp_syn_linear_timeouts", "0");
        let listener = TcpListener::bind("10.0.0.5:80").unwrap();
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        let waiting = [(); 2].map(|()| TcpStream::connect("10.0.0.5:80").unwrap());
        let sentence = "failed to make TCP connection to 10.0.0.5:80: timed out after 0.00 seconds";
        run(&["-port=80", "-timeout=0"]).says(64, sentence);
        let sentence =
            "failed to make HTTP request to '/' on port 80: timed out after 0.00 seconds";
        run(&["-port=80", "-uri=/", "-timeout=0"]).says(65, sentence);
        drop(waiting);
    });
}

#[test]
fn root_an_empty_port_is_80_for_http_and_0_for_tcp() {
    in_network(&[CABLE, "addr add 10.0.0.5/24 dev d0", "link set d0 up"], || {
        let (sender, requests) = std::sync::mpsc::channel();
        crate::server::serve_on(TcpListener::bind("0.0.0.0:80").unwrap(), move |mut stream| {
            sender.send(crate::server::request(&mut stream)).unwrap();
            crate::server::send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n");
        });
        run(&["-port=", "-uri=/"]).passes();
        assert!(requests.recv().unwrap().contains("\r\nHost: 10.0.0.5\r\n"));
        let sentence = "failed to make TCP connection to 10.0.0.5:: dial tcp 10.0.0.5:0: connect: connection refused";
        run(&["-port="]).says(4, sentence);
    });
}

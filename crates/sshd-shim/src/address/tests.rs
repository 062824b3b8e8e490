use std::net::{Shutdown, TcpStream};

use super::*;

fn sentence(address: &str) -> String {
    listen(address).unwrap_err().to_string()
}

#[test]
fn addresses_are_refused_in_go_words() {
    for (address, expected) in [
        ("24069", "listen tcp: address 24069: missing port in address"),
        ("localhost", "listen tcp: address localhost: missing port in address"),
        ("[::1]", "listen tcp: address [::1]: missing port in address"),
        ("[::1]22", "listen tcp: address [::1]22: missing port in address"),
        ("::1:22", "listen tcp: address ::1:22: too many colons in address"),
        ("[::1]:2:2", "listen tcp: address [::1]:2:2: too many colons in address"),
        ("[::1:22", "listen tcp: address [::1:22: missing ']' in address"),
        ("x[:22", "listen tcp: address x[:22: unexpected '[' in address"),
        ("x]:22", "listen tcp: address x]:22: unexpected ']' in address"),
        ("127.0.0.1:99999", "listen tcp: address 99999: invalid port"),
        (":-1", "listen tcp: address -1: invalid port"),
        (":no-such-service", "listen tcp: lookup tcp/no-such-service: unknown port"),
        ("*:0", "listen tcp: lookup *: no such host"),
        ("no such host:0", "listen tcp: lookup no such host: no such host"),
        // An address of documentation, which no machine has.
        ("192.0.2.1:7", "listen tcp 192.0.2.1:7: bind: cannot assign requested address"),
    ] {
        assert_eq!(sentence(address), expected);
    }
}

#[test]
fn a_port_that_is_taken_is_said_so() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _holder = TcpListener::bind(taken).unwrap();
    let expected = format!("listen tcp {taken}: bind: address already in use");
    assert_eq!(sentence(&taken.to_string()), expected);
}

#[test]
fn one_address_is_listened_on_alone() {
    for (address, expected) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("localhost:0", "127.0.0.1"),
        ("localhost:", "127.0.0.1"),
        ("127.0.0.1:+0", "127.0.0.1"),
        ("[127.0.0.1]:0", "127.0.0.1"),
        ("[::1]:0", "::1"),
    ] {
        let listener = listen(address).unwrap();
        assert_eq!(listener.local_addr().unwrap().ip().to_string(), expected, "{address}");
    }
}

#[test]
fn wildcards_take_both_families() {
    for address in ["", ":0", "0.0.0.0:0", "[::]:0"] {
        let listener = listen(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        for client in ["127.0.0.1", "::1"] {
            let client: IpAddr = client.parse().unwrap();
            let stream = TcpStream::connect((client, port)).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
        }
    }
}

#[test]
fn nothing_to_accept_does_not_block() {
    let error = listen_on("127.0.0.1", 0).unwrap().accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_port_can_be_listened_on_again_at_once() {
    // Without SO_REUSEADDR the connection that the server closed first would hold the port.
    let listener = listen_on("127.0.0.1", 0).unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    listener.set_nonblocking(false).unwrap();
    drop(listener.accept().unwrap());
    drop((listener, client));
    listen_on("127.0.0.1", address.port()).unwrap();
}

#[test]
fn services_are_found_by_name_and_alias() {
    let services = "# comment\nssh\t22/tcp\t\t# Secure\ndomain 53/udp\nhttp 80/tcp www web\n";
    for (name, port) in [("ssh", Some(22)), ("www", Some(80)), ("domain", None), ("Secure", None)] {
        assert_eq!(service(services, name), port, "{name}");
    }
}

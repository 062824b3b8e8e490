//! What clients on the wire are told that no real client would be: before there is encryption.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::daemon::Daemon;

const VERSION: &[u8] = b"SSH-2.0-diego-sshd\r\n";

/// Sends `bytes` and gives all that comes until the server closes.
fn answer(daemon: &Daemon, bytes: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(daemon.address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may close before it has all.
    let _closed = client.write_all(bytes);
    let mut answer = Vec::new();
    let _reset = client.read_to_end(&mut answer);
    answer
}

fn string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// An unencrypted packet.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 8 + (8 - (payload.len() + 5) % 8);
    let length = u32::try_from(payload.len() + padding + 1).unwrap();
    [&length.to_be_bytes()[..], &[u8::try_from(padding).unwrap()], payload, &vec![0; padding]]
        .concat()
}

/// The payloads of unencrypted packets.
fn payloads(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while let [a, b, c, d, padding, rest @ ..] = bytes {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 1;
        payloads.push(rest[..length - *padding as usize].to_vec());
        bytes = &rest[length..];
    }
    payloads
}

fn key_exchange(kex: &str) -> Vec<u8> {
    let lists = [
        kex,
        "rsa-sha2-256,ssh-ed25519",
        "aes128-ctr",
        "aes128-ctr",
        "hmac-sha2-256",
        "hmac-sha2-256",
    ];
    let mut payload = vec![20];
    payload.extend([9; 16]);
    for list in lists.into_iter().chain(["none", "none", "", ""]) {
        payload.extend(string(list));
    }
    payload.extend([0; 5]);
    packet(&payload)
}

/// Reason and text of a `DISCONNECT`.
fn farewell(payload: &[u8]) -> (u32, String) {
    assert_eq!(payload[0], 1, "{payload:?}");
    let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
    (number(1), String::from_utf8(payload[9..9 + number(5) as usize].to_vec()).unwrap())
}

#[test]
fn what_is_no_ssh_is_told_so_and_cut_off() {
    let daemon = Daemon::open::<&str>(&[]);
    let expected = [VERSION, b"Invalid SSH identification string.\r\n"].concat();
    assert_eq!(answer(&daemon, b"GET / HTTP/1.1\r\n".repeat(30).as_slice()), expected);
    assert!(answer(&daemon, &vec![b'x'; 10_000_000]).starts_with(VERSION));
    assert!(answer(&daemon, b"SSH-2.0-still-here\r\n\xff\xff\xff\xff....").starts_with(VERSION));
}

#[test]
fn a_client_without_a_common_algorithm_is_told_what_there_is() {
    let daemon = Daemon::open::<&str>(&[]);
    // Lines before the version are skipped, as the predecessor does.
    let bytes = [b"hello\r\nSSH-2.0-test\n".to_vec(), key_exchange("of-tomorrow")].concat();
    let answer = answer(&daemon, &bytes);
    let payloads = payloads(answer.strip_prefix(VERSION).unwrap());
    assert_eq!(payloads[0][0], 20);
    let (reason, text) = farewell(&payloads[1]);
    assert_eq!(reason, 3);
    assert!(text.contains("curve25519-sha256") && text.contains("of-tomorrow"), "{text}");
}

#[test]
fn a_packet_of_absurd_length_is_told_so() {
    let daemon = Daemon::open::<&str>(&[]);
    for length in [u32::MAX, 1 << 30, 300_000, 0] {
        let bytes = [&b"SSH-2.0-test\r\n"[..], &length.to_be_bytes(), &[0; 40]].concat();
        let answer = answer(&daemon, &bytes);
        let payloads = payloads(answer.strip_prefix(VERSION).unwrap());
        assert_eq!(farewell(payloads.last().unwrap()), (2, format!("Bad packet size: {length}")));
    }
}

#[test]
fn before_login_no_packet_takes_much_memory() {
    // 300 clients that each announced 256 KiB, and sent 1 KB of it, took 88 MB: the memory of the app.
    let daemon = Daemon::open::<&str>(&[]);
    let bytes = [&b"SSH-2.0-test\r\n"[..], &40_000_u32.to_be_bytes(), &[0; 40]].concat();
    let answer = answer(&daemon, &bytes);
    let payloads = payloads(answer.strip_prefix(VERSION).unwrap());
    // With its length field.
    assert_eq!(farewell(payloads.last().unwrap()), (2, "Bad packet size: 40004".to_owned()));
}

use super::super::wire::{put_number, put_string};
use super::*;

fn request(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![98, 0, 0, 0, 7];
    put_string(&mut packet, name.as_bytes());
    packet.push(1);
    packet.extend_from_slice(payload);
    packet
}

fn kind_of(packet: &[u8]) -> Option<RequestKind> {
    match parse(packet).unwrap().unwrap() {
        Message::ChannelRequest { channel: 7, kind, want_reply: true } => kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_are_read() {
    let mut payload = Vec::new();
    put_string(&mut payload, b"ls");
    assert_eq!(kind_of(&request("exec", &payload)), Some(RequestKind::Exec(b"ls".into())));
    assert_eq!(kind_of(&request("shell", b"")), Some(RequestKind::Shell));
    assert_eq!(kind_of(&request("subsystem", &payload)), Some(RequestKind::Subsystem("ls".into())));
    put_string(&mut payload, b"");
    let environment = RequestKind::Environment { name: b"ls".into(), value: b"".into() };
    assert_eq!(kind_of(&request("env", &payload)), Some(environment));
}

#[test]
fn what_is_malformed_or_unknown_inside_a_request_fails_and_breaks_nothing() {
    let mut one = Vec::new();
    put_string(&mut one, b"A");
    for (name, payload) in [
        ("exec", vec![]),
        ("exec", vec![0, 0, 0, 9, b'l']),
        ("exec", [&one[..], b"x"].concat()),
        ("env", one.clone()),
        ("signal", vec![0, 0, 0, 1, 0xff]),
        ("pty-req", one.clone()),
        ("window-change", vec![0; 15]),
        ("subsystem", vec![0]),
        ("x11-req", vec![1, 2, 3]),
        ("keepalive@openssh.com", vec![]),
    ] {
        assert_eq!(kind_of(&request(name, &payload)), None, "{name} {payload:?}");
    }
}

#[test]
fn broken_frames_are_errors() {
    for packet in
        [&[][..], &[80], &[90, 0, 0, 0, 9], &[94, 0, 0, 0, 1, 0, 0, 0, 2, 1], &[98, 0, 0], &[99]]
    {
        assert!(parse(packet).is_err(), "{packet:?}");
    }
}

#[test]
fn a_malformed_target_is_told_from_an_unknown_type() {
    let open = |name: &str, payload: &[u8]| {
        let mut packet = vec![90];
        put_string(&mut packet, name.as_bytes());
        for number in [3, 100, 200] {
            put_number(&mut packet, number);
        }
        packet.extend_from_slice(payload);
        match parse(&packet).unwrap().unwrap() {
            Message::Open(open) => open.kind,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(open("direct-tcpip", b"xx"), OpenKind::Malformed);
    assert_eq!(open("session", b"ignored"), OpenKind::Session);
    assert_eq!(open("x11", b""), OpenKind::Unknown(b"x11".into()));
}

#[test]
fn other_numbers_are_not_of_this_protocol() {
    for number in (0..=255_u8).filter(|number| !matches!(number, 80..=82 | 90..=100)) {
        assert_eq!(parse(&[number, 1, 2, 3]), Ok(None));
    }
}

#[test]
fn no_bytes_make_it_panic() {
    let mut seed = 1_u32;
    for length in 0..400 {
        for number in 80..=100 {
            let mut packet = vec![number];
            packet.extend((0..length % 40).map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Small numbers often, so that lengths of strings are often possible.
                if seed & 0x300 == 0 { (seed >> 24) as u8 } else { ((seed >> 24) & 3) as u8 }
            }));
            let _ = parse(&packet);
        }
    }
}

//! The messages of the connection protocol (RFC 4254) that we send, appended to a packet.

use super::messages::Peer;
use super::wire::{put_number, put_string};

/// The window of every channel, in bytes (contract sshd 8).
pub(super) const WINDOW: u32 = 2 << 20;
/// The most data in one message that clients may send, in bytes (contract sshd 8).
pub(super) const MAX_PACKET: u32 = 32 << 10;

/// The most text of a refusal, in bytes: it may repeat what the client sent.
const MOST_TEXT: usize = 1 << 10;

const KEEPALIVE: &[u8] = b"keepalive@cloudfoundry.org";

/// `REQUEST_SUCCESS` with what belongs to it, or `REQUEST_FAILURE`.
pub(super) fn global_reply(success: Option<&[u8]>) -> Vec<u8> {
    match success {
        Some(payload) => [&[81], payload].concat(),
        None => vec![82],
    }
}

/// `CHANNEL_OPEN` of a channel of ours; `extra` is what its type adds.
pub(super) fn open(kind: &str, channel: u32, extra: &[u8]) -> Vec<u8> {
    let mut packet = vec![90];
    put_string(&mut packet, kind.as_bytes());
    put_number(&mut packet, channel);
    put_number(&mut packet, WINDOW);
    put_number(&mut packet, MAX_PACKET);
    packet.extend_from_slice(extra);
    packet
}

/// `CHANNEL_OPEN_CONFIRMATION`.
pub(super) fn open_confirmation(peer: Peer, channel: u32) -> Vec<u8> {
    let mut packet = vec![91];
    for number in [peer.channel, channel, WINDOW, MAX_PACKET] {
        put_number(&mut packet, number);
    }
    packet
}

/// `CHANNEL_OPEN_FAILURE`; of a long `text` the beginning.
pub(super) fn open_failure(peer: u32, reason: u32, text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let text = &text[..text.floor_char_boundary(MOST_TEXT)];
    let mut packet = vec![92];
    put_number(&mut packet, peer);
    put_number(&mut packet, reason);
    put_string(&mut packet, text.as_bytes());
    put_string(&mut packet, b"en");
    packet
}

/// `CHANNEL_WINDOW_ADJUST`.
pub(super) fn window_adjust(peer: u32, bytes: u32) -> Vec<u8> {
    let mut packet = vec![93];
    put_number(&mut packet, peer);
    put_number(&mut packet, bytes);
    packet
}

/// `CHANNEL_DATA`, or `CHANNEL_EXTENDED_DATA` of type 1.
pub(super) fn put_data(packet: &mut Vec<u8>, peer: u32, error_stream: bool, data: &[u8]) {
    packet.push(if error_stream { 95 } else { 94 });
    put_number(packet, peer);
    if error_stream {
        put_number(packet, 1);
    }
    put_string(packet, data);
}

/// `CHANNEL_EOF`.
pub(super) fn put_eof(packet: &mut Vec<u8>, peer: u32) {
    packet.push(96);
    put_number(packet, peer);
}

/// `CHANNEL_CLOSE`.
pub(super) fn put_close(packet: &mut Vec<u8>, peer: u32) {
    packet.push(97);
    put_number(packet, peer);
}

/// `exit-status`.
pub(super) fn put_exit_status(packet: &mut Vec<u8>, peer: u32, status: u32) {
    put_request(packet, peer, b"exit-status", false);
    put_number(packet, status);
}

/// `exit-signal`, with no message.
pub(super) fn put_exit_signal(packet: &mut Vec<u8>, peer: u32, name: &str, core_dumped: bool) {
    put_request(packet, peer, b"exit-signal", false);
    put_string(packet, name.as_bytes());
    packet.push(u8::from(core_dumped));
    put_string(packet, b"");
    put_string(packet, b"");
}

/// A request that the client must answer, whether or not it knows it.
pub(super) fn keepalive(peer: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    put_request(&mut packet, peer, KEEPALIVE, true);
    packet
}

/// The same, of no channel.
pub(super) fn global_keepalive() -> Vec<u8> {
    let mut packet = vec![80];
    put_string(&mut packet, b"keepalive@openssh.com");
    packet.push(1);
    packet
}

/// `CHANNEL_SUCCESS` or `CHANNEL_FAILURE`.
pub(super) fn channel_reply(peer: u32, success: bool) -> Vec<u8> {
    let mut packet = vec![if success { 99 } else { 100 }];
    put_number(&mut packet, peer);
    packet
}

fn put_request(packet: &mut Vec<u8>, peer: u32, name: &[u8], want_reply: bool) {
    packet.push(98);
    put_number(packet, peer);
    put_string(packet, name);
    packet.push(u8::from(want_reply));
}

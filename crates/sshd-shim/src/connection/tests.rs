use std::future::Future;
use std::pin::pin;
use std::task::Waker;

use bytes::Bytes;

use super::channel::{Channel, Closed, Stream};
use super::messages::{Peer, RequestKind};
use super::wire::{put_number, put_string};
use super::*;
use crate::log::{Level, TimeFormat};

const WINDOW: u32 = 2 << 20;

/// What a client would get.
#[derive(Default)]
struct Sent(Vec<Vec<u8>>);

impl Sink for Sent {
    fn has_room(&mut self) -> bool {
        self.0.len() < 1000
    }

    fn packet(&mut self, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        if !packet.is_empty() {
            self.0.push(packet);
        }
    }
}

/// A connection with nothing below it.
struct Wire(Connection);

impl Wire {
    fn new() -> Self {
        let log = Log::new(Level::Fatal, TimeFormat::UnixEpoch, None);
        Self(Connection::new(Arc::new(Context::example()), log))
    }

    fn channel(&self, window: u32) -> Channel {
        let peer = Peer { channel: 70, window, max_packet: 32768 };
        let channel = self.0.shared.confirm(peer);
        self.sent();
        channel
    }

    /// All messages that would go out now.
    fn sent(&self) -> Vec<Vec<u8>> {
        let mut sent = Sent::default();
        self.0.shared.lock().write(&mut sent);
        sent.0
    }

    fn numbers(&self) -> Vec<u8> {
        self.sent().iter().map(|packet| packet[0]).collect()
    }

    fn receive(&mut self, packet: &[u8]) -> Result<bool, Violation> {
        self.0.message(packet)
    }

    fn data(&mut self, channel: u32, length: usize) -> Result<bool, Violation> {
        let mut packet = message(94, channel);
        put_string(&mut packet, &vec![7; length]);
        self.receive(&packet)
    }

    fn request(&mut self, name: &str, want_reply: bool) {
        let mut packet = message(98, 0);
        put_string(&mut packet, name.as_bytes());
        packet.push(u8::from(want_reply));
        self.receive(&packet).unwrap();
    }

    fn open(&mut self, kind: &str, max_packet: u32, extra: &[u8]) {
        let mut packet = vec![90];
        put_string(&mut packet, kind.as_bytes());
        for number in [5, WINDOW, max_packet] {
            put_number(&mut packet, number);
        }
        packet.extend_from_slice(extra);
        self.receive(&packet).unwrap();
    }

    /// Reason and text of the one refusal that goes out.
    fn refusal(&self) -> (u32, String) {
        let sent = self.sent();
        let [packet] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(packet[..5], [92, 0, 0, 0, 5]);
        let mut reader = wire::Reader::new(&packet[5..]);
        let (reason, text) = (reader.number().unwrap(), reader.text().unwrap());
        assert_eq!(reader.string(), Some(&b"en"[..]));
        (reason, text)
    }
}

fn message(number: u8, channel: u32) -> Vec<u8> {
    let mut packet = vec![number];
    put_number(&mut packet, channel);
    packet
}

/// What the future gives without waiting.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn write(channel: &Channel, length: usize) -> Option<Result<(), Closed>> {
    now(channel.output.write(Stream::Out, Bytes::from(vec![1; length])))
}

fn data_length(packets: &[Vec<u8>]) -> usize {
    packets.iter().filter(|packet| packet[0] == 94).map(|packet| packet.len() - 9).sum()
}

#[test]
fn output_waits_for_the_clients_window_and_other_channels_do_not() {
    let mut wire = Wire::new();
    let stalled = wire.channel(1000);
    let other = wire.channel(WINDOW);
    while let Some(outcome) = write(&stalled, 64 << 10) {
        outcome.unwrap();
    }
    assert_eq!(write(&other, 100_000), Some(Ok(())));
    assert_eq!(data_length(&wire.sent()), 101_000);
    // Still full, although a little was sent, until the window opens.
    assert_eq!(write(&other, 100_000), Some(Ok(())));
    assert_eq!(data_length(&wire.sent()), 100_000);
    wire.receive(&[&message(93, 0)[..], &500_000_u32.to_be_bytes()].concat()).unwrap();
    assert_eq!(data_length(&wire.sent()), (128 << 10) - 1000);
    assert_eq!(write(&stalled, 10), Some(Ok(())));
}

#[test]
fn messages_of_data_are_as_large_as_the_client_takes_and_no_larger() {
    let wire = Wire::new();
    let peer = Peer { channel: 1, window: WINDOW, max_packet: 1000 };
    let channel = wire.0.shared.confirm(peer);
    wire.sent();
    write(&channel, 2500).unwrap().unwrap();
    let lengths: Vec<_> = wire.sent().iter().map(|packet| packet.len() - 9).collect();
    assert_eq!(lengths, [1000, 1000, 500]);
}

#[test]
fn the_client_gets_its_window_back_for_what_was_read_not_for_what_came() {
    let mut wire = Wire::new();
    let mut channel = wire.channel(WINDOW);
    for _ in 0..64 {
        wire.data(0, 32768).unwrap();
    }
    assert_eq!(wire.sent(), [] as [Vec<u8>; 0]);
    assert_eq!(wire.data(0, 1), Err(Violation::WindowExceeded(0)));
    for _ in 0..4 {
        assert_eq!(now(channel.input.next()).unwrap().unwrap().len(), 32768);
    }
    // Three are read; the fourth is in the reader's hands.
    let granted: Vec<u32> = wire
        .sent()
        .iter()
        .map(|packet| u32::from_be_bytes(packet[5..9].try_into().unwrap()))
        .collect();
    assert_eq!(granted.iter().sum::<u32>(), 3 * 32768);
    wire.data(0, 32768).unwrap();
}

#[test]
fn data_beside_the_stream_takes_no_memory_and_no_window() {
    let mut wire = Wire::new();
    let channel = wire.channel(WINDOW);
    let mut packet = message(95, 0);
    put_number(&mut packet, 1);
    put_string(&mut packet, &vec![1; 32768]);
    for _ in 0..1000 {
        wire.receive(&packet).unwrap();
        wire.sent();
    }
    assert!(!channel.input.ready());
}

#[test]
fn small_pieces_that_wait_are_joined() {
    // 2 MiB of window in pieces of one byte took a hundred MiB of memory.
    let mut wire = Wire::new();
    let mut channel = wire.channel(0);
    for _ in 0..10_000 {
        wire.data(0, 1).unwrap();
        assert_eq!(write(&channel, 1), Some(Ok(())));
    }
    for expected in [4096, 4096, 1808] {
        assert_eq!(now(channel.input.next()).unwrap().unwrap().len(), expected);
    }
    wire.receive(&[&message(93, 0)[..], &100_000_u32.to_be_bytes()].concat()).unwrap();
    let lengths: Vec<_> = wire.sent().iter().map(|packet| packet.len() - 9).collect();
    assert_eq!(lengths, [4096, 4096, 1808]);
}

#[test]
fn answers_come_in_the_order_of_the_requests() {
    let mut wire = Wire::new();
    let mut channel = wire.channel(WINDOW);
    wire.request("shell", true);
    wire.request("x11-req", true);
    wire.request("unknown", false);
    wire.request("shell", true);
    assert_eq!(wire.numbers(), [] as [u8; 0]);
    let first = now(channel.requests.next()).unwrap().unwrap();
    assert_eq!(first.kind, RequestKind::Shell);
    first.succeed();
    assert_eq!(wire.numbers(), [99, 100]);
    drop(now(channel.requests.next()).unwrap().unwrap());
    assert_eq!(wire.numbers(), [100]);
    wire.request("x11-req", true);
    assert_eq!(wire.numbers(), [100]);
    drop(channel.requests);
    wire.request("shell", true);
    assert_eq!(wire.numbers(), [100]);
}

#[test]
fn what_was_written_is_sent_before_the_close_even_if_nobody_said_close() {
    let wire = Wire::new();
    let channel = wire.channel(WINDOW);
    write(&channel, 5).unwrap().unwrap();
    channel.output.exit_status(3);
    channel.output.eof();
    // As after a panic of the service.
    drop(channel);
    assert_eq!(wire.numbers(), [94, 98, 96, 97]);
}

#[test]
fn input_that_came_before_the_close_can_still_be_read() {
    let mut wire = Wire::new();
    let mut channel = wire.channel(WINDOW);
    wire.data(0, 5).unwrap();
    wire.receive(&message(96, 0)).unwrap();
    wire.receive(&message(97, 0)).unwrap();
    assert_eq!(wire.numbers(), [97]);
    assert_eq!(now(channel.input.next()).unwrap().unwrap().len(), 5);
    assert_eq!(now(channel.input.next()), Some(None));
    assert!(now(channel.requests.next()).unwrap().is_none());
    assert_eq!(write(&channel, 5), Some(Err(Closed)));
    assert!(now(channel.output.closed()).is_some());
    drop(channel);
    assert_eq!(wire.numbers(), [] as [u8; 0]);
}

#[test]
fn channels_that_are_over_leave_nothing_behind() {
    let mut wire = Wire::new();
    for number in 0..10_000 {
        let channel = wire.channel(WINDOW);
        channel.output.close();
        assert_eq!(wire.numbers(), [97]);
        drop(channel);
        wire.receive(&message(97, number)).unwrap();
    }
    assert_eq!(wire.0.shared.lock().count(), 0);
    // Late messages are no harm, but data is.
    wire.receive(&message(96, 3)).unwrap();
    assert_eq!(wire.data(3, 1), Err(Violation::NoChannel(3)));
}

#[test]
fn there_is_a_limit_of_channels() {
    let mut wire = Wire::new();
    let channels: Vec<_> = (0..MOST_CHANNELS).map(|_| wire.channel(WINDOW)).collect();
    wire.open("session", 32768, b"");
    assert_eq!(wire.refusal(), (4, "too many channels".to_owned()));
    drop(channels);
}

#[test]
fn refusals_say_why() {
    let mut wire = Wire::new();
    for kind in ["x11", "auth-agent@openssh.com", "forwarded-tcpip", ""] {
        wire.open(kind, 32768, b"");
        assert_eq!(wire.refusal(), (3, kind.to_owned()));
    }
    wire.open("direct-tcpip", 32768, b"what");
    assert_eq!(wire.refusal(), (2, "Failed to parse open channel message".to_owned()));
    for max_packet in [0, 8, (1 << 31) + 1] {
        wire.open("session", max_packet, b"");
        assert_eq!(wire.refusal(), (2, "invalid request".to_owned()));
    }
}

#[test]
fn refusals_do_not_repeat_all_that_a_client_sends() {
    // 256 of them, each of 200,000 bytes, waited for a client that did not read.
    let mut wire = Wire::new();
    wire.open(&"ä".repeat(100_000), 32768, b"");
    assert_eq!(wire.refusal(), (3, "ä".repeat(512)));
    wire.open(&format!("x{}", "ä".repeat(100_000)), 32768, b"");
    assert_eq!(wire.refusal(), (3, format!("x{}", "ä".repeat(511))));
}

#[test]
fn requests_about_the_connection_are_answered_in_their_order() {
    let mut wire = Wire::new();
    // As if the task that answers them had been started.
    wire.0.answers_requests = true;
    let mut requests = GlobalRequests::new(Arc::clone(&wire.0.shared));
    let mut forward = vec![80];
    put_string(&mut forward, b"tcpip-forward");
    forward.push(1);
    put_string(&mut forward, b"localhost");
    put_number(&mut forward, 0);
    let mut keepalive = vec![80];
    put_string(&mut keepalive, b"keepalive@openssh.com");
    keepalive.push(1);

    wire.receive(&keepalive).unwrap();
    assert_eq!(wire.numbers(), [82]);
    wire.receive(&forward).unwrap();
    wire.receive(&keepalive).unwrap();
    assert_eq!(wire.numbers(), [] as [u8; 0]);
    let (_kind, reply) = now(requests.next()).unwrap().unwrap();
    reply.succeed(&[0, 0, 0, 9]);
    assert_eq!(wire.sent(), [vec![81, 0, 0, 0, 9], vec![82]]);
}

#[test]
fn a_client_that_does_not_read_its_answers_is_not_listened_to() {
    let mut wire = Wire::new();
    let mut keepalive = vec![80];
    put_string(&mut keepalive, b"keepalive@openssh.com");
    keepalive.push(1);
    for _ in 0..MOST_CONTROL {
        assert!(wire.0.takes_messages());
        wire.receive(&keepalive).unwrap();
    }
    assert!(!wire.0.takes_messages());
    wire.sent();
    assert!(wire.0.takes_messages());
}

#[test]
fn answers_that_wait_for_another_one_count_too() {
    // They did not while a name was looked up for the request before them: a client could have any
    // number of them, all put into memory at once afterwards.
    let mut wire = Wire::new();
    wire.0.answers_requests = true;
    let mut requests = GlobalRequests::new(Arc::clone(&wire.0.shared));
    let mut forward = vec![80];
    put_string(&mut forward, b"streamlocal-forward@openssh.com");
    forward.push(1);
    put_string(&mut forward, b"/x");
    wire.receive(&forward).unwrap();
    let (_kind, reply) = now(requests.next()).unwrap().unwrap();
    let mut keepalive = vec![80];
    put_string(&mut keepalive, b"keepalive@openssh.com");
    keepalive.push(1);
    for _ in 0..MOST_CONTROL {
        assert!(wire.0.takes_messages());
        wire.receive(&keepalive).unwrap();
    }
    assert!(!wire.0.takes_messages());
    reply.succeed(&[]);
    assert_eq!(wire.sent().len(), MOST_CONTROL + 1);
    assert!(wire.0.takes_messages());
}

#[test]
fn everybody_is_told_when_the_client_is_gone() {
    let wire = Wire::new();
    let mut channel = wire.channel(10);
    write(&channel, 1 << 20).unwrap().unwrap();
    assert_eq!(write(&channel, 1), None);
    wire.0.shared.lock().lose_connection();
    assert_eq!(write(&channel, 1), Some(Err(Closed)));
    assert_eq!(now(channel.input.next()), Some(None));
    assert!(now(channel.requests.next()).unwrap().is_none());
    assert!(now(wire.0.shared.gone()).is_some());
    drop(channel);
    assert_eq!(wire.0.shared.lock().count(), 0);
}

#[test]
fn a_channel_of_ours_is_closed_if_nobody_waits_for_it_any_more() {
    let mut wire = Wire::new();
    let opener = Opener::new(Arc::clone(&wire.0.shared));
    assert!(now(opener.open("forwarded-tcpip", b"")).is_none());
    assert_eq!(wire.numbers(), [90]);
    let mut confirmation = message(91, 0);
    for number in [9, WINDOW, 32768] {
        put_number(&mut confirmation, number);
    }
    wire.receive(&confirmation).unwrap();
    assert_eq!(wire.sent(), [message(97, 9)]);
    assert_eq!(wire.receive(&confirmation), Err(Violation::NoChannel(0)));
}

#[test]
fn a_client_that_takes_no_byte_of_a_channel_it_agreed_to_is_cut_off() {
    // With 0 here the server tried for ever to send it something, and served nobody else.
    for max_packet in [0, 8, (1 << 31) + 1] {
        let mut wire = Wire::new();
        let opener = Opener::new(Arc::clone(&wire.0.shared));
        let mut opening = pin!(opener.open("forwarded-tcpip", b""));
        let mut context = TaskContext::from_waker(Waker::noop());
        assert!(opening.as_mut().poll(&mut context).is_pending());
        let mut confirmation = message(91, 0);
        for number in [9, WINDOW, max_packet] {
            put_number(&mut confirmation, number);
        }
        let violation = Violation::MaxPacket { channel: 0, max_packet };
        assert_eq!(wire.receive(&confirmation), Err(violation));
        assert!(matches!(opening.as_mut().poll(&mut context), Poll::Ready(Err(_))));
    }
}

#[test]
fn a_sign_of_life_is_asked_for_on_a_channel_that_is_open() {
    let mut wire = Wire::new();
    wire.0.keepalive();
    assert_eq!(wire.numbers(), [] as [u8; 0]);
    let channel = wire.channel(0);
    write(&channel, 1 << 20).unwrap().unwrap();
    wire.0.keepalive();
    assert_eq!(wire.numbers(), [98]);
}

#[test]
fn a_channel_that_the_client_does_not_close_keeps_it_from_being_asked_on_no_other() {
    // Nothing was asked as long as that was the first one: silent commands on the others died after five minutes.
    let mut wire = Wire::new();
    let over = wire.channel(WINDOW);
    over.output.close();
    assert_eq!(wire.numbers(), [97]);
    wire.0.keepalive();
    assert_eq!(wire.numbers(), [80]);
    let _open = wire.channel(WINDOW);
    wire.0.keepalive();
    assert_eq!(wire.numbers(), [98]);
}

#[test]
fn a_client_for_which_something_is_listened_on_is_asked_without_channels_too() {
    // It was cut off after five minutes, idle forwards and all.
    let mut wire = Wire::new();
    wire.0.answers_requests = true;
    wire.0.keepalive();
    assert_eq!(wire.numbers(), [80]);
}

#[test]
fn an_open_whose_task_panics_is_refused() {
    // The client waited for ever.
    let wire = Wire::new();
    let pending = PendingOpen::new(&wire.0.shared, 5);
    assert_eq!(wire.0.shared.lock().count(), 1);
    drop(pending);
    assert_eq!(wire.refusal(), (CONNECT_FAILED, "the server failed".to_owned()));
    assert_eq!(wire.0.shared.lock().count(), 0);
}

#[test]
fn as_many_forwardings_as_may_be_are_granted_at_once() {
    // Of 128, which OpenSSH asks for in one go, 64 failed.
    let mut requests = requests::Waiting::default();
    (0..128).for_each(|number| requests.push(Some(number), true, 60));
    assert_eq!(requests.failures(), 0);
}

//! Forwarding, over a connection without its transport: a client in memory, sockets on loopback.

mod from_here;
mod to_client;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::connection::wire::{Reader, put_number, put_string};
use crate::connection::{Connection, Sink};
use crate::context::Context;
use crate::log::{Level, Log, TimeFormat};

const SUCCESS: u8 = 81;
const FAILURE: u8 = 82;
const OPEN: u8 = 90;
const CONFIRMATION: u8 = 91;
const OPEN_FAILURE: u8 = 92;
const WINDOW_ADJUST: u8 = 93;
const DATA: u8 = 94;
const EOF: u8 = 96;
const CLOSE: u8 = 97;
const CHANNEL_FAILURE: u8 = 100;

/// The client's number of its first channel.
const FIRST: u32 = 7;
const WINDOW: u32 = 1 << 20;

/// Longer than anything here takes.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}

/// A client, beyond the transport.
struct Client {
    connection: Connection,
    heard: VecDeque<Vec<u8>>,
}

impl Sink for VecDeque<Vec<u8>> {
    fn has_room(&mut self) -> bool {
        true
    }

    fn packet(&mut self, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        if !packet.is_empty() {
            self.push_back(packet);
        }
    }
}

impl Client {
    fn new() -> Self {
        let log = Log::new(Level::Fatal, TimeFormat::UnixEpoch, None);
        Self {
            connection: Connection::new(Arc::new(Context::example()), log),
            heard: VecDeque::new(),
        }
    }

    fn say(&mut self, packet: &[u8]) {
        assert!(self.connection.message(packet).unwrap(), "{packet:?}");
    }

    async fn hear(&mut self) -> Vec<u8> {
        loop {
            if let Some(packet) = self.heard.pop_front() {
                return packet;
            }
            soon(poll_fn(|context| self.connection.poll_write(context))).await;
            self.connection.write(&mut self.heard);
        }
    }

    /// The next message that is no window adjustment.
    async fn hear_else(&mut self) -> Vec<u8> {
        loop {
            let packet = self.hear().await;
            if packet[0] != WINDOW_ADJUST {
                return packet;
            }
        }
    }

    /// Opens a channel; what is answered.
    async fn open(&mut self, kind: &str, extra: &[u8]) -> Vec<u8> {
        self.ask_for(kind, FIRST, extra);
        self.hear().await
    }

    fn ask_for(&mut self, kind: &str, channel: u32, extra: &[u8]) {
        let mut packet = message(OPEN, &[]);
        put_string(&mut packet, kind.as_bytes());
        for number in [channel, WINDOW, 32_768] {
            put_number(&mut packet, number);
        }
        packet.extend_from_slice(extra);
        self.say(&packet);
    }

    /// Opens a channel that is confirmed; its number at the server.
    async fn opened(&mut self, kind: &str, extra: &[u8]) -> u32 {
        let answer = self.open(kind, extra).await;
        assert_eq!(answer[0], CONFIRMATION, "{}", answer.escape_ascii());
        numbers(&answer)[1]
    }

    /// The server's open of a channel: its type, its number there and what belongs to the type.
    async fn offered(&mut self) -> (String, u32, Vec<u8>) {
        let packet = self.hear_else().await;
        assert_eq!(packet[0], OPEN, "{}", packet.escape_ascii());
        let mut reader = Reader::new(&packet[1..]);
        let kind = reader.text().unwrap();
        let channel = reader.number().unwrap();
        (kind.clone(), channel, packet[1 + 4 + kind.len() + 12..].to_vec())
    }

    fn confirm(&mut self, channel: u32) {
        self.say(&message(CONFIRMATION, &[channel, FIRST, WINDOW, 32_768]));
    }

    fn send(&mut self, channel: u32, data: &[u8]) {
        let mut packet = message(DATA, &[channel]);
        put_string(&mut packet, data);
        self.say(&packet);
    }

    /// All data until something else comes, and that.
    async fn receive(&mut self) -> (Vec<u8>, Vec<u8>) {
        let mut data = Vec::new();
        loop {
            let packet = self.hear_else().await;
            if packet[0] != DATA {
                return (data, packet);
            }
            data.extend_from_slice(&packet[9..]);
        }
    }

    /// A request about the connection; what is answered.
    async fn request(&mut self, name: &str, payload: &[u8]) -> Vec<u8> {
        let mut packet = message(80, &[]);
        put_string(&mut packet, name.as_bytes());
        packet.push(1);
        packet.extend_from_slice(payload);
        self.say(&packet);
        self.hear_else().await
    }

    /// Lets what runs in the channels go on for a while.
    async fn nothing_is_heard(&mut self) {
        let connection = &mut self.connection;
        let written =
            timeout(Duration::from_millis(200), poll_fn(|context| connection.poll_write(context)))
                .await;
        assert!(written.is_err() && self.heard.is_empty());
    }
}

fn message(number: u8, numbers: &[u32]) -> Vec<u8> {
    let mut packet = vec![number];
    for &number in numbers {
        put_number(&mut packet, number);
    }
    packet
}

/// All the numbers of a message that has nothing else.
fn numbers(packet: &[u8]) -> Vec<u32> {
    packet[1..].as_chunks().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect()
}

/// An address and a port, as most messages here have them.
fn endpoint(address: &str, port: u16) -> Vec<u8> {
    let mut extra = Vec::new();
    put_string(&mut extra, address.as_bytes());
    put_number(&mut extra, port.into());
    extra
}

fn text(text: &str) -> Vec<u8> {
    let mut extra = Vec::new();
    put_string(&mut extra, text.as_bytes());
    extra
}

async fn read_to_end(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

async fn write(stream: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) {
    soon(stream.write_all(bytes)).await.unwrap();
}

//! Tests: a client that does what it is told, at the other end of a channel.

use std::sync::Arc;

use super::channel::Channel;
use super::flow::ChannelState;
use super::messages::{self, Message, Peer};
use super::state::{Shared, Sink};

/// Our number of the channel.
const NUMBER: u32 = 0;
/// The client's number of the channel.
const ITS_NUMBER: u32 = 7;

/// The client of one channel.
pub(crate) struct Client(Arc<Shared>);

/// What the client got.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The channel's data.
    pub(crate) output: Vec<u8>,
    /// Its extended data.
    pub(crate) errors: Vec<u8>,
    /// How many messages of data they came in.
    pub(crate) messages: usize,
    /// By how much the client may send more.
    pub(crate) granted: u32,
}

/// Opens a channel with a client that takes `window` bytes, 32 KiB at a time.
pub(crate) fn open(window: u32) -> (Client, Channel) {
    let shared = Arc::<Shared>::default();
    let peer = Peer { channel: ITS_NUMBER, window, max_packet: 32 << 10 };
    let channel = shared.opened(NUMBER, peer);
    (Client(shared), channel)
}

impl Client {
    fn channel<T>(&self, act: impl FnOnce(&mut ChannelState) -> T) -> T {
        act(self.0.lock().channel(NUMBER).expect("the channel is there"))
    }

    pub(crate) fn send(&self, data: &[u8]) {
        self.channel(|channel| channel.receive(data)).expect("it is within the window");
    }

    pub(crate) fn end(&self) {
        self.channel(ChannelState::receive_eof);
    }

    pub(crate) fn close(&self) {
        self.0.lock().receive_close(NUMBER);
    }

    pub(crate) fn vanish(&self) {
        self.0.lock().lose_connection();
    }

    pub(crate) fn widen(&self, bytes: u32) {
        self.0.lock().widen(NUMBER, bytes);
    }

    /// How many bytes wait to be sent to it.
    pub(crate) fn queued(&self) -> usize {
        self.channel(|channel| channel.queued)
    }

    /// Whether somebody waits for its data.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.channel(|channel| channel.reader.are_some())
    }

    /// Takes what there is, without waiting for more.
    pub(crate) fn receive(&self) -> Received {
        let mut packets = Packets::default();
        self.0.lock().write(&mut packets);
        packets.0
    }
}

#[derive(Default)]
struct Packets(Received);

impl Sink for Packets {
    fn has_room(&mut self) -> bool {
        true
    }

    fn packet(&mut self, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut packet = Vec::new();
        write(&mut packet);
        match messages::parse(&packet) {
            Ok(Some(Message::Data { data, .. })) => {
                self.0.output.extend_from_slice(data);
                self.0.messages += 1;
            }
            Ok(Some(Message::ExtendedData { data, .. })) => {
                self.0.errors.extend_from_slice(data);
                self.0.messages += 1;
            }
            Ok(Some(Message::WindowAdjust { bytes, .. })) => self.0.granted += bytes,
            other => panic!("{other:?}"),
        }
    }
}

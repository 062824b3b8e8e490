//! One channel: what waits to be sent and to be read, and both windows.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::buffers::Buffers;
use super::channel::Stream;
use super::messages::{Peer, RequestKind};
use super::packets::{self, MAX_PACKET, WINDOW};
use super::requests::Waiting;
use super::wakers::Wakers;

/// The most data put into one message, in bytes, to clients that take more.
const MOST_IN_A_PACKET: usize = 64 << 10;
/// Pieces are joined up to this size, in bytes.
const SMALL: usize = 4 << 10;
/// So many bytes read are granted at once.
const GRANT: u32 = 3 * MAX_PACKET;

/// One thing to send, in its turn.
#[derive(Debug)]
pub(super) enum Item {
    /// Data, which needs the client's window.
    Data(Stream, Bytes),
    /// No more data.
    Eof,
    /// How the program exited.
    ExitStatus(u32),
    /// Which signal ended it.
    ExitSignal { name: String, core_dumped: bool },
    /// The end of the channel.
    Close,
}

/// How far our side of a channel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    Open,
    CloseQueued,
    CloseSent,
}

/// How far the client's side of a channel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    Open,
    Eof,
    Closed,
}

/// The state of one channel.
#[derive(Debug)]
pub(super) struct ChannelState {
    /// The client's side; its window is what is left of it.
    peer: Peer,
    outgoing: VecDeque<Item>,
    /// Bytes of data in `outgoing`.
    pub(super) queued: usize,
    /// Those waiting for `queued` to fall.
    pub(super) writers: Wakers,
    sending: Sending,
    /// Data not read yet.
    pub(super) incoming: VecDeque<Bytes>,
    /// What that is in.
    pub(super) buffers: Buffers,
    /// Those waiting for data, for EOF.
    pub(super) reader: Wakers,
    /// Bytes the client may still send.
    window: u32,
    /// Bytes read for which the client has no window back yet.
    consumed: u32,
    receiving: Receiving,
    connection_gone: bool,
    /// Requests not answered yet.
    pub(super) requests: Waiting<RequestKind>,
    /// Those waiting for requests, for the close.
    pub(super) requester: Wakers,
    service_ended: bool,
    /// In the connection's list of channels with something to send.
    pub(super) scheduled: bool,
}

/// A client that sent more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WindowExceeded;

impl ChannelState {
    /// A channel just opened.
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            peer,
            outgoing: VecDeque::new(),
            queued: 0,
            writers: Wakers::default(),
            sending: Sending::Open,
            incoming: VecDeque::new(),
            buffers: Buffers::default(),
            reader: Wakers::default(),
            window: WINDOW,
            consumed: 0,
            receiving: Receiving::Open,
            connection_gone: false,
            requests: Waiting::default(),
            requester: Wakers::default(),
            service_ended: false,
            scheduled: false,
        }
    }

    /// The client's number of the channel.
    pub(super) fn peer(&self) -> u32 {
        self.peer.channel
    }

    /// The client closed it, or is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.receiving == Receiving::Closed || self.connection_gone
    }

    /// No input will come after what is there.
    pub(super) fn input_ended(&self) -> bool {
        self.receiving != Receiving::Open || self.connection_gone
    }

    /// What is written now would not be sent.
    pub(super) fn takes_no_output(&self) -> bool {
        self.sending != Sending::Open || self.is_closed()
    }

    /// Nobody knows the channel any more: neither the client nor a service.
    pub(super) fn is_over(&self) -> bool {
        self.service_ended
            && (self.connection_gone
                || (self.sending == Sending::CloseSent && self.receiving == Receiving::Closed))
    }

    /// `CHANNEL_CLOSE` may not be followed by anything else.
    pub(super) fn may_answer(&self) -> bool {
        self.sending != Sending::CloseSent && !self.connection_gone
    }

    /// Queues `item`, unless nothing may follow what is queued.
    pub(super) fn send(&mut self, item: Item) {
        if self.takes_no_output() {
            return;
        }
        match &item {
            Item::Data(_, chunk) if chunk.is_empty() => return,
            Item::Data(stream, chunk) => {
                self.queued += chunk.len();
                if let Some(Item::Data(last_stream, last)) = self.outgoing.back_mut()
                    && last_stream == stream
                    && join(last, chunk)
                {
                    return;
                }
            }
            Item::Close => self.sending = Sending::CloseQueued,
            Item::Eof | Item::ExitStatus(_) | Item::ExitSignal { .. } => {}
        }
        self.outgoing.push_back(item);
    }

    /// Whether [`Self::emit`] would send something.
    pub(super) fn can_emit(&self) -> bool {
        match self.outgoing.front() {
            Some(Item::Data(..)) => self.peer.window > 0,
            Some(_) => true,
            None => false,
        }
    }

    /// Appends the next message, if there is one and the window allows it.
    pub(super) fn emit(&mut self, packet: &mut Vec<u8>) {
        let peer = self.peer.channel;
        match self.outgoing.pop_front() {
            Some(Item::Data(stream, chunk)) => self.emit_data(packet, stream, chunk),
            Some(Item::Eof) => packets::put_eof(packet, peer),
            Some(Item::ExitStatus(status)) => packets::put_exit_status(packet, peer, status),
            Some(Item::ExitSignal { name, core_dumped }) => {
                packets::put_exit_signal(packet, peer, &name, core_dumped);
            }
            Some(Item::Close) => {
                packets::put_close(packet, peer);
                self.sending = Sending::CloseSent;
            }
            None => {}
        }
    }

    fn emit_data(&mut self, packet: &mut Vec<u8>, stream: Stream, mut chunk: Bytes) {
        let most = self.peer.window.min(self.peer.max_packet) as usize;
        let length = chunk.len().min(most).min(MOST_IN_A_PACKET);
        if let Some(data) = chunk.get(..length).filter(|data| !data.is_empty()) {
            packets::put_data(packet, self.peer.channel, stream == Stream::Error, data);
            self.peer.window -= u32::try_from(length).unwrap_or(self.peer.window);
            self.queued -= length;
            self.writers.wake();
        }
        chunk.advance(length);
        if !chunk.is_empty() {
            self.outgoing.push_front(Item::Data(stream, chunk));
        }
    }

    /// The client takes `bytes` more.
    pub(super) fn widen(&mut self, bytes: u32) {
        self.peer.window = self.peer.window.saturating_add(bytes);
    }

    /// Data came. What nobody will read counts as read.
    pub(super) fn receive(&mut self, data: &[u8]) -> Result<(), WindowExceeded> {
        self.count(data)?;
        if self.service_ended || self.input_ended() {
            self.consume(data.len());
        } else if !data.is_empty() {
            if !self.incoming.back_mut().is_some_and(|last| join(last, data)) {
                self.incoming.push_back(self.buffers.copy(data));
            }
            self.reader.wake();
        }
        Ok(())
    }

    /// Data of no use came.
    pub(super) fn receive_unwanted(&mut self, data: &[u8]) -> Result<(), WindowExceeded> {
        self.count(data)?;
        self.consume(data.len());
        Ok(())
    }

    fn count(&mut self, data: &[u8]) -> Result<(), WindowExceeded> {
        let length = u32::try_from(data.len()).map_err(|_| WindowExceeded)?;
        self.window = self.window.checked_sub(length).ok_or(WindowExceeded)?;
        Ok(())
    }

    /// `bytes` of the input were read.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.consumed = self.consumed.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// How much window the client is to be given back now, if any.
    pub(super) fn grant(&mut self) -> Option<u32> {
        let is_worth_it = self.consumed >= GRANT || (self.consumed > 0 && self.window < WINDOW / 2);
        (is_worth_it && !self.input_ended() && self.may_answer()).then(|| {
            self.window += self.consumed;
            std::mem::take(&mut self.consumed)
        })
    }

    /// The client sends no more.
    pub(super) fn receive_eof(&mut self) {
        if self.receiving == Receiving::Open {
            self.receiving = Receiving::Eof;
        }
        self.reader.wake();
    }

    /// The client closed the channel: what waits to be sent is void, but for our own close.
    pub(super) fn receive_close(&mut self) {
        self.void_output();
        self.receiving = Receiving::Closed;
        if self.sending != Sending::CloseSent {
            self.sending = Sending::CloseQueued;
            self.outgoing.push_back(Item::Close);
        }
        self.wake_all();
    }

    /// The client is gone.
    pub(super) fn lose_connection(&mut self) {
        self.void_output();
        self.connection_gone = true;
        self.wake_all();
    }

    /// The last handle of the channel's service was dropped.
    pub(super) fn end_service(&mut self) {
        self.service_ended = true;
        let unread: usize = self.incoming.drain(..).map(|chunk| chunk.len()).sum();
        self.consume(unread);
        self.send(Item::Close);
    }

    fn void_output(&mut self) {
        self.outgoing.clear();
        self.queued = 0;
    }

    fn wake_all(&mut self) {
        self.writers.wake();
        self.reader.wake();
        self.requester.wake();
    }
}

/// Appends a small piece to a small one, if nobody else holds that: on their own, pieces of one byte
/// take fifty times their size in memory.
fn join(last: &mut Bytes, piece: &[u8]) -> bool {
    if last.is_empty() || last.len() + piece.len() > SMALL {
        return false;
    }
    match std::mem::take(last).try_into_mut() {
        Ok(mut joined) => {
            joined.extend_from_slice(piece);
            *last = joined.freeze();
            true
        }
        Err(shared) => {
            *last = shared;
            false
        }
    }
}

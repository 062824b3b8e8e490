//! The connection protocol (RFC 4254) of one client: channels with windows both ways, their requests,
//! requests about the connection.
//!
//! The transport hands every message in and asks for messages to send; what runs in a channel is a task
//! of its own that holds a [`channel::Channel`]. Nothing a client sends takes memory without a bound:
//! input waits within the window, requests in `Waiting`, output within `MOST_QUEUED`.

pub mod buffers;
pub mod channel;
mod flow;
pub mod globals;
pub mod messages;
pub mod opener;
mod packets;
mod requests;
#[cfg(test)]
pub(crate) mod scripted;
mod state;
mod wakers;
pub mod wire;

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tokio::task::{JoinError, JoinSet};

use crate::context::Context;
use crate::forward::{self, Lookups};
use crate::log::Log;
use crate::session;

use self::channel::Channel;
use self::flow::{ChannelState, WindowExceeded};
use self::globals::GlobalRequests;
use self::messages::{Malformed, Message, Open, OpenKind, Peer};
use self::opener::Opener;
pub use self::state::{Farewell, Sink};
use self::state::{MOST_CHANNELS, Shared};

/// RFC 4254 5.1.
const CONNECT_FAILED: u32 = 2;
const UNKNOWN_CHANNEL_TYPE: u32 = 3;
const RESOURCE_SHORTAGE: u32 = 4;
/// Bounds for the largest message a client says it takes (contract sshd 8).
const PACKET_BOUNDS: std::ops::RangeInclusive<u32> = 9..=1 << 31;
/// So many short messages may wait for a client that does not read; then its messages wait too.
const MOST_CONTROL: usize = 256;
/// So many may wait while keys are exchanged: some 1 MiB.
const FLOOD: usize = 16 << 10;

/// Why a channel is not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// RFC 4254 5.1.
    pub reason: u32,
    /// For people.
    pub text: Vec<u8>,
}

impl Refusal {
    /// The other end cannot be reached, in `text`'s words.
    pub fn connect_failed(text: impl Into<Vec<u8>>) -> Self {
        Self { reason: CONNECT_FAILED, text: text.into() }
    }
}

/// Why a connection cannot go on: the client broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message that cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message for a channel that is not open.
    #[error("message for channel {0}, which is not open")]
    NoChannel(u32),
    /// More data than the window allows.
    #[error("more data on channel {0} than its window allows")]
    WindowExceeded(u32),
    /// A channel of ours to which nothing could be sent, or more than a message has room for.
    #[error("channel {channel} takes messages of {max_packet} bytes")]
    MaxPacket {
        /// Our number of it.
        channel: u32,
        /// What the client says it takes, in bytes.
        max_packet: u32,
    },
}

/// One client's connection, above the transport.
#[derive(Debug)]
pub struct Connection {
    context: Arc<Context>,
    log: Log,
    shared: Arc<Shared>,
    pub(crate) lookups: Lookups,
    /// What runs in the channels.
    tasks: JoinSet<()>,
    /// Whether the task that answers forwarding requests was started.
    answers_requests: bool,
}

impl Connection {
    /// A connection with no channel yet.
    pub fn new(context: Arc<Context>, log: Log) -> Self {
        Self {
            context,
            log,
            shared: Arc::default(),
            lookups: Lookups::default(),
            tasks: JoinSet::new(),
            answers_requests: false,
        }
    }

    /// Takes one message; those that are not of the connection protocol count as unknown to it: `Ok(false)`.
    pub fn message(&mut self, packet: &[u8]) -> Result<bool, Violation> {
        let Some(message) = messages::parse(packet)? else { return Ok(false) };
        match message {
            Message::Open(open) => self.open(&open),
            Message::OpenConfirmation { channel, peer } => {
                let waiting = self
                    .shared
                    .lock()
                    .take_opening(channel)
                    .ok_or(Violation::NoChannel(channel))?;
                if !PACKET_BOUNDS.contains(&peer.max_packet) {
                    return Err(Violation::MaxPacket { channel, max_packet: peer.max_packet });
                }
                // With nobody waiting any more the channel is dropped, which closes it.
                drop(waiting.send(Ok(self.shared.opened(channel, peer))));
            }
            Message::OpenFailure { channel, reason } => {
                let waiting = self
                    .shared
                    .lock()
                    .take_opening(channel)
                    .ok_or(Violation::NoChannel(channel))?;
                drop(waiting.send(Err(reason)));
            }
            Message::GlobalRequest { kind, want_reply } => {
                let is_known = kind.is_some();
                self.shared.lock().global_request(kind, want_reply, packet.len());
                self.answer_requests(is_known);
            }
            Message::Data { channel, data } => {
                self.receive(channel, |state| state.receive(data))?;
            }
            Message::ExtendedData { channel, data } => {
                self.receive(channel, |state| state.receive_unwanted(data))?;
            }
            Message::WindowAdjust { channel, bytes } => self.shared.lock().widen(channel, bytes),
            Message::Eof { channel } => self.with_channel(channel, ChannelState::receive_eof),
            Message::Close { channel } => self.shared.lock().receive_close(channel),
            Message::ChannelRequest { channel, kind, want_reply } => {
                self.with_channel(channel, |state| {
                    state.requests.push(kind, want_reply, packet.len());
                    state.requester.wake();
                });
                self.shared.lock().settle_requests(channel);
            }
            Message::GlobalReply | Message::ChannelReply => {}
        }
        Ok(true)
    }

    /// Data for a channel: an unknown one cannot be told from a client that lost count, so it ends the connection.
    fn receive(
        &self,
        number: u32,
        receive: impl FnOnce(&mut ChannelState) -> Result<(), WindowExceeded>,
    ) -> Result<(), Violation> {
        let mut state = self.shared.lock();
        let channel = state.channel(number).ok_or(Violation::NoChannel(number))?;
        receive(channel).map_err(|WindowExceeded| Violation::WindowExceeded(number))?;
        state.grant(number);
        Ok(())
    }

    /// Messages without data for channels that are over are no harm.
    fn with_channel(&self, number: u32, change: impl FnOnce(&mut ChannelState)) {
        if let Some(channel) = self.shared.lock().channel(number) {
            change(channel);
        }
    }

    fn open(&mut self, open: &Open) {
        self.log.debug(
            "handle-new-channels.new-channel",
            &[("channelType", open.kind.name().as_ref().into())],
        );
        if let Err(refusal) = self.try_open(open) {
            let text = String::from_utf8_lossy(&refusal.text);
            self.log
                .debug("handle-new-channels.rejecting-channel", &[("error", text.as_ref().into())]);
            self.shared.lock().refuse(open.peer.channel, &refusal);
        }
    }

    fn try_open(&mut self, open: &Open) -> Result<(), Refusal> {
        if let OpenKind::Unknown(name) = &open.kind {
            return Err(Refusal { reason: UNKNOWN_CHANNEL_TYPE, text: name.clone() });
        }
        if !PACKET_BOUNDS.contains(&open.peer.max_packet) {
            return Err(Refusal::connect_failed("invalid request"));
        }
        if self.shared.lock().count() >= MOST_CHANNELS {
            return Err(Refusal { reason: RESOURCE_SHORTAGE, text: b"too many channels".into() });
        }
        match &open.kind {
            OpenKind::Session => self.serve_session(open),
            OpenKind::DirectTcp(_) | OpenKind::DirectStreamLocal(_) => self.serve_forward(open),
            OpenKind::Malformed | OpenKind::Unknown(_) => {
                return Err(Refusal::connect_failed("Failed to parse open channel message"));
            }
        }
        Ok(())
    }

    fn serve_session(&mut self, open: &Open) {
        let channel = self.shared.confirm(open.peer);
        self.tasks.spawn(session::serve(channel, Arc::clone(&self.context)));
    }

    /// The channel is confirmed once the other end is reached.
    fn serve_forward(&mut self, open: &Open) {
        let (shared, lookups, log) =
            (Arc::clone(&self.shared), self.lookups.clone(), self.log.clone());
        let (kind, peer) = (open.kind.clone(), open.peer);
        let pending = PendingOpen::new(&shared, peer.channel);
        self.tasks.spawn(async move {
            let outcome = tokio::select! {
                outcome = forward::open(kind, &lookups, &log) => outcome,
                () = shared.gone() => return,
            };
            match outcome {
                Ok(connected) => connected.serve(pending.confirm(peer)).await,
                Err(refusal) => pending.refuse(refusal),
            }
        });
    }

    /// Starts the task that answers requests about forwarding when the first one comes.
    fn answer_requests(&mut self, is_known: bool) {
        if is_known && !std::mem::replace(&mut self.answers_requests, true) {
            let requests = GlobalRequests::new(Arc::clone(&self.shared));
            let opener = Opener::new(Arc::clone(&self.shared));
            let (lookups, log) = (self.lookups.clone(), self.log.clone());
            self.tasks.spawn(forward::listen(requests, opener, lookups, log));
        }
    }

    /// Whether more of the client's messages should be taken now.
    pub fn takes_messages(&self) -> bool {
        self.shared.lock().control_waiting() < MOST_CONTROL
    }

    /// Whether no client that does what it should has so many answers waiting.
    pub fn is_flooded(&self) -> bool {
        self.shared.lock().control_waiting() >= FLOOD
    }

    /// Puts into `out` what is to be sent.
    pub fn write(&mut self, out: &mut impl Sink) {
        self.shared.lock().write(out);
    }

    /// Ready when [`Self::write`] has something to put.
    pub fn poll_write(&mut self, context: &TaskContext<'_>) -> Poll<()> {
        self.shared.lock().poll_write(context)
    }

    /// The next channel task that ended by a panic.
    pub fn poll_panic(&mut self, context: &mut TaskContext<'_>) -> Poll<JoinError> {
        while let Poll::Ready(Some(ended)) = self.tasks.poll_join_next(context) {
            if let Err(error) = ended {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    }

    /// Gives back memory that was not used since the last call.
    pub fn tick(&mut self) {
        self.shared.lock().tick();
    }

    /// Asks the client for a sign of life, if it has channels or has ever asked for something to be listened on.
    pub fn keepalive(&mut self) {
        self.shared.lock().keepalive(self.answers_requests);
    }

    /// A way to end the connection from elsewhere.
    pub fn ender(&self) -> Ender {
        Ender(Arc::clone(&self.shared))
    }

    /// The message to end the connection with, once it is to end; `context` is woken then.
    pub fn poll_farewell(&mut self, context: &TaskContext<'_>) -> Poll<Farewell> {
        let mut state = self.shared.lock();
        if let Some(farewell) = state.farewell() {
            return Poll::Ready(farewell.clone());
        }
        state.wait(context);
        Poll::Pending
    }

    /// Tells all channels that the client is gone and waits for what runs in them.
    pub async fn end(mut self) {
        self.shared.lock().lose_connection();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// After a panic of the transport: what runs in the channels still ends in its own way.
impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.lock().lose_connection();
        self.tasks.detach_all();
    }
}

/// Ends a connection from elsewhere.
#[derive(Clone, Debug)]
pub struct Ender(Arc<Shared>);

impl Ender {
    /// Has the transport send `farewell` and close.
    pub fn end(&self, farewell: Farewell) {
        self.0.lock().say_farewell(farewell);
    }
}

/// Counts as a channel while one is being opened. Dropped without a channel, by a panic too, it refuses.
struct PendingOpen {
    shared: Arc<Shared>,
    /// The client's number of the channel.
    peer: u32,
    /// `None` once there is a channel.
    refusal: Option<Refusal>,
}

impl PendingOpen {
    fn new(shared: &Arc<Shared>, peer: u32) -> Self {
        shared.lock().pending_opens += 1;
        let refusal = Some(Refusal::connect_failed("the server failed"));
        Self { shared: Arc::clone(shared), peer, refusal }
    }

    fn confirm(mut self, peer: Peer) -> Channel {
        self.refusal = None;
        self.shared.confirm(peer)
    }

    fn refuse(mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
    }
}

impl Drop for PendingOpen {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.pending_opens -= 1;
        if let Some(refusal) = &self.refusal {
            state.refuse(self.peer, refusal);
        }
    }
}

#[cfg(test)]
mod tests;

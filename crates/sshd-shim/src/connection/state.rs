//! The state of one connection, shared by the transport's task and the services of its channels.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use super::Refusal;
use super::channel::Channel;
use super::flow::{ChannelState, Item};
use super::messages::{GlobalRequest, Peer};
use super::packets;
use super::requests::Waiting;
use super::wakers::Wakers;

/// How many channels one connection may have, those being opened included.
pub(super) const MOST_CHANNELS: usize = 1024;

/// A connection's state behind its lock, which nobody holds for longer than a few instructions.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

/// A message to end the connection with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Farewell {
    /// RFC 4253 11.1.
    pub reason: u32,
    /// For people.
    pub text: String,
}

/// What a client answered to a channel of ours: the channel, or the reason of its refusal.
pub(super) type Opened = Result<Channel, u32>;

/// Everything about one connection above the transport.
#[derive(Debug, Default)]
pub(super) struct State {
    channels: HashMap<u32, ChannelState>,
    last_channel: u32,
    /// Channels we asked the client for.
    opening: HashMap<u32, oneshot::Sender<Opened>>,
    /// Channels the client asked for that are not confirmed yet.
    pub(super) pending_opens: usize,
    /// Short messages that go ahead of all data.
    control: VecDeque<Vec<u8>>,
    /// Channels with something to send, each once.
    ready: VecDeque<u32>,
    /// The transport's task.
    writer: Option<Waker>,
    /// Requests about the connection.
    pub(super) requests: Waiting<GlobalRequest>,
    /// The task that answers them.
    pub(super) requester: Wakers,
    farewell: Option<Farewell>,
    gone: bool,
    gone_watchers: Wakers,
}

impl Shared {
    /// The state. A panic elsewhere while it was locked does not matter: every change is whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the channel whose other side is `peer`, with a number of our choice, and says yes to the client.
    pub(super) fn confirm(self: &Arc<Self>, peer: Peer) -> Channel {
        let mut state = self.lock();
        let number = state.next_number();
        state.add(number, peer);
        state.control(packets::open_confirmation(peer, number));
        drop(state);
        Channel::new(Arc::clone(self), number)
    }

    /// Makes the channel `number` that we asked the client for and whose other side is `peer`.
    pub(super) fn opened(self: &Arc<Self>, number: u32, peer: Peer) -> Channel {
        self.lock().add(number, peer);
        Channel::new(Arc::clone(self), number)
    }

    /// Returns when the connection is gone.
    pub(super) async fn gone(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.lock();
            if state.gone {
                return Poll::Ready(());
            }
            state.gone_watchers.register(context);
            Poll::Pending
        })
        .await;
    }
}

impl State {
    /// The channel with our number `number`, while anybody knows it.
    pub(super) fn channel(&mut self, number: u32) -> Option<&mut ChannelState> {
        self.channels.get_mut(&number)
    }

    /// How many channels there are, those being opened included.
    pub(super) fn count(&self) -> usize {
        self.channels.len() + self.opening.len() + self.pending_opens
    }

    fn next_number(&mut self) -> u32 {
        loop {
            let number = self.last_channel;
            self.last_channel = number.wrapping_add(1);
            if !self.channels.contains_key(&number) && !self.opening.contains_key(&number) {
                return number;
            }
        }
    }

    fn add(&mut self, number: u32, peer: Peer) {
        let mut channel = ChannelState::new(peer);
        if self.gone {
            channel.lose_connection();
        }
        self.channels.insert(number, channel);
    }

    /// Asks the client for a channel; `None` if there are too many or the client is gone.
    pub(super) fn open(
        &mut self,
        kind: &str,
        extra: &[u8],
    ) -> Option<(u32, oneshot::Receiver<Opened>)> {
        if self.gone || self.count() >= MOST_CHANNELS {
            return None;
        }
        let number = self.next_number();
        let (sender, receiver) = oneshot::channel();
        self.opening.insert(number, sender);
        self.control(packets::open(kind, number, extra));
        Some((number, receiver))
    }

    /// Who waits for the client's answer to a channel of ours, if we asked for one of that number.
    pub(super) fn take_opening(&mut self, number: u32) -> Option<oneshot::Sender<Opened>> {
        self.opening.remove(&number)
    }

    /// Says no to a channel the client asked for.
    pub(super) fn refuse(&mut self, peer: u32, refusal: &Refusal) {
        self.control(packets::open_failure(peer, refusal.reason, &refusal.text));
    }

    /// A request about the connection came, in a packet of `size` bytes; `None` for one that fails.
    pub(super) fn global_request(
        &mut self,
        kind: Option<GlobalRequest>,
        want_reply: bool,
        size: usize,
    ) {
        self.requests.push(kind, want_reply, size);
        self.requester.wake();
        self.settle_globals();
    }

    /// Answers the request about the connection that was taken last, and those after it that fail.
    pub(super) fn answer_global(&mut self, want_reply: bool, success: Option<&[u8]>) {
        self.requests.answered();
        if want_reply {
            self.control(packets::global_reply(success));
        }
        self.settle_globals();
    }

    fn settle_globals(&mut self) {
        for _ in 0..self.requests.failures_due() {
            self.control(packets::global_reply(None));
        }
    }

    /// Nobody answers requests about the connection any more.
    pub(super) fn refuse_globals(&mut self) {
        self.requests.refuse();
        self.settle_globals();
    }

    /// Queues a short message.
    pub(super) fn control(&mut self, packet: Vec<u8>) {
        if !self.gone {
            self.control.push_back(packet);
            self.wake_writer();
        }
    }

    /// How many short messages wait, to be sent or for the answers before them.
    pub(super) fn control_waiting(&self) -> usize {
        self.control.len() + self.requests.failures()
    }

    /// Queues `item` on a channel.
    pub(super) fn send(&mut self, number: u32, item: Item) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.send(item);
            self.schedule(number);
        }
    }

    /// Gives window to the channel's output.
    pub(super) fn widen(&mut self, number: u32, bytes: u32) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.widen(bytes);
            self.schedule(number);
        }
    }

    /// The client closed the channel.
    pub(super) fn receive_close(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.receive_close();
            self.schedule(number);
            self.settle_requests(number);
            self.forget_if_over(number);
        }
    }

    fn schedule(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number)
            && !channel.scheduled
            && channel.can_emit()
        {
            channel.scheduled = true;
            self.ready.push_back(number);
            self.wake_writer();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Bytes of a channel's input were read: the client may send as many more.
    pub(super) fn consume(&mut self, number: u32, bytes: usize) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.consume(bytes);
            self.grant(number);
        }
    }

    /// Gives the client its window back, if it is time.
    pub(super) fn grant(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number)
            && let Some(bytes) = channel.grant()
        {
            let packet = packets::window_adjust(channel.peer(), bytes);
            self.control(packet);
        }
    }

    /// Answers a request that was taken, and those after it that fail by themselves.
    pub(super) fn answer(&mut self, number: u32, want_reply: bool, success: bool) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.requests.answered();
        let answer = (want_reply && channel.may_answer())
            .then(|| packets::channel_reply(channel.peer(), success));
        if let Some(answer) = answer {
            self.control(answer);
        }
        self.settle_requests(number);
    }

    /// Nobody takes the channel's requests any more.
    pub(super) fn refuse_requests(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.requests.refuse();
            self.settle_requests(number);
        }
    }

    /// Sends the failures that are due.
    pub(super) fn settle_requests(&mut self, number: u32) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let failures = channel.requests.failures_due();
        if channel.may_answer() {
            let failure = packets::channel_reply(channel.peer(), false);
            (0..failures).for_each(|_| self.control(failure.clone()));
        }
    }

    /// Asks the client for a sign of life, ahead of all output that waits: on a channel (contract sshd 9.2) that
    /// takes requests; about the connection if there is none but the client waits for something: `is_waiting`,
    /// or channels that are being opened or that it has not closed.
    pub(super) fn keepalive(&mut self, is_waiting: bool) {
        if let Some(channel) = self.channels.values().find(|channel| channel.may_answer()) {
            let request = packets::keepalive(channel.peer());
            self.control(request);
        } else if is_waiting || self.count() > 0 {
            self.control(packets::global_keepalive());
        }
    }

    /// The service of a channel ended: what it wrote is still sent, then the channel is closed.
    pub(super) fn end_service(&mut self, number: u32) {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.end_service();
            self.grant(number);
            self.schedule(number);
            self.forget_if_over(number);
        }
    }

    fn forget_if_over(&mut self, number: u32) {
        if self.channels.get(&number).is_some_and(ChannelState::is_over) {
            self.channels.remove(&number);
        }
    }

    /// Puts messages into `packet`s as long as `has_room` says so: the short ones, then one of each
    /// channel in turn. `packet` is called with the writer of one message.
    pub(super) fn write(&mut self, out: &mut impl Sink) {
        for packet in self.control.drain(..) {
            out.packet(&mut |buffer| buffer.extend_from_slice(&packet));
        }
        while out.has_room()
            && let Some(number) = self.ready.pop_front()
        {
            let Some(channel) = self.channels.get_mut(&number) else { continue };
            out.packet(&mut |buffer| channel.emit(buffer));
            if channel.can_emit() {
                self.ready.push_back(number);
            } else {
                channel.scheduled = false;
                self.forget_if_over(number);
            }
        }
    }

    /// Ready when [`Self::write`] would send something; else the task of `context` is woken when it does.
    pub(super) fn poll_write(&mut self, context: &Context<'_>) -> Poll<()> {
        if !self.control.is_empty() || !self.ready.is_empty() {
            return Poll::Ready(());
        }
        self.wait(context);
        Poll::Pending
    }

    /// Has the transport's task woken when there is something to send or the connection is to end.
    pub(super) fn wait(&mut self, context: &Context<'_>) {
        if !self.writer.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.writer = Some(context.waker().clone());
        }
    }

    /// Ends the connection with a message to the client; the first one counts.
    pub(super) fn say_farewell(&mut self, farewell: Farewell) {
        self.farewell.get_or_insert(farewell);
        self.wake_writer();
    }

    /// The message to end the connection with, if it is to end.
    pub(super) fn farewell(&self) -> Option<&Farewell> {
        self.farewell.as_ref()
    }

    /// The client is gone: everybody who waits for it is told.
    pub(super) fn lose_connection(&mut self) {
        self.gone = true;
        self.control.clear();
        self.ready.clear();
        self.opening.clear();
        self.channels.values_mut().for_each(ChannelState::lose_connection);
        self.channels.retain(|_, channel| !channel.is_over());
        self.requester.wake();
        self.gone_watchers.wake();
    }

    /// Gives back memory that was not used since the last call.
    pub(super) fn tick(&mut self) {
        self.channels.values_mut().for_each(|channel| channel.buffers.tick());
    }

    /// Whether the client is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }
}

/// Where messages are put: the transport.
pub trait Sink {
    /// Whether more should be put.
    fn has_room(&mut self) -> bool;
    /// Puts the message that `write` appends; none if it appends nothing.
    fn packet(&mut self, write: &mut dyn FnMut(&mut Vec<u8>));
}

//! What the service of a channel holds: the client's requests, what it sends, and the way back to it.
//!
//! All are handles on the connection's state. Once the last handle of a channel is dropped, by the
//! service's end or its panic, what was written is still sent and the channel is closed.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::flow::Item;
use super::messages::RequestKind;
use super::state::Shared;

/// How many bytes of output may wait in a channel before writers wait.
const MOST_QUEUED: usize = 128 << 10;

/// A channel that is open.
#[derive(Debug)]
pub struct Channel {
    /// What the client asks for.
    pub requests: Requests,
    /// What the client sends.
    pub input: Input,
    /// What is sent to the client.
    pub output: Output,
}

/// A channel's number in its connection; the last one dropped ends the channel.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    channel: u32,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().end_service(self.channel);
    }
}

impl Channel {
    /// The handles of the channel with our number `channel`; made once for each.
    pub(super) fn new(shared: Arc<Shared>, channel: u32) -> Self {
        let handle = Arc::new(Handle { shared, channel });
        Self {
            requests: Requests(Arc::clone(&handle)),
            input: Input { handle: Arc::clone(&handle), unread: 0 },
            output: Output(handle),
        }
    }
}

/// The client's requests, in their order. Those unknown or malformed fail by themselves; once this is
/// dropped, all do.
#[derive(Debug)]
pub struct Requests(Arc<Handle>);

impl Requests {
    /// The next request; `None` once the client closed the channel or the connection is gone.
    pub async fn next(&mut self) -> Option<Request> {
        let handle = &self.0;
        poll_fn(|context| {
            let mut state = handle.shared.lock();
            let Some(channel) = state.channel(handle.channel) else { return Poll::Ready(None) };
            if let Some((kind, want_reply)) = channel.requests.take() {
                let reply =
                    Reply { handle: Arc::clone(handle), wanted: want_reply, success: false };
                return Poll::Ready(Some(Request { kind, reply }));
            }
            if channel.is_closed() {
                return Poll::Ready(None);
            }
            channel.requester.register(context);
            Poll::Pending
        })
        .await
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.0.shared.lock().refuse_requests(self.0.channel);
    }
}

/// One request of a client.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub kind: RequestKind,
    /// The answer to be given.
    pub reply: Reply,
}

impl Request {
    /// Answers with success, if the client wants an answer.
    pub fn succeed(self) {
        self.reply.succeed();
    }

    /// Answers with failure, if the client wants an answer.
    pub fn fail(self) {
        self.reply.fail();
    }
}

/// The answer to one request, failure if it is dropped.
#[derive(Debug)]
pub struct Reply {
    handle: Arc<Handle>,
    wanted: bool,
    success: bool,
}

impl Reply {
    /// Answers with success, if the client wants an answer.
    pub fn succeed(mut self) {
        self.success = true;
    }

    /// Answers with failure, if the client wants an answer.
    pub fn fail(self) {
        drop(self);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.handle.shared.lock().answer(self.handle.channel, self.wanted, self.success);
    }
}

/// What the client sends.
#[derive(Debug)]
pub struct Input {
    handle: Arc<Handle>,
    /// Bytes of the chunk given last, which count as read at the next call.
    unread: usize,
}

impl Input {
    /// The next chunk; `None` at the client's EOF, when it closed the channel, or when it is gone.
    /// The client may send more once the call after shows that the chunk was consumed.
    pub async fn next(&mut self) -> Option<Bytes> {
        let consumed = std::mem::take(&mut self.unread);
        let handle = &self.handle;
        handle.shared.lock().consume(handle.channel, consumed);
        let chunk = poll_fn(|context| {
            let mut state = handle.shared.lock();
            let Some(channel) = state.channel(handle.channel) else { return Poll::Ready(None) };
            if let Some(chunk) = channel.incoming.pop_front() {
                return Poll::Ready(Some(chunk));
            }
            if channel.input_ended() {
                return Poll::Ready(None);
            }
            channel.reader.register(context);
            Poll::Pending
        })
        .await?;
        self.unread = chunk.len();
        Some(chunk)
    }

    /// Whether [`Self::next`] has something to give without waiting, be it the end.
    pub fn ready(&self) -> bool {
        let mut state = self.handle.shared.lock();
        state
            .channel(self.handle.channel)
            .is_none_or(|channel| !channel.incoming.is_empty() || channel.input_ended())
    }
}

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The channel's stream.
    Out,
    /// Extended data of type 1.
    Error,
}

/// The client takes no more: it closed the channel, or it is gone, or [`Output::close`] was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the channel is closed")]
pub struct Closed;

/// The way to the client. What is sent arrives in the order of the calls.
#[derive(Clone, Debug)]
pub struct Output(Arc<Handle>);

impl Output {
    /// Sends `chunk` as `stream`. Waits while much is queued already: until the client reads.
    pub async fn write(&self, stream: Stream, chunk: Bytes) -> Result<(), Closed> {
        let handle = &self.0;
        poll_fn(|context| {
            let mut state = handle.shared.lock();
            let channel = state.channel(handle.channel).ok_or(Closed)?;
            if channel.takes_no_output() {
                return Poll::Ready(Err(Closed));
            }
            if channel.queued < MOST_QUEUED {
                return Poll::Ready(Ok(()));
            }
            channel.writers.register(context);
            Poll::Pending
        })
        .await?;
        handle.shared.lock().send(handle.channel, Item::Data(stream, chunk));
        Ok(())
    }

    /// Tells the client that no more output comes.
    pub fn eof(&self) {
        self.send(Item::Eof);
    }

    /// Tells the client how the program exited.
    pub fn exit_status(&self, status: u32) {
        self.send(Item::ExitStatus(status));
    }

    /// Tells the client which signal ended the program; `name` without `SIG`.
    pub fn exit_signal(&self, name: &str, core_dumped: bool) {
        self.send(Item::ExitSignal { name: name.to_owned(), core_dumped });
    }

    /// Closes the channel after what was sent so far.
    pub fn close(&self) {
        self.send(Item::Close);
    }

    /// Whether nothing that is written would reach the client.
    pub fn is_closed(&self) -> bool {
        let mut state = self.0.shared.lock();
        state.channel(self.0.channel).is_none_or(|channel| channel.takes_no_output())
    }

    /// Returns when the client has closed the channel or is gone.
    pub async fn closed(&self) {
        let handle = &self.0;
        poll_fn(|context| {
            let mut state = handle.shared.lock();
            let Some(channel) = state.channel(handle.channel) else { return Poll::Ready(()) };
            if channel.is_closed() {
                return Poll::Ready(());
            }
            channel.requester.register(context);
            Poll::Pending
        })
        .await;
    }

    fn send(&self, item: Item) {
        self.0.shared.lock().send(self.0.channel, item);
    }
}

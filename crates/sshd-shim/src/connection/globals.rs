//! Requests about the connection, handed to who answers them.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use super::messages::GlobalRequest;
use super::state::Shared;

/// The requests about the connection that are known and well formed, in their order. The next one is given
/// out once the one before has its answer; when this is dropped, all fail.
#[derive(Debug)]
pub struct GlobalRequests(Arc<Shared>);

impl GlobalRequests {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The next request with the answer to be given; `None` when the client is gone.
    pub async fn next(&mut self) -> Option<(GlobalRequest, GlobalReply)> {
        poll_fn(|context| {
            let mut state = self.0.lock();
            if state.is_gone() {
                return Poll::Ready(None);
            }
            if let Some((kind, want_reply)) = state.requests.take() {
                return Poll::Ready(Some((
                    kind,
                    GlobalReply { shared: Arc::clone(&self.0), want_reply, success: None },
                )));
            }
            state.requester.register(context);
            Poll::Pending
        })
        .await
    }
}

impl Drop for GlobalRequests {
    fn drop(&mut self) {
        self.0.lock().refuse_globals();
    }
}

/// The answer to one request, failure if it is dropped.
#[derive(Debug)]
pub struct GlobalReply {
    shared: Arc<Shared>,
    want_reply: bool,
    success: Option<Vec<u8>>,
}

impl GlobalReply {
    /// Answers with success and what belongs to it, if the client wants an answer.
    pub fn succeed(mut self, payload: &[u8]) {
        self.success = Some(payload.into());
    }

    /// Answers with failure, if the client wants an answer.
    pub fn fail(self) {
        drop(self);
    }
}

impl Drop for GlobalReply {
    fn drop(&mut self) {
        self.shared.lock().answer_global(self.want_reply, self.success.as_deref());
    }
}

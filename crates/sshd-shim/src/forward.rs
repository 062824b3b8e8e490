//! Forwarding of connections: from here (`ssh -L`) and to the client (`ssh -R`).

use std::sync::Arc;

use crate::connection::Refusal;
use crate::connection::channel::Channel;
use crate::connection::globals::GlobalRequests;
use crate::connection::messages::OpenKind;
use crate::connection::opener::Opener;
use crate::context::Context;

/// The other end of a channel, reached.
#[derive(Debug)]
pub struct Connected;

/// Reaches where the channel `kind` shall lead.
pub async fn open(_kind: OpenKind, _context: &Context) -> Result<Connected, Refusal> {
    std::future::ready(Err(Refusal::connect_failed("not supported"))).await
}

impl Connected {
    /// Copies both ways until both ended.
    pub async fn serve(self, channel: Channel) {
        channel.output.closed().await;
    }
}

/// Answers requests to listen here, until the client is gone; then nothing is listened on any more.
pub async fn listen(mut requests: GlobalRequests, _opener: Opener, _context: Arc<Context>) {
    while let Some((_request, reply)) = requests.next().await {
        reply.fail();
    }
}

//! A session channel: what its requests ask for, run to its end.

use std::sync::Arc;

use crate::connection::channel::Channel;
use crate::context::Context;

/// Serves `channel` until its program has ended or the client is gone.
pub async fn serve(mut channel: Channel, _context: Arc<Context>) {
    while let Some(request) = channel.requests.next().await {
        request.fail();
    }
}

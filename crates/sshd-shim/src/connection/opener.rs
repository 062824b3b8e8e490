//! Channels that we ask the client for.

use std::sync::Arc;

use super::channel::Channel;
use super::state::Shared;

/// Opens channels to one client.
#[derive(Clone, Debug)]
pub struct Opener(Arc<Shared>);

/// The client, or the limit of channels, does not let us have the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client opened no channel")]
pub struct Refused;

impl Opener {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Asks the client for a channel of type `kind`; `extra` is what the type adds to the message.
    pub async fn open(&self, kind: &str, extra: &[u8]) -> Result<Channel, Refused> {
        let (_number, answer) = self.0.lock().open(kind, extra).ok_or(Refused)?;
        match answer.await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(_)) | Err(_) => Err(Refused),
        }
    }

    /// Returns when the client is gone.
    pub async fn gone(&self) {
        self.0.gone().await;
    }
}

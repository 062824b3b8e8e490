//! What all connections of the server share.

use tokio::sync::watch;

/// What all connections of the server share.
#[derive(Debug)]
pub struct Context {
    /// True once the server is asked to stop: sessions then end sooner.
    pub stopping: watch::Receiver<bool>,
}

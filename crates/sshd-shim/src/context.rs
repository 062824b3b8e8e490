//! What all connections of the server share.

use std::sync::Arc;

use tokio::sync::watch;

use crate::children::Children;
use crate::config::Config;
use crate::log::Log;

/// What all connections of the server share.
#[derive(Debug)]
pub struct Context {
    /// What the server was asked to do.
    pub config: Config,
    /// The root of the log.
    pub log: Log,
    /// The programs that sessions have started.
    pub children: Arc<Children>,
    /// True once the server is asked to stop: sessions then end sooner.
    pub stopping: watch::Receiver<bool>,
    /// How SSH is spoken, which follows from `config`.
    pub transport: Arc<russh::server::Config>,
}

#[cfg(test)]
impl Context {
    /// A context for tests, of a server with a fresh key that nobody may log in to.
    pub(crate) fn example() -> Self {
        let arguments = ["diego-sshd", "-allowUnauthenticatedClients", "-logLevel=fatal"];
        let arguments = arguments.iter().map(std::ffi::OsString::from);
        let (config, log) =
            crate::config::read(arguments, lifecycle::environment::Environment::default()).unwrap();
        let transport = Arc::new(crate::server::transport(&config));
        let children = Arc::default();
        Self { config, log, children, stopping: watch::channel(false).1, transport }
    }
}

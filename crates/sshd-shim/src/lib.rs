//! `diego-sshd`: the SSH server inside every container.

pub mod address;
pub mod algorithms;
pub mod authentication;
pub mod authorized_key;
pub mod blocking;
mod calendar;
pub mod children;
pub mod client;
pub mod config;
pub mod connection;
pub mod context;
pub mod debug_server;
pub mod descriptors;
pub mod error;
pub mod forward;
pub mod host_key;
pub mod log;
mod own_memory;
pub mod process;
pub mod pty;
pub mod scp;
mod secrets;
pub mod server;
pub mod session;
pub mod sftp;
pub mod signals;
pub mod stream;
pub mod terminal_modes;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::environment::Environment;
use russh::keys::HashAlg;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::children::Children;
use crate::config::Config;
use crate::context::Context;
use crate::error::Error;
use crate::log::{Level, Log};
use crate::server::{Server, Signals};

/// How long the last lines of the log may take at the end.
const LAST_LINES: Duration = Duration::from_millis(500);

/// How many names may be looked up at the same time, each in a thread.
const MOST_LOOKUPS: usize = 64;

/// Serves SSH as `arguments` (program name included) ask for, until SIGTERM.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Error> {
    let (config, log) = config::read(arguments, Environment::inherited())?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(MOST_LOOKUPS)
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(serve(config, log.clone()));
    match &outcome {
        Ok(()) => log.info("exited", &[]),
        Err(error) => log.error("exited-with-failure", &[("error", trace(error).into())]),
    }
    log.flush(LAST_LINES);
    // A name may still be looked up, which nobody waits for any more.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: Config, log: Log) -> Result<(), Error> {
    let signals = Signals::new().map_err(Error::Runtime)?;
    let children = Arc::new(Children::default());
    children.watch().map_err(Error::Runtime)?;
    if let Some(address) = &config.debug_address {
        debug_server::start(address, &log)?;
    }
    let listener =
        TcpListener::from_std(address::listen(&config.address)?).map_err(Error::Runtime)?;
    say_started(&config, &listener, &log);
    let (stop, stopping) = watch::channel(false);
    let transport = Arc::new(server::transport(&config));
    let context = Arc::new(Context { config, log, children, stopping, transport });
    Server::new(context).serve(listener, signals, stop).await;
    Ok(())
}

/// What the predecessor says, and what a person wants to know who looks for the server or compares keys.
fn say_started(config: &Config, listener: &TcpListener, log: &Log) {
    if log.prints(Level::Info) {
        let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
        let host_key = config.host_key.fingerprint(HashAlg::Sha256).to_string();
        log.info("started", &[("address", address.into()), ("host-key", host_key.into())]);
    }
}

/// The failure in the predecessor's words (contract sshd 3.4).
fn trace(error: &Error) -> String {
    match error {
        Error::Listen(error) => format!("Exit trace for group:\nsshd exited with error: {error}\n"),
        other => format!("Exit trace for group:\n{other}\n"),
    }
}

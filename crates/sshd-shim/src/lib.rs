//! `diego-sshd`: the SSH server inside every container.

pub mod address;
pub mod algorithms;
pub mod authorized_key;
pub mod blocking;
pub mod config;
pub mod connection;
pub mod context;
pub mod debug_server;
pub mod error;
pub mod forward;
pub mod host_key;
pub mod log;
pub mod scp;
mod secrets;
pub mod session;
pub mod sftp;
pub mod signals;
pub mod terminal_modes;

use std::ffi::OsString;

use lifecycle::environment::Environment;

use crate::error::Error;

/// Serves SSH as `arguments` (program name included) ask for, until SIGTERM.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Error> {
    let (_config, _log) = config::read(arguments, Environment::inherited())?;
    Ok(())
}

//! The flags, and the directory that follows them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Parser;
use lifecycle::flags;

use crate::error::Error;

/// The flags as they stand on the command line.
#[derive(Debug, Parser)]
#[command(name = "file-server")]
struct Flags {
    /// IP address and port to listen at; port 0 takes a free one. The directory to serve follows the flags
    #[arg(long, value_name = "string", default_value = "127.0.0.1:8080", value_parser = address)]
    address: SocketAddr,
}

/// What is served where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen.
    pub address: SocketAddr,
    /// What to serve.
    pub directory: PathBuf,
}

/// Reads the command line, program name included.
pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Config, Error> {
    let mut arguments: Vec<OsString> = arguments.skip(1).collect();
    let directory = arguments.pop_if(|last| !last.as_bytes().starts_with(b"-"));
    let Flags { address } = flags::parse(arguments)?;
    let directory = directory.ok_or(Error::NoDirectory)?.into();
    Ok(Config { address, directory })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8080".to_owned())
}

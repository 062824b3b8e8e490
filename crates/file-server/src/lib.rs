//! `file-server`: serves lifecycle bundles, droplets and buildpacks to cells, below `/v1/static/` as
//! the platform's file server does (platform, section 2.1).
//!
//! `config` reads the flags; `server` accepts connections and ends them, `patience` cuts the slow
//! ones; `answer` decides what a request gets: `directory` finds the file, `tag` names its content,
//! `conditions` and `ranges` compare that with the request, `body` sends it.

pub mod config;
pub mod error;
pub mod server;

mod answer;
mod body;
mod conditions;
mod directory;
mod patience;
mod ranges;
mod tag;

use std::ffi::OsString;

use lifecycle::report::say;

pub use crate::error::Error;
pub use crate::server::{FileServer, Serving};

/// Serves as `arguments` (program name included) ask for, until SIGTERM or SIGINT. The one line on
/// stdout is the URL below which the files are.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), Error> {
    let config = config::read(arguments)?;
    let server = FileServer::bind(config.address, &config.directory)?;
    say(&server.url());
    server.run()
}

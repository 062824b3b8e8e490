//! What ends the server at its start.

use lifecycle::report::Failure;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {}

impl Failure for Error {
    fn status(&self) -> u8 {
        match *self {}
    }
}

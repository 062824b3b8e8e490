//! `builder`.

pub mod cleanup;
mod descendants;
pub mod fetch;

use std::ffi::OsString;

use lifecycle::flags::FlagError;

/// Not built yet.
pub fn run(_arguments: impl Iterator<Item = OsString>) -> Result<(), FlagError> {
    Ok(())
}

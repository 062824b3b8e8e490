//! `builder`.

pub mod cleanup;
mod descendants;

use std::ffi::OsString;

use lifecycle::flags::FlagError;

/// Not built yet.
pub fn run(_arguments: impl Iterator<Item = OsString>) -> Result<(), FlagError> {
    Ok(())
}

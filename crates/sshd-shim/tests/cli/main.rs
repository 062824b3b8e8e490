//! `diego-sshd` from outside: its flags, statuses, messages and log, and where its keys can be read.
//! `LIFECYCLE_BIN_DIR=/some/dir` tests the program there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what surprises the harness is a failed test"
)]

mod configuration;
mod daemon;
mod debug;
mod flags;
mod keys;
mod log;
mod sessions;
mod signals;
mod wire;

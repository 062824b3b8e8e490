//! `healthcheck` from outside: every flag, mode, sentence and status against real servers on this
//! machine's own address, hostile ones included, and in network namespaces of the tests' own.
//!
//! `LIFECYCLE_BIN_DIR=/some/dir` tests another build (the static one, say).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "shared between test programs, and fails as tests do"
)]

mod flags;
mod hostile;
mod http;
mod modes;
mod namespaces;
mod network;
mod process;
mod run;
mod server;
mod tcp;

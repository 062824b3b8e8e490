//! Black-box tests of the file server, and of downloads as a cell makes them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are test code too"
)]

mod cache;
mod crowd;
mod fetching;
mod program;
mod scripted;
mod serving;
mod traversal;
mod web;

//! The suite: whole journeys across the binaries, derived from the contract.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are test code too"
)]

mod container;
mod credentials;
mod deploy;
mod faults;
mod launching;
mod packaging;
mod served;
mod ssh;
mod staging;

//! `cell` from outside: apps are pushed, asked, entered, broken and stopped; in `oci` in containers, elsewhere without isolation.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

mod failing;
mod full_disk;
mod health;
mod installed;
mod machine;
mod oci;
mod processes;
mod pushing;
mod recovery;
mod terminal;
mod versions;

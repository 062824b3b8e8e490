//! `cell`: see the library's page.
use std::process::ExitCode;

fn main() -> ExitCode {
    lifecycle::report::conclude(cell::run(std::env::args_os()))
}

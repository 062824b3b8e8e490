//! `shell`: see the library's page.
use std::process::ExitCode;

fn main() -> ExitCode {
    lifecycle::report::conclude(shell::run(std::env::args_os()))
}

//! `diego-sshd`: see the library's page.
use std::process::ExitCode;

fn main() -> ExitCode {
    lifecycle::report::conclude(sshd_shim::run(std::env::args_os()))
}

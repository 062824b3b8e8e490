//! `file-server`: see the library's page.
use std::process::ExitCode;

fn main() -> ExitCode {
    lifecycle::report::conclude(file_server::run(std::env::args_os()))
}

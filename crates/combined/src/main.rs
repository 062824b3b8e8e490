//! `builder`, which is `launcher` or `shell` where it is called by that name: lifecycle bundles have the
//! three as one file and two symbolic links, since most of what they are made of is the same.
//!
//! A cell makes a symbolic link of a symbolic link, and an empty file of a hard one (contract platform 8.1).
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use lifecycle::report::conclude;

fn main() -> ExitCode {
    let arguments = std::env::args_os;
    match called(arguments().next()).as_deref() {
        Some("launcher") => conclude(launcher::run(arguments())),
        Some("shell") => conclude(shell::run(arguments())),
        _ => conclude(builder::run(arguments())),
    }
}

/// The last part of the name the program was called by.
fn called(name: Option<OsString>) -> Option<String> {
    Path::new(&name?).file_name()?.to_str().map(str::to_owned)
}

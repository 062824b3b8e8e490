//! Becoming another program: the only place that replaces this process.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{AccessFlags, access};

use crate::environment::Environment;
use crate::report::system_words;

mod too_large;

pub use too_large::TooLarge;

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The file to run.
    pub file: PathBuf,
    /// What the program sees as its own name.
    pub name: OsString,
    /// The arguments after the name.
    pub arguments: Vec<OsString>,
}

/// Why this process could not become the program.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The kernel passes only so much to a program.
    #[error("{0}")]
    TooLarge(TooLarge),
    /// Anything else, in the system's words.
    #[error("{}: {}", file.display(), system_words(error))]
    System {
        /// The file that could not be run.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Replaces this process by `program`: same pid, same open descriptors, SIGPIPE at default and no
/// signal blocked. Returns only if that fails.
pub fn become_program(program: &Program, environment: &Environment) -> ExecError {
    execute(program, environment, Stdio::inherit())
}

/// [`become_program`], which finds `input` as its stdin. If that fails, this process may have it there.
pub fn become_program_reading(
    program: &Program,
    environment: &Environment,
    input: OwnedFd,
) -> ExecError {
    execute(program, environment, Stdio::from(input))
}

fn execute(program: &Program, environment: &Environment, input: Stdio) -> ExecError {
    // std's exec undoes the SIGPIPE setting of Rust's start, but keeps blocked signals blocked.
    let _cannot_fail = SigSet::empty().thread_set_mask();
    let error = Command::new(&program.file)
        .arg0(&program.name)
        .args(&program.arguments)
        .env_clear()
        .envs(environment.iter())
        .stdin(input)
        .exec();
    if error.raw_os_error() == Some(Errno::E2BIG as i32) {
        ExecError::TooLarge(TooLarge::explain(program, environment))
    } else {
        ExecError::System { file: program.file.clone(), error }
    }
}

/// The first executable file called `name` in the directories of `path` (the value of `$PATH`).
/// A relative directory, the empty one included, depends on the working directory and ends the
/// search: `None`.
pub fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    path.as_bytes()
        .split(|&byte| byte == b':')
        .map(|directory| Path::new(OsStr::from_bytes(directory)))
        .take_while(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|file| is_executable(file))
}

/// Whether this process may run the file at `path`.
pub fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file()) && access(path, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_along_the_path() {
        let missing_then_there = OsStr::new("/no/such/directory:/bin:/usr/bin");
        assert_eq!(find("sh", missing_then_there), Some(PathBuf::from("/bin/sh")));
        assert_eq!(find("no-such-program", missing_then_there), None);
        // A directory is no program.
        assert_eq!(find("bin", OsStr::new("/usr")), None);
    }

    #[test]
    fn a_relative_directory_ends_the_search() {
        for path in ["", ":/bin", ".:/bin", "bin:/bin"] {
            assert_eq!(find("sh", OsStr::new(path)), None, "{path:?}");
        }
    }
}

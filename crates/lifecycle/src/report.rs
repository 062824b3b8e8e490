//! What a program says at its end: the error as one line on stderr, and the exit status.
//!
//! The only place that prints errors; [`say`] and [`warn`] are the only ways to print anything.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use nix::errno::Errno;

/// An error that ends a program.
pub trait Failure: Error + 'static {
    /// The exit status the platform reads.
    fn status(&self) -> u8;

    /// What happened in more words, one line each, printed below the sentence of the contract.
    fn explanation(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Prints `outcome`'s failure, if any, and gives the exit status that goes with it.
pub fn conclude<F: Failure>(outcome: Result<(), F>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            warn(&chain(&failure));
            for line in failure.explanation() {
                warn(&line);
            }
            ExitCode::from(failure.status())
        }
    }
}

/// The error and its causes on one line, joined by `": "`; causes by the system in [`system_words`].
pub fn chain(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.downcast_ref().map_or_else(|| inner.to_string(), system_words);
        sentence.push_str(": ");
        sentence.push_str(&words);
        cause = inner.source();
    }
    sentence
}

/// Prints a line on stdout at once. A closed stdout is no reason to fail staging, so it is ignored.
pub fn say(line: &str) {
    write_line(&mut io::stdout().lock(), line);
}

/// Prints a line on stderr at once. A closed stderr is ignored.
pub fn warn(line: &str) {
    write_line(&mut io::stderr().lock(), line);
}

/// Writes the line and its newline in one piece: the cell cuts its log at line ends.
fn write_line(stream: &mut impl Write, line: &str) {
    let mut text = line.to_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let _closed = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// The system's words for an I/O error as the predecessor prints them: `no such file or directory`
/// for what Rust calls `No such file or directory (os error 2)`.
pub fn system_words(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else { return error.to_string() };
    let errno = Errno::from_raw(number);
    let words = predecessor_words(errno).unwrap_or_else(|| errno.desc());
    let mut letters = words.chars();
    match letters.next() {
        // Only the first letter: `RFS specific error` and the like keep theirs.
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => error.to_string(),
    }
}

/// Where the table at hand keeps the words of an older Unix (`not a typewriter`).
fn predecessor_words(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EAGAIN => "resource temporarily unavailable",
        Errno::EBADF => "bad file descriptor",
        Errno::EDQUOT => "disk quota exceeded",
        Errno::EIO => "input/output error",
        Errno::ELOOP => "too many levels of symbolic links",
        Errno::ENFILE => "too many open files in system",
        Errno::ENOMEM => "cannot allocate memory",
        Errno::ENOTTY => "inappropriate ioctl for device",
        Errno::EOPNOTSUPP => "operation not supported",
        Errno::EXDEV => "invalid cross-device link",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("Failed to read")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_follow_the_sentence() {
        let error = Outer(io::Error::other("the disk is gone"));
        assert_eq!(chain(&error), "Failed to read: the disk is gone");
        let error = Outer(io::Error::from_raw_os_error(2));
        assert_eq!(chain(&error), "Failed to read: no such file or directory");
    }

    #[test]
    fn system_errors_are_in_lower_case_and_without_number() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(system_words(&error), "no such file or directory");
        let error = io::Error::from_raw_os_error(Errno::ENOMEM as i32);
        assert_eq!(system_words(&error), "cannot allocate memory");
    }
}

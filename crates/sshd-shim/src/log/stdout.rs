//! Stdout without waiting: a reader that stands still must not hold up the server.

use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What may wait for a slow reader, in bytes.
const PENDING_LIMIT: usize = 256 * 1024;

/// What a pipe that is ready takes without waiting (`PIPE_BUF`).
const CHUNK: usize = 4096;

/// Lines on their way to stdout.
#[derive(Debug, Default)]
pub(super) struct Output {
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Lines that found no room.
    dropped: u64,
}

impl Output {
    /// Adds a line and writes what can be written at once. Before the first one after some that found no room
    /// goes the line that `note` makes of their number.
    pub(super) fn write(&self, line: &str, note: impl FnOnce(u64) -> String) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push(line, note);
        pending.write_to(&mut io::stdout().lock(), Duration::ZERO);
    }

    /// Writes what is pending, for up to `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.write_to(&mut io::stdout().lock(), patience);
    }
}

impl Pending {
    fn push(&mut self, line: &str, note: impl FnOnce(u64) -> String) {
        if self.bytes.len() + line.len() > PENDING_LIMIT {
            self.dropped += 1;
            return;
        }
        if self.dropped > 0 {
            self.bytes.extend_from_slice(note(mem::take(&mut self.dropped)).as_bytes());
        }
        self.bytes.extend_from_slice(line.as_bytes());
    }

    fn write_to(&mut self, stream: &mut (impl Write + AsFd), patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut written = 0;
        while written < self.bytes.len() && is_ready(stream, deadline) {
            let chunk = &self.bytes[written..self.bytes.len().min(written + CHUNK)];
            // Past stdout's buffer: it holds nothing, since every write ends with a flush.
            match stream.write_all(chunk).and_then(|()| stream.flush()) {
                Ok(()) => written += chunk.len(),
                // Nobody reads any more, which is no reason to end.
                Err(_) => written = self.bytes.len(),
            }
        }
        self.bytes.drain(..written);
        if self.bytes.is_empty() {
            self.bytes.shrink_to(CHUNK);
        }
    }
}

/// Whether `stream` takes a chunk, waiting for it until `deadline`.
fn is_ready(stream: &impl AsFd, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let mut streams = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    // An error of the stream counts as ready: writing then tells.
    poll(&mut streams, timeout).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, PipeWriter, Read, pipe};

    use super::*;

    fn note(dropped: u64) -> String {
        format!("{dropped} dropped\n")
    }

    fn full_pipe() -> (PipeReader, PipeWriter, usize) {
        let (reader, mut writer) = pipe().unwrap();
        let mut filled = 0;
        while is_ready(&writer, Instant::now()) {
            writer.write_all(&[b'x'; CHUNK]).unwrap();
            filled += CHUNK;
        }
        (reader, writer, filled)
    }

    #[test]
    fn a_full_pipe_is_not_waited_for_and_gets_the_lines_later() {
        let (mut reader, mut writer, filled) = full_pipe();
        let mut pending = Pending::default();
        pending.push("one\n", note);
        pending.write_to(&mut writer, Duration::ZERO);
        assert_eq!(pending.bytes, b"one\n");
        reader.read_exact(&mut vec![0; filled]).unwrap();
        pending.push("two\n", note);
        pending.write_to(&mut writer, Duration::ZERO);
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }

    #[test]
    fn beyond_the_bound_lines_are_dropped_whole_and_counted() {
        let mut pending = Pending::default();
        let line = "x".repeat(PENDING_LIMIT / 2);
        for _ in 0..5 {
            pending.push(&line, note);
        }
        assert_eq!((pending.bytes.len(), pending.dropped), (PENDING_LIMIT, 3));
        pending.bytes.clear();
        pending.push("y\n", note);
        assert_eq!(pending.bytes, b"3 dropped\ny\n");
    }

    #[test]
    fn a_closed_pipe_ends_nothing() {
        let (reader, mut writer) = pipe().unwrap();
        drop(reader);
        let mut pending = Pending::default();
        pending.push("one\n", note);
        pending.write_to(&mut writer, Duration::ZERO);
        assert!(pending.bytes.is_empty());
    }
}

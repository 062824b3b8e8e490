//! The client's end: lines and answers, and the errors that end a copy (contract sshd 10.2).

use std::fs::File;
use std::io::{self, ErrorKind, Write};

use crate::blocking::Source;

use super::options::UsageError;
use super::record::{Malformed, in_one_line};

/// The longest line that is read, in bytes. A name has 255, and OpenSSH reads 2,048.
pub const LONGEST_LINE: usize = 8 * 1024;

/// What ends the whole copy.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The channel is gone.
    #[error(transparent)]
    Stream(#[from] io::Error),
    /// The client ended in the middle.
    #[error("unexpected EOF")]
    LostConnection,
    /// The client said that it gives up, and why.
    #[error("{0}")]
    GivenUp(String),
    /// Neither 0, 1 nor 2.
    #[error("invalid acknowledgement identifier: {0:x}")]
    Acknowledgement(u8),
    /// A line without an end.
    #[error("protocol error: line too long")]
    LineTooLong,
    /// A line that is no record.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Wildcards that stand for too much.
    #[error(transparent)]
    Usage(#[from] UsageError),
}

/// What the client wants done with an entry that was announced to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// Send it.
    GoOn,
    /// It cannot take it: leave it out.
    Skip,
}

/// The client, at the other end of the streams.
pub struct Peer<'a> {
    input: &'a mut dyn Source,
    output: &'a mut dyn Write,
    errors: &'a mut dyn Write,
    failed: bool,
}

impl std::fmt::Debug for Peer<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Peer").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl<'a> Peer<'a> {
    /// A client with which nothing has failed yet.
    pub fn new(
        input: &'a mut dyn Source,
        output: &'a mut dyn Write,
        errors: &'a mut dyn Write,
    ) -> Self {
        Self { input, output, errors, failed: false }
    }

    /// Whether an entry failed, at this end or the other.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Remembers that an entry failed at the other end.
    pub fn note_failure(&mut self) {
        self.failed = true;
    }

    /// Says that all is well.
    pub fn ok(&mut self) -> io::Result<()> {
        self.output.write_all(&[0])
    }

    /// Says what failed here. The copy goes on without it.
    pub fn warn(&mut self, text: &impl ToString) -> io::Result<()> {
        self.failed = true;
        let text = text.to_string();
        self.send(&[b"\x01scp: ", in_one_line(text.as_bytes()).as_ref(), b"\n"].concat())?;
        self.output.flush()
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)
    }

    /// Sends a line and waits for the answer to it.
    pub fn announce(&mut self, line: &[u8]) -> Result<Answer, Fatal> {
        self.send(&[line, b"\n"].concat())?;
        self.answer()
    }

    /// Waits for an answer.
    pub fn answer(&mut self) -> Result<Answer, Fatal> {
        match self.byte()? {
            0 => Ok(Answer::GoOn),
            1 => {
                self.failed = true;
                let text = self.rest_of_line(Vec::new())?;
                self.errors.write_all(&text)?;
                self.errors.flush()?;
                Ok(Answer::Skip)
            }
            2 => Err(Fatal::GivenUp(
                String::from_utf8_lossy(&self.rest_of_line(Vec::new())?).into_owned(),
            )),
            other => Err(Fatal::Acknowledgement(other)),
        }
    }

    /// The next line, without its newline; `None` when the client has no more.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, Fatal> {
        match self.byte() {
            Ok(b'\n') => Ok(Some(Vec::new())),
            Ok(first) => self.rest_of_line(vec![first]).map(Some),
            Err(Fatal::LostConnection) => Ok(None),
            Err(fatal) => Err(fatal),
        }
    }

    /// Whether no answer will come any more.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.input.ready() && fill(self.input)?.is_empty())
    }

    fn byte(&mut self) -> Result<u8, Fatal> {
        // What was said so far is what the client is waiting for.
        self.output.flush()?;
        let byte = *fill(self.input)?.first().ok_or(Fatal::LostConnection)?;
        self.input.consume(1);
        Ok(byte)
    }

    fn rest_of_line(&mut self, mut line: Vec<u8>) -> Result<Vec<u8>, Fatal> {
        loop {
            let bytes = fill(self.input)?;
            if bytes.is_empty() {
                return Err(Fatal::LostConnection);
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if line.len() + part.len() > LONGEST_LINE {
                return Err(Fatal::LineTooLong);
            }
            line.extend_from_slice(part);
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(line);
            }
        }
    }

    /// Takes `size` bytes into `file`. After a failed write the rest is still taken, so that what
    /// follows is understood; the inner error is that failure.
    pub fn receive(&mut self, size: u64, file: &mut File) -> Result<io::Result<()>, Fatal> {
        let mut written = Ok(());
        let mut left = size;
        self.output.flush()?;
        while left > 0 {
            let bytes = fill(self.input)?;
            if bytes.is_empty() {
                return Err(Fatal::LostConnection);
            }
            let part =
                &bytes[..usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))];
            if written.is_ok() {
                written = file.write_all(part);
            }
            let used = part.len();
            self.input.consume(used);
            left -= used as u64;
        }
        Ok(written)
    }
}

fn fill(input: &mut dyn Source) -> io::Result<&[u8]> {
    // Borrowed twice, since a borrow that is returned in one arm lasts through the loop.
    while let Err(error) = input.fill_buf() {
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
    input.fill_buf()
}

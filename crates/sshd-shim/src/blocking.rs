//! Services that read and write as ordinary blocking programs do.

use std::io::{BufRead, BufReader, Read};

/// Where a blocking service reads what the client sends.
pub trait Source: BufRead {
    /// Whether bytes can be had without waiting. When not, answers so far have to be on their way
    /// before reading on: the client may be waiting for them.
    fn ready(&mut self) -> bool;
}

impl Source for &[u8] {
    fn ready(&mut self) -> bool {
        !self.is_empty()
    }
}

impl<R: Read> Source for BufReader<R> {
    fn ready(&mut self) -> bool {
        !self.buffer().is_empty()
    }
}

//! The tar stream cut into blocks of one size, which travel from the reader to a worker, in order
//! to the writer, and back: memory is bounded by their number.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Bytes of tar stream compressed at a time: larger ones hardly make smaller droplets.
pub(super) const BLOCK: usize = 1 << 20;

/// A piece of the tar stream and the gzip members made of it.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) tar: Vec<u8>,
    /// Bytes of `tar` in use.
    pub(super) filled: usize,
    pub(super) gzip: Vec<u8>,
}

/// A block for a worker, and where to send it when it is compressed.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) block: Block,
    pub(super) done: Sender<Block>,
}

/// Nobody takes blocks any more: the writer failed, or the stop flag is set.
#[derive(Debug)]
pub(super) struct Closed;

/// The reader's end: bytes go in, full blocks go off.
#[derive(Debug)]
pub(super) struct Blocks<'a> {
    free: Receiver<Block>,
    jobs: Sender<Job>,
    order: Sender<Receiver<Block>>,
    stop: &'a AtomicBool,
    current: Block,
    total: u64,
}

/// The writer's end: blocks come out, used ones go back.
#[derive(Debug)]
pub(super) struct Compressed {
    /// The blocks to be, each in its turn.
    pub(super) in_order: Receiver<Receiver<Block>>,
    pub(super) free: Sender<Block>,
}

/// The ends of the reader, of the workers and of the writer.
pub(super) fn blocks(
    threads: NonZeroUsize,
    stop: &AtomicBool,
) -> (Blocks<'_>, Receiver<Job>, Compressed) {
    let (jobs, work) = channel();
    let (order, in_order) = channel();
    let (recycle, free) = channel();
    let new = || Block { tar: vec![0; BLOCK], filled: 0, gzip: Vec::new() };
    // One for each worker, one being written, one ready for whoever comes first.
    for _ in 0..threads.get() + 2 {
        let _receiver_is_here = recycle.send(new());
    }
    let blocks = Blocks { free, jobs, order, stop, current: new(), total: 0 };
    (blocks, work, Compressed { in_order, free: recycle })
}

impl Blocks<'_> {
    /// Bytes put in so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Room to read into, never empty.
    pub(super) fn room(&mut self) -> Result<&mut [u8], Closed> {
        if self.current.filled == BLOCK {
            self.hand_over()?;
        }
        let filled = self.current.filled;
        Ok(&mut self.current.tar[filled..])
    }

    /// `count` bytes of the room were filled.
    pub(super) fn advance(&mut self, count: usize) {
        self.current.filled += count;
        self.total += count as u64;
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.advance(now.len());
            bytes = later;
        }
        Ok(())
    }

    /// Sends the block off, full or not, and waits for a free one.
    pub(super) fn hand_over(&mut self) -> Result<(), Closed> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Closed);
        }
        let mut next = self.free.recv().map_err(|_| Closed)?;
        next.filled = 0;
        let block = std::mem::replace(&mut self.current, next);
        let (done, compressed) = channel();
        self.order.send(compressed).map_err(|_| Closed)?;
        self.jobs.send(Job { block, done }).map_err(|_| Closed)
    }
}

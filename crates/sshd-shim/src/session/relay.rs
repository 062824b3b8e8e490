//! Bytes between a program and the client, each straight into the buffer it is sent from.

use std::io;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::connection::buffers::Buffers;
use crate::connection::channel::{Input, Output, Stream};
use crate::pty;

/// How much is read at once: more the more there is, so that a session at rest holds nothing.
const LEAST: usize = 1 << 10;
const MOST: usize = 64 << 10;
/// From this size on it is read into memory that is used again.
const LARGE: usize = 8 << 10;

/// How long after a program's end processes it left behind may hold its pipe open, or go on writing. The
/// contract (sshd 18.5) allows 5 seconds; some of them are for a busy machine.
const BACKGROUND_GRACE: Duration = Duration::from_secs(4);

/// A program may have written so much that is not read yet when it ends: what pipes may be made to hold, unless
/// the system is set up otherwise (proc(5), `pipe-max-size`). There is room for a filter behind it, too.
const MOST_WRITTEN: usize = 1 << 20;

/// How long after one end of input a terminal gets the next, at first and at most. In between it
/// grows by a quarter each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sends what a program writes, until all that could write has closed its end; or until all it wrote itself is
/// sent and a while has passed since it ended (at the time that `ended` tells); or until the client is gone.
pub(super) async fn send(
    source: &Receiver,
    output: &Output,
    stream: Stream,
    ended: watch::Receiver<Option<Instant>>,
) {
    let mut patience = Patience { ended, own: MOST_WRITTEN };
    let mut buffers = Buffers::default();
    let mut size = LEAST;
    while patience.readable(source, &mut buffers).await {
        match read(source, size, &mut buffers) {
            Ok(chunk) if chunk.is_empty() => return,
            Ok(chunk) => {
                size = next_size(size, chunk.len());
                patience.read(chunk.len());
                if output.write(stream, chunk).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => patience.read(usize::MAX),
            // How a terminal tells that nobody has it open any more: EIO.
            Err(_) => return,
        }
    }
}

/// Up to `size` bytes; none at the end.
fn read(source: &Receiver, size: usize, buffers: &mut Buffers) -> io::Result<Bytes> {
    if size < LARGE {
        let mut buffer = BytesMut::with_capacity(size);
        source.try_read_buf(&mut buffer)?;
        return Ok(packed(buffer));
    }
    source.try_read_buf(&mut buffers.room(size).limit(size))?;
    Ok(buffers.take())
}

/// Twice as much after a read that filled the buffer, half after one that took a small part.
fn next_size(size: usize, length: usize) -> usize {
    let next = if length == size {
        size * 2
    } else if length < size / 4 {
        size / 2
    } else {
        size
    };
    next.clamp(LEAST, MOST)
}

/// What was read, in memory that is not much larger: it may have to wait for the client.
fn packed(buffer: BytesMut) -> Bytes {
    if buffer.len() < buffer.capacity() / 4 {
        Bytes::copy_from_slice(&buffer)
    } else {
        buffer.freeze()
    }
}

/// How long is waited for output: without an end while the program runs, or while what it wrote itself may
/// not be sent yet, however slow the client reads; else until a while after its end.
struct Patience {
    ended: watch::Receiver<Option<Instant>>,
    /// How much of what is still to be read the program may have written before its end.
    own: usize,
}

impl Patience {
    /// Whether there is something to be read, the end included; `false` once there is no patience.
    async fn readable(&mut self, source: &Receiver, buffers: &mut Buffers) -> bool {
        let ended = *self.ended.borrow();
        if self.own == 0 && ended.is_some_and(|end| end.elapsed() >= BACKGROUND_GRACE) {
            return false;
        }
        tokio::select! {
            biased;
            _ = source.readable() => true,
            () = Self::used_up(&mut self.ended) => false,
            () = buffers.rest() => false,
        }
    }

    async fn used_up(ended: &mut watch::Receiver<Option<Instant>>) {
        let end = ended.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        match end {
            Some(end) => sleep_until(end + BACKGROUND_GRACE).await,
            None => std::future::pending().await,
        }
    }

    /// Notes how much was read since the program's end.
    fn read(&mut self, length: usize) {
        if self.ended.borrow().is_some() {
            self.own = self.own.saturating_sub(length);
        }
    }
}

/// Gives the program what the client sends, and the end of it. What a program does not want is
/// thrown away, so that the client is not held up. Does not return before the client's end of input.
pub(super) async fn receive(input: &mut Input, sink: Sender, is_terminal: bool) {
    let mut sink = Some(sink);
    while let Some(chunk) = input.next().await {
        if let Some(open) = &sink
            && write(open, &chunk).await.is_err()
        {
            sink = None;
        }
    }
    if let Some(sink) = sink.filter(|_| is_terminal) {
        end_input(&sink).await;
    }
}

async fn write(sink: &Sender, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        sink.writable().await?;
        match sink.try_write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells who reads from a terminal that nothing more comes, until nobody is left to be told. A
/// terminal has no end as a pipe has: the character for it means only that one read gives nothing,
/// and none at all while the terminal is in another mode.
async fn end_input(terminal: &Sender) {
    let mut pause = FIRST_PAUSE;
    loop {
        let end = [pty::end_of_input(terminal)];
        // A full queue means that nobody reads, and is no reason to wait for long.
        if let Ok(Err(_)) = timeout(LONGEST_PAUSE, write(terminal, &end)).await {
            return;
        }
        sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_grow_with_what_comes_and_shrink_again() {
        assert_eq!(next_size(LEAST, LEAST), 2 * LEAST);
        assert_eq!(next_size(MOST, MOST), MOST);
        assert_eq!(next_size(MOST, MOST / 2), MOST);
        assert_eq!(next_size(MOST, 1), MOST / 2);
        assert_eq!(next_size(LEAST, 1), LEAST);
    }
}

//! Bytes both ways between a channel and a socket, each way with its own end. No byte is read that
//! the other side has no room for.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use tokio::time::timeout;

use crate::connection::buffers::Buffers;
use crate::connection::channel::{Channel, Input, Output, Stream};

use super::socket::Socket;

/// How much is read of a socket at once, in bytes: two messages of ordinary clients.
const CHUNK: usize = 64 << 10;
/// So many chunks of the client are written at once.
const MOST_PARTS: usize = 8;
/// How long what the client sent last may take once it has closed the channel or is gone.
const LINGER: Duration = Duration::from_secs(5);

/// Relays until both ways have ended, the channel is closed, or the socket fails. Requests on the
/// channel fail.
pub(super) async fn relay(socket: Socket, channel: Channel) {
    let Channel { requests, input, output } = channel;
    drop(requests);
    let mut sending = pin!(to_socket(&socket, input));
    let mut receiving = pin!(from_socket(&socket, &output));
    let (mut is_sending, mut is_receiving) = (true, true);
    while is_sending || is_receiving {
        tokio::select! {
            // A socket that takes no more may still have something to say.
            _ = &mut sending, if is_sending => is_sending = false,
            received = &mut receiving, if is_receiving => {
                if received.is_err() {
                    return;
                }
                output.eof();
                is_receiving = false;
            }
            () = output.closed() => {
                if is_sending {
                    let _too_late = timeout(LINGER, sending).await;
                }
                return;
            }
        }
    }
}

/// Writes what the client sends, until its end, which becomes the socket's.
async fn to_socket(socket: &Socket, mut input: Input) -> io::Result<()> {
    let mut parts: Vec<Bytes> = Vec::with_capacity(MOST_PARTS);
    while let Some(part) = input.next().await {
        parts.push(part);
        while parts.len() < MOST_PARTS && input.ready() {
            let Some(part) = input.next().await else { break };
            parts.push(part);
        }
        write_all(socket, &mut parts).await?;
    }
    socket.finish()
}

/// Writes all `parts` and removes them.
async fn write_all(socket: &Socket, parts: &mut Vec<Bytes>) -> io::Result<()> {
    while !parts.is_empty() {
        let slices: [IoSlice<'_>; MOST_PARTS] =
            std::array::from_fn(|index| IoSlice::new(parts.get(index).map_or(&[], AsRef::as_ref)));
        let mut written =
            unblocked(|| socket.try_write(&slices[..parts.len()]), || socket.writable()).await?;
        parts.retain_mut(|part| {
            let used = written.min(part.len());
            part.advance(used);
            written -= used;
            !part.is_empty()
        });
    }
    Ok(())
}

/// Sends what the socket says, until its end.
async fn from_socket(socket: &Socket, output: &Output) -> io::Result<()> {
    let mut buffers = Buffers::default();
    loop {
        match socket.try_read(&mut buffers.room(CHUNK).limit(CHUNK)) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                output.write(Stream::Out, buffers.take()).await.map_err(io::Error::other)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Many connections are idle: none of them holds a buffer for long.
                tokio::select! {
                    biased;
                    readable = socket.readable() => readable?,
                    () = buffers.rest() => {}
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Tries until it does not block.
async fn unblocked<W: Future<Output = io::Result<()>>>(
    mut attempt: impl FnMut() -> io::Result<usize>,
    mut wait: impl FnMut() -> W,
) -> io::Result<usize> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait().await?,
            outcome => return outcome,
        }
    }
}

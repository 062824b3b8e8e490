//! A client's TCP stream, with the kernel's delays taken out of the handshake.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How often the kernel asks a silent peer whether it is there, in seconds (contract sshd 4).
const KEEPALIVE_SECONDS: u32 = 15;

/// Sets the options that Go sets: no delay, keep-alive. What fails here costs speed, or time until a dead peer is
/// noticed.
pub(crate) fn set_options(tcp: &TcpStream) {
    let _ignored = tcp.set_nodelay(true);
    let _ignored = setsockopt(tcp, sockopt::KeepAlive, &true)
        .and_then(|()| setsockopt(tcp, sockopt::TcpKeepIdle, &KEEPALIVE_SECONDS))
        .and_then(|()| setsockopt(tcp, sockopt::TcpKeepInterval, &KEEPALIVE_SECONDS));
}

/// A TCP stream that acknowledges at once what it reads, as long as the handshake lasts: the server has
/// nothing to send at two moments of it, and a client with Nagle's algorithm, as OpenSSH's is, would wait
/// 41 ms at each for the kernel's delayed acknowledgement.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    handshake_over: Arc<AtomicBool>,
}

/// The handshake is over when this is dropped.
#[derive(Debug, Default)]
pub struct Handshake {
    over: Arc<AtomicBool>,
    /// Counts clients in their handshake.
    _counted: Arc<()>,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Stream {
    /// Sets the options of a connection just accepted; its handshake holds `counted`. A connection that is
    /// gone already fails later.
    pub fn new(tcp: TcpStream, counted: Arc<()>) -> (Self, Handshake) {
        set_options(&tcp);
        let _gone = tcp.set_quickack(true);
        let handshake_over = Arc::default();
        let handshake = Handshake { over: Arc::clone(&handshake_over), _counted: counted };
        (Self { tcp, handshake_over }, handshake)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
        if !self.handshake_over.load(Ordering::Relaxed) {
            // The kernel forgets it after a while.
            let _gone = self.tcp.set_quickack(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

//! A stream whose peer must go on taking what is written: whoever takes next to nothing for too long
//! is cut, since every connection takes a place that another could have.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes to be taken in each window, at least: half a kilobyte a second for a window of 30 seconds.
const ENOUGH: usize = 16 << 10;

/// Cuts slow readers.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    window: Duration,
    end: Pin<Box<Sleep>>,
    /// Bytes taken in this window; `None` while nothing waits to be taken.
    taken: Option<usize>,
}

impl<S> Patient<S> {
    pub(crate) fn new(stream: S, window: Duration) -> Self {
        Self { stream, window, end: Box::pin(sleep(window)), taken: None }
    }

    /// `offered` bytes were written, or some of them, or none yet.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        offered: usize,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) if count < offered => {
                self.taken = self.taken.map(|taken| taken.saturating_add(count));
            }
            Poll::Ready(_) => self.taken = None,
            Poll::Pending => {
                ready!(self.wait(context))?;
            }
        }
        written
    }

    /// Pending, or an error at the end of a window in which too little was taken.
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.taken.is_none() {
            self.begin();
        }
        while self.end.as_mut().poll(context).is_ready() {
            if self.taken.is_some_and(|taken| taken < ENOUGH) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.begin();
        }
        Poll::Ready(Ok(()))
    }

    fn begin(&mut self) {
        self.taken = Some(0);
        self.end.as_mut().reset(Instant::now() + self.window);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, bytes.len(), written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, offered, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::runtime::Builder;

    use super::*;

    const WINDOW: Duration = Duration::from_millis(100);

    /// What becomes of writing a megabyte while the peer does as `reads` says.
    fn outcome<F: Future<Output = ()> + 'static>(
        reads: impl FnOnce(DuplexStream) -> F,
    ) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = duplex(4096);
            let (mut patient, bytes) = (Patient::new(ours, WINDOW), vec![0; 1 << 20]);
            tokio::select! {
                written = patient.write_all(&bytes) => written,
                () = reads(theirs) => unreachable!("the peer outlived its server"),
            }
        })
    }

    #[test]
    fn whoever_takes_nothing_or_crumbs_is_cut() {
        let nothing = outcome(|peer| async move {
            std::future::pending::<()>().await;
            drop(peer);
        });
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let crumbs = outcome(|mut peer| async move {
            loop {
                peer.read_u8().await.unwrap();
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(crumbs.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn whoever_takes_enough_may_take_its_time() {
        let steady = outcome(|mut peer| async move {
            let mut bytes = [0; 4096];
            // Ten windows in all.
            while peer.read_exact(&mut bytes).await.is_ok() {
                sleep(Duration::from_millis(4)).await;
            }
            std::future::pending::<()>().await;
        });
        steady.unwrap();
    }
}

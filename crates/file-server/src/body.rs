//! Bodies of answers: a text, or a part of a file, read piece by piece as the client takes it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

/// Bytes read at a time: what each of many clients takes of the memory.
const CHUNK: u64 = 64 << 10;

/// What is sent.
#[derive(Debug)]
pub(crate) enum Content {
    /// A few words, or nothing.
    Text(Bytes),
    /// Bytes of a file.
    Part {
        /// The file.
        file: Arc<File>,
        /// What is still to be read of it.
        left: Range<u64>,
        /// The piece being read.
        piece: Option<JoinHandle<io::Result<Bytes>>>,
    },
}

impl Content {
    pub(crate) fn part(file: Arc<File>, left: Range<u64>) -> Self {
        Self::Part { file, left, piece: None }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Text(text) if text.is_empty() => Poll::Ready(None),
            Self::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Self::Part { left, .. } if left.is_empty() => Poll::Ready(None),
            Self::Part { file, left, piece } => {
                let reading = piece.get_or_insert_with(|| read(Arc::clone(file), left));
                let read = ready!(Pin::new(reading).poll(context));
                *piece = None;
                let read = read.unwrap_or_else(|ended| Err(io::Error::other(ended)));
                if let Ok(bytes) = &read {
                    left.start += bytes.len() as u64;
                }
                Poll::Ready(Some(read.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Text(text) => text.len() as u64,
            Self::Part { left, .. } => left.end.saturating_sub(left.start),
        })
    }
}

/// Reads the next piece. A file that has become shorter is an error, which cuts the connection: the
/// client was promised more.
fn read(file: Arc<File>, left: &Range<u64>) -> JoinHandle<io::Result<Bytes>> {
    let (at, length) = (left.start, (left.end - left.start).min(CHUNK));
    spawn_blocking(move || {
        let mut piece = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut piece, at)?;
        Ok(piece.into())
    })
}

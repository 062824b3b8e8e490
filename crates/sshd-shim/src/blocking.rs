//! Services that read and write as ordinary blocking programs do, each on a thread of its own.
//!
//! The thread uses the channel's handles itself and sleeps where they would have a task wait; nothing is
//! queued on the way. It is woken by [`serve`]'s task, not by what happens at the channel: that way it
//! finds all there is, where else every packet would wake it.

use std::any::Any;
use std::future::Future;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::{Notify, oneshot};

use crate::connection::channel::{Input, Output, Stream};

/// Of which only what is used takes memory, in bytes.
const STACK: usize = 1024 * 1024;

/// Where a blocking service reads what the client sends.
pub trait Source: BufRead {
    /// Whether bytes, or the end, can be had without waiting. When not, answers so far have to be on
    /// their way before reading on: the client may be waiting for them.
    fn ready(&mut self) -> bool;
}

impl Source for &[u8] {
    fn ready(&mut self) -> bool {
        true
    }
}

impl<R: Read> Source for BufReader<R> {
    fn ready(&mut self) -> bool {
        !self.buffer().is_empty()
    }
}

/// A service that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// There is no thread for it.
    #[error("cannot start a thread")]
    Start(#[source] io::Error),
    /// It panicked.
    #[error("panicked: {0}")]
    Panicked(String),
}

/// Runs `service` on a thread called `name` (15 bytes of it are kept), with the channel's input, stdout
/// and stderr, and gives what it returns once all it wrote is queued.
///
/// When the client goes, the service reads the end and its writes fail with
/// [`ErrorKind::BrokenPipe`]. That is so too when the future is dropped: the thread then ends by itself.
pub async fn serve<T: Send + 'static>(
    name: &str,
    input: Input,
    output: Output,
    service: impl FnOnce(&mut Reader, &mut Writer, &mut Writer) -> T + Send + 'static,
) -> Result<T, Failed> {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let (end, mut ended) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn({
        let bell = Arc::clone(&bell);
        move || {
            bell.thread.get_or_init(thread::current);
            let mut errors = Writer::new(output.clone(), Stream::Error, waker.clone());
            let mut output = Writer::new(output, Stream::Out, waker.clone());
            let mut input = Reader { input, chunk: Bytes::new(), waker };
            let run = || service(&mut input, &mut output, &mut errors);
            // Whoever waits has ended if it fails.
            let _gone = end.send(catch_unwind(AssertUnwindSafe(run)));
        }
    });
    thread.map_err(Failed::Start)?;
    let ringer = Ringer(bell);
    loop {
        tokio::select! {
            outcome = &mut ended => return match outcome {
                Ok(outcome) => outcome.map_err(|panic| Failed::Panicked(text_of(panic.as_ref()))),
                Err(_) => Err(Failed::Panicked("in its end".to_owned())),
            },
            () = ringer.0.rung.notified() => ringer.0.wake_thread(),
        }
    }
}

/// What a panic says.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Wakes the thread of a service: through its task as long as there is one.
#[derive(Default)]
struct Bell {
    rung: Notify,
    task_is_gone: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Bell {
    fn wake_thread(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if self.task_is_gone.load(Ordering::SeqCst) {
            self.wake_thread();
        } else {
            self.rung.notify_one();
        }
    }
}

/// The task's end of a [`Bell`].
struct Ringer(Arc<Bell>);

impl Drop for Ringer {
    fn drop(&mut self) {
        self.0.task_is_gone.store(true, Ordering::SeqCst);
        // What rang before that and was not heard.
        self.0.wake_thread();
    }
}

/// Waits for `future` on this thread, which `waker` has woken.
fn wait<F: Future>(future: F, waker: &Waker) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        thread::park();
    }
}

/// What the client sends.
#[derive(Debug)]
pub struct Reader {
    input: Input,
    /// What is left of the chunk taken last.
    chunk: Bytes,
    waker: Waker,
}

impl Source for Reader {
    fn ready(&mut self) -> bool {
        !self.chunk.is_empty() || self.input.ready()
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.chunk.is_empty() {
            self.chunk = wait(self.input.next(), &self.waker).unwrap_or_default();
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount.min(self.chunk.len()));
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.fill_buf()?.read(into)?;
        self.consume(size);
        Ok(size)
    }
}

/// The way to the client: every write is sent, none is kept back.
#[derive(Debug)]
pub struct Writer {
    output: Output,
    stream: Stream,
    waker: Waker,
    /// What is written is copied into each in turn: of the last two some may wait to be sent, the
    /// third one's memory is free again.
    buffers: [BytesMut; 3],
}

impl Writer {
    fn new(output: Output, stream: Stream, waker: Waker) -> Self {
        Self { output, stream, waker, buffers: <[BytesMut; 3]>::default() }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffers.rotate_left(1);
        let [buffer, ..] = &mut self.buffers;
        buffer.extend_from_slice(bytes);
        let chunk = buffer.split().freeze();
        let sent = wait(self.output.write(self.stream, chunk), &self.waker);
        sent.map(|()| bytes.len()).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    /// Has nothing to send, but tells whether the client is still there.
    fn flush(&mut self) -> io::Result<()> {
        if self.output.is_closed() { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;

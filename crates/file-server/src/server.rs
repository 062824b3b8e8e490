//! Accepts connections, as many as its descriptors allow, and ends them all in good order.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::answer::{PREFIX, Site, answer};
use crate::directory::Directory;
use crate::error::Error;
use crate::patience::Patient;

/// At once; more wait. Each takes two descriptors, of the 1024 that a process has by default.
const MAX_CONNECTIONS: usize = 400;
/// At once; each reads or hashes one file.
const MAX_READERS: usize = 16;
/// For the head of a request, and for the next one on a kept connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 << 10;
/// Lines of a request's head.
const MAX_HEADERS: usize = 64;
/// How long a client may take next to nothing.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long answers that are on their way have when the server is stopped.
const GRACE: Duration = Duration::from_secs(10);
/// After a connection that could not be accepted, most often for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// A directory and where it will be served; clients can connect already, and wait.
#[derive(Debug)]
pub struct FileServer {
    listener: TcpListener,
    address: SocketAddr,
    directory: Directory,
    patience: Duration,
}

/// A server in a thread of its own, stopped when dropped.
#[derive(Debug)]
pub struct Serving {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FileServer {
    /// Serves `directory` at `address`; port 0 takes a free one.
    pub fn bind(address: SocketAddr, directory: &Path) -> Result<Self, Error> {
        let served = Directory::new(directory)
            .map_err(|cause| Error::Directory { path: directory.to_owned(), cause })?;
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            listener.local_addr().map(|address| (listener, address))
        };
        let (listener, address) = listen().map_err(|cause| Error::Listen { address, cause })?;
        Ok(Self { listener, address, directory: served, patience: PATIENCE })
    }

    /// Cuts clients that take next to nothing for so long, instead of a minute, or that do not finish
    /// the head of a request in that time, instead of ten seconds.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The URL that the names of files are appended to.
    pub fn url(&self) -> String {
        format!("http://{}{PREFIX}", self.address)
    }

    /// Serves until SIGTERM or SIGINT.
    pub fn run(self) -> Result<(), Error> {
        let runtime = runtime().map_err(Error::System)?;
        runtime.block_on(async {
            let mut term = signal(SignalKind::terminate()).map_err(Error::System)?;
            let mut int = signal(SignalKind::interrupt()).map_err(Error::System)?;
            let stop = async {
                tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            };
            self.serve(stop).await.map_err(Error::System)
        })
    }

    /// Serves in a thread of its own until the [`Serving`] is dropped.
    pub fn start(self) -> Result<Serving, Error> {
        let url = self.url();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = runtime().map_err(Error::System)?;
        let serve = move || {
            let stop = async {
                let _either_way = stopped.await;
            };
            let _no_event_queue = runtime.block_on(self.serve(stop));
        };
        let thread = thread::Builder::new().name("file-server".to_owned()).spawn(serve);
        let thread = thread.map_err(Error::System)?;
        Ok(Serving { url, stop: Some(stop), thread: Some(thread) })
    }

    async fn serve(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let site = Arc::new(Site::new(self.directory));
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let (ending, _) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            let next = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (listener.accept().await, permit)
            };
            let (accepted, permit) = tokio::select! {
                next = next => next,
                () = &mut stop => break,
            };
            match (accepted, permit) {
                (Ok((stream, _)), Ok(permit)) => {
                    let ending = ending.subscribe();
                    let site = Arc::clone(&site);
                    connections.spawn(converse((stream, self.patience), site, ending, permit));
                }
                _ => sleep(PAUSE).await,
            }
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        ending.send_replace(());
        let _aborted_then =
            timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
        Ok(())
    }
}

impl Serving {
    /// The URL that the names of files are appended to.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(MAX_READERS).build()
}

/// One connection, request after request, until it ends or everything does.
async fn converse(
    (stream, patience): (TcpStream, Duration),
    site: Arc<Site>,
    mut ending: watch::Receiver<()>,
    _permit: OwnedSemaphorePermit,
) {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { answer(&site, &request).await }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT.min(patience))
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        // Scripts look for `ETag:` as often as for `etag:`.
        .title_case_headers(true);
    let stream = TokioIo::new(Patient::new(stream, patience));
    let mut connection = pin!(builder.serve_connection(stream, service));
    // How a client ends a connection is its own affair.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ending.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ended = connection.await;
}

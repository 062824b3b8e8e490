//! Accepting clients until the server is asked to stop; then telling them, and waiting for what runs.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use russh::{Limits, SshId, server};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use crate::authentication::{self, MOST_FAILURES, Offer};
use crate::client::{BY_APPLICATION, Client, LOGIN_GRACE};
use crate::config::Config;
use crate::connection::{Ender, Farewell};
use crate::context::Context;
use crate::log::Log;
use crate::stream::Stream;

/// What the server calls itself (contract sshd 5).
const VERSION: &str = "SSH-2.0-diego-sshd";
/// So many clients may be there that are not logged in.
const MOST_STRANGERS: usize = 1024;
const TOO_MANY: &str = "too many clients are not logged in";
/// How long accepting rests after an error, such as having no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the end may take: the platform kills after 10 s.
const END: Duration = Duration::from_secs(9);
/// Clients that have not gone by then, having been told, are cut off.
const CUT: Duration = Duration::from_secs(2);
/// Programs that have not ended by then are killed.
const KILL: Duration = Duration::from_secs(8);
/// New keys after so many bytes either way.
const REKEY_BYTES: usize = 1 << 30;
/// Not by time: keys that are not used do not wear out.
const REKEY_TIME: Duration = Duration::from_hours(24 * 365);

/// How SSH is spoken.
pub fn transport(config: &Config) -> server::Config {
    let signatures: Vec<&str> =
        config.algorithms.signatures.iter().map(russh::keys::Algorithm::as_str).collect();
    server::Config {
        server_id: SshId::Standard(VERSION.into()),
        methods: authentication::methods(config),
        auth_rejection_time: Duration::ZERO,
        keys: vec![config.host_key.clone()],
        limits: Limits::new(REKEY_BYTES, REKEY_BYTES, REKEY_TIME),
        preferred: config.algorithms.preferred.clone(),
        max_auth_attempts: MOST_FAILURES,
        inactivity_timeout: Some(LOGIN_GRACE),
        server_sig_algs: signatures.join(","),
        ..server::Config::default()
    }
}

/// Signals that end the server, and those that shall not.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _ignored: [Signal; 4],
}

impl Signals {
    /// From now on they are known. Handlers, unlike ignored signals, are not inherited by children.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _ignored: [
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
                signal(SignalKind::alarm())?,
                // A client's write beyond the limit of file sizes: an error of that write.
                signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?,
            ],
        })
    }

    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The server and its clients.
#[derive(Debug)]
pub struct Server {
    context: Arc<Context>,
    log: Log,
    clients: JoinSet<()>,
    enders: HashMap<Id, Ender>,
    /// Held by each client that is not logged in.
    strangers: Arc<()>,
}

impl Server {
    /// A server with no client yet.
    pub fn new(context: Arc<Context>) -> Self {
        let log = context.log.session("server");
        Self {
            context,
            log,
            clients: JoinSet::new(),
            enders: HashMap::new(),
            strangers: Arc::new(()),
        }
    }

    /// Serves until a signal ends it, which `stopping` is told, and all clients are gone.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        mut signals: Signals,
        stopping: watch::Sender<bool>,
    ) {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((tcp, _address)) => self.welcome(tcp),
                    Err(error) => self.rest(&error).await,
                },
                Some(ended) = self.clients.join_next_with_id() => self.forget(ended),
                () = signals.end() => break,
            }
        }
        self.log.info("stopping-server", &[]);
        drop(listener);
        stopping.send_replace(true);
        self.end().await;
    }

    fn welcome(&mut self, tcp: TcpStream) {
        if Arc::strong_count(&self.strangers) > MOST_STRANGERS {
            self.log.error("too-many-connections", &[("error", TOO_MANY.into())]);
            // A new socket's buffer takes a line at once.
            let sentence = format!("{TOO_MANY}\r\n");
            let _gone = tcp.into_std().and_then(|mut tcp| tcp.write_all(sentence.as_bytes()));
            return;
        }
        let log = self.context.log.session("handle-connection");
        let (stream, handshake) = Stream::new(tcp, Arc::clone(&self.strangers));
        let client = Client::new(Arc::clone(&self.context), log.clone(), handshake);
        let ender = client.ender();
        let task = self.clients.spawn(serve_client(
            Arc::clone(&self.context.transport),
            stream,
            client,
            log,
            self.context.stopping.clone(),
        ));
        self.enders.insert(task.id(), ender);
    }

    /// After an error of accepting. Those of one connection are over with it; others may last a while.
    async fn rest(&self, error: &io::Error) {
        if error.raw_os_error() != Some(Errno::ECONNABORTED as i32) {
            self.log.error("serve.accept-temporary-error", &[("error", error.to_string().into())]);
            sleep(ACCEPT_PAUSE).await;
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.enders.remove(&id);
        if let Err(error) = ended {
            self.log.error("connection-panicked", &[("error", error.to_string().into())]);
        }
    }

    /// Tells all clients and waits for what runs for them.
    async fn end(mut self) {
        let farewell =
            Farewell { reason: BY_APPLICATION, text: "the server is shutting down".to_owned() };
        for ender in self.enders.values() {
            ender.end(farewell.clone());
        }
        let all = async { while self.clients.join_next().await.is_some() {} };
        let programs = self.context.children.end_all(KILL);
        let _patience = timeout(END, async { tokio::join!(all, programs) }).await;
    }
}

/// Serves one client to its end.
async fn serve_client(
    transport: Arc<server::Config>,
    stream: Stream,
    mut client: Client,
    log: Log,
    mut stopping: watch::Receiver<bool>,
) {
    log.info("started", &[]);
    let cut = async {
        if stopping.wait_for(|is_stopping| *is_stopping).await.is_err() {
            std::future::pending::<()>().await;
        }
        sleep(CUT).await;
    };
    let outcome = tokio::select! {
        outcome = server::run_connection(transport, stream, &mut client) => outcome,
        // It does not listen before the client has said what it speaks.
        () = cut => Ok(()),
    };
    if client.is_authenticated() {
        if let Err(error) = outcome {
            log.error("connection-failed", &[("error", error.to_string().into())]);
        }
    } else {
        let error = outcome.map_or_else(
            |error| error.to_string(),
            |()| "the connection ended before login".to_owned(),
        );
        let offer = client.offer().map(Offer::data);
        let data: Vec<_> =
            [("error", error.into())].into_iter().chain(offer.into_iter().flatten()).collect();
        log.error("handshake-failed", &data);
    }
    client.end().await;
    log.info("completed", &[]);
}

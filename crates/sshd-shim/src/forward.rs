//! Forwarding of connections: from here (`ssh -L`, [`open`]) and to the client (`ssh -R`, [`listen`]),
//! of TCP ports and of unix sockets. Always permitted (contract sshd 11).

mod dial;
mod listeners;
mod relay;
mod socket;
mod threads;

use std::future::Future;
use std::pin::pin;

use tokio::task::JoinSet;

use crate::connection::Refusal;
use crate::connection::channel::Channel;
use crate::connection::globals::GlobalRequests;
use crate::connection::messages::{GlobalRequest, OpenKind};
use crate::connection::opener::Opener;
use crate::log::Log;

use self::listeners::{Accepted, ForwardError, Listeners};
use self::socket::Socket;
pub use self::threads::Lookups;

/// The other end of a channel, reached.
#[derive(Debug)]
pub struct Connected(Socket);

/// Reaches where the channel `kind` shall lead.
pub async fn open(kind: OpenKind, lookups: &Lookups, log: &Log) -> Result<Connected, Refusal> {
    log.debug("directtcip-handle-new-channel.starting", &[]);
    let dialled = match kind {
        OpenKind::DirectTcp(target) => dial::tcp(&target.host, target.port, lookups).await,
        OpenKind::DirectStreamLocal(path) => dial::unix(&path).await,
        // Never handed to this module.
        OpenKind::Session | OpenKind::Malformed | OpenKind::Unknown(_) => {
            Err(dial::DialError::NoTarget)
        }
    };
    dialled.map(Connected).map_err(|error| Refusal::connect_failed(error.to_string()))
}

impl Connected {
    /// Copies both ways until both ended.
    pub async fn serve(self, channel: Channel) {
        relay::relay(self.0, channel).await;
    }
}

/// Answers requests to listen here, until the client is gone; then nothing is listened on any more.
pub async fn listen(mut requests: GlobalRequests, opener: Opener, lookups: Lookups, log: Log) {
    let mut server = Server {
        listeners: Listeners::default(),
        relays: JoinSet::new(),
        opener: opener.clone(),
        lookups,
        log: log.session("tcpip-forward"),
    };
    while let Some((request, reply)) = server.accept_until(requests.next()).await {
        let outcome = tokio::select! {
            outcome = server.answer(request) => outcome,
            () = opener.gone() => break,
        };
        match outcome {
            Ok(payload) => reply.succeed(&payload),
            Err(error) => {
                server.log.error("failed-to-listen", &[("error", error.to_string().into())]);
                reply.fail();
            }
        }
    }
    let Server { listeners, mut relays, .. } = server;
    drop(listeners);
    // What the client sent last is still on its way.
    while relays.join_next().await.is_some() {}
}

/// What listens here for a client.
#[derive(Debug)]
struct Server {
    listeners: Listeners,
    relays: JoinSet<()>,
    opener: Opener,
    lookups: Lookups,
    log: Log,
}

impl Server {
    /// Hands connections to the client until `future` is ready.
    async fn accept_until<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                ready = &mut future => return ready,
                accepted = self.listeners.accept() => {
                    self.relays.spawn(forward(accepted, self.opener.clone()));
                }
                Some(ended) = self.relays.join_next() => {
                    if let Err(panic) = ended {
                        self.log.error("channel-panicked", &[("error", panic.to_string().into())]);
                    }
                }
            }
        }
    }

    /// Does what is asked; what belongs to the answer.
    async fn answer(&mut self, request: GlobalRequest) -> Result<Vec<u8>, ForwardError> {
        match request {
            GlobalRequest::TcpForward { address, port } => return self.listen(address, port).await,
            GlobalRequest::CancelTcpForward { address, port } => {
                self.listeners.cancel_tcp(&address, port)
            }
            GlobalRequest::StreamLocalForward(path) => self.listeners.listen_unix(&path),
            GlobalRequest::CancelStreamLocalForward(path) => self.listeners.cancel_unix(&path),
        }
        .map(|()| Vec::new())
    }

    /// Listens on a port (0: any, which the answer tells).
    async fn listen(&mut self, address: Vec<u8>, port: u32) -> Result<Vec<u8>, ForwardError> {
        let asked = String::from_utf8_lossy(&address).into_owned();
        self.log.info("new-tcpip-forward", &[("address", asked.into()), ("port", port.into())]);
        self.listeners.require_room()?;
        let lookups = self.lookups.clone();
        let bound = self.accept_until(listeners::bind_tcp(&address, port, &lookups)).await?;
        let actual = self.listeners.listen_tcp(bound, address)?;
        self.log.info("actual-listener-address", &[("port", u32::from(actual).into())]);
        Ok(if port == 0 { u32::from(actual).to_be_bytes().into() } else { Vec::new() })
    }
}

/// Hands a connection to the client; one that it does not want is closed.
async fn forward(accepted: Accepted, opener: Opener) {
    if let Ok(channel) = opener.open(accepted.kind, &accepted.extra).await {
        relay::relay(accepted.socket, channel).await;
    }
}

#[cfg(test)]
mod tests;

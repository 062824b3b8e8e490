//! Forwarding of connections: from here (`ssh -L`, [`open`]) and to the client (`ssh -R`, [`listen`]),
//! of TCP ports and of unix sockets. Always permitted (contract sshd 11).

mod dial;
mod listeners;
mod relay;
mod socket;
mod threads;

use tokio::task::JoinSet;

use crate::connection::Refusal;
use crate::connection::channel::Channel;
use crate::connection::globals::GlobalRequests;
use crate::connection::messages::{GlobalRequest, OpenKind};
use crate::connection::opener::Opener;
use crate::log::Log;

use self::listeners::{Accepted, ForwardError, Listeners};
use self::socket::Socket;

/// The other end of a channel, reached.
#[derive(Debug)]
pub struct Connected(Socket);

/// Reaches where the channel `kind` shall lead.
pub async fn open(kind: OpenKind, log: &Log) -> Result<Connected, Refusal> {
    log.debug("directtcip-handle-new-channel.starting", &[]);
    let dialled = match kind {
        OpenKind::DirectTcp(target) => dial::tcp(&target.host, target.port).await,
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
pub async fn listen(mut requests: GlobalRequests, opener: Opener, log: Log) {
    let log = log.session("tcpip-forward");
    let mut listeners = Listeners::default();
    let mut relays = JoinSet::new();
    loop {
        tokio::select! {
            request = requests.next() => {
                let Some((request, reply)) = request else { break };
                let outcome = tokio::select! {
                    outcome = answer(&mut listeners, request, &log) => outcome,
                    () = opener.gone() => break,
                };
                match outcome {
                    Ok(payload) => reply.succeed(&payload),
                    Err(error) => {
                        log.error("failed-to-listen", &[("error", error.to_string().into())]);
                        reply.fail();
                    }
                }
            }
            accepted = listeners.accept() => {
                relays.spawn(forward(accepted, opener.clone()));
            }
            Some(ended) = relays.join_next() => {
                if let Err(panic) = ended {
                    log.error("channel-panicked", &[("error", panic.to_string().into())]);
                }
            }
        }
    }
    drop(listeners);
    // What the client sent last is still on its way.
    while relays.join_next().await.is_some() {}
}

/// Does what is asked; what belongs to the answer.
async fn answer(
    listeners: &mut Listeners,
    request: GlobalRequest,
    log: &Log,
) -> Result<Vec<u8>, ForwardError> {
    match request {
        GlobalRequest::TcpForward { address, port } => {
            let asked = String::from_utf8_lossy(&address).into_owned();
            log.info("new-tcpip-forward", &[("address", asked.into()), ("port", port.into())]);
            let actual = listeners.listen_tcp(&address, port).await?;
            log.info("actual-listener-address", &[("port", u32::from(actual).into())]);
            return Ok(if port == 0 { u32::from(actual).to_be_bytes().into() } else { Vec::new() });
        }
        GlobalRequest::CancelTcpForward { address, port } => listeners.cancel_tcp(&address, port),
        GlobalRequest::StreamLocalForward(path) => listeners.listen_unix(&path),
        GlobalRequest::CancelStreamLocalForward(path) => listeners.cancel_unix(&path),
    }
    .map(|()| Vec::new())
}

/// Hands a connection to the client; one that it does not want is closed.
async fn forward(accepted: Accepted, opener: Opener) {
    if let Ok(channel) = opener.open(accepted.kind, &accepted.extra).await {
        relay::relay(accepted.socket, channel).await;
    }
}

#[cfg(test)]
mod tests;

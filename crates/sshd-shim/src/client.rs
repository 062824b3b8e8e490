//! One client as the transport sees it: who it is, how long it may be silent, and its connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use russh::server::{
    Auth, Goodbye, Handler, Packets, PublicKeyOffer, Response, Session, VerifiedPublicKey,
};
use tokio::time::{Instant, Interval, Sleep, interval_at, sleep};

use crate::authentication::{self, Offer};
use crate::connection::{Connection, Ender, Farewell, Sink, Violation};
use crate::context::Context;
use crate::log::Log;
use crate::stream::Handshake;

/// How long a client may take to log in.
pub const LOGIN_GRACE: Duration = Duration::from_mins(1);
/// How often a client with channels open that sends nothing is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// A client of which nothing was heard for so long is gone (contract sshd 4).
const SILENCE: Duration = Duration::from_mins(5);

/// RFC 4253 11.1.
const PROTOCOL_ERROR: u32 = 2;
const KEY_EXCHANGE_FAILED: u32 = 3;
const MAC_ERROR: u32 = 5;
const CONNECTION_LOST: u32 = 10;
/// The reason of a server that ends.
pub const BY_APPLICATION: u32 = 11;

/// What ends a connection other than its client's wish.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Below the connection protocol.
    #[error(transparent)]
    Transport(#[from] russh::Error),
    /// In it.
    #[error(transparent)]
    Violation(#[from] Violation),
}

/// One client.
#[derive(Debug)]
pub struct Client {
    context: Arc<Context>,
    log: Log,
    connection: Connection,
    /// Until the client is logged in.
    login: Option<Login>,
    ticks: Interval,
    last_heard: Instant,
}

#[derive(Debug)]
struct Login {
    deadline: Pin<Box<Sleep>>,
    /// The key offered last.
    offer: Option<Offer>,
    /// Over when this is dropped.
    _handshake: Handshake,
}

impl Client {
    /// A client just connected, whose log lines go to `log`.
    pub fn new(context: Arc<Context>, log: Log, handshake: Handshake) -> Self {
        let now = Instant::now();
        Self {
            connection: Connection::new(Arc::clone(&context), log.clone()),
            context,
            log,
            login: Some(Login {
                deadline: Box::pin(sleep(LOGIN_GRACE)),
                offer: None,
                _handshake: handshake,
            }),
            ticks: interval_at(now + KEEPALIVE, KEEPALIVE),
            last_heard: now,
        }
    }

    /// Whether the client is logged in.
    pub fn is_authenticated(&self) -> bool {
        self.login.is_none()
    }

    /// The key offered last by a client that is not logged in.
    pub fn offer(&self) -> Option<&Offer> {
        self.login.as_ref().and_then(|login| login.offer.as_ref())
    }

    /// A way to end the connection from elsewhere.
    pub fn ender(&self) -> Ender {
        self.connection.ender()
    }

    /// Waits for what runs for the client, which is gone.
    pub async fn end(self) {
        self.connection.end().await;
    }

    /// Every 15 seconds: whether the client still lives.
    fn tick(&mut self) -> Option<Goodbye> {
        self.connection.tick();
        let silence = self.last_heard.elapsed();
        if silence >= SILENCE {
            let description = format!("nothing heard for {} seconds", SILENCE.as_secs());
            return Some(Goodbye { reason: CONNECTION_LOST, description });
        }
        if silence >= KEEPALIVE && self.is_authenticated() {
            self.connection.keepalive();
        }
        None
    }
}

impl Handler for Client {
    type Error = ClientError;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, ClientError> {
        Ok(authentication::none(&self.context.config))
    }

    async fn auth_password(&mut self, _user: &str, _: &str) -> Result<Auth, ClientError> {
        Ok(authentication::refused(&self.context.config, &self.log, "password"))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _user: &str,
        _submethods: &str,
        _response: Option<Response<'a>>,
    ) -> Result<Auth, ClientError> {
        Ok(authentication::refused(&self.context.config, &self.log, "keyboard-interactive"))
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, ClientError> {
        if let Some(login) = &mut self.login {
            login.offer = Some(Offer::new(offer.public_key));
        }
        Ok(authentication::offered(
            &self.context.config,
            &self.log,
            offer.public_key,
            offer.algorithm,
        ))
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, ClientError> {
        Ok(authentication::offered(&self.context.config, &self.log, key.public_key, key.algorithm))
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), ClientError> {
        self.login = None;
        Ok(())
    }
}

impl russh::server::Connection for Client {
    fn message(&mut self, payload: &[u8]) -> Result<bool, ClientError> {
        Ok(self.connection.message(payload)?)
    }

    fn heard(&mut self) {
        self.last_heard = Instant::now();
    }

    fn takes_messages(&self) -> bool {
        self.connection.takes_messages()
    }

    fn is_flooded(&self) -> bool {
        self.connection.is_flooded()
    }

    fn write(&mut self, packets: &mut Packets<'_>) {
        self.connection.write(&mut Outgoing(packets));
    }

    fn poll_write(&mut self, context: &mut TaskContext<'_>) -> Poll<()> {
        self.connection.poll_write(context)
    }

    fn poll_goodbye(&mut self, context: &mut TaskContext<'_>) -> Poll<Goodbye> {
        while let Poll::Ready(panic) = self.connection.poll_panic(context) {
            self.log.error("channel-panicked", &[("error", panic.to_string().into())]);
        }
        while self.ticks.poll_tick(context).is_ready() {
            if let Some(goodbye) = self.tick() {
                return Poll::Ready(goodbye);
            }
        }
        if let Some(login) = &mut self.login
            && login.deadline.as_mut().poll(context).is_ready()
        {
            let description = format!("not logged in within {} seconds", LOGIN_GRACE.as_secs());
            return Poll::Ready(Goodbye { reason: PROTOCOL_ERROR, description });
        }
        let Farewell { reason, text } = ready!(self.connection.poll_farewell(context));
        Poll::Ready(Goodbye { reason, description: text })
    }

    fn goodbye(&self, error: &ClientError) -> Option<Goodbye> {
        let reason = match error {
            // There is nobody to be told.
            ClientError::Transport(
                russh::Error::IO(_) | russh::Error::Disconnect | russh::Error::HUP,
            ) => return None,
            ClientError::Transport(russh::Error::NoCommonAlgo { kind, ours, theirs }) => {
                let description = format!(
                    "no common {kind:?} algorithm: ours are {}, yours {}",
                    ours.join(","),
                    theirs.join(",")
                );
                return Some(Goodbye { reason: KEY_EXCHANGE_FAILED, description });
            }
            ClientError::Transport(russh::Error::PacketAuth | russh::Error::DecryptionError) => {
                MAC_ERROR
            }
            ClientError::Transport(russh::Error::Kex | russh::Error::KexInit) => {
                KEY_EXCHANGE_FAILED
            }
            ClientError::Transport(_) | ClientError::Violation(_) => PROTOCOL_ERROR,
        };
        Some(Goodbye { reason, description: error.to_string() })
    }

    fn is_idle(&self) -> bool {
        self.last_heard.elapsed() >= KEEPALIVE
    }
}

/// The transport as the connection sees it.
struct Outgoing<'a, 'b>(&'a mut Packets<'b>);

impl Sink for Outgoing<'_, '_> {
    fn has_room(&mut self) -> bool {
        self.0.has_room()
    }

    fn packet(&mut self, write: &mut dyn FnMut(&mut Vec<u8>)) {
        self.0.packet(write);
    }
}

#[cfg(test)]
mod tests;

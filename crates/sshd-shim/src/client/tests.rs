use std::sync::Mutex;

use russh::client::{self, AuthResult, DisconnectReason};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex, split};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::host_key;

/// A client's side: it takes any host key, and notes what it was told at the end.
#[derive(Clone, Default)]
struct Peer(Arc<Mutex<Option<(u32, String)>>>);

impl client::Handler for Peer {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        if let DisconnectReason::ReceivedDisconnect(told) = reason {
            *self.0.lock().unwrap() = Some((told.reason_code as u32, told.message));
        }
        Ok(())
    }
}

/// Serves a client in a task of its own; what is given is the other end.
fn serve(context: Context) -> DuplexStream {
    serve_to_the_end(context).0
}

/// ... and how it ended.
fn serve_to_the_end(context: Context) -> (DuplexStream, JoinHandle<Result<(), ClientError>>) {
    let (near, far) = duplex(1 << 16);
    let context = Arc::new(context);
    let mut client = Client::new(Arc::clone(&context), context.log.clone(), Handshake::default());
    let ended = tokio::spawn(async move {
        let outcome =
            russh::server::run_connection(Arc::clone(&context.transport), near, &mut client).await;
        client.end().await;
        outcome
    });
    (far, ended)
}

/// A server that wants new keys every `bytes`.
fn rekeying(bytes: usize) -> Context {
    let mut context = Context::example();
    let mut transport = crate::server::transport(&context.config);
    transport.limits = russh::Limits::new(bytes, bytes, Duration::from_hours(1));
    context.transport = Arc::new(transport);
    context
}

async fn connect(context: Context) -> (client::Handle<Peer>, Peer) {
    let peer = Peer::default();
    let session =
        client::connect_stream(Arc::default(), serve(context), peer.clone()).await.unwrap();
    (session, peer)
}

/// What the client was told, once its connection is over.
async fn told(session: client::Handle<Peer>, peer: &Peer) -> Option<(u32, String)> {
    session.await.unwrap_or_default();
    peer.0.lock().unwrap().clone()
}

async fn try_key(
    session: &mut client::Handle<Peer>,
    key: &PrivateKey,
) -> Result<AuthResult, russh::Error> {
    session
        .authenticate_publickey("any", PrivateKeyWithHashAlg::new(Arc::new(key.clone()), None))
        .await
}

#[tokio::test(start_paused = true)]
async fn who_does_not_log_in_is_told_and_cut_off() {
    let mut far = serve(Context::example());
    far.write_all(b"SSH-2.0-nobody\r\n").await.unwrap();
    let began = Instant::now();
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    let sentence = b"not logged in within 60 seconds";
    assert!(all.windows(sentence.len()).any(|window| window == sentence));
    assert!(began.elapsed() < LOGIN_GRACE + Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_at_all_is_cut_off_too() {
    let mut far = serve(Context::example());
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"SSH-2.0-diego-sshd\r\n");
}

#[tokio::test]
async fn the_sixth_failure_is_the_last_and_a_first_none_is_free() {
    let (owner, other) = (host_key::generate().unwrap(), host_key::generate().unwrap());
    let context = || {
        let mut context = Context::example();
        context.config.allow_unauthenticated = false;
        context.config.authorized_key = Some(owner.public_key().clone());
        context.transport = Arc::new(crate::server::transport(&context.config));
        context
    };

    let (mut session, peer) = connect(context()).await;
    session.authenticate_none("any").await.unwrap();
    for _ in 0..5 {
        assert!(matches!(try_key(&mut session, &other).await, Ok(AuthResult::Failure { .. })));
    }
    let _last = try_key(&mut session, &other).await;
    assert_eq!(
        told(session, &peer).await,
        Some((2, "too many authentication failures".to_owned()))
    );

    let (mut session, _peer) = connect(context()).await;
    session.authenticate_none("any").await.unwrap();
    for _ in 0..5 {
        try_key(&mut session, &other).await.unwrap();
    }
    assert!(matches!(try_key(&mut session, &owner).await, Ok(AuthResult::Success)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_answered_at_once() {
    // A timer that was due already took a millisecond, of each connection: clients try `none` first.
    let mut context = Context::example();
    context.config.allow_unauthenticated = false;
    context.config.authorized_key = Some(host_key::generate().unwrap().public_key().clone());
    context.transport = Arc::new(crate::server::transport(&context.config));
    let (mut session, _peer) = connect(context).await;
    let began = Instant::now();
    let answer = session.authenticate_none("any").await;
    assert!(matches!(answer, Ok(AuthResult::Failure { .. })));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn silence_without_channels_ends_after_five_minutes() {
    let (mut session, peer) = connect(Context::example()).await;
    session.authenticate_none("any").await.unwrap();
    let began = Instant::now();
    assert_eq!(told(session, &peer).await, Some((10, "nothing heard for 300 seconds".to_owned())));
    assert!(began.elapsed() >= SILENCE);
}

#[tokio::test(start_paused = true)]
async fn silent_channels_live_as_long_as_the_client_answers() {
    let (mut session, _peer) = connect(Context::example()).await;
    session.authenticate_none("any").await.unwrap();
    let mut channel = session.channel_open_session().await.unwrap();
    // The predecessor cut silent commands after five minutes.
    assert!(timeout(SILENCE * 4, channel.wait()).await.is_err());
    assert!(!session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_has_something_listened_on_lives_as_long_as_it_answers() {
    // An idle `ssh -N -R` was cut after five minutes.
    let (mut session, _peer) = connect(Context::example()).await;
    session.authenticate_none("any").await.unwrap();
    let port = session.tcpip_forward("127.0.0.1", 0).await.unwrap();
    sleep(SILENCE * 4).await;
    assert!(!session.is_closed());
    session.cancel_tcpip_forward("127.0.0.1", port).await.unwrap();
}

#[tokio::test]
async fn a_server_that_ends_says_so() {
    let (near, far) = duplex(1 << 16);
    let context = Arc::new(Context::example());
    let mut client = Client::new(Arc::clone(&context), context.log.clone(), Handshake::default());
    let ender = client.ender();
    tokio::spawn(async move {
        let _outcome =
            russh::server::run_connection(Arc::clone(&context.transport), near, &mut client).await;
    });
    let peer = Peer::default();
    let session = client::connect_stream(Arc::default(), far, peer.clone()).await.unwrap();
    ender.end(Farewell { reason: BY_APPLICATION, text: "the server is shutting down".to_owned() });
    assert_eq!(told(session, &peer).await, Some((11, "the server is shutting down".to_owned())));
}

#[tokio::test]
async fn who_owes_a_key_exchange_and_asks_on_and_on_is_cut_off() {
    // Nothing can be sent meanwhile: answers to requests by the million took 150 MB.
    let (server, ended) = serve_to_the_end(rekeying(10_000));
    let (near, far) = duplex(1 << 16);
    let (mut from_client, mut to_client) = split(near);
    let (mut from_server, mut to_server) = split(server);
    let (stall, mut stalled) = watch::channel(false);
    // The client hears nothing more from then on.
    tokio::spawn(async move {
        tokio::select! {
            _ = copy(&mut from_server, &mut to_client) => {}
            _ = stalled.wait_for(|is_stalled| *is_stalled) => {}
        }
        std::future::pending::<()>().await;
    });
    tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
    let mut session = client::connect_stream(Arc::default(), far, Peer::default()).await.unwrap();
    session.authenticate_none("any").await.unwrap();
    stall.send_replace(true);
    let flood = async {
        // As many as would be 2 MiB of requests, an eighth of what may be on its way.
        for _ in 0..80_000 {
            if session.send_keepalive(true).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = timeout(Duration::from_mins(1), ended) => outcome.unwrap().unwrap(),
        () = flood => unreachable!(),
    };
    let error = outcome.unwrap_err().to_string();
    assert_eq!(error, "Pending buffer limit reached");
}

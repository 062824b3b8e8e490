//! `tcpip-forward` and `streamlocal-forward@openssh.com`, and their cancelling.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;

/// Listens on any port of `address`; its number.
async fn listening(client: &mut Client, address: &str) -> u16 {
    let answer = client.request("tcpip-forward", &endpoint(address, 0)).await;
    assert_eq!((answer[0], answer.len()), (SUCCESS, 5));
    u16::try_from(numbers(&answer)[0]).unwrap()
}

async fn connect(port: u16) -> TcpStream {
    soon(TcpStream::connect(("127.0.0.1", port))).await.unwrap()
}

#[tokio::test]
async fn connections_are_handed_to_the_client_by_the_address_it_asked_for() {
    for (address, host, origin) in [
        ("localhost", "127.0.0.1", "127.0.0.1"),
        ("", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "::1", "::1"),
        ("::1", "::1", "::1"),
    ] {
        let mut client = Client::new();
        let port = listening(&mut client, address).await;
        let mut stream = soon(TcpStream::connect((host, port))).await.unwrap();
        let (kind, channel, extra) = client.offered().await;
        assert_eq!(kind, "forwarded-tcpip");
        let from = stream.local_addr().unwrap().port();
        assert_eq!(extra, [endpoint(address, port), endpoint(origin, from)].concat(), "{address}");
        client.confirm(channel);
        write(&mut stream, b"hello").await;
        assert_eq!(client.hear_else().await, [&message(DATA, &[FIRST, 5])[..], b"hello"].concat());
    }
}

#[tokio::test]
async fn each_way_of_a_connection_has_its_own_end() {
    // The predecessor closed both at the client's EOF.
    let mut client = Client::new();
    let port = listening(&mut client, "127.0.0.1").await;
    let mut stream = connect(port).await;
    let (_, channel, _) = client.offered().await;
    client.confirm(channel);
    client.send(channel, b"request");
    client.say(&message(EOF, &[channel]));
    assert_eq!(read_to_end(&mut stream).await, b"request");
    write(&mut stream, b"answer").await;
    stream.shutdown().await.unwrap();
    assert_eq!(client.receive().await, (b"answer".to_vec(), message(EOF, &[FIRST])));
    assert_eq!(client.hear().await, message(CLOSE, &[FIRST]));
}

#[tokio::test]
async fn what_the_client_refuses_is_closed() {
    let mut client = Client::new();
    let port = listening(&mut client, "127.0.0.1").await;
    let mut stream = connect(port).await;
    let (_, channel, _) = client.offered().await;
    let mut refusal = message(OPEN_FAILURE, &[channel, 1]);
    refusal.extend([text("no"), text("")].concat());
    client.say(&refusal);
    assert_eq!(read_to_end(&mut stream).await, b"");
}

#[tokio::test]
async fn the_port_is_told_only_when_it_was_not_asked_for() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let mut client = Client::new();
    assert_eq!(client.request("tcpip-forward", &endpoint("127.0.0.1", free)).await, [SUCCESS]);
    assert_eq!(
        client.request("tcpip-forward", &endpoint("127.0.0.1", free)).await,
        [FAILURE],
        "it is in use"
    );
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_refused() {
    let mut client = Client::new();
    let mut too_high = text("127.0.0.1");
    put_number(&mut too_high, 65_536);
    let mut no_text = Vec::new();
    put_string(&mut no_text, b"\xff");
    put_number(&mut no_text, 0);
    for payload in [
        endpoint("*", 0),
        endpoint("192.0.2.1", 0),
        endpoint("a b", 0),
        too_high,
        no_text,
        text("127.0.0.1"),
    ] {
        assert_eq!(
            client.request("tcpip-forward", &payload).await,
            [FAILURE],
            "{}",
            payload.escape_ascii()
        );
    }
    // One answer each: the predecessor gave two to a malformed one.
    client.nothing_is_heard().await;
}

#[tokio::test]
async fn what_is_cancelled_can_be_listened_on_at_once() {
    // The predecessor looked for the resolved address, so `localhost` could not be cancelled.
    for address in ["localhost", "", "0.0.0.0", "127.0.0.1"] {
        let mut client = Client::new();
        // None that another test is given as it is free again.
        let port = suite::free_port();
        assert_eq!(client.request("tcpip-forward", &endpoint(address, port)).await, [SUCCESS]);
        let mut stream = connect(port).await;
        let (_, channel, _) = client.offered().await;
        client.confirm(channel);
        let other = client.request("cancel-tcpip-forward", &endpoint("127.0.0.2", port)).await;
        assert_eq!(other, [FAILURE], "{address}");
        assert_eq!(
            client.request("cancel-tcpip-forward", &endpoint(address, port)).await,
            [SUCCESS]
        );
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err(), "{address}");
        assert_eq!(client.request("tcpip-forward", &endpoint(address, port)).await, [SUCCESS]);
        assert_eq!(
            client.request("cancel-tcpip-forward", &endpoint(address, port)).await,
            [SUCCESS]
        );
        assert_eq!(
            client.request("cancel-tcpip-forward", &endpoint(address, port)).await,
            [FAILURE]
        );
        // What is open goes on.
        write(&mut stream, b"still here").await;
        assert_eq!(client.hear_else().await[9..], *b"still here");
    }
}

#[tokio::test]
async fn nothing_is_listened_on_once_the_client_is_gone() {
    let mut client = Client::new();
    let port = listening(&mut client, "localhost").await;
    let mut stream = connect(port).await;
    let (_, channel, _) = client.offered().await;
    client.confirm(channel);
    soon(client.connection.end()).await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    assert_eq!(read_to_end(&mut stream).await, b"");
}

#[tokio::test]
async fn a_client_that_does_not_answer_holds_up_no_other_connection() {
    let mut client = Client::new();
    let port = listening(&mut client, "localhost").await;
    let _first = connect(port).await;
    let (_, silent, _) = client.offered().await;
    let mut second = connect(port).await;
    let (_, channel, _) = client.offered().await;
    assert_ne!(channel, silent);
    client.confirm(channel);
    write(&mut second, b"hello").await;
    assert_eq!(client.hear_else().await[9..], *b"hello");
}

#[tokio::test]
async fn there_is_a_limit_of_listeners() {
    let mut client = Client::new();
    let mut ports = Vec::new();
    for _ in 0..128 {
        ports.push(listening(&mut client, "127.0.0.1").await);
    }
    assert_eq!(client.request("tcpip-forward", &endpoint("127.0.0.1", 0)).await, [FAILURE]);
    assert_eq!(
        client.request("cancel-tcpip-forward", &endpoint("127.0.0.1", ports[5])).await,
        [SUCCESS]
    );
    listening(&mut client, "127.0.0.1").await;
}

#[tokio::test]
async fn unix_sockets_are_made_for_this_user_only_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let name = text(path.to_str().unwrap());
    let mut client = Client::new();
    let forward = "streamlocal-forward@openssh.com";
    let cancel = "cancel-streamlocal-forward@openssh.com";
    assert_eq!(client.request(forward, &name).await, [SUCCESS]);
    assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let (kind, channel, extra) = client.offered().await;
    assert_eq!(
        (kind.as_str(), extra),
        ("forwarded-streamlocal@openssh.com", [name.clone(), text("")].concat())
    );
    client.confirm(channel);
    client.send(channel, b"hello");
    client.say(&message(EOF, &[channel]));
    assert_eq!(read_to_end(&mut stream).await, b"hello");
    // What exists is left alone.
    assert_eq!(client.request(forward, &name).await, [FAILURE]);
    assert_eq!(client.request(cancel, &text("/nope")).await, [FAILURE]);
    assert_eq!(client.request(cancel, &name).await, [SUCCESS]);
    assert!(!path.exists());
    for bad in ["", "/nope/socket", "a\0b", &"x".repeat(200)] {
        assert_eq!(client.request(forward, &text(bad)).await, [FAILURE], "{bad:?}");
    }
    assert_eq!(client.request(forward, &name).await, [SUCCESS]);
    soon(client.connection.end()).await;
    assert!(!path.exists(), "the client is gone");
}

#[tokio::test]
async fn a_file_that_took_the_sockets_place_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let mut client = Client::new();
    let answer =
        client.request("streamlocal-forward@openssh.com", &text(path.to_str().unwrap())).await;
    assert_eq!(answer, [SUCCESS]);
    fs::rename(&path, directory.path().join("other")).unwrap();
    fs::write(&path, "mine").unwrap();
    soon(client.connection.end()).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn a_name_that_is_looked_up_for_long_holds_up_no_connection() {
    // Nothing was accepted meanwhile, on any port of that client.
    let mut client = Client::new();
    let lookups = client.connection.lookups.clone();
    let (stalls, receivers): (Vec<_>, Vec<_>) = (0..20).map(|_| mpsc::channel::<()>()).unzip();
    for receiver in receivers {
        let lookups = lookups.clone();
        tokio::spawn(async move { lookups.on_a_thread(move || receiver.recv()).await });
    }
    tokio::task::yield_now().await;
    // Nor an address that needs no looking up.
    let port = listening(&mut client, "127.0.0.1").await;
    let mut request = [&[80][..], &text("tcpip-forward"), &[1]].concat();
    request.extend(endpoint("name.invalid", 0));
    client.say(&request);
    let _stream = connect(port).await;
    assert_eq!(client.offered().await.0, "forwarded-tcpip");
    drop(stalls);
    assert_eq!(client.hear_else().await[0], FAILURE);
}

//! `direct-tcpip` and `direct-streamlocal@openssh.com`.

use std::net::SocketAddr;

use nix::sys::socket::{Backlog, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::*;

fn target(host: &str, port: u16) -> Vec<u8> {
    [endpoint(host, port), endpoint("10.0.0.9", 5555)].concat()
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A channel to a socket here: the client, the channel's number and the socket.
async fn connected() -> (Client, u32, TcpStream) {
    let (listener, port) = listener().await;
    let mut client = Client::new();
    let channel = client.opened("direct-tcpip", &target("127.0.0.1", port)).await;
    let (stream, _) = soon(listener.accept()).await.unwrap();
    (client, channel, stream)
}

/// The reason and text of a refusal.
async fn refused(kind: &str, extra: &[u8]) -> (u32, String) {
    let answer = Client::new().open(kind, extra).await;
    assert_eq!(answer[0], OPEN_FAILURE);
    let mut reader = Reader::new(&answer[5..]);
    (reader.number().unwrap(), reader.text().unwrap())
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_way_has_its_own_end() {
    let (mut client, channel, mut stream) = connected().await;
    client.send(channel, b"question");
    client.say(&message(EOF, &[channel]));
    assert_eq!(read_to_end(&mut stream).await, b"question");
    write(&mut stream, b"answer").await;
    assert_eq!(client.hear().await, [&message(DATA, &[FIRST, 6])[..], b"answer"].concat());
    drop(stream);
    assert_eq!(client.hear().await, message(EOF, &[FIRST]));
    assert_eq!(client.hear().await, message(CLOSE, &[FIRST]));
}

#[tokio::test]
async fn the_end_of_a_socket_leaves_the_way_there_open() {
    let (mut client, channel, mut stream) = connected().await;
    stream.shutdown().await.unwrap();
    assert_eq!(client.hear().await, message(EOF, &[FIRST]));
    client.send(channel, b"late");
    client.say(&message(EOF, &[channel]));
    assert_eq!(read_to_end(&mut stream).await, b"late");
    assert_eq!(client.hear().await, message(CLOSE, &[FIRST]));
}

#[tokio::test]
async fn much_goes_through_unchanged() {
    let (mut client, channel, mut stream) = connected().await;
    let bytes: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
    // As much as the window lets through, in messages of all sizes.
    let mut rest = bytes.as_slice();
    for size in (1..).map(|step| step * 37 % 32_768) {
        let (part, more) = rest.split_at(size.min(rest.len()));
        client.send(channel, part);
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    client.say(&message(EOF, &[channel]));
    assert_eq!(read_to_end(&mut stream).await, bytes);
    let (mut reading, mut writing) = (Vec::new(), Vec::new());
    writing.extend_from_slice(&bytes);
    let task = tokio::spawn(async move {
        write(&mut stream, &writing).await;
    });
    while reading.len() < bytes.len() {
        let packet = client.hear_else().await;
        assert_eq!(packet[0], DATA);
        reading.extend_from_slice(&packet[9..]);
    }
    assert_eq!(reading, bytes);
    soon(task).await.unwrap();
}

#[tokio::test]
async fn requests_on_the_channel_fail() {
    let (mut client, channel, _stream) = connected().await;
    let mut packet = message(98, &[channel]);
    put_string(&mut packet, b"exec");
    packet.push(1);
    put_string(&mut packet, b"true");
    client.say(&packet);
    assert_eq!(client.hear().await, message(CHANNEL_FAILURE, &[FIRST]));
}

#[tokio::test]
async fn hosts_may_be_names_ipv6_addresses_and_nothing() {
    let (v4, port) = listener().await;
    for host in ["", "localhost", "127.0.0.1"] {
        Client::new().opened("direct-tcpip", &target(host, port)).await;
        soon(v4.accept()).await.unwrap();
    }
    // The predecessor: "dial tcp: address ::1:1: too many colons in address".
    let v6 = TcpListener::bind("[::1]:0").await.unwrap();
    let port = v6.local_addr().unwrap().port();
    for host in ["::1", "[::1]", "localhost", "::"] {
        Client::new().opened("direct-tcpip", &target(host, port)).await;
        soon(v6.accept()).await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_said_in_the_predecessors_words() {
    let (listener, port) = listener().await;
    drop(listener);
    let refusal = refused("direct-tcpip", &target("127.0.0.1", port)).await;
    assert_eq!(refusal, (2, format!("dial tcp 127.0.0.1:{port}: connect: connection refused")));
    let refusal = refused("direct-tcpip", &target("::1", port)).await;
    assert_eq!(refusal, (2, format!("dial tcp [::1]:{port}: connect: connection refused")));
    // Of several addresses, the first one's error.
    let refusal = refused("direct-tcpip", &target("localhost", port)).await;
    assert_eq!(refusal, (2, format!("dial tcp 127.0.0.1:{port}: connect: connection refused")));
    let mut extra = text("127.0.0.1");
    put_number(&mut extra, 70_000);
    extra.extend(endpoint("10.0.0.9", 5555));
    assert_eq!(
        refused("direct-tcpip", &extra).await,
        (2, "dial tcp: address 70000: invalid port".to_owned())
    );
    let (reason, words) = refused("direct-tcpip", &target("a b", 80)).await;
    assert_eq!((reason, words.as_str()), (2, "dial tcp: lookup a b: no such host"));
    let malformed = refused("direct-tcpip", &text("127.0.0.1")).await;
    assert_eq!(malformed, (2, "Failed to parse open channel message".to_owned()));
}

#[tokio::test]
async fn a_target_that_does_not_answer_holds_up_no_other_channel() {
    // A listener whose queue is full lets further connections hang.
    let full = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listen(&full, Backlog::new(0).unwrap()).unwrap();
    let address = full.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        filling.push(stream.unwrap());
        assert!(filling.len() < 100);
    }
    let (other, port) = listener().await;
    let mut client = Client::new();
    client.ask_for("direct-tcpip", FIRST, &target("127.0.0.1", address.port()));
    client.ask_for("direct-tcpip", FIRST + 1, &target("127.0.0.1", port));
    let answer = client.hear().await;
    assert_eq!((answer[0], numbers(&answer)[0]), (CONFIRMATION, FIRST + 1));
    soon(other.accept()).await.unwrap();
    // The client goes: nobody waits for the target.
    soon(client.connection.end()).await;
}

#[tokio::test]
async fn what_a_client_does_not_read_is_not_read_of_the_socket() {
    let (mut client, channel, stream) = connected().await;
    let mut sent = 0;
    // Nothing is heard, so no message leaves either: the queue of the channel is what fills.
    while timeout(Duration::from_millis(500), stream.writable()).await.is_ok() {
        sent += stream.try_write(&[0; 16_384]).unwrap_or(0);
        assert!(sent < 64 << 20, "all of it is kept somewhere");
    }
    let mut received = 0;
    while received < WINDOW as usize {
        let packet = client.hear().await;
        assert_eq!(packet[0], DATA);
        received += packet.len() - 9;
    }
    // The window is used up.
    client.nothing_is_heard().await;
    client.say(&message(WINDOW_ADJUST, &[channel, 10]));
    assert_eq!(client.hear().await.len(), 19);
}

#[tokio::test]
async fn what_a_socket_does_not_take_is_not_granted_to_the_client() {
    let (mut client, channel, mut stream) = connected().await;
    let (mut window, mut sent) = (2 << 20, 0);
    loop {
        while window >= 32_768 {
            client.send(channel, &[0; 8192].repeat(4));
            (window, sent) = (window - 32_768, sent + 32_768);
        }
        // The kernel's buffers are filled, then the channel's window.
        let Ok(granted) = timeout(Duration::from_millis(500), client.hear()).await else { break };
        window += numbers(&granted)[1];
        assert!(sent < 64 << 20, "all of it is kept somewhere");
    }
    let mut buffer = vec![0; sent];
    soon(stream.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(client.hear().await[0], WINDOW_ADJUST);
}

#[tokio::test]
async fn a_reset_socket_closes_the_channel_without_an_eof() {
    let (mut client, _channel, stream) = connected().await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    assert_eq!(client.hear().await, message(CLOSE, &[FIRST]));
}

#[tokio::test]
async fn an_answer_to_a_request_that_was_not_read_still_arrives() {
    // A web server that refuses an upload: it answers, closes, and the rest of the upload is reset.
    let (mut client, channel, mut stream) = connected().await;
    write(&mut stream, b"413").await;
    client.send(channel, b"upload");
    stream.readable().await.unwrap();
    drop(stream);
    for _ in 0..20 {
        client.send(channel, b"more");
        tokio::task::yield_now().await;
    }
    let (data, end) = client.receive().await;
    assert_eq!(data, b"413");
    assert!(end == message(EOF, &[FIRST]) || end == message(CLOSE, &[FIRST]));
}

#[tokio::test]
async fn what_was_sent_before_the_close_arrives() {
    let (mut client, channel, mut stream) = connected().await;
    client.send(channel, b"last words");
    client.say(&message(CLOSE, &[channel]));
    assert_eq!(read_to_end(&mut stream).await, b"last words");
    assert_eq!(client.hear().await, message(CLOSE, &[FIRST]));
    let (mut client, channel, mut stream) = connected().await;
    client.send(channel, b"last words");
    let end = tokio::spawn(client.connection.end());
    assert_eq!(read_to_end(&mut stream).await, b"last words");
    soon(end).await.unwrap();
}

#[tokio::test]
async fn unix_sockets_are_reached() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = Client::new();
    let extra = [text(path.to_str().unwrap()), endpoint("", 0)].concat();
    let channel = client.opened("direct-streamlocal@openssh.com", &extra).await;
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    client.send(channel, b"question");
    client.say(&message(EOF, &[channel]));
    assert_eq!(read_to_end(&mut stream).await, b"question");
    write(&mut stream, b"answer").await;
    drop(stream);
    assert_eq!(client.receive().await, (b"answer".to_vec(), message(EOF, &[FIRST])));
    let extra = [text("/nope"), endpoint("", 0)].concat();
    let refusal = refused("direct-streamlocal@openssh.com", &extra).await;
    assert_eq!(refusal, (2, "dial unix /nope: connect: no such file or directory".to_owned()));
}

#[tokio::test]
async fn a_thousand_connections_one_after_the_other_leave_nothing() {
    let (listener, port) = listener().await;
    let open_files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let address: SocketAddr = listener.local_addr().unwrap();
    drop(TcpStream::connect(address).await.unwrap());
    soon(listener.accept()).await.unwrap();
    let mut client = Client::new();
    let mut most = 0;
    for _ in 0..1000 {
        let channel = client.opened("direct-tcpip", &target("127.0.0.1", port)).await;
        drop(soon(listener.accept()).await.unwrap());
        assert_eq!(client.hear_else().await, message(EOF, &[FIRST]));
        client.say(&message(EOF, &[channel]));
        assert_eq!(client.hear_else().await, message(CLOSE, &[FIRST]));
        client.say(&message(CLOSE, &[channel]));
        most = most.max(open_files());
    }
    // Other tests run beside this one.
    assert!(most < 500, "{most}");
}

use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::*;
use crate::connection::scripted::{self, Client, Received};

/// What clients send in one message at most, in bytes.
const PIECE: usize = 32 << 10;
/// As much as may wait in a channel, in bytes.
const LARGE: usize = 128 << 10;
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something is so, which happens on another thread.
async fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it never came to be");
        sleep(Duration::from_millis(1)).await;
    }
}

/// Takes what comes until `enough` of it is there, giving the window back.
async fn receive(client: &Client, enough: impl Fn(&Received) -> bool) -> Received {
    let mut all = Received::default();
    until(|| {
        assert!(client.queued() <= 3 * LARGE, "{} bytes wait", client.queued());
        let more = client.receive();
        client.widen(u32::try_from(more.output.len() + more.errors.len()).unwrap());
        all.output.extend(more.output);
        all.errors.extend(more.errors);
        all.messages += more.messages;
        all.granted += more.granted;
        enough(&all)
    })
    .await;
    all
}

#[tokio::test]
async fn a_service_reads_to_the_end_and_writes_to_both_streams() {
    let (client, channel) = scripted::open(1 << 20);
    let service = |input: &mut Reader, output: &mut Writer, errors: &mut Writer| {
        let mut line = String::new();
        input.read_to_string(&mut line)?;
        output.write_all(line.to_uppercase().as_bytes())?;
        errors.write_all(b"done")?;
        io::Result::Ok(line.len())
    };
    let served = tokio::spawn(serve("echo", channel.input, channel.output.clone(), service));
    client.send(b"first ");
    client.send(b"second");
    client.end();
    assert_eq!(served.await.unwrap().unwrap().unwrap(), 12);
    // All of it was queued when the service had ended.
    let received = client.receive();
    assert_eq!((&received.output[..], &received.errors[..]), (&b"FIRST SECOND"[..], &b"done"[..]));
}

#[tokio::test]
async fn megabytes_pass_both_ways_within_bounds() {
    const SIZE: usize = 8 << 20;
    let (client, channel) = scripted::open(256 << 10);
    let service = |input: &mut Reader, output: &mut Writer, _: &mut Writer| loop {
        let piece = input.fill_buf().unwrap().to_owned();
        if piece.is_empty() {
            break;
        }
        // More than a message at once.
        output.write_all(&piece.repeat(8)).unwrap();
        input.consume(piece.len());
    };
    let served = tokio::spawn(serve("repeat", channel.input, channel.output.clone(), service));
    let piece = |number: usize| vec![u8::try_from(number % 251).unwrap(); PIECE];
    let pieces = SIZE / (8 * PIECE);
    for number in 0..pieces {
        client.send(&piece(number));
    }
    client.end();
    let received = receive(&client, |received| received.output.len() >= SIZE).await;
    served.await.unwrap().unwrap();
    let expected: Vec<u8> = (0..pieces).flat_map(|number| piece(number).repeat(8)).collect();
    assert!(received.output == expected);
}

#[tokio::test]
async fn a_service_whose_client_does_not_read_waits() {
    let (client, channel) = scripted::open(0);
    let service = |_: &mut Reader, output: &mut Writer, _: &mut Writer| {
        (0..100).try_for_each(|_| output.write_all(&vec![1; LARGE]))
    };
    let served = tokio::spawn(serve("write", channel.input, channel.output.clone(), service));
    until(|| client.queued() > 0).await;
    assert!(client.receive().output.is_empty());
    client.widen(64 << 10);
    let received = receive(&client, |received| received.output.len() >= 100 * LARGE).await;
    assert_eq!(received.output.len(), 100 * LARGE);
    served.await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn window_is_given_back_for_what_was_read() {
    let (client, channel) = scripted::open(0);
    let service =
        |input: &mut Reader, _: &mut Writer, _: &mut Writer| io::copy(input, &mut io::sink());
    let served = tokio::spawn(serve("read", channel.input, channel.output.clone(), service));
    for _ in 0..64 {
        client.send(&vec![1; PIECE]);
    }
    let received = receive(&client, |received| received.granted >= 1 << 20).await;
    assert!(received.granted <= 2 << 20);
    client.end();
    assert_eq!(served.await.unwrap().unwrap().unwrap(), 2 << 20);
}

#[tokio::test]
async fn what_comes_at_once_wakes_a_service_once() {
    let (client, channel) = scripted::open(0);
    let service = |input: &mut Reader, _: &mut Writer, _: &mut Writer| {
        let mut pauses = 0;
        while let size @ 1.. = input.fill_buf().unwrap().len() {
            input.consume(size);
            pauses += u32::from(!input.ready());
        }
        pauses
    };
    let served = tokio::spawn(serve("count", channel.input, channel.output.clone(), service));
    for _ in 0..10 {
        until(|| client.is_waited_for()).await;
        // Nobody else runs on this thread meanwhile, as while a connection reads its socket.
        (0..50).for_each(|_| client.send(b"packet"));
    }
    until(|| client.is_waited_for()).await;
    client.end();
    assert_eq!(served.await.unwrap().unwrap(), 10);
}

#[tokio::test]
async fn a_client_that_goes_is_the_end_and_a_broken_pipe() {
    for go in [Client::close, Client::vanish] {
        let (client, channel) = scripted::open(0);
        let service = |input: &mut Reader, output: &mut Writer, _: &mut Writer| {
            let read = input.fill_buf().map(<[u8]>::len);
            (
                read.ok(),
                output.write(b"x").map_err(|error| error.kind()),
                output.flush().map_err(|error| error.kind()),
            )
        };
        let served = tokio::spawn(serve("read", channel.input, channel.output.clone(), service));
        until(|| client.is_waited_for()).await;
        go(&client);
        let broken = ErrorKind::BrokenPipe;
        assert_eq!(served.await.unwrap().unwrap(), (Some(0), Err(broken), Err(broken)));
    }
}

#[tokio::test]
async fn a_service_that_waits_to_write_is_told_that_its_client_went() {
    let (client, channel) = scripted::open(0);
    let service = |_: &mut Reader, output: &mut Writer, _: &mut Writer| loop {
        if let Err(error) = output.write_all(&vec![1; LARGE]) {
            break error.kind();
        }
    };
    let served = tokio::spawn(serve("write", channel.input, channel.output.clone(), service));
    until(|| client.queued() >= LARGE).await;
    client.vanish();
    assert_eq!(served.await.unwrap().unwrap(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_panic_ends_the_service_and_nothing_else() {
    let (_client, channel) = scripted::open(0);
    let service =
        |_: &mut Reader, _: &mut Writer, _: &mut Writer| assert_eq!(1, 2, "this test panics");
    let failed = serve("panic", channel.input, channel.output.clone(), service).await.unwrap_err();
    assert!(failed.to_string().contains("this test panics"), "{failed}");
}

#[tokio::test]
async fn a_service_nobody_waits_for_any_more_ends_with_its_client() {
    // Its thread is woken by the task that waits for it: without one it slept for ever.
    let (client, channel) = scripted::open(0);
    let (ended, end) = mpsc::channel();
    let service = move |input: &mut Reader, _: &mut Writer, _: &mut Writer| {
        input.fill_buf().unwrap();
        ended.send(()).unwrap();
    };
    let served = tokio::spawn(serve("read", channel.input, channel.output.clone(), service));
    until(|| client.is_waited_for()).await;
    served.abort();
    assert!(served.await.unwrap_err().is_cancelled());
    client.vanish();
    end.recv_timeout(PATIENCE).unwrap();
}

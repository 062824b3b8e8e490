//! Servers that want the check to hang or to grow: each check ends within its timeout and 100 ms,
//! in little memory.

use std::io::Write;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use crate::run::{Run, run_within};
use crate::server::{answering, request, send, serve, stalling_after, wait_for_close};

const LIMIT: Duration = Duration::from_millis(400);

fn check(port: u16) -> Run {
    let arguments = [format!("-port={port}"), "-uri=/x".to_owned(), "-timeout=400ms".to_owned()];
    run_within(LIMIT, &arguments)
}

fn times_out(port: u16) -> Run {
    let run = check(port);
    let sentence =
        format!("failed to make HTTP request to '/x' on port {port}: timed out after 0.40 seconds");
    run.says(65, &sentence);
    run
}

fn fails(port: u16, cause: &str) {
    let run = check(port);
    run.says(5, &format!("failed to make HTTP request to '/x' on port {port}: connection refused"));
    assert!(run.line.contains(cause), "{run:?}");
}

/// Sends `bytes` for ever, one by one with a pause or as fast as they go.
fn for_ever(stream: &mut TcpStream, bytes: &[u8], pause: Duration) {
    while stream.write_all(bytes).is_ok() {
        sleep(pause);
    }
}

/// Closes with a reset instead of an end.
fn reset(stream: &TcpStream) {
    setsockopt(stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

#[test]
fn a_silent_server_times_out() {
    let run = times_out(stalling_after(""));
    assert!(run.line.contains("accepted the connection, but sent nothing"), "{run:?}");
}

#[test]
fn a_server_that_sends_a_byte_now_and_then_times_out() {
    let port = serve(|mut stream| {
        request(&mut stream);
        let answer = b"HTTP/1.1 200 OK\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
        for byte in answer {
            send(&mut stream, &[*byte]);
            sleep(Duration::from_millis(100));
        }
    });
    let run = times_out(port);
    assert!(run.line.contains("began to answer, but too slowly"), "{run:?}");
}

#[test]
fn endless_slow_headers_time_out() {
    let port = serve(|mut stream| {
        request(&mut stream);
        send(&mut stream, b"HTTP/1.1 200 OK\r\n");
        for_ever(&mut stream, b"X: y\r\n", Duration::from_millis(5));
    });
    times_out(port);
}

#[test]
fn endless_fast_headers_are_cut_at_ten_mebibytes() {
    for line in [
        &b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"[..],
        b"yyyyyyyyyyyyyyyy",
    ] {
        let block = line.repeat(1000);
        let port = serve(move |mut stream| {
            request(&mut stream);
            send(&mut stream, b"HTTP/1.1 200 OK\r\nX: ");
            for_ever(&mut stream, &block, Duration::ZERO);
        });
        // A busy machine may not get that far in time.
        let run = check(port);
        assert!(
            run.line.contains("its header is longer than 10 MiB") || run.status == Some(65),
            "{run:?}"
        );
    }
}

#[test]
fn a_huge_status_line_is_no_answer() {
    let mut line = b"HTTP/1.1 200 ".to_vec();
    line.resize(11 << 20, b'x');
    let run = check(answering(line));
    assert!(
        run.line.contains("its header is longer than 10 MiB") || run.status == Some(65),
        "{run:?}"
    );
    let mut line = vec![b'x'; 1 << 20];
    line.extend(b"\r\n\r\n");
    fails(answering(line), "it does not begin with a status line");
    // A long reason is fine.
    let mut line = b"HTTP/1.1 200 ".to_vec();
    line.resize(1 << 20, b'x');
    line.extend(b"\r\n\r\n");
    check(answering(line)).passes();
}

#[test]
fn endless_announcements_time_out() {
    let port = serve(|mut stream| {
        request(&mut stream);
        for_ever(&mut stream, b"HTTP/1.1 100 Continue\r\n\r\n", Duration::from_micros(100));
    });
    times_out(port);
    times_out(stalling_after("HTTP/1.1 103 Early Hints\r\n\r\n"));
}

#[test]
fn an_endless_body_is_cut_at_a_mebibyte_or_the_timeout() {
    for pause in [Duration::ZERO, Duration::from_millis(5)] {
        let port = serve(move |mut stream| {
            request(&mut stream);
            send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n");
            for_ever(&mut stream, &[0; 4096], pause);
        });
        check(port).passes();
    }
    let endless_chunks =
        b"1000\r\n".iter().chain(&[b'x'; 4096]).chain(b"\r\n").copied().collect::<Vec<u8>>();
    let port = serve(move |mut stream| {
        request(&mut stream);
        send(&mut stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for_ever(&mut stream, &endless_chunks, Duration::ZERO);
    });
    check(port).passes();
}

#[test]
fn a_stalled_body_takes_the_whole_timeout_and_changes_nothing() {
    let run = check(stalling_after("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"));
    run.passes();
    assert!(run.took >= LIMIT, "{run:?}");
    let port = stalling_after("HTTP/1.1 500 x\r\nContent-Length: 9\r\n\r\n");
    let run = check(port);
    assert!(run.took >= LIMIT, "{run:?}");
    assert_eq!(run.status, Some(6), "{run:?}");
}

#[test]
fn switching_protocols_is_final() {
    let port = stalling_after("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
    let arguments = [format!("-port={port}"), "-uri=/x".to_owned(), "-timeout=30s".to_owned()];
    let run = run_within(Duration::from_secs(1), &arguments);
    assert!(run.line.contains("received status code 101 in "), "{run:?}");
    assert_eq!(run.status, Some(6));
}

#[test]
fn a_reset_is_status_5_and_named() {
    fails(
        serve(|mut stream| {
            request(&mut stream);
            reset(&stream);
        }),
        "(connection reset by peer",
    );
    fails(
        serve(|mut stream| {
            request(&mut stream);
            send(&mut stream, b"HTTP/1.1 200 OK\r\n");
            sleep(Duration::from_millis(50));
            reset(&stream);
        }),
        "(connection reset by peer",
    );
    // After the header it is only the body that is lost.
    let port = serve(|mut stream| {
        request(&mut stream);
        send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\nx");
        sleep(Duration::from_millis(50));
        reset(&stream);
    });
    check(port).passes();
}

#[test]
fn a_half_closed_connection_is_no_answer_or_a_whole_one() {
    let half_close = |stream: &mut TcpStream, answer: &[u8]| {
        send(stream, answer);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        wait_for_close(stream);
    };
    fails(
        serve(move |mut stream| half_close(&mut stream, b"")),
        "closed the connection without an answer",
    );
    check(serve(move |mut stream| half_close(&mut stream, b"HTTP/1.1 200 OK\r\n\r\nx"))).passes();
    // The other half: the app stops reading before the request is sent.
    let port = serve(|mut stream| {
        stream.shutdown(std::net::Shutdown::Read).unwrap();
        send(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        wait_for_close(&mut stream);
    });
    check(port).passes();
}

#[test]
fn a_redirect_loop_ends() {
    fails(answering("HTTP/1.1 302 x\r\nLocation: /x\r\n\r\n"), "(gave up after 9 redirects");
    // The timeout is one for all requests.
    let port = serve(|mut stream| {
        request(&mut stream);
        sleep(Duration::from_millis(150));
        send(&mut stream, b"HTTP/1.1 302 x\r\nLocation: /x\r\n\r\n");
    });
    times_out(port);
}

#[test]
fn garbage_is_no_answer() {
    // Reproducible noise: a linear congruence.
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..1_000_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    fails(answering(noise), "the app's answer is not HTTP");
}

#[test]
fn a_gzip_bomb_is_not_unpacked() {
    let gzip = std::process::Command::new("sh")
        .args(["-c", "head -c 300000000 /dev/zero | gzip -1"])
        .output()
        .unwrap();
    assert!(gzip.stdout.len() > 300_000);
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        gzip.stdout.len()
    )
    .into_bytes();
    answer.extend(gzip.stdout);
    let run = check(answering(answer));
    run.passes();
}

#[test]
fn a_request_that_nobody_reads_times_out() {
    // Longer than the buffers between the two.
    let uri = "/".repeat(100_000);
    let port = serve(|stream| {
        setsockopt(&stream, sockopt::RcvBuf, &1024).unwrap();
        sleep(Duration::from_mins(1));
    });
    let arguments = [format!("-port={port}"), format!("-uri={uri}"), "-timeout=400ms".to_owned()];
    let run = run_within(LIMIT, &arguments);
    assert_eq!(run.status, Some(65), "{:?}", &run.line[run.line.len() - 300..]);
}

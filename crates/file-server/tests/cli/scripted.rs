//! A server that does as it is told: prepared bytes for one connection after the other.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// What happens after the bytes are sent.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// The connection is closed.
    Close,
    /// Nothing, until the client goes.
    Stall,
}

/// Listens until all answers are given.
pub(crate) struct Scripted {
    port: u16,
    thread: JoinHandle<Vec<String>>,
}

impl Scripted {
    pub(crate) fn answering(answers: Vec<(Vec<u8>, Then)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn(move || {
            let serve =
                |(bytes, then): (Vec<u8>, Then)| serve(listener.accept().unwrap().0, &bytes, then);
            answers.into_iter().map(serve).collect()
        });
        Self { port, thread }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The heads of the requests, in lower case. Waits until as many came as there are answers.
    pub(crate) fn asked(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

fn serve(mut stream: TcpStream, answer: &[u8], then: Then) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "a request without end: {head}");
    }
    // The client may have hung up already: that is its right.
    let _gone = stream.write_all(answer);
    if matches!(then, Then::Stall) {
        let _gone = reader.read_line(&mut String::new());
    }
    head.to_lowercase()
}

/// A 200 of `body` with this tag, of which only `sent` bytes come.
pub(crate) fn whole(body: &[u8], tag: &str, sent: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nETag: {tag}\r\n\r\n", body.len());
    [head.as_bytes(), &body[..sent]].concat()
}

/// A 206 with everything from `from` on.
pub(crate) fn rest(body: &[u8], from: usize) -> Vec<u8> {
    let (length, last) = (body.len(), body.len() - 1);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n\
         Content-Range: bytes {from}-{last}/{length}\r\n\r\n",
        length - from
    );
    [head.as_bytes(), &body[from..]].concat()
}

/// An answer with this status line's end and headers (each ended by CR LF), without body.
pub(crate) fn bare(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{headers}\r\n").into_bytes()
}

/// The answer with one more header.
pub(crate) fn with(header: &str, answer: &[u8]) -> Vec<u8> {
    let end = answer.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    [&answer[..end], header.as_bytes(), b"\r\n", &answer[end..]].concat()
}

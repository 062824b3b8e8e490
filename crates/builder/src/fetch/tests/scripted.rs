//! A server that gives prepared answers, one per connection, and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

/// Listens until all answers are given.
pub(super) struct Server {
    pub(super) port: u16,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    pub(super) fn answering(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn(move || {
            answers.iter().map(|answer| serve(listener.accept().unwrap().0, answer)).collect()
        });
        Self { port, thread }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The heads of the requests, in lower case. Waits until as many came as there are answers.
    pub(super) fn asked(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

fn serve(mut stream: TcpStream, answer: &[u8]) -> String {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "a request without end: {head}");
    }
    // The client may have hung up already: that is its right.
    let _gone = stream.write_all(answer);
    head.to_lowercase()
}

/// An answer with these headers (each ended by CR LF) and this body.
pub(super) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}\r\n").into_bytes();
    bytes.extend(body);
    bytes
}

/// A 200 with the body's length.
pub(super) fn ok(body: &[u8]) -> Vec<u8> {
    answer("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
}

/// A 200 that breaks off after `sent` bytes, of a file that can be resumed.
pub(super) fn broken(body: &[u8], etag: &str, sent: usize) -> Vec<u8> {
    let headers = format!("Content-Length: {}\r\nETag: {etag}\r\n", body.len());
    answer("200 OK", &headers, &body[..sent])
}

/// A 206 with everything from `from` on.
pub(super) fn rest(body: &[u8], from: usize) -> Vec<u8> {
    let headers = format!(
        "Content-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n",
        body.len() - from,
        body.len() - 1,
        body.len()
    );
    answer("206 Partial Content", &headers, &body[from..])
}

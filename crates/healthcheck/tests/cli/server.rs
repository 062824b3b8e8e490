//! Servers of a few lines, each on a port of its own of all addresses.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};

/// Serves every connection by `answer`, in a thread of its own; gives the port.
pub(crate) fn serve(answer: impl Fn(TcpStream) + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    serve_on(listener, answer)
}

/// As [`serve`], on a listener of the test's.
pub(crate) fn serve_on(
    listener: TcpListener,
    answer: impl Fn(TcpStream) + Clone + Send + 'static,
) -> u16 {
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || answer(stream));
        }
    });
    port
}

/// Answers every request with these bytes and closes the connection.
pub(crate) fn answering(bytes: impl AsRef<[u8]>) -> u16 {
    let bytes = bytes.as_ref().to_vec();
    serve(move |mut stream| {
        request(&mut stream);
        send(&mut stream, &bytes);
    })
}

/// Answers every request with these bytes and keeps the connection open.
pub(crate) fn stalling_after(bytes: impl AsRef<[u8]>) -> u16 {
    let bytes = bytes.as_ref().to_vec();
    serve(move |mut stream| {
        request(&mut stream);
        send(&mut stream, &bytes);
        wait_for_close(&mut stream);
    })
}

/// Answers as [`answering`] and hands out the requests.
pub(crate) fn recording(bytes: impl AsRef<[u8]>) -> (u16, Receiver<String>) {
    let bytes = bytes.as_ref().to_vec();
    let (sender, requests) = channel();
    let port = serve(move |mut stream| {
        let _nobody_listens = sender.send(request(&mut stream));
        send(&mut stream, &bytes);
    });
    (port, requests)
}

/// The header of a request, bytes beyond ASCII as Latin-1 characters.
pub(crate) fn request(stream: &mut TcpStream) -> String {
    let mut header = Vec::new();
    let mut byte = [0];
    while !header.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        header.push(byte[0]);
    }
    header.into_iter().map(char::from).collect()
}

/// Sends as far as the other side wants it.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _closed = stream.write_all(bytes);
}

/// Keeps the connection until the other side is gone, a minute at most.
pub(crate) fn wait_for_close(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    while matches!(stream.read(&mut [0; 1024]), Ok(1..)) {}
}

/// A port on which nothing listens, kept from others as long as this lives.
pub(crate) struct ClosedPort {
    _socket: OwnedFd,
    pub(crate) number: u16,
}

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let family = AddressFamily::Inet;
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(std::os::fd::AsRawFd::as_raw_fd(&socket), &SockaddrIn::new(0, 0, 0, 0, 0)).unwrap();
        let address: SockaddrIn = getsockname(std::os::fd::AsRawFd::as_raw_fd(&socket)).unwrap();
        Self { _socket: socket, number: address.port() }
    }
}

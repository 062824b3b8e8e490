//! A TCP connection whose every operation ends at one deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

/// When a check must be over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// `limit` from now; `None`, or more than the clock can tell, is no limit.
    pub fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// The time left, `None` without limit.
    fn left(self) -> io::Result<Option<Duration>> {
        let Some(end) = self.0 else { return Ok(None) };
        match end.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }

    /// The earlier of the two.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        let other = Self::after(Some(limit));
        Self(self.0.into_iter().chain(other.0).min())
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    deadline: Deadline,
}

/// Tries in all where the kernel connects a socket to itself, or finds no port for it.
const TRIES: usize = 3;

impl Connection {
    /// Connects to `to`. Whatever the clock or the kernel calls a timeout is `TimedOut`.
    ///
    /// Where nothing listens on an ephemeral port, the kernel can pick that very port as the source
    /// and connect the socket to itself: that is not the app, and counts as refused.
    pub fn open(to: SocketAddr, deadline: Deadline) -> io::Result<Self> {
        let mut outcome = Err(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        for _ in 0..TRIES {
            outcome = match connect(to, deadline) {
                Ok(stream) if is_self_connected(&stream) => {
                    forget(&stream);
                    Err(io::Error::from_raw_os_error(libc::ECONNREFUSED))
                }
                Ok(stream) => return Ok(Self { stream, deadline }),
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Err(error),
                Err(error) => return Err(error),
            };
        }
        outcome
    }

    /// The same connection with another deadline for what follows.
    #[must_use]
    pub fn with_deadline(self, deadline: Deadline) -> Self {
        Self { deadline, ..self }
    }

    /// Reads some bytes; 0 at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(self.deadline.left()?)?;
            match self.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome.map_err(timed_out),
            }
        }
    }

    /// Writes all of `bytes`.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(self.deadline.left()?)?;
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
    }
}

fn connect(to: SocketAddr, deadline: Deadline) -> io::Result<TcpStream> {
    match deadline.left()? {
        Some(left) => TcpStream::connect_timeout(&to, left),
        None => TcpStream::connect(to),
    }
}

/// A socket's own timeout shows as "would block".
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

fn is_self_connected(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

/// Has the socket closed without the minute of waiting that would keep the app from its port.
fn forget(stream: &TcpStream) {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    let _best_effort = setsockopt(stream, sockopt::Linger, &at_once);
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, getsockname, socket,
    };

    use super::*;

    #[test]
    fn a_socket_connected_to_itself_is_recognised() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!is_self_connected(&stream));
        // Bound first, connected to where it is bound.
        let (family, kind) = (AddressFamily::Inet, SockType::Stream);
        let own = socket(family, kind, SockFlag::SOCK_CLOEXEC, None).unwrap();
        bind(own.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        let here: SockaddrIn = getsockname(own.as_raw_fd()).unwrap();
        connect(own.as_raw_fd(), &here).unwrap();
        assert!(is_self_connected(&TcpStream::from(own)));
    }

    #[test]
    fn the_earlier_deadline_counts() {
        let none = Deadline::after(None);
        assert!(none.left().unwrap().is_none());
        assert!(none.at_most(Duration::from_secs(1)).left().unwrap().is_some());
        let over = Deadline::after(Some(Duration::ZERO)).at_most(Duration::from_secs(1));
        assert_eq!(over.left().unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(Deadline::after(Some(Duration::MAX)).left().unwrap().is_none());
    }
}

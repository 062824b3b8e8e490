//! What is listened on for one client: TCP ports and unix sockets. Dropped, nothing of it is left
//! (contract sshd 11.2).

use std::ffi::OsStr;
use std::fs;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Duration;

use lifecycle::report::system_words;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::sys::stat::{Mode, fchmod};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{sleep, timeout};

use crate::address::{ListenError, listen_on, literal};
use crate::connection::wire::{put_number, put_string};

use super::dial::LONGEST;
use super::socket::Socket;
use super::threads::{LONGEST_NAME, Lookups};

/// So many things one client may listen on.
const MOST_LISTENERS: usize = 128;
/// Accepting fails when descriptors are short: no use in trying again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ForwardError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("listen: {}", system_words(.0))]
    System(#[from] io::Error),
    #[error("no such address: {0}")]
    Address(String),
    #[error("lookup {0}: i/o timeout")]
    Timeout(String),
    #[error("too many listeners")]
    TooMany,
    #[error("nothing listens there")]
    NotListening,
}

/// A connection from here, and how it is announced to the client.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: Socket,
    /// The type of its channel.
    pub(super) kind: &'static str,
    /// What the type adds to the message.
    pub(super) extra: Vec<u8>,
}

/// All listeners of one client.
#[derive(Debug, Default)]
pub(super) struct Listeners(Vec<Listener>);

#[derive(Debug)]
enum Listener {
    Tcp {
        listener: TcpListener,
        /// As the client wrote it: so it is told of connections, so it cancels.
        address: Vec<u8>,
        port: u16,
    },
    Unix {
        listener: UnixListener,
        file: SocketFile,
    },
}

impl Listeners {
    /// Listens on what was [bound](bind_tcp) for `address`, and returns its port.
    pub(super) fn listen_tcp(
        &mut self,
        listener: TcpListener,
        address: Vec<u8>,
    ) -> Result<u16, ForwardError> {
        let port = listener.local_addr()?.port();
        self.0.push(Listener::Tcp { listener, address, port });
        Ok(port)
    }

    /// Ends listening on what was asked for as `address`.
    pub(super) fn cancel_tcp(&mut self, address: &[u8], port: u32) -> Result<(), ForwardError> {
        self.cancel(|listener| match listener {
            Listener::Tcp { address: asked, port: actual, .. } => {
                asked == address && u32::from(*actual) == port
            }
            Listener::Unix { .. } => false,
        })
    }

    /// Listens on a new unix socket that only this user may connect to.
    pub(super) fn listen_unix(&mut self, path: &[u8]) -> Result<(), ForwardError> {
        self.require_room()?;
        let (listener, file) = listen_unix(path)?;
        self.0.push(Listener::Unix { listener, file });
        Ok(())
    }

    /// Ends listening on a unix socket, and removes it.
    pub(super) fn cancel_unix(&mut self, path: &[u8]) -> Result<(), ForwardError> {
        self.cancel(|listener| match listener {
            Listener::Tcp { .. } => false,
            Listener::Unix { file, .. } => file.path.as_os_str().as_bytes() == path,
        })
    }

    /// Fails if it may listen on nothing more.
    pub(super) fn require_room(&self) -> Result<(), ForwardError> {
        if self.0.len() < MOST_LISTENERS { Ok(()) } else { Err(ForwardError::TooMany) }
    }

    fn cancel(&mut self, is_meant: impl Fn(&Listener) -> bool) -> Result<(), ForwardError> {
        let index = self.0.iter().position(is_meant).ok_or(ForwardError::NotListening)?;
        self.0.remove(index);
        Ok(())
    }

    /// The next connection to any of them. Waits for ever where there is none.
    pub(super) async fn accept(&mut self) -> Accepted {
        loop {
            match poll_fn(|context| self.poll_accept(context)).await {
                Ok(accepted) => return accepted,
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        for index in 0..self.0.len() {
            if let Poll::Ready(accepted) = self.0[index].poll_accept(context) {
                // The others come first next time.
                self.0.rotate_left(index + 1);
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

/// Takes a port (0: any) of `address`, whose name may have to be looked up.
pub(super) async fn bind_tcp(
    address: &[u8],
    port: u32,
    lookups: &Lookups,
) -> Result<TcpListener, ForwardError> {
    let text = || String::from_utf8_lossy(address).into_owned();
    let unknown = || ForwardError::Address(text());
    let host = String::from_utf8(address.into()).ok().filter(|host| host.len() <= LONGEST_NAME);
    let (host, port) = (host.ok_or_else(unknown)?, u16::try_from(port).map_err(|_| unknown())?);
    if literal(&host).is_some() {
        return Ok(TcpListener::from_std(listen_on(&host, port)?)?);
    }
    let bound = timeout(LONGEST, lookups.on_a_thread(move || listen_on(&host, port))).await;
    let bound = bound.map_err(|_elapsed| ForwardError::Timeout(text()))???;
    Ok(TcpListener::from_std(bound)?)
}

impl Listener {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let mut extra = Vec::new();
        match self {
            Self::Tcp { listener, address, port } => {
                listener.poll_accept(context).map_ok(|(stream, origin)| {
                    put_string(&mut extra, address);
                    put_number(&mut extra, (*port).into());
                    put_string(&mut extra, origin.ip().to_canonical().to_string().as_bytes());
                    put_number(&mut extra, origin.port().into());
                    Accepted { socket: Socket::tcp(stream), kind: "forwarded-tcpip", extra }
                })
            }
            Self::Unix { listener, file } => {
                listener.poll_accept(context).map_ok(|(stream, _origin)| {
                    put_string(&mut extra, file.path.as_os_str().as_bytes());
                    // Reserved.
                    put_string(&mut extra, b"");
                    Accepted {
                        socket: Socket::Unix(stream),
                        kind: "forwarded-streamlocal@openssh.com",
                        extra,
                    }
                })
            }
        }
    }
}

/// The file of a socket that was made here; it goes away with its listener.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and inode: what stands there in its place by then is not ours.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Fails if something exists at `path`, as OpenSSH does.
fn listen_unix(path: &[u8]) -> io::Result<(UnixListener, SocketFile)> {
    let path = PathBuf::from(OsStr::from_bytes(path));
    if path.as_os_str().is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // The file's mode comes from the socket's, so there is no moment in which others may connect.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(socket.as_raw_fd(), &UnixAddr::new(&path)?)?;
    let file = SocketFile { identity: identity(&path)?, path };
    listen(&socket, Backlog::new(128)?)?;
    Ok((UnixListener::from_std(socket.into())?, file))
}

//! Connecting to where a client wants to go, and why that failed in the predecessor's words
//! (contract sshd 11.1).

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use lifecycle::report::system_words;
use nix::errno::Errno;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::socket::Socket;
use super::threads::{LONGEST_NAME, Lookups};

/// How long connecting may take, the lookup of the name included.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// How long an address is tried alone, as in RFC 8305 and Go.
const HEAD_START: Duration = Duration::from_millis(300);
/// So many addresses of a name are tried.
const MOST_ADDRESSES: usize = 16;

const NO_SUCH_HOST: &str = "no such host";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("dial tcp: address {0}: invalid port")]
    Port(u32),
    #[error("dial tcp: lookup {host}: {words}")]
    Lookup { host: String, words: String },
    #[error("dial tcp {address}: connect: {}", system_words(cause))]
    Connect { address: SocketAddr, cause: io::Error },
    #[error("dial tcp {0}: i/o timeout")]
    Timeout(String),
    #[error("dial unix {path}: connect: {}", system_words(cause))]
    Unix { path: String, cause: io::Error },
    #[error("dial tcp: missing address")]
    NoTarget,
}

/// Connects to a TCP port of a name, an IPv4 or an IPv6 address. No host is this machine.
pub(super) async fn tcp(host: &[u8], port: u32, lookups: &Lookups) -> Result<Socket, DialError> {
    let host = String::from_utf8_lossy(host).into_owned();
    let port = u16::try_from(port).map_err(|_| DialError::Port(port))?;
    let attempt = async { race(addresses(&host, port, lookups).await?).await };
    match timeout(LONGEST, attempt).await {
        Ok(outcome) => outcome.map(Socket::tcp),
        Err(_elapsed) => Err(DialError::Timeout(joined(&host, port))),
    }
}

/// Connects to a unix socket.
pub(super) async fn unix(path: &[u8]) -> Result<Socket, DialError> {
    let place = PathBuf::from(OsStr::from_bytes(path));
    let failed =
        |cause| DialError::Unix { path: String::from_utf8_lossy(path).into_owned(), cause };
    if path.is_empty() {
        return Err(failed(io::ErrorKind::NotFound.into()));
    }
    UnixStream::connect(place).await.map(Socket::Unix).map_err(failed)
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What `host` stands for. Only names other than `localhost` are looked up, each on a thread.
async fn addresses(host: &str, port: u16, lookups: &Lookups) -> Result<Vec<SocketAddr>, DialError> {
    // Not every image has /etc/hosts.
    if host.is_empty() || host == "localhost" {
        let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        return Ok(both.map(|address| SocketAddr::new(address, port)).into());
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if bare.len() > LONGEST_NAME {
        return Err(DialError::Lookup { host: host.to_owned(), words: NO_SUCH_HOST.to_owned() });
    }
    let name = bare.to_owned();
    let found = lookups.on_a_thread(move || (name, port).to_socket_addrs()).await;
    let found = found.flatten().map_err(|error| lookup_error(host, &error))?;
    Ok(found.take(MOST_ADDRESSES).collect())
}

fn lookup_error(host: &str, error: &io::Error) -> DialError {
    if error.raw_os_error() == Some(Errno::EAGAIN as i32) {
        return DialError::Lookup { host: host.to_owned(), words: system_words(error) };
    }
    let text = error.to_string();
    let reason = text.rsplit(": ").next().unwrap_or_default().to_lowercase();
    let words = match reason.as_str() {
        "temporary failure in name resolution" | "try again" => "server misbehaving".to_owned(),
        // "Name or service not known", "Name does not resolve": each C library has its own.
        _ => NO_SUCH_HOST.to_owned(),
    };
    DialError::Lookup { host: host.to_owned(), words }
}

/// The first of `addresses` that answers; each has a head start over the next. If none does, why the
/// first one did not.
async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut first_error = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(async move { (address, TcpStream::connect(address).await) });
        }
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok((_, Ok(stream)))) => return Ok(stream),
                Some(Ok((address, Err(cause)))) => {
                    first_error.get_or_insert(DialError::Connect { address, cause });
                }
                Some(Err(_)) => {}
                None => return Err(first_error.unwrap_or(DialError::NoTarget)),
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

//! Listening as Go's `net.Listen("tcp", …)` does: the notation of addresses, wildcards for both
//! families, and the sentences (contract sshd, sections 4 and 11.2).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};

use lifecycle::report::system_words;
use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt,
};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// Why nothing listens, in the predecessor's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    /// Not `host:port`, or a port above 65535.
    #[error("listen tcp: address {address}: {problem}")]
    Address {
        /// As given, or its port.
        address: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Neither a number nor the name of a service.
    #[error("listen tcp: lookup tcp/{0}: unknown port")]
    UnknownPort(String),
    /// A name without an address.
    #[error("listen tcp: lookup {0}: no such host")]
    NoSuchHost(String),
    /// A system call failed.
    #[error("listen tcp {address}: {call}: {}", system_words(&io::Error::from(*.errno)))]
    System {
        /// What was to be listened on.
        address: SocketAddr,
        /// `socket`, `bind` or `listen`.
        call: &'static str,
        /// What the system said.
        errno: Errno,
    },
}

impl ListenError {
    /// What may be the matter, where the sentence does not tell.
    pub(crate) fn explanation(&self) -> Option<String> {
        let Self::System { address, call: "bind", errno } = self else { return None };
        let port = address.port();
        match errno {
            Errno::EADDRINUSE => Some(format!(
                "Another program of this container listens on port {port}: the app, or a second diego-sshd."
            )),
            Errno::EACCES => Some(format!(
                "Port {port} wants the user root or the capability CAP_NET_BIND_SERVICE."
            )),
            Errno::EADDRNOTAVAIL => Some(format!(
                "No network interface of this container has the address {}.",
                address.ip()
            )),
            _ => None,
        }
    }
}

/// Listens on `host:port`; an empty text is any port on all addresses.
pub fn listen(address: &str) -> Result<TcpListener, ListenError> {
    if address.is_empty() {
        return listen_on("", 0);
    }
    let (host, port) = split(address)?;
    listen_on(host, port_of(port)?)
}

/// Listens on a port (0: any) of an IP address, of a name's first address (IPv4 first), or, if `host` is
/// empty or an unspecified address, of all addresses of both families. Looking up a name other than
/// `localhost` may take long. The listener does not block.
pub fn listen_on(host: &str, port: u16) -> Result<TcpListener, ListenError> {
    let address = SocketAddr::new(resolve(host)?, port);
    if !address.ip().is_unspecified() {
        return open(address, false);
    }
    let all = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    match open(all, true) {
        // A kernel without IPv6.
        Err(ListenError::System { errno: Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL, .. }) => {
            open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), false)
        }
        outcome => outcome,
    }
}

/// Host and port of `host:port` and `[host]:port`.
fn split(address: &str) -> Result<(&str, &str), ListenError> {
    let refuse = |problem| ListenError::Address { address: address.to_owned(), problem };
    let (host, port) = address.rsplit_once(':').ok_or_else(|| refuse("missing port in address"))?;
    let Some(bracketed) = address.strip_prefix('[') else {
        return match host {
            _ if host.contains(':') => Err(refuse("too many colons in address")),
            _ if address.contains('[') => Err(refuse("unexpected '[' in address")),
            _ if address.contains(']') => Err(refuse("unexpected ']' in address")),
            _ => Ok((host, port)),
        };
    };
    let (inner, rest) =
        bracketed.split_once(']').ok_or_else(|| refuse("missing ']' in address"))?;
    match rest.strip_prefix(':') {
        None => Err(refuse("missing port in address")),
        Some(port) if port.contains(':') => Err(refuse("too many colons in address")),
        Some(port) if inner.contains('[') || port.contains('[') => {
            Err(refuse("unexpected '[' in address"))
        }
        Some(port) if port.contains(']') => Err(refuse("unexpected ']' in address")),
        Some(port) => Ok((inner, port)),
    }
}

/// The number of a port: none is 0.
fn port_of(text: &str) -> Result<u16, ListenError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if text.is_empty() {
        return Ok(0);
    }
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let services = fs::read_to_string("/etc/services").unwrap_or_default();
        return service(&services, text).ok_or_else(|| ListenError::UnknownPort(text.to_owned()));
    }
    text.parse()
        .map_err(|_| ListenError::Address { address: text.to_owned(), problem: "invalid port" })
}

/// The TCP port of a service by its name or an alias in the text of `/etc/services`.
fn service(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (first, port) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
        (first == name || words.any(|alias| alias == name)).then(|| port.parse().ok())?
    })
}

/// The address that `host` is without being looked up.
pub fn literal(host: &str) -> Option<IpAddr> {
    match host {
        "" => Some(Ipv4Addr::UNSPECIFIED.into()),
        // Not every image has /etc/hosts.
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        _ => host.parse().ok(),
    }
}

fn resolve(host: &str) -> Result<IpAddr, ListenError> {
    if let Some(address) = literal(host) {
        return Ok(address);
    }
    let no_such_host = || ListenError::NoSuchHost(host.to_owned());
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-' | '_');
    if !host.chars().all(is_name) {
        return Err(no_such_host());
    }
    let found: Vec<IpAddr> = match (host, 0).to_socket_addrs() {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(_) => return Err(no_such_host()),
    };
    let first = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    first.copied().ok_or_else(no_such_host)
}

fn open(address: SocketAddr, both_families: bool) -> Result<TcpListener, ListenError> {
    let at = |call| move |errno| ListenError::System { address, call, errno };
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(family, SockType::Stream, flags, None).map_err(at("socket"))?;
    setsockopt(&socket, sockopt::ReuseAddr, &true).map_err(at("setsockopt"))?;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &!both_families).map_err(at("setsockopt"))?;
    }
    bind(&socket, address).map_err(at("bind"))?;
    let backlog = Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN);
    socket::listen(&socket, backlog).map_err(at("listen"))?;
    Ok(socket.into())
}

fn bind(socket: &OwnedFd, address: SocketAddr) -> nix::Result<()> {
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
}

#[cfg(test)]
mod tests;

//! Every sentence the program can say about a check, and the exit status that goes with it
//! (contract, sections 5, 6 and 7.5).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lifecycle::flags::FlagError;
use lifecycle::report::{self, Failure};

use crate::duration;

/// The mode needs no more: what ends the program with a status other than 0.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The flags could not be used, or `-help`.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// A check failed for good.
    #[error("{sentence}")]
    Check {
        /// Prefix of the mode, failure and its explanation: one line.
        sentence: String,
        /// Of the failure.
        status: u8,
    },
}

impl Failure for Error {
    fn status(&self) -> u8 {
        match self {
            Self::Flags(error) => error.status(),
            Self::Check { status, .. } => *status,
        }
    }
}

/// Why a check failed. URI and port are the flags as given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthError {
    /// The list of addresses could not be read.
    #[error("Failed to get interfaces: {0}")]
    Interfaces(String),
    /// No address but loopback.
    #[error("failure to find suitable interface")]
    NoAddress,
    /// No TCP connection.
    #[error("failed to make TCP connection to {endpoint}")]
    Tcp {
        /// `IP:PORT`, the port as given.
        endpoint: String,
        /// What the system said.
        #[source]
        reason: DialError,
    },
    /// No TCP connection in time.
    #[error("failed to make TCP connection to {endpoint}: timed out after {} seconds", duration::in_seconds(*after))]
    TcpTimeout {
        /// `IP:PORT`, the port as given.
        endpoint: String,
        /// Where to.
        to: SocketAddr,
        /// The limit that was over.
        after: Duration,
    },
    /// No answer that could be read. The words stay the same whatever the cause: tests of the
    /// platform expect them. The cause is said by the explanation.
    #[error("failed to make HTTP request to '{uri}' on port {port}: connection refused")]
    Http {
        /// `-uri`.
        uri: String,
        /// `-port`.
        port: String,
        /// What happened in fact.
        cause: HttpError,
    },
    /// No answer in time.
    #[error("failed to make HTTP request to '{uri}' on port {port}: timed out after {} seconds", duration::in_seconds(*after))]
    HttpTimeout {
        /// `-uri`.
        uri: String,
        /// `-port`.
        port: String,
        /// Where to, redirects followed.
        to: SocketAddr,
        /// The limit that was over.
        after: Duration,
        /// How far the exchange had come.
        progress: Progress,
    },
    /// An answer other than 200.
    #[error(
        "failed to make HTTP request to '{uri}' on port {port}: received status code {status} in {milliseconds}ms"
    )]
    Status {
        /// `-uri`.
        uri: String,
        /// `-port`.
        port: String,
        /// As the app sent it, 0 to 999.
        status: u16,
        /// Until the header of the answer was read.
        milliseconds: u128,
    },
    /// Port and URI make no URL.
    #[error("failed to create an HTTP request to '{uri}' on port {port}")]
    Request {
        /// `-uri`.
        uri: String,
        /// `-port`.
        port: String,
    },
}

impl Failure for HealthError {
    fn status(&self) -> u8 {
        match self {
            Self::Interfaces(_) => 1,
            Self::NoAddress => 3,
            Self::Tcp { .. } => 4,
            Self::Http { .. } => 5,
            Self::Status { .. } | Self::Request { .. } => 6,
            Self::TcpTimeout { .. } => 64,
            Self::HttpTimeout { .. } => 65,
        }
    }
}

/// Why a TCP connection could not be tried or failed, in the words of the predecessor.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Outside 0 to 65535.
    #[error("dial {network}: address {port}: invalid port")]
    InvalidPort {
        /// `-network`.
        network: String,
        /// The number.
        port: String,
    },
    /// Not a number. Names of services are not looked up.
    #[error("dial {network}: lookup {network}/{port}: unknown port")]
    UnknownPort {
        /// `-network`.
        network: String,
        /// The name.
        port: String,
    },
    /// Neither tcp, tcp4 nor tcp6.
    #[error("{}: unknown network {network}", ["dial", network].join(" ").trim_end())]
    UnknownNetwork {
        /// `-network`.
        network: String,
    },
    /// The address is not of the family asked for.
    #[error("dial {network}: address {address}: no suitable address found")]
    NoSuitableAddress {
        /// `-network`.
        network: String,
        /// The container's.
        address: IpAddr,
    },
    /// A system call failed.
    #[error("dial {network} {to}: {call}: {}", report::system_words(&io::Error::from_raw_os_error(*.errno)))]
    System {
        /// `-network`.
        network: String,
        /// Where to.
        to: SocketAddr,
        /// `socket` or `connect`.
        call: &'static str,
        /// The error's number.
        errno: i32,
    },
}

/// Why there was no HTTP answer, in words for the explanation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Nothing accepted the connection.
    #[error("the connection was refused")]
    Refused {
        /// Where to, redirects followed.
        to: SocketAddr,
    },
    /// Any other failure of a system call.
    #[error("{0}")]
    System(String),
    /// Closed before the header was complete.
    #[error("the app closed the connection {0}")]
    Closed(Progress),
    /// Not an HTTP answer.
    #[error("the app's answer is not HTTP: {0}")]
    Malformed(&'static str),
    /// A redirect that is not followed.
    #[error("redirected to {0}")]
    Redirect(String),
    /// The tenth redirect.
    #[error("gave up after 9 redirects")]
    TooManyRedirects,
    /// The port is a number above 65535.
    #[error("there is no such port")]
    NoSuchPort,
}

/// How far an HTTP exchange had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Progress {
    /// No connection yet.
    #[error("before it was open")]
    Connecting,
    /// Connected, not a byte of the answer.
    #[error("without an answer")]
    Waiting,
    /// Some of the answer's header.
    #[error("in the middle of the answer's header")]
    Answering,
}

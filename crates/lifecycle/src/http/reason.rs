//! Why a request failed, in clear words; Go's own where people and logs look for them.

use std::io;

use rustls::CertificateError;
use ureq::{Error, Timeout};

use super::forward::NameNotFound;
use crate::report::system_words;
use crate::url::{Url, UrlError};

/// A failed request: `Get "https://h/": <reason>`, passwords masked.
#[derive(Debug, thiserror::Error)]
#[error("{verb} \"{url}\": {reason}")]
pub struct HttpError {
    verb: &'static str,
    url: String,
    reason: Reason,
}

impl HttpError {
    pub(super) fn new(verb: &'static str, url: &Url, reason: Reason) -> Self {
        Self { verb, url: url.masked(), reason }
    }

    /// What went wrong, without verb and URL.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// Neither http nor https.
    #[error("unsupported protocol scheme {0:?}")]
    UnsupportedScheme(String),
    /// A URL without host.
    #[error("http: no Host in request URL")]
    NoHost,
    /// A proxy variable that is not a proxy's address.
    #[error("invalid proxy address {0:?}")]
    BadProxy(String),
    /// The proxy would not let us through.
    #[error("{peer}: {words}")]
    ProxyRefused {
        /// The proxy.
        peer: String,
        /// What it said.
        words: String,
    },
    /// The host name is not known.
    #[error("dial tcp: lookup {host}: no such host ({words})")]
    NameNotFound {
        /// The name.
        host: String,
        /// The resolver's words, which tell a wrong name from a resolver that does not answer.
        words: String,
    },
    /// Nobody listens there, no route, connection broken: the system's words.
    #[error("{peer}: {}", system_words(.error))]
    Connection {
        /// Host and port of the server or proxy.
        peer: String,
        /// What the system says.
        error: io::Error,
    },
    /// The connection broke after a client certificate was shown. With TLS 1.3 a server that
    /// refuses it says so only when the request is on its way, and that word is easily lost.
    #[error("{peer}: {}: the server may have refused the client certificate", system_words(.error))]
    BrokenAfterIdentity {
        /// Host and port of the server.
        peer: String,
        /// What the system says.
        error: io::Error,
    },
    /// The server closed the connection before its answer was whole.
    #[error("{peer}: unexpected EOF")]
    ClosedEarly {
        /// Host and port of the server or proxy.
        peer: String,
    },
    /// Too slow.
    #[error("{peer}: i/o timeout ({phase})")]
    Timeout {
        /// Host and port of the server or proxy.
        peer: String,
        /// While doing what.
        phase: &'static str,
    },
    /// The server's certificate was refused.
    #[error("tls: failed to verify certificate: x509: {0}")]
    Certificate(String),
    /// Any other failure of TLS, an alert of the server among them.
    #[error("tls: {0}")]
    Tls(String),
    /// Eleven answers that were redirects.
    #[error("stopped after 10 redirects")]
    TooManyRedirects,
    /// A `Location` that is not a URL.
    #[error("bad redirect: {0}")]
    BadRedirect(UrlError),
    /// An answer that is not HTTP, or a request that cannot be put as HTTP.
    #[error("{0}")]
    Protocol(String),
}

impl Reason {
    /// Whether the same request may well succeed a moment later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::NameNotFound { .. }
            | Self::Connection { .. }
            | Self::BrokenAfterIdentity { .. }
            | Self::ClosedEarly { .. }
            | Self::ProxyRefused { .. }
            | Self::Timeout { .. }
            | Self::Protocol(_) => true,
            Self::UnsupportedScheme(_)
            | Self::NoHost
            | Self::BadProxy(_)
            | Self::Certificate(_)
            | Self::Tls(_)
            | Self::TooManyRedirects
            | Self::BadRedirect(_) => false,
        }
    }

    /// The same failure of a request that showed a client certificate.
    pub(super) fn after_identity(self) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match self {
            Self::Connection { peer, error }
                if matches!(error.kind(), BrokenPipe | ConnectionReset) =>
            {
                Self::BrokenAfterIdentity { peer, error }
            }
            other => other,
        }
    }

    /// The reason within an error of [`super::Body`].
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// What ureq says, with `peer` for whom it was talking to.
    pub(super) fn new(error: Error, peer: &str) -> Self {
        let peer = peer.to_owned();
        match error {
            Error::Io(error) => from_io(error, peer),
            Error::Tls(words) => Self::Tls(words.to_owned()),
            Error::Timeout(timeout) => Self::Timeout { peer, phase: phase(timeout) },
            Error::ConnectProxyFailed(words) => Self::ProxyRefused { peer, words },
            Error::Decompress(_, error) => Self::Protocol(format!("gzip: {error}")),
            Error::Other(other) => match other.downcast::<NameNotFound>() {
                Ok(lookup) => Self::NameNotFound { host: lookup.host, words: lookup.words },
                Err(other) => Self::Protocol(other.to_string()),
            },
            other => Self::Protocol(other.to_string()),
        }
    }
}

fn from_io(error: io::Error, peer: String) -> Reason {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(error) = inner {
        return from_rustls(error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::ClosedEarly { peer },
        _ => Reason::Connection { peer, error },
    }
}

fn phase(timeout: Timeout) -> &'static str {
    match timeout {
        Timeout::Resolve => "looking up the name",
        Timeout::Connect => "connecting",
        Timeout::PerRead | Timeout::RecvResponse | Timeout::RecvBody => "waiting for data",
        Timeout::PerWrite | Timeout::SendRequest | Timeout::SendBody => "sending",
        _ => "not finished in time",
    }
}

fn from_rustls(error: &rustls::Error) -> Reason {
    match error {
        rustls::Error::InvalidCertificate(problem) => Reason::Certificate(verdict(problem)),
        rustls::Error::AlertReceived(alert) => {
            Reason::Tls(format!("the server refused the connection: {alert:?}"))
        }
        other => Reason::Tls(other.to_string()),
    }
}

/// The words of Go's `x509` for what is wrong with a certificate.
fn verdict(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            format!("certificate has expired or is not yet valid: {problem}")
        }
        CertificateError::NotValidForName => "certificate is not valid for this name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare_name(name)).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("certificate is valid for {names}, not {}", expected.to_str())
        }
        other => other.to_string(),
    }
}

/// rustls lists names as `DnsName("h")` and `IpAddress(127.0.0.1)`.
fn bare_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_broken_after_a_client_certificate_hints_at_it() {
        let broken = |number| Reason::Connection {
            peer: "h:1".to_owned(),
            error: io::Error::from_raw_os_error(number),
        };
        // EPIPE, ECONNREFUSED.
        let sentence = "h:1: broken pipe: the server may have refused the client certificate";
        assert_eq!(broken(32).after_identity().to_string(), sentence);
        assert_eq!(broken(111).after_identity().to_string(), "h:1: connection refused");
    }
}

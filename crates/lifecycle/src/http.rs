//! The one HTTP client of these programs: HTTP/1.1, TLS 1.2 or newer by rustls, proxies from the
//! environment, up to ten redirects, gzip decoded (contract, sections 3.5 and 5).
//!
//! Making a [`Client`] costs nothing: the machine's root certificates are read when the first
//! https connection is made.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{HeaderMap, Method, Uri, header};

use crate::environment::Environment;
use crate::url::{Url, UrlError};

mod base64;
mod certificate;
mod forward;
mod proxy;
mod reason;
mod tls;
pub mod transfer;
mod trust;
mod verifier;

use forward::{ForwardProxy, Names};
use proxy::{Proxies, Route};
pub use reason::{HttpError, Reason};
use trust::Trust;
pub use trust::{Identity, IdentityError, RootCertificates, RootError};

/// What Go's client calls itself; servers and logs know the predecessor by it.
const USER_AGENT: &str = "Go-http-client/1.1";

/// After this many redirects the request is given up.
const MAX_REDIRECTS: u32 = 10;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the name, the TCP connection, the proxy's answer and the TLS handshake together.
    pub connect: Duration,
    /// For each read and each write.
    pub idle: Duration,
    /// For one request with its redirects, up to the end of the body.
    pub total: Duration,
}

/// Makes requests. Shared between threads by reference.
#[derive(Debug)]
pub struct Client {
    timeouts: Timeouts,
    proxies: Proxies,
    trust: Trust,
}

/// One request. `Host`, `User-Agent`, `Accept-Encoding: gzip`, `Connection: close` and, where the
/// URL has a user, `Authorization` are added.
#[derive(Debug)]
pub struct Request<'a> {
    url: &'a Url,
    headers: Vec<(&'static str, String)>,
    body: Option<&'a [u8]>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Response {
    status: u16,
    headers: HeaderMap,
    body: Body,
}

/// The body of an answer, read as it arrives. Its errors carry a [`Reason`].
pub struct Body {
    reader: ureq::BodyReader<'static>,
    peer: String,
}

impl<'a> Request<'a> {
    /// Asks for `url`.
    pub fn get(url: &'a Url) -> Self {
        Self { url, headers: Vec::new(), body: None }
    }

    /// Sends `body` to `url`.
    pub fn post(url: &'a Url, body: &'a [u8]) -> Self {
        Self { url, headers: Vec::new(), body: Some(body) }
    }

    /// Adds a header, such as `Range`. `Accept-Encoding` replaces the client's own.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Response {
    /// The status: 200 and so on.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header of the answer. `Content-Length` and `Content-Encoding` are gone where the body is
    /// being decoded, so a length means that the body can be resumed by `Range`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body's length in bytes, if the server said and the body is not being decoded.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// The body.
    pub fn into_body(self) -> Body {
        self.body
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            io::Error::other(Reason::new(ureq::Error::from(error), &self.peer))
        })
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Body").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Client {
    /// A client with the proxies and certificate paths of `environment`, which is the one this
    /// process was started with.
    pub fn new(environment: &Environment, timeouts: Timeouts) -> Self {
        Self { timeouts, proxies: Proxies::of(environment), trust: Trust::of(environment) }
    }

    /// Takes any server's certificate for any name.
    #[must_use]
    pub fn without_verification(mut self) -> Self {
        self.trust.verifies = false;
        self
    }

    /// Trusts these certificates too.
    #[must_use]
    pub fn trusting(mut self, roots: RootCertificates) -> Self {
        self.trust.extra = roots;
        self
    }

    /// Shows this certificate to servers that ask for one.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.trust.identity = Some(identity);
        self
    }

    /// Sends `request` and follows redirects: after 301, 302 and 303 a POST becomes a GET, after
    /// 307 and 308 it is sent again. User and password go along only to the same server.
    pub fn send(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        let verb = if request.body.is_some() { "Post" } else { "Get" };
        let failed = |url: &Url, reason| HttpError::new(verb, url, reason);
        let deadline = Instant::now() + self.timeouts.total;
        let mut url = request.url.clone();
        let mut body = request.body;
        for _ in 0..=MAX_REDIRECTS {
            let hop = Request { url: &url, headers: request.headers.clone(), body };
            let response = self.exchange(&hop, deadline).map_err(|reason| failed(&url, reason))?;
            let Some(target) = redirect_target(&url, &response) else { return Ok(response) };
            if !matches!(response.status, 307 | 308) {
                body = None;
            }
            url = target.map_err(|error| failed(&url, Reason::BadRedirect(error)))?;
        }
        Err(failed(request.url, Reason::TooManyRedirects))
    }

    /// One request and its answer.
    fn exchange(&self, request: &Request<'_>, deadline: Instant) -> Result<Response, Reason> {
        let url = request.url;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Reason::UnsupportedScheme(url.scheme().to_owned()));
        }
        if url.host().is_empty() {
            return Err(Reason::NoHost);
        }
        let route = self.proxies.route(url)?;
        let peer = route.peer(url);
        let agent = self.agent(&route, url, deadline)?;
        let outgoing = outgoing(request)?;
        let answer = match request.body {
            Some(body) => agent.run(outgoing.map(|()| body)),
            None => agent.run(outgoing),
        };
        let failed = |error| {
            let reason = Reason::new(error, &peer);
            if self.trust.identity.is_some() { reason.after_identity() } else { reason }
        };
        let (parts, body) = answer.map_err(failed)?.into_parts();
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: Body { reader: body.into_reader(), peer },
        })
    }

    /// An agent for one request: connections are not kept, so there is nothing to share.
    fn agent(&self, route: &Route, url: &Url, deadline: Instant) -> Result<Agent, Reason> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(USER_AGENT)
            .accept("")
            .proxy(None)
            .timeout_connect(Some(self.timeouts.connect))
            .timeout_per_read(Some(self.timeouts.idle))
            .timeout_per_write(Some(self.timeouts.idle))
            .timeout_global(Some(deadline.saturating_duration_since(Instant::now())));
        let speaks_tls = url.scheme() == "https" || route.is_over_tls();
        let connector = tls::connector(if speaks_tls { self.trust.tls() } else { None });
        Ok(match route {
            Route::Direct => Agent::with_parts(config.build(), connector, Names),
            Route::Tunnel(proxy) => {
                config = config.proxy(Some(proxy.clone()));
                Agent::with_parts(config.build(), connector, Names)
            }
            Route::Forward(proxy) => {
                let forward = ForwardProxy::new(proxy, url, connector)?;
                Agent::with_parts(config.build(), forward, forward::NoNames)
            }
        })
    }
}

/// Where the answer sends us, if it does.
fn redirect_target(url: &Url, response: &Response) -> Option<Result<Url, UrlError>> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    Some(url.join(response.header("location")?))
}

/// The request as it goes out. ureq would send user and password as they stand in the URL,
/// undecoded: they become a header here.
fn outgoing(request: &Request<'_>) -> Result<ureq::http::Request<()>, Reason> {
    let method = if request.body.is_some() { Method::POST } else { Method::GET };
    let mut outgoing = ureq::http::Request::builder()
        .method(method)
        .uri(wire_uri(request.url)?)
        .header(header::CONNECTION, "close");
    if let Some((user, password)) = request.url.credentials() {
        let pair = [user, b":", password].concat();
        let credentials = format!("Basic {}", base64::encode(&pair));
        outgoing = outgoing.header(header::AUTHORIZATION, credentials);
    }
    for (name, value) in &request.headers {
        outgoing = outgoing.header(*name, value);
    }
    outgoing.body(()).map_err(|error| Reason::Protocol(error.to_string()))
}

/// The URL as it goes over the wire: no user, no fragment, and blanks and non-ASCII of the query
/// escaped.
fn wire_uri(url: &Url) -> Result<Uri, Reason> {
    let url = url.clone().without_credentials().without_fragment().to_string();
    let mut wire = String::with_capacity(url.len());
    for byte in url.bytes() {
        if byte.is_ascii_graphic() {
            wire.push(char::from(byte));
        } else {
            wire.extend(['%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
    wire.parse().map_err(|error: ureq::http::uri::InvalidUri| Reason::Protocol(error.to_string()))
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase()
}

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;

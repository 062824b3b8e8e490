//! What ureq leaves to its users: names that are not found told from other failures, and plain
//! http through a proxy, which is asked for the whole URL. (ureq tunnels that too, by `CONNECT`
//! to port 80, which common proxies refuse.)

use std::fmt;
use std::io;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::{Reason, base64, wire_uri};
use crate::url::Url;

/// A host name that could not be looked up, with the resolver's words.
#[derive(Debug, thiserror::Error)]
#[error("lookup {host}: no such host")]
pub(super) struct NameNotFound {
    pub(super) host: String,
    pub(super) words: String,
}

/// The system's resolver.
#[derive(Debug)]
pub(super) struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default().to_owned();
        let not_found = |words| Error::Other(Box::new(NameNotFound { host, words }));
        match DefaultResolver::default().resolve(uri, config, timeout) {
            Err(Error::Io(error)) => Err(not_found(error.to_string())),
            Err(Error::HostNotFound) => Err(not_found("no address".to_owned())),
            outcome => outcome,
        }
    }
}

/// Looks nothing up: the proxy does.
#[derive(Debug)]
pub(super) struct NoNames;

impl Resolver for NoNames {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// Connects to a proxy that is to be asked for whole URLs.
pub(super) struct ForwardProxy<C> {
    proxy: Uri,
    connector: C,
    /// `http://host:port` of the server, put before the path.
    origin: String,
    /// The `Proxy-Authorization` header line, or nothing.
    authorization: String,
}

impl<C> ForwardProxy<C> {
    /// For requests to the server of `url` through `proxy`, which `connector` connects to.
    pub(super) fn new(proxy: &Url, url: &Url, connector: C) -> Result<Self, Reason> {
        let authorization = proxy.credentials().map(|(user, password)| {
            let pair = base64::encode(&[user, b":", password].concat());
            format!("\r\nProxy-Authorization: Basic {pair}")
        });
        Ok(Self {
            proxy: wire_uri(&proxy.clone().with_path("/"))?,
            connector,
            origin: format!("{}://{}", url.scheme(), url.host()),
            authorization: authorization.unwrap_or_default(),
        })
    }
}

impl<C> fmt::Debug for ForwardProxy<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ForwardProxy").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}

impl<C: Connector<()>> Connector<()> for ForwardProxy<C> {
    type Out = WholeUrls;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<WholeUrls>, Error> {
        let to_proxy = ConnectionDetails {
            uri: &self.proxy,
            addrs: Names.resolve(&self.proxy, details.config, details.timeout)?,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let connection = self.connector.connect(&to_proxy, None)?;
        Ok(connection.map(|connection| WholeUrls {
            connection: connection.boxed(),
            origin: self.origin.clone(),
            authorization: self.authorization.clone(),
            rewritten: false,
        }))
    }
}

/// A connection on which the first request line gets the whole URL. Connections are used once.
pub(super) struct WholeUrls {
    connection: Box<dyn Transport>,
    origin: String,
    authorization: String,
    rewritten: bool,
}

impl fmt::Debug for WholeUrls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WholeUrls").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Transport for WholeUrls {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.connection.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.rewritten {
            return self.connection.transmit_output(amount, timeout);
        }
        self.rewritten = true;
        let output = self.connection.buffers().output();
        let head = whole_url(&output[..amount], &self.origin, &self.authorization);
        let room = head.as_ref().and_then(|head| output.get_mut(..head.len()));
        let (Some(head), Some(room)) = (&head, room) else {
            return Err(Error::Io(io::Error::other("request too long for the proxy")));
        };
        room.copy_from_slice(head);
        self.connection.transmit_output(head.len(), timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.connection.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }
}

/// `GET /path HTTP/1.1` with the origin before the path and a header line behind.
fn whole_url(head: &[u8], origin: &str, authorization: &str) -> Option<Vec<u8>> {
    let path = head.iter().position(|&byte| byte == b' ')? + 1;
    let line_end = head.iter().position(|&byte| byte == b'\r')?;
    let (method, rest) = head.split_at(path);
    let (target, headers) = rest.split_at(line_end.checked_sub(path)?);
    Some([method, origin.as_bytes(), target, authorization.as_bytes(), headers].concat())
}

//! One HTTP check: a GET on a fresh connection, redirects on the same address followed, the body
//! read and thrown away (contract, section 6).

pub mod body;
pub mod head;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lifecycle::report;
use nix::libc;

use crate::connection::{Connection, Deadline};
use crate::error::{HttpError, Progress};
use crate::url::Url;
use body::BodyEnd;
use head::{Head, HeadParser, NO_STATUS_LINE};

/// Requests of one check in all, redirects included.
const MAX_REQUESTS: usize = 10;
/// A connection is not waited for longer than this, whatever the check's own limit.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Bytes read at once.
const BUFFER: usize = 8 << 10;

/// The final answer of a check.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Until its header was read, redirects included.
    pub after: Duration,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The deadline came first.
    TimedOut {
        /// Where the answer was to come from.
        to: SocketAddr,
        /// How far it had come.
        progress: Progress,
    },
    /// Everything else.
    Failed(HttpError),
}

/// Asks for `url` and gives the final answer, its body read as far as anybody wants it.
pub fn get(url: Url, deadline: Deadline) -> Result<Answer, NoAnswer> {
    let started = Instant::now();
    let mut referer = None;
    let mut url = url;
    for _ in 0..MAX_REQUESTS {
        let mut exchange = Exchange::start(&url, referer.as_ref(), deadline)?;
        let head = exchange.final_head()?;
        let after = started.elapsed();
        exchange.finish(&head);
        if !is_redirect(&head) {
            return Ok(Answer { status: head.status, after });
        }
        let next = url.join(&head.location);
        let next =
            next.map_err(|error| NoAnswer::Failed(HttpError::Redirect(error.to_string())))?;
        referer = Some(std::mem::replace(&mut url, next));
    }
    Err(NoAnswer::Failed(HttpError::TooManyRedirects))
}

/// 304 and the retired 305 lead nowhere.
fn is_redirect(head: &Head) -> bool {
    matches!(head.status, 301 | 302 | 303 | 307 | 308) && !head.location.is_empty()
}

/// What an answer is that ends before its header does.
fn cut_off(parser: &HeadParser, progress: Progress) -> HttpError {
    if parser.is_foreign() {
        HttpError::Malformed(NO_STATUS_LINE.0)
    } else {
        HttpError::Closed(progress)
    }
}

/// One request and its answer.
struct Exchange {
    to: SocketAddr,
    connection: Connection,
    buffer: [u8; BUFFER],
    /// What of the buffer is read but not used.
    unused: std::ops::Range<usize>,
}

impl Exchange {
    fn start(url: &Url, referer: Option<&Url>, deadline: Deadline) -> Result<Self, NoAnswer> {
        let port = url.port.ok_or(NoAnswer::Failed(HttpError::NoSuchPort))?;
        let to = SocketAddr::new(url.address, port);
        let connection = Connection::open(to, deadline.at_most(CONNECT_LIMIT))
            .map_err(|error| no_answer(&error, to, Progress::Connecting))?;
        let mut connection = connection.with_deadline(deadline);
        let written = connection.write(&request(url, referer));
        // Other failures are no reason to stop: the app may have answered before it stopped reading.
        if written.is_err_and(|error| error.kind() == ErrorKind::TimedOut) {
            return Err(NoAnswer::TimedOut { to, progress: Progress::Waiting });
        }
        Ok(Self { to, connection, buffer: [0; BUFFER], unused: 0..0 })
    }

    /// Skips the answers that only announce another one.
    fn final_head(&mut self) -> Result<Head, NoAnswer> {
        loop {
            let head = self.head()?;
            if head.status == 101 || !(100..200).contains(&head.status) {
                return Ok(head);
            }
        }
    }

    fn head(&mut self) -> Result<Head, NoAnswer> {
        let mut parser = HeadParser::default();
        loop {
            let unused = &self.buffer[self.unused.clone()];
            let parsed = parser.push(unused);
            let parsed = parsed.map_err(|error| NoAnswer::Failed(HttpError::Malformed(error.0)))?;
            if let Some((head, used)) = parsed {
                self.unused.start += used;
                return Ok(head);
            }
            let progress = if parser.is_empty() { Progress::Waiting } else { Progress::Answering };
            match self.connection.read(&mut self.buffer) {
                Ok(0) => return Err(NoAnswer::Failed(cut_off(&parser, progress))),
                Ok(count) => self.unused = 0..count,
                Err(error) => return Err(no_answer(&error, self.to, progress)),
            }
        }
    }

    /// Reads the body so that the app can finish it. What goes wrong here changes nothing.
    fn finish(mut self, head: &Head) {
        // After 101 the connection speaks another protocol.
        if head.status == 101 {
            return;
        }
        let mut body = BodyEnd::new(head.framing);
        body.push(&self.buffer[self.unused.clone()]);
        while !body.is_over() {
            match self.connection.read(&mut self.buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => body.push(&self.buffer[..count]),
            }
        }
    }
}

fn request(url: &Url, referer: Option<&Url>) -> Vec<u8> {
    let mut request = b"GET ".to_vec();
    request.extend_from_slice(&url.target);
    request.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    request.extend_from_slice(url.authority.as_bytes());
    // Apps exempt this agent from redirects, and frameworks that insist on https look at the other.
    request.extend_from_slice(b"\r\nUser-Agent: diego-healthcheck\r\nX-Forwarded-Proto: https\r\n");
    if let Some(referer) = referer {
        request.extend_from_slice(b"Referer: http://");
        request.extend_from_slice(referer.authority.as_bytes());
        request.extend_from_slice(&referer.target);
        request.extend_from_slice(b"\r\n");
    }
    if let Some(credentials) = &url.credentials {
        request.extend_from_slice(b"Authorization: Basic ");
        request.extend(base64(credentials));
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| three.get(at).copied().map_or(0, usize::from);
        let number = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digits = [18, 12, 6, 0].map(|shift| DIGITS[number >> shift & 63]);
        out.extend_from_slice(&digits[..=three.len()]);
        out.extend_from_slice(&b"=="[..3 - three.len()]);
    }
    out
}

fn no_answer(error: &io::Error, to: SocketAddr, progress: Progress) -> NoAnswer {
    if error.kind() == ErrorKind::TimedOut {
        return NoAnswer::TimedOut { to, progress };
    }
    NoAnswer::Failed(match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => HttpError::Refused { to },
        _ => HttpError::System(report::system_words(error)),
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_request_has_three_headers_and_a_referer_after_a_redirect() {
        let first = Url::new(Ipv4Addr::new(10, 0, 0, 5).into(), "080", b"/a?b").unwrap();
        let expected = "GET /a?b HTTP/1.1\r\nHost: 10.0.0.5:080\r\nUser-Agent: diego-healthcheck\r\n\
             X-Forwarded-Proto: https\r\n\r\n";
        assert_eq!(String::from_utf8(request(&first, None)).unwrap(), expected);
        let second = first.join(b"/c").unwrap();
        let request = String::from_utf8(request(&second, Some(&first))).unwrap();
        assert!(request.starts_with("GET /c HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\nReferer: http://10.0.0.5:080/a?b\r\n\r\n"), "{request}");
    }

    #[test]
    fn credentials_are_sent_in_base_64() {
        for (credentials, expected) in [
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("user:", "dXNlcjo="),
            ("a:b", "YTpi"),
            ("\u{ff}:?", "w786Pw=="),
        ] {
            let mut url = Url::new(Ipv4Addr::LOCALHOST.into(), "80", b"/").unwrap();
            url.credentials = Some(credentials.as_bytes().to_vec());
            let request = String::from_utf8(request(&url, None)).unwrap();
            assert!(
                request.ends_with(&format!("\r\nAuthorization: Basic {expected}\r\n\r\n")),
                "{request}"
            );
        }
    }

    #[test]
    fn only_five_statuses_with_a_location_redirect() {
        let head = |status, location: &str| Head {
            status,
            location: location.as_bytes().to_vec(),
            framing: head::Framing::UntilClose,
        };
        for status in [301, 302, 303, 307, 308] {
            assert!(is_redirect(&head(status, "/x")), "{status}");
            assert!(!is_redirect(&head(status, "")), "{status} without a location");
        }
        for status in [200, 201, 300, 304, 305, 306, 404] {
            assert!(!is_redirect(&head(status, "/x")), "{status}");
        }
    }
}

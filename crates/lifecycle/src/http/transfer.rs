//! One file on its way from a server to the disk: resumed and retried where that can help.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::{Client, HttpError, Reason, Request, Response, Timeouts};
use crate::report::system_words;
use crate::size::Size;
use crate::url::Url;

/// Waits before the second, third and fourth attempt, in milliseconds; [`JITTER`] comes on top.
const PAUSES: [u64; 3] = [500, 1000, 2000];
/// At most this is added to each pause, so that many cells do not come back at once; milliseconds.
const JITTER: u64 = 200;
const CHUNK: usize = 128 << 10;
/// How often a pause looks whether it still makes sense.
const TICK: Duration = Duration::from_millis(50);
const NOT_MODIFIED: u16 = 304;

/// How long a cell waits for a download (platform, section 2.2).
pub const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    total: Duration::from_mins(10),
};

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// No answer.
    #[error(transparent)]
    Request(#[from] HttpError),
    /// The body broke off.
    #[error("{reason} after {got}{}", of(*length))]
    Body {
        /// What happened.
        reason: String,
        /// Whether it may not happen again.
        passing: bool,
        /// What had come by then, earlier attempts included.
        got: Size,
        /// What the server announced.
        length: Option<u64>,
    },
    /// Any answer but 200.
    #[error("Download failed: Status code {0}")]
    Status(u16),
    /// A part was asked for, and something else came.
    #[error("the server sent another part of the file than it was asked for")]
    WrongPart,
    /// The file on this machine.
    #[error("{}: {}", path.display(), system_words(cause))]
    File {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// [`Order::is_given_up`] said so.
    #[error("given up")]
    GivenUp,
}

fn of(length: Option<u64>) -> String {
    length.map(|length| format!(" of {}", Size(length))).unwrap_or_default()
}

impl TransferError {
    /// Whether another attempt can help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Request(error) => error.reason().is_passing(),
            Self::Body { passing, .. } => *passing,
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..=599),
            Self::WrongPart => true,
            Self::File { .. } | Self::GivenUp => false,
        }
    }

    /// What the system said of the file on this machine, where that was the reason.
    pub fn system_error(&self) -> Option<&io::Error> {
        match self {
            Self::File { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// A transfer that was given up.
#[derive(Debug)]
pub struct Failure {
    /// Why the last attempt failed.
    pub reason: TransferError,
    /// How many were made.
    pub attempts: u32,
}

/// What to bring, and how.
#[expect(missing_debug_implementations, reason = "closures have none")]
pub struct Order<'a> {
    /// Makes the requests.
    pub client: &'a Client,
    /// Where the file is.
    pub url: &'a Url,
    /// Headers that make the server answer 304 where there is nothing new.
    pub conditions: Vec<(&'static str, String)>,
    /// Asked between chunks and while pausing.
    pub is_given_up: &'a dyn Fn() -> bool,
    /// Told what the server says of a file before its first byte is written.
    pub on_start: &'a dyn Fn(&Version) -> io::Result<()>,
}

/// What a server says of the file it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The whole length in bytes, where the file can be sent in parts.
    pub length: Option<u64>,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

/// How a transfer ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The file is here.
    Whole,
    /// The conditions held: there is nothing new.
    NotModified,
}

/// What has come so far.
#[derive(Debug)]
pub struct Part<'a> {
    file: File,
    path: &'a Path,
    length: u64,
    version: Version,
    /// Whether it may be continued; not after the server sent another part than it was asked for.
    continues: bool,
}

impl<'a> Part<'a> {
    /// Nothing yet; `path` is the name of `file` in errors.
    pub fn new(file: File, path: &'a Path) -> Self {
        Self { file, path, length: 0, version: Version::default(), continues: true }
    }

    /// `file` has the beginning of `version`, and its end is where writing goes on.
    pub fn resuming(mut file: File, path: &'a Path, version: Version) -> io::Result<Self> {
        let length = file.seek(io::SeekFrom::End(0))?;
        Ok(Self { file, path, length, version, continues: true })
    }

    /// Bytes that have come.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What the server said of the file.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Brings the file, in up to four attempts where that can help (platform, section 2.2).
    pub fn complete(&mut self, order: &Order<'_>) -> Result<Arrival, Failure> {
        let mut attempts = 1;
        loop {
            let reason = match self.attempt(order) {
                Ok(arrival) => return Ok(arrival),
                Err(reason) => reason,
            };
            let pause = PAUSES.get(attempts as usize - 1).filter(|_| reason.is_passing());
            let Some(pause) = pause else { return Err(Failure { reason, attempts }) };
            rest(order, *pause).map_err(|reason| Failure { reason, attempts })?;
            attempts += 1;
        }
    }

    /// Asks for what is missing, or for everything where the server cannot continue.
    fn attempt(&mut self, order: &Order<'_>) -> Result<Arrival, TransferError> {
        let validator = self.version.validator().filter(|_| self.can_continue());
        let response = order.client.send(&self.request(order, validator))?;
        let resumed = validator.is_some();
        match response.status() {
            200 => self.restart(&response, order)?,
            206 if resumed && self.is_continued_by(&response) => {}
            206 | 416 if resumed => {
                self.continues = false;
                return Err(TransferError::WrongPart);
            }
            NOT_MODIFIED if !resumed && !order.conditions.is_empty() => {
                return Ok(Arrival::NotModified);
            }
            other => return Err(TransferError::Status(other)),
        }
        self.receive(order, response).map(|()| Arrival::Whole)
    }

    fn can_continue(&self) -> bool {
        self.continues && self.length > 0 && self.version.length.is_some_and(|of| of > self.length)
    }

    fn request<'r>(&self, order: &Order<'r>, validator: Option<&str>) -> Request<'r> {
        let request = Request::get(order.url);
        let Some(validator) = validator else {
            return order
                .conditions
                .iter()
                .fold(request, |request, (name, value)| request.header(name, value.clone()));
        };
        request
            .header("range", format!("bytes={}-", self.length))
            .header("if-range", validator)
            // A range of compressed bytes would not fit to what is here.
            .header("accept-encoding", "identity")
    }

    /// Forgets what has come.
    fn restart(&mut self, response: &Response, order: &Order<'_>) -> Result<(), TransferError> {
        self.length = 0;
        self.continues = true;
        self.version = Version::of(response);
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| (order.on_start)(&self.version))
            .map_err(|cause| self.unusable(cause))
    }

    /// Whether the answer is the rest of the same file: `bytes <length>-<of - 1>/<of>`.
    fn is_continued_by(&self, response: &Response) -> bool {
        let Some(of) = self.version.length else { return false };
        let expected = format!("bytes {}-{}/{of}", self.length, of.saturating_sub(1));
        let rest = of.saturating_sub(self.length);
        response.header("content-range") == Some(expected.as_str())
            && response.header("content-encoding").is_none()
            && self.version.is_of(response)
            && response.content_length().is_none_or(|length| length == rest)
    }

    fn receive(&mut self, order: &Order<'_>, response: Response) -> Result<(), TransferError> {
        let mut body = response.into_body();
        let mut chunk = vec![0; CHUNK];
        loop {
            if (order.is_given_up)() {
                return Err(TransferError::GivenUp);
            }
            let count = match body.read(&mut chunk) {
                Ok(0) if self.version.length.is_none_or(|of| of == self.length) => return Ok(()),
                Ok(0) => return Err(self.broken("the body has the wrong length".to_owned(), true)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let passing = Reason::of(&error).is_none_or(Reason::is_passing);
                    return Err(self.broken(error.to_string(), passing));
                }
            };
            self.file.write_all(&chunk[..count]).map_err(|cause| self.unusable(cause))?;
            self.length += count as u64;
        }
    }

    fn broken(&self, reason: String, passing: bool) -> TransferError {
        TransferError::Body { reason, passing, got: Size(self.length), length: self.version.length }
    }

    fn unusable(&self, cause: io::Error) -> TransferError {
        TransferError::File { path: self.path.to_owned(), cause }
    }
}

impl Version {
    fn of(response: &Response) -> Self {
        let header = |name| response.header(name).map(str::to_owned);
        Self {
            length: response.content_length(),
            etag: header("etag"),
            last_modified: header("last-modified"),
        }
    }

    /// Whether a 206 says nothing else: a server that does not know `If-Range` sends the rest of what it
    /// has now.
    fn is_of(&self, response: &Response) -> bool {
        let (name, known) = match &self.etag {
            Some(etag) => ("etag", Some(etag)),
            None => ("last-modified", self.last_modified.as_ref()),
        };
        response.header(name).is_none_or(|now| known.is_some_and(|known| known == now))
    }

    /// What `If-Range` takes: a strong `ETag`, else `Last-Modified`.
    fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }
}

/// Waits, unless it is no longer worth it.
fn rest(order: &Order<'_>, milliseconds: u64) -> Result<(), TransferError> {
    let jitter = RandomState::new().hash_one(0) % JITTER;
    let end = Instant::now() + Duration::from_millis(milliseconds + jitter);
    while Instant::now() < end {
        if (order.is_given_up)() {
            return Err(TransferError::GivenUp);
        }
        thread::sleep(TICK);
    }
    Ok(())
}

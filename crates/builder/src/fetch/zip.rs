//! A buildpack's zip: downloaded into a temporary file, resumed and retried where that can help,
//! then unpacked.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lifecycle::archive::unzip::unzip;
use lifecycle::http::{Client, HttpError, Reason, Request, Response, Timeouts};
use lifecycle::report::system_words;
use lifecycle::size::Size;

use super::{FetchError, FetchOptions, Job};

/// Waits before the second, third and fourth attempt, in milliseconds; [`JITTER`] comes on top.
const PAUSES: [u64; 3] = [500, 1000, 2000];
/// At most this is added to each pause, so that many cells do not come back at once; milliseconds.
const JITTER: u64 = 200;
const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    idle: Duration::from_secs(10),
    total: Duration::from_mins(10),
};
const CHUNK: usize = 128 << 10;
/// How often a pause looks whether it still makes sense.
const TICK: Duration = Duration::from_millis(50);
/// Bytes of the URL's last element that the temporary file's name keeps.
const NAME_LENGTH: usize = 100;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
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
    /// The temporary file.
    #[error("{}: {}", path.display(), system_words(cause))]
    File {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// An earlier buildpack failed. Never reported.
    #[error("given up")]
    GivenUp,
}

fn of(length: Option<u64>) -> String {
    length.map(|length| format!(" of {}", Size(length))).unwrap_or_default()
}

impl DownloadError {
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

    pub(super) fn system_error(&self) -> Option<&io::Error> {
        match self {
            Self::File { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Downloads and unpacks; gives the zip's size.
pub(super) fn fetch(job: &Job<'_>) -> Result<u64, FetchError> {
    let failed = |reason, attempts| match reason {
        DownloadError::GivenUp => FetchError::GivenUp,
        reason => FetchError::Download { url: job.url.masked(), reason, attempts },
    };
    let made = job.options.cleanup.make(|| temporary(job));
    let (guard, file) = made.map_err(|reason| failed(reason, 1))?;
    let mut part = Part { file, path: guard.path(), length: 0, of: None, validator: None };
    let client = client(&job.options);
    let mut attempts = 1;
    while let Err(reason) = part.attempt(job, &client) {
        let Some(pause) = PAUSES.get(attempts as usize - 1).filter(|_| reason.is_passing()) else {
            return Err(failed(reason, attempts));
        };
        rest(job, *pause).map_err(|reason| failed(reason, attempts))?;
        attempts += 1;
    }
    unzip(guard.path(), job.destination)
        .map_err(|reason| FetchError::Extract { url: job.url.masked(), reason })?;
    Ok(part.length)
}

fn client(options: &FetchOptions<'_>) -> Client {
    let client = Client::new(options.environment, TIMEOUTS);
    if options.skip_cert_verify { client.without_verification() } else { client }
}

/// A new file in `$TMPDIR`, named after the last element of the URL's path and random digits, which
/// take the place of a `*` in it.
fn temporary(job: &Job<'_>) -> Result<(PathBuf, File), DownloadError> {
    let directory = job.options.environment.temporary_directory();
    let name = Path::new(job.url.path()).file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(NAME_LENGTH).collect();
    let digits = RandomState::new().hash_one(&name);
    let (before, after) = name.rsplit_once('*').unwrap_or((&name, ""));
    let path = directory.join(format!("{before}{digits}{after}"));
    let mut options = File::options();
    match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
        Ok(file) => Ok((path, file)),
        Err(cause) => Err(DownloadError::File { path: directory.to_owned(), cause }),
    }
}

/// Waits, unless it is no longer worth it.
fn rest(job: &Job<'_>, milliseconds: u64) -> Result<(), DownloadError> {
    let jitter = RandomState::new().hash_one(0) % JITTER;
    let end = Instant::now() + Duration::from_millis(milliseconds + jitter);
    while Instant::now() < end {
        if job.is_given_up() {
            return Err(DownloadError::GivenUp);
        }
        thread::sleep(TICK);
    }
    Ok(())
}

/// What has come so far.
struct Part<'a> {
    file: File,
    path: &'a Path,
    length: u64,
    /// The whole length, where the server said it of bytes that it can send in parts.
    of: Option<u64>,
    /// `ETag` or `Last-Modified` of what has come, to continue only with the same file.
    validator: Option<String>,
}

impl Part<'_> {
    /// Asks for what is missing, or for everything where the server cannot continue.
    fn attempt(&mut self, job: &Job<'_>, client: &Client) -> Result<(), DownloadError> {
        let mut request = Request::get(job.url);
        let resumed = self.validator.clone().filter(|_| self.length > 0 && self.of.is_some());
        if let Some(validator) = resumed.clone() {
            request = request
                .header("range", format!("bytes={}-", self.length))
                .header("if-range", validator)
                // A range of compressed bytes would not fit to what is here.
                .header("accept-encoding", "identity");
        }
        let response = client.send(&request)?;
        match response.status() {
            200 => self.restart(&response)?,
            206 if resumed.is_some() && self.continues(&response) => {}
            206 | 416 if resumed.is_some() => {
                self.validator = None;
                return Err(DownloadError::WrongPart);
            }
            other => return Err(DownloadError::Status(other)),
        }
        self.receive(job, response)
    }

    /// Forgets what has come.
    fn restart(&mut self, response: &Response) -> Result<(), DownloadError> {
        self.length = 0;
        self.of = response.content_length();
        self.validator = validator(response);
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|cause| self.unusable(cause))
    }

    /// Whether the answer is the rest of the same file: `bytes <length>-<of - 1>/<of>`.
    fn continues(&self, response: &Response) -> bool {
        let Some(of) = self.of else { return false };
        let expected = format!("bytes {}-{}/{of}", self.length, of.saturating_sub(1));
        let rest = of - self.length;
        response.header("content-range") == Some(expected.as_str())
            && response.header("content-encoding").is_none()
            && response.content_length().is_none_or(|length| length == rest)
    }

    fn receive(&mut self, job: &Job<'_>, response: Response) -> Result<(), DownloadError> {
        let mut body = response.into_body();
        let mut chunk = vec![0; CHUNK];
        loop {
            if job.is_given_up() {
                return Err(DownloadError::GivenUp);
            }
            let count = match body.read(&mut chunk) {
                Ok(0) if self.of.is_none_or(|of| of == self.length) => return Ok(()),
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

    fn broken(&self, reason: String, passing: bool) -> DownloadError {
        DownloadError::Body { reason, passing, got: Size(self.length), length: self.of }
    }

    fn unusable(&self, cause: io::Error) -> DownloadError {
        DownloadError::File { path: self.path.to_owned(), cause }
    }
}

/// What `If-Range` takes: a strong `ETag`, else `Last-Modified`.
fn validator(response: &Response) -> Option<String> {
    let strong = response.header("etag").filter(|etag| !etag.starts_with("W/"));
    strong.or_else(|| response.header("last-modified")).map(str::to_owned)
}

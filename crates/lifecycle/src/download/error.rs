//! Why a download failed: one sentence with what, where and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::archive::unpack::UnpackError;
use crate::http::Reason;
use crate::http::transfer::TransferError;
use crate::report::{chain, system_words};
use crate::url::Url;

/// A failed download: `cannot download <URL>: <why>`, passwords masked.
#[derive(Debug, thiserror::Error)]
#[error("cannot download {url}: {trouble}")]
pub struct DownloadError {
    url: String,
    trouble: Trouble,
}

impl DownloadError {
    pub(super) fn new(url: &Url, trouble: Trouble) -> Self {
        Self { url: url.masked(), trouble }
    }

    /// What went wrong, without the URL.
    pub fn trouble(&self) -> &Trouble {
        &self.trouble
    }
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It did not come.
    #[error("{}", Transferring(reason, *attempts))]
    Transfer {
        /// Why the last attempt failed.
        reason: TransferError,
        /// How many were made.
        attempts: u32,
    },
    /// It came and is another file. Not tried again (platform, section 2.2).
    #[error(
        "its {algorithm} is {actual}, not {expected}: the server has another file than was asked for, or it was damaged there"
    )]
    Checksum {
        /// `md5`, `sha1` or `sha256`.
        algorithm: &'static str,
        /// In hex.
        expected: String,
        /// In hex.
        actual: String,
    },
    /// It came and cannot be unpacked.
    #[error("it cannot be unpacked: {}", chain(.0))]
    Unpack(UnpackError),
    /// The cache's own files.
    #[error("{}: {}{}", path.display(), system_words(cause), advice(cause))]
    Cache {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl Trouble {
    /// For `map_err`: something about `path`.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Cache { path, cause }
    }

    /// Whether what came was at fault, not this machine or the line.
    pub(super) fn is_of_the_file(&self) -> bool {
        matches!(self, Self::Checksum { .. } | Self::Unpack(_)) && !self.is_full_disk()
    }

    /// Whether there was no room.
    pub fn is_full_disk(&self) -> bool {
        let cause = match self {
            Self::Transfer { reason, .. } => reason.system_error(),
            Self::Unpack(error) => error.system_error(),
            Self::Cache { cause, .. } => Some(cause),
            Self::Checksum { .. } => None,
        };
        cause.is_some_and(is_full)
    }
}

fn is_full(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn advice(cause: &io::Error) -> &'static str {
    if is_full(cause) { ": free some space there, or give the cache a lower limit" } else { "" }
}

/// Why it did not come, how often that was tried, and what to look at.
struct Transferring<'a>(&'a TransferError, u32);

impl fmt::Display for Transferring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(reason, attempts) = self;
        match reason {
            // The sentence has the URL already.
            TransferError::Request(error) => write!(f, "{}", error.reason())?,
            TransferError::Status(status) => write!(f, "the server answered {status}")?,
            other => write!(f, "{other}")?,
        }
        if *attempts > 1 {
            write!(f, " ({attempts} attempts)")?;
        }
        match reason {
            TransferError::Request(error) => f.write_str(match error.reason() {
                Reason::Connection { .. } | Reason::Timeout { .. } => {
                    ": check that the file server runs and can be reached from here"
                }
                Reason::NameNotFound { .. } => ": check the host name and this machine's resolver",
                _ => "",
            }),
            TransferError::Status(404) => {
                f.write_str(": check the path against what is in the file server's directory")
            }
            TransferError::Status(401 | 403) => {
                f.write_str(": check user and password of the URL, and the file's permissions")
            }
            TransferError::File { cause, .. } => f.write_str(advice(cause)),
            _ => Ok(()),
        }
    }
}

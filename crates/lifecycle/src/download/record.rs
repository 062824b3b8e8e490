//! What is written beside a download: where it came from, and what it must be to be used again.

use serde::{Deserialize, Serialize};

use super::checksum::{Algorithm, Checksum, Checksums};
use crate::http::transfer::Version;
use crate::url::Url;

/// The newest version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Without password; for people, nobody reads it back.
    url: String,
    etag: Option<String>,
    last_modified: Option<String>,
    checksums: Checksums,
    /// Bytes that were downloaded.
    pub(super) size: u64,
}

/// What has come of a file that is still on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartRecord {
    length: Option<u64>,
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Record {
    pub(super) fn new(url: &Url, version: &Version, (checksums, size): (Checksums, u64)) -> Self {
        let Version { etag, last_modified, .. } = version.clone();
        Self { url: url.masked(), etag, last_modified, checksums, size }
    }

    /// The name of its directory.
    pub(super) fn name(&self) -> &str {
        self.checksums.get(&Algorithm::Sha256).map_or("", String::as_str)
    }

    /// Whether it is known to be what is demanded.
    pub(super) fn meets(&self, demanded: Option<&Checksum>) -> bool {
        demanded.is_none_or(|demanded| demanded.is_among(&self.checksums))
    }

    /// Headers that ask for the file only if it is another one now. Without validators it is asked
    /// for in any case.
    pub(super) fn conditions(&self) -> Vec<(&'static str, String)> {
        let none_match = self.etag.clone().map(|etag| ("if-none-match", etag));
        let since = self.last_modified.clone().map(|time| ("if-modified-since", time));
        none_match.into_iter().chain(since).collect()
    }
}

impl From<&Version> for PartRecord {
    fn from(version: &Version) -> Self {
        let Version { length, etag, last_modified } = version.clone();
        Self { length, etag, last_modified }
    }
}

impl From<PartRecord> for Version {
    fn from(PartRecord { length, etag, last_modified }: PartRecord) -> Self {
        Self { length, etag, last_modified }
    }
}

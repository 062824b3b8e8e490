//! Why an archive could not be made, one sentence each.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::report::system_words;

/// Why packing failed. What was written so far is of no use then.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or directory could not be opened, listed or read.
    #[error("cannot read {}: {}", path.display(), system_words(error))]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It was in its directory's listing and then was not there.
    #[error("{} vanished while it was being packed", path.display())]
    Vanished {
        /// The file or directory.
        path: PathBuf,
    },
    /// A file ended before the size it had when it was opened.
    #[error("{} shrank while it was being packed: {read} of {size} bytes were left", path.display())]
    Shrank {
        /// The file.
        path: PathBuf,
        /// Bytes it had when it was opened, and which its header promises.
        size: u64,
        /// Bytes that could be read.
        read: u64,
    },
    /// A tree to pack is a file.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The file.
        path: PathBuf,
    },
    /// A directory and something else would have the same name in the archive.
    #[error("{} and {} cannot both be packed under one name: only one is a directory", one.display(), other.display())]
    Conflict {
        /// The one.
        one: PathBuf,
        /// And the other.
        other: PathBuf,
    },
    /// The archive could not be written: [`ErrorKind::StorageFull`] when the disk is full.
    #[error("cannot write {}: {}", path.display(), system_words(error))]
    Write {
        /// The path the archive was to have.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The container allows no more threads.
    #[error("cannot start a thread: {}", system_words(.0))]
    Thread(io::Error),
    /// The stop flag was set.
    #[error("packing was stopped")]
    Stopped,
}

impl PackError {
    /// A failure at something that a directory listing had named.
    pub(super) fn reading(path: PathBuf, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::Vanished { path },
            _ => Self::Read { path, error },
        }
    }
}

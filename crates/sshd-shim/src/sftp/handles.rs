//! The files and directories that a client has open.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::str;

use crate::sftp::refusal::Refusal;

/// So many may be open in one session: descriptors are shared with the rest of the server.
pub(super) const MOST_HANDLES: usize = 512;

/// A file or directory that is open. Both are a descriptor: the kernel keeps the place in a directory.
pub(super) struct Opened {
    pub(super) file: File,
    /// As the client named it, for texts.
    pub(super) path: PathBuf,
}

/// Handles are decimal numbers from 1, as the predecessor's are.
#[derive(Default)]
pub(super) struct Handles {
    open: BTreeMap<u64, Opened>,
    last: u64,
}

impl Handles {
    pub(super) fn are_exhausted(&self) -> bool {
        self.open.len() >= MOST_HANDLES
    }

    pub(super) fn insert(&mut self, opened: Opened) -> String {
        self.last += 1;
        self.open.insert(self.last, opened);
        self.last.to_string()
    }

    pub(super) fn get(&self, handle: &[u8]) -> Result<&Opened, Refusal> {
        number(handle).and_then(|number| self.open.get(&number)).ok_or(Refusal::Handle)
    }

    pub(super) fn close(&mut self, handle: &[u8]) -> Result<(), Refusal> {
        number(handle).and_then(|number| self.open.remove(&number)).map(drop).ok_or(Refusal::Handle)
    }
}

fn number(handle: &[u8]) -> Option<u64> {
    str::from_utf8(handle).ok()?.parse().ok()
}

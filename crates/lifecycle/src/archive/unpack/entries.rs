//! The entries of a tar, one after the other, each checked and handed to the tree.

use std::cell::Cell;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tar::{Archive, Entry, EntryType};

use super::tree::{Attributes, Tree};
use super::{BUFFER, Bounds, Fault, KEPT_MODE, UnpackError};
use crate::archive::unzip::{Unpacked, shown};
use crate::report::system_words;
use crate::size::Size;

/// The headers of one entry, long names and pax records included, are held in memory: 1 MiB.
const MAX_HEADERS: u64 = 1 << 20;
/// All paths together may have so many bytes: 128 MiB.
const MAX_PATHS: usize = 128 << 20;
/// What pax records of sparse files begin with: the data of such a file is a map and pieces.
const PAX_SPARSE: &[u8] = b"GNU.sparse.";

/// Unpacks the tar `stream` into the empty `destination`.
pub(super) fn unpack(
    stream: impl Read,
    bounds: Bounds,
    destination: &Path,
) -> Result<Unpacked, UnpackError> {
    let allowance = Rc::new(Cell::new(MAX_HEADERS));
    let mut archive = Archive::new(Metered { stream, allowance: Rc::clone(&allowance) });
    let at_destination = |cause| UnpackError::System { path: destination.to_owned(), cause };
    let tree = Tree::new(destination).map_err(at_destination)?;
    let mut unpacking = Unpacking { tree, bounds, path_bytes: 0, entries: 0, bytes: 0 };
    for entry in archive.entries().map_err(|error| damaged(&error))? {
        let mut entry = entry.map_err(|error| damaged(&error))?;
        allowance.set(u64::MAX);
        unpacking.take(&mut entry)?;
        allowance.set(MAX_HEADERS);
    }
    // The last gzip member's checksum comes behind the end of the tar.
    let mut rest = archive.into_inner().stream.take(bounds.allowed);
    io::copy(&mut rest, &mut io::sink()).map_err(|error| damaged(&error))?;
    unpacking.tree.finish().map_err(at_destination)?;
    Ok(Unpacked { entries: unpacking.entries, bytes: unpacking.bytes })
}

/// What has been unpacked so far, and how much may be.
struct Unpacking {
    tree: Tree,
    bounds: Bounds,
    path_bytes: usize,
    entries: usize,
    bytes: u64,
}

impl Unpacking {
    /// Makes what the entry is, and reads its data to the end.
    fn take(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let name = entry.path_bytes().into_owned();
        self.entries += 1;
        self.path_bytes += name.len();
        if self.entries + self.tree.unasked() > self.bounds.entries {
            return Err(UnpackError::TooManyEntries);
        }
        if self.path_bytes > MAX_PATHS {
            return Err(UnpackError::TooManyPaths(Size(MAX_PATHS as u64)));
        }
        let at_fault = |fault| UnpackError::Entry { name: shown(&name), fault };
        let Some(mut file) = self.make(entry, &name).map_err(at_fault)? else {
            return self.copy(entry, &mut io::sink(), &name);
        };
        self.copy(entry, &mut file, &name)?;
        match modified(entry) {
            Some(time) => file.set_modified(time).map_err(Fault::System).map_err(at_fault),
            None => Ok(()),
        }
    }

    /// Makes everything but the content of a file.
    fn make(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        name: &[u8],
    ) -> Result<Option<File>, Fault> {
        refuse_pax_sparse(entry)?;
        let mode = entry.header().mode().map_err(Fault::System)? & KEPT_MODE;
        let link = || entry.link_name_bytes().unwrap_or_default().into_owned();
        match entry.header().entry_type() {
            // A directory of the oldest dialect.
            EntryType::Regular if name.ends_with(b"/") => {
                self.tree.directory(name, Attributes { mode, modified: modified(entry) })?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                return self.tree.file(name, mode).map(Some);
            }
            EntryType::Directory => {
                self.tree.directory(name, Attributes { mode, modified: modified(entry) })?;
            }
            EntryType::Symlink => self.tree.symlink(name, &link())?,
            EntryType::Link => self.tree.hard_link(name, &link())?,
            EntryType::Fifo => self.tree.fifo(name, mode)?,
            EntryType::Char | EntryType::Block => return Err(Fault::Device),
            // About the entries that follow, such as git's commit id.
            EntryType::XGlobalHeader => {}
            other => return Err(Fault::Kind(other.as_byte().escape_ascii().to_string())),
        }
        Ok(None)
    }

    fn copy(
        &mut self,
        entry: &mut Entry<'_, impl Read>,
        target: &mut dyn Write,
        name: &[u8],
    ) -> Result<(), UnpackError> {
        let mut left = entry.size();
        let mut chunk = vec![0; usize::try_from(left).unwrap_or(BUFFER).min(BUFFER)];
        while left > 0 {
            let count = entry.read(&mut chunk).map_err(|error| damaged(&error))?;
            if count == 0 {
                return Err(UnpackError::Damaged("it ends too early".to_owned()));
            }
            left -= count as u64;
            self.bytes += count as u64;
            if self.bytes > self.bounds.allowed {
                let (packed, allowed) = (Size(self.bounds.packed), Size(self.bounds.allowed));
                return Err(UnpackError::Bomb { packed, allowed });
            }
            target.write_all(&chunk[..count]).map_err(|cause| UnpackError::Entry {
                name: shown(name),
                fault: Fault::System(cause),
            })?;
        }
        Ok(())
    }
}

/// Its data would be taken for the file's.
fn refuse_pax_sparse(entry: &mut Entry<'_, impl Read>) -> Result<(), Fault> {
    // Asked for its records, this one would give its own data, which is still to be passed over.
    if entry.header().entry_type() == EntryType::XGlobalHeader {
        return Ok(());
    }
    let records = entry.pax_extensions().map_err(Fault::System)?;
    let sparse = |record: io::Result<tar::PaxExtension<'_>>| {
        record.is_ok_and(|record| record.key_bytes().starts_with(PAX_SPARSE))
    };
    if records.into_iter().flatten().any(sparse) {
        return Err(Fault::Kind("sparse file in pax form".to_owned()));
    }
    Ok(())
}

fn modified(entry: &Entry<'_, impl Read>) -> Option<SystemTime> {
    let seconds = entry.header().mtime().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The innermost cause: what lies around it tells which part of a header was being read.
fn damaged(error: &io::Error) -> UnpackError {
    let mut words = system_words(error);
    let mut cause: Option<&dyn Error> = error.get_ref().map(|inner| inner as &dyn Error);
    while let Some(inner) = cause {
        words = match inner.downcast_ref::<io::Error>() {
            Some(error) => system_words(error),
            None => inner.to_string(),
        };
        cause = inner.source();
    }
    UnpackError::Damaged(words)
}

/// Gives no more than is allowed: the headers of an entry are read whole by the tar crate, and a
/// name can claim to have gigabytes.
struct Metered<R> {
    stream: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance.get();
        if allowed == 0 && !buffer.is_empty() {
            return Err(io::Error::other("an entry's headers have more than a megabyte"));
        }
        let length = usize::try_from(allowed).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.stream.read(&mut buffer[..length])?;
        if allowed != u64::MAX {
            self.allowance.set(allowed - count as u64);
        }
        Ok(count)
    }
}

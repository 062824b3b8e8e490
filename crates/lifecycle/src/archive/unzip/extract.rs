//! The work on single entries, spread over the cores: read from the zip, inflate, check, write.
//!
//! Entries up to [`WHOLE`] are inflated in one go by libdeflate, larger ones as a stream, so that
//! memory stays within two such buffers per core.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flate2::bufread::DeflateDecoder;
use libdeflater::{Crc, DecompressionError, Decompressor};

use super::entry::Entry;
use super::plan::{Node, Plan};
use super::{EntryFault, UnzipError};

/// Entries of at most this many bytes, packed and unpacked, are held in memory: 4 MiB.
const WHOLE: u64 = 4 << 20;
/// Larger ones go through buffers of this size.
const CHUNK: usize = 128 << 10;
/// More threads than this only wait for the disk.
const MAX_THREADS: usize = 8;

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const LOCAL_HEADER_LENGTH: usize = 30;
/// Where a local header says how long the name and the extra field behind it are.
const NAME_LENGTH_AT: usize = 26;
const EXTRA_LENGTH_AT: usize = 28;

/// Writes the plan's files below `destination` with all cores.
///
/// Of several failures the one of the first path is reported.
pub(super) fn files(plan: &Plan<'_>, archive: &File, destination: &Path) -> Result<(), UnzipError> {
    let mut jobs: Vec<(&Path, &Entry)> = plan
        .nodes()
        .filter_map(|(path, node)| match node {
            Node::File(entry) => Some((path, *entry)),
            _ => None,
        })
        .collect();
    // The long ones first: whoever ends early takes the short ones meanwhile. The sort is stable.
    jobs.sort_by_key(|(_, entry)| entry.size <= WHOLE);
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_THREADS);
    let work = || Extractor::new(archive).take_jobs(&jobs, &next, destination);
    let failures: Vec<(usize, UnzipError)> = thread::scope(|scope| {
        // As many helpers as the container allows; this thread works in any case.
        let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
        let others: Vec<_> = (1..threads.min(jobs.len())).map_while(start).collect();
        let own = work().err();
        let theirs = others.into_iter().filter_map(|thread| thread.join().ok()?.err());
        theirs.chain(own).collect()
    });
    match failures.into_iter().min_by_key(|(index, _)| *index) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// What one core needs to extract entry after entry.
pub(super) struct Extractor<'a> {
    archive: &'a File,
    inflater: Decompressor,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

impl<'a> Extractor<'a> {
    pub(super) fn new(archive: &'a File) -> Self {
        Self { archive, inflater: Decompressor::new(), packed: Vec::new(), unpacked: Vec::new() }
    }

    /// Extracts whatever job is next until there is none; a failure ends the others' work too.
    fn take_jobs(
        mut self,
        jobs: &[(&Path, &Entry)],
        next: &AtomicUsize,
        destination: &Path,
    ) -> Result<(), (usize, UnzipError)> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((path, entry)) = jobs.get(index) else { return Ok(()) };
            if let Err(fault) = self.extract(entry, &destination.join(path)) {
                next.store(jobs.len(), Ordering::Relaxed);
                return Err((index, entry.at_fault(fault)));
            }
        }
    }

    fn extract(&mut self, entry: &Entry, path: &Path) -> Result<(), EntryFault> {
        let at_path = |cause| EntryFault::System { path: path.to_owned(), cause };
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(entry.mode).open(path).map_err(at_path)?;
        if entry.size <= WHOLE && entry.compressed <= WHOLE {
            return file.write_all(self.content(entry)?).map_err(at_path);
        }
        let start = self.data_start(entry)?;
        let region = Region { archive: self.archive, at: start, left: entry.compressed };
        let data = BufReader::with_capacity(CHUNK, region);
        if entry.deflated {
            stream(DeflateDecoder::new(data), entry, &mut file, path)
        } else {
            stream(data, entry, &mut file, path)
        }
    }

    /// The unpacked and checked content of an entry that fits into memory.
    pub(super) fn content(&mut self, entry: &Entry) -> Result<&[u8], EntryFault> {
        let start = self.data_start(entry)?;
        self.packed.resize(in_memory(entry.compressed)?, 0);
        self.archive.read_exact_at(&mut self.packed, start).map_err(unreadable)?;
        let content = if entry.deflated {
            self.unpacked.resize(in_memory(entry.size)?, 0);
            match self.inflater.deflate_decompress(&self.packed, &mut self.unpacked) {
                Ok(length) => &self.unpacked[..length],
                Err(DecompressionError::InsufficientSpace) => {
                    return Err(EntryFault::TooLong(entry.size));
                }
                Err(DecompressionError::BadData) => return Err(EntryFault::Damaged),
            }
        } else {
            &self.packed[..]
        };
        entry.check(content.len() as u64, libdeflater::crc32(content))?;
        Ok(content)
    }

    /// Where the entry's data begins: behind its local header, whose name and extra field can have
    /// other lengths than those in the directory.
    fn data_start(&self, entry: &Entry) -> Result<u64, EntryFault> {
        let mut header = [0; LOCAL_HEADER_LENGTH];
        self.archive.read_exact_at(&mut header, entry.header_start).map_err(unreadable)?;
        if !header.starts_with(LOCAL_HEADER) {
            return Err(EntryFault::Damaged);
        }
        let number = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let variable = number(NAME_LENGTH_AT) + number(EXTRA_LENGTH_AT);
        Ok(entry.header_start + LOCAL_HEADER_LENGTH as u64 + variable)
    }
}

/// The size as a buffer's length. A symlink of a few bytes can claim to be packed into gigabytes.
fn in_memory(size: u64) -> Result<usize, EntryFault> {
    usize::try_from(size.min(WHOLE + 1))
        .ok()
        .filter(|length| *length as u64 <= WHOLE)
        .ok_or(EntryFault::Damaged)
}

fn unreadable(cause: io::Error) -> EntryFault {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof => EntryFault::Damaged,
        _ => EntryFault::Unreadable(cause),
    }
}

/// Copies an entry chunk by chunk, stopping as soon as it is longer than declared.
fn stream(
    mut data: impl Read,
    entry: &Entry,
    file: &mut File,
    path: &Path,
) -> Result<(), EntryFault> {
    let mut chunk = vec![0; CHUNK];
    let mut crc = Crc::new();
    let mut length = 0;
    loop {
        let count = data.read(&mut chunk).map_err(|error| match error.raw_os_error() {
            Some(_) => EntryFault::Unreadable(error),
            None => EntryFault::Damaged,
        })?;
        if count == 0 {
            return entry.check(length, crc.sum());
        }
        length += count as u64;
        if length > entry.size {
            return Err(EntryFault::TooLong(entry.size));
        }
        crc.update(&chunk[..count]);
        file.write_all(&chunk[..count])
            .map_err(|cause| EntryFault::System { path: path.to_owned(), cause })?;
    }
}

/// A part of the zip, read at its own position so that all threads can share the file.
struct Region<'a> {
    archive: &'a File,
    at: u64,
    left: u64,
}

impl Read for Region<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.archive.read_at(&mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

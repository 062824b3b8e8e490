//! A tree to a gzipped tar in one pass: one thread reads, all cores compress, the caller's thread
//! writes and takes the checksums. The bytes do not depend on the number of threads.

use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::thread;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::blocks::{Compressed, Job, blocks};
use super::error::PackError;
use super::gzip::Gzip;
use super::stream::{Contents, TarStream};
use super::tree::Tree;

/// How to pack.
#[derive(Clone, Debug)]
pub struct PackOptions<'a> {
    /// Threads that compress; each needs about 3 MiB. They do not change the archive.
    pub threads: NonZeroUsize,
    /// Seconds since 1970; newer files are said to be of that time (`SOURCE_DATE_EPOCH`).
    pub source_date_epoch: Option<i64>,
    /// Other archives that are being written, maybe into the same tree: not packed.
    pub outputs: &'a [&'a File],
    /// Set it and packing ends soon with [`PackError::Stopped`].
    pub stop: &'a AtomicBool,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Bytes of the archive.
    pub bytes: u64,
    /// Bytes before compression.
    pub tar_bytes: u64,
    /// Files of all kinds in it.
    pub entries: u64,
    /// SHA-256 of the archive, in hex.
    pub sha256: String,
    /// SHA-1 of the archive, in hex: Cloud Controller names droplets by it.
    pub sha1: String,
    /// A sentence for each thing that is not in the archive as it is in the tree.
    pub warnings: Vec<String>,
}

/// Packs `tree` into `output`, a new file; errors name it `path`, which is where it is to end up.
///
/// The archive is a gzip file of several members around a GNU tar: entries sorted, first `./`,
/// numeric owners, whole-second times, no sparse files.
pub fn pack(
    tree: &Tree,
    output: &File,
    path: &Path,
    options: &PackOptions<'_>,
) -> Result<Packed, PackError> {
    let writing = |error| PackError::Write { path: path.to_owned(), error };
    let inode = |file: &File| file.metadata().map(|it| (it.dev(), it.ino()));
    let all = options.outputs.iter().copied().chain([output]);
    let outputs = all.map(inode).collect::<io::Result<_>>().map_err(writing)?;
    let (blocks, work, compressed) = blocks(options.threads, options.stop);
    let stream = TarStream::new(blocks, options.source_date_epoch, outputs);
    let work = Mutex::new(work);
    let (read, written) = thread::scope(|scope| {
        for started in 0..options.threads.get() {
            match thread::Builder::new().spawn_scoped(scope, || compress(&work)) {
                Ok(_) => {}
                Err(error) if started == 0 => return Err(PackError::Thread(error)),
                // The limit of the container's processes is near: fewer do it, too.
                Err(_) => break,
            }
        }
        let reader = thread::Builder::new().spawn_scoped(scope, || read(tree, stream));
        let reader = reader.map_err(PackError::Thread)?;
        let written = write(output, compressed);
        // A reader that fails ends the blocks early, a writer that fails ends the reader.
        Ok((reader.join().unwrap_or_else(|panic| resume_unwind(panic)), written))
    })?;
    let (bytes, sha256, sha1) = written.map_err(writing)?;
    let Contents { tar_bytes, entries, warnings } = read?;
    Ok(Packed { bytes, tar_bytes, entries, sha256, sha1, warnings })
}

fn read(tree: &Tree, mut stream: TarStream<'_>) -> Result<Contents, PackError> {
    for found in tree.walk()? {
        stream.append(&found?)?;
    }
    stream.finish()
}

/// Compresses block after block until there are no more.
fn compress(work: &Mutex<Receiver<Job>>) {
    let mut gzip = Gzip::new();
    loop {
        // The lock is held while waiting: there is nothing to take before this thread has its own.
        let job = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { mut block, done }) = job else { return };
        gzip.compress(&block.tar[..block.filled], &mut block.gzip);
        let _writer_failed = done.send(block);
    }
}

/// Writes the blocks in order; gives their bytes, SHA-256 and SHA-1.
fn write(mut output: &File, compressed: Compressed) -> io::Result<(u64, String, String)> {
    // Taken apart so that both ends close when this returns.
    let Compressed { in_order, free } = compressed;
    let (mut bytes, mut sha256, mut sha1) = (0, Sha256::new(), Sha1::new());
    for block in in_order.iter().map_while(|block| block.recv().ok()) {
        output.write_all(&block.gzip)?;
        sha256.update(&block.gzip);
        sha1.update(&block.gzip);
        bytes += block.gzip.len() as u64;
        let _reader_is_done = free.send(block);
    }
    Ok((bytes, hex(&sha256.finalize()), hex(&sha1.finalize())))
}

/// A checksum in lower-case hex.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests;

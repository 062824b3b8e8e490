//! The tar stream: each file found becomes a header and its bytes.

use std::collections::HashMap;
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::libc;
use nix::sys::stat::{major, minor};

use super::blocks::{Blocks, Closed};
use super::error::PackError;
use super::tar::{Header, Kind, RECORD, TAR_BLOCK, padding};
use super::tree::Found;

/// A tar archive in the making.
#[derive(Debug)]
pub(super) struct TarStream<'a> {
    blocks: Blocks<'a>,
    /// Files newer than this are said to be of this time.
    newest: Option<i64>,
    /// The archives that are being written.
    outputs: Vec<Inode>,
    /// Name of each file that has several, and how many links to it are yet to come.
    links: HashMap<Inode, (Vec<u8>, u64)>,
    entries: u64,
    warnings: Vec<String>,
}

/// Device and number.
type Inode = (u64, u64);

/// What a finished archive holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tar_bytes: u64,
    pub(super) entries: u64,
    pub(super) warnings: Vec<String>,
}

impl From<Closed> for PackError {
    fn from(_: Closed) -> Self {
        Self::Stopped
    }
}

impl<'a> TarStream<'a> {
    pub(super) fn new(blocks: Blocks<'a>, newest: Option<i64>, outputs: Vec<Inode>) -> Self {
        let links = HashMap::new();
        Self { blocks, newest, outputs, links, entries: 0, warnings: Vec::new() }
    }

    /// Appends one file of any kind; sockets and archives being written are left out with a warning.
    pub(super) fn append(&mut self, found: &Found) -> Result<(), PackError> {
        if found.kind.is_socket() {
            self.warn(&found.source, "is a socket: not packed");
            return Ok(());
        }
        let reading = |error| PackError::reading(found.source.clone(), error);
        let (file, metadata) = open(found).map_err(reading)?;
        if metadata.file_type() != found.kind {
            return Err(PackError::Vanished { path: found.source.clone() });
        }
        let inode = (metadata.dev(), metadata.ino());
        if self.outputs.contains(&inode) {
            self.warn(&found.source, "is an archive being written: not packed");
            return Ok(());
        }
        if found.name.file_name().is_some_and(|name| contains(name.as_bytes(), b".wh.")) {
            self.warn(&found.source, "has .wh. in its name: image layers take it for a deletion");
        }
        let mut header = self.header(found, &metadata)?;
        if let Some(first) = self.earlier(inode, &metadata, &header.name) {
            header = Header { kind: Kind::HardLink, link: first, size: 0, device: None, ..header };
        }
        self.blocks.write(&header.encode())?;
        self.entries += 1;
        match file {
            Some(file) if header.kind == Kind::File => self.copy(file, &found.source, header.size),
            _ => Ok(()),
        }
    }

    /// Ends the archive as GNU tar does: two empty blocks, and more up to a whole record.
    pub(super) fn finish(mut self) -> Result<Contents, PackError> {
        self.zeros(2 * TAR_BLOCK)?;
        self.zeros(padding(self.blocks.total(), RECORD))?;
        self.blocks.hand_over()?;
        let tar_bytes = self.blocks.total();
        Ok(Contents { tar_bytes, entries: self.entries, warnings: self.warnings })
    }

    fn zeros(&mut self, count: usize) -> Result<(), PackError> {
        Ok(self.blocks.write(&[0; RECORD][..count])?)
    }

    fn warn(&mut self, path: &Path, what: &str) {
        self.warnings.push(format!("{} {what}", path.display()));
    }

    fn header(&self, found: &Found, metadata: &Metadata) -> Result<Header, PackError> {
        let kind = kind(metadata.file_type());
        let mut name = b"./".to_vec();
        name.extend_from_slice(found.name.as_os_str().as_bytes());
        if kind == Kind::Directory && !found.name.as_os_str().is_empty() {
            name.push(b'/');
        }
        let link = match kind {
            Kind::Symlink => fs::read_link(&found.source)
                .map_err(|error| PackError::reading(found.source.clone(), error))?
                .into_os_string()
                .into_encoded_bytes(),
            _ => Vec::new(),
        };
        let device = matches!(kind, Kind::CharacterDevice | Kind::BlockDevice)
            .then(|| (major(metadata.rdev()), minor(metadata.rdev())));
        Ok(Header {
            name,
            link,
            kind,
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: if kind == Kind::File { metadata.size() } else { 0 },
            mtime: metadata.mtime().min(self.newest.unwrap_or(i64::MAX)),
            device,
        })
    }

    /// The name under which this very file was packed before; if it was not, remembers `name`.
    fn earlier(&mut self, inode: Inode, metadata: &Metadata, name: &[u8]) -> Option<Vec<u8>> {
        if metadata.is_dir() || metadata.nlink() < 2 {
            return None;
        }
        let Some((first, left)) = self.links.get_mut(&inode) else {
            self.links.insert(inode, (name.to_vec(), metadata.nlink() - 1));
            return None;
        };
        let first = first.clone();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.links.remove(&inode);
        }
        Some(first)
    }

    /// Appends the first `size` bytes of `file`, padded.
    fn copy(&mut self, mut file: File, path: &Path, size: u64) -> Result<(), PackError> {
        let mut left = size;
        while left > 0 {
            let room = self.blocks.room()?;
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
            match file.read(&mut room[..most]) {
                Ok(0) => {
                    return Err(PackError::Shrank {
                        path: path.to_owned(),
                        size,
                        read: size - left,
                    });
                }
                Ok(count) => {
                    self.blocks.advance(count);
                    left -= count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(PackError::Read { path: path.to_owned(), error }),
            }
        }
        self.zeros(padding(size, TAR_BLOCK))?;
        if file.metadata().is_ok_and(|now| now.size() > size) {
            self.warn(
                path,
                &format!("grew while it was being packed: its first {size} bytes were taken"),
            );
        }
        Ok(())
    }
}

/// What is found, with its contents if it is a file.
fn open(found: &Found) -> io::Result<(Option<File>, Metadata)> {
    if found.kind.is_file() {
        // Were it replaced by a symlink or a fifo meanwhile: follow none, wait for nobody.
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&found.source)?;
        let metadata = file.metadata()?;
        Ok((Some(file), metadata))
    } else if found.kind.is_dir() {
        // The root of a layer may be a symlink to a directory.
        Ok((None, fs::metadata(&found.source)?))
    } else {
        Ok((None, fs::symlink_metadata(&found.source)?))
    }
}

fn kind(kind: FileType) -> Kind {
    if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Symlink
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_char_device() {
        Kind::CharacterDevice
    } else if kind.is_block_device() {
        Kind::BlockDevice
    } else {
        Kind::File
    }
}

fn contains(name: &[u8], part: &[u8]) -> bool {
    name.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;

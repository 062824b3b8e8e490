//! Unpacks what a cell downloads: tar, gzipped tar and zip, told apart by content as the platform
//! does (platform, section 2.2). Nothing is ever written outside the destination or through a
//! symlink; whatever goes wrong, nothing is left there.

mod entries;
mod gunzip;
mod tree;

use std::fs::{DirBuilder, File};
use std::io::{self, BufReader};
use std::os::unix::fs::{FileExt, lchown};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use self::gunzip::Members;
use super::unzip::{
    MAX_ENTRIES, MAX_RATIO, MAX_UNQUESTIONED, Unpacked, UnzipError, clear, unzip_with_modes,
};
use crate::report::system_words;
use crate::size::Size;

/// How much of a file of unknown format is shown.
const SHOWN_BYTES: usize = 40;
/// Where a tar header has its magic.
const TAR_MAGIC_AT: usize = 257;
const TAR_MAGIC: &[u8] = b"ustar";
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
/// The beginnings of a zip's first entry and of the end of an empty zip.
const ZIP_MAGICS: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
const BUFFER: usize = 128 << 10;
/// Permissions that are kept: no setuid, setgid, sticky.
const KEPT_MODE: u32 = 0o777;

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive or the destination could not be used at all.
    #[error("{}: {}", path.display(), system_words(cause))]
    System {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file has no bytes.
    #[error("no archive: it is empty")]
    Empty,
    /// Neither gzip, zip nor tar.
    #[error("unknown archive format: it begins with `{0}`; tar, tar.gz and zip are known")]
    UnknownFormat(String),
    /// A zip that cannot be unpacked.
    #[error(transparent)]
    Zip(#[from] UnzipError),
    /// The archive ends before its end, or makes no sense.
    #[error("tar: {0}")]
    Damaged(String),
    /// More than a bomb's limit.
    #[error("tar: it has more than the {MAX_ENTRIES} entries allowed")]
    TooManyEntries,
    /// Each path takes memory: only bombs have so many.
    #[error("tar: its paths together have more than {0}, so it looks like a bomb")]
    TooManyPaths(Size),
    /// Few bytes that become very many.
    #[error("tar: {packed} unpack to more than {allowed}, so it looks like a bomb")]
    Bomb {
        /// The size of the archive.
        packed: Size,
        /// What it may become.
        allowed: Size,
    },
    /// One entry is at fault.
    #[error("tar: entry `{name}`: {fault}")]
    Entry {
        /// Its name as stored, in a form that can be printed.
        name: String,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with an entry of a tar.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Its name has a `..`.
    #[error("its name leads out of the destination")]
    Outside,
    /// A directory on its way is a symlink of the archive.
    #[error("it would be written through the symlink `{0}`")]
    ThroughSymlink(String),
    /// A directory on its way is a file.
    #[error("`{0}` is no directory")]
    NotADirectory(String),
    /// Its place is taken by a directory, or it is the destination itself.
    #[error("there is already a directory of that name")]
    Occupied,
    /// A path that Linux does not take, or nested too deep to be removed again.
    #[error("its name is too long")]
    LongName,
    /// Nobody but root can make one, and no app needs one.
    #[error("it is a device, which is not made")]
    Device,
    /// Kinds that no archive of the platform has.
    #[error("it is of the unsupported kind `{0}`")]
    Kind(String),
    /// A hard link to what is not in the archive before it.
    #[error("its hard link's target `{target}`: {reason}")]
    HardLink {
        /// The target as stored.
        target: String,
        /// What is wrong with it.
        reason: Box<Fault>,
    },
    /// The system refused a step.
    #[error("{}", system_words(.0))]
    System(io::Error),
}

impl UnpackError {
    /// What the system said, where that was the reason: lets a full disk be told from a bad archive.
    pub fn system_error(&self) -> Option<&io::Error> {
        match self {
            Self::System { cause, .. } | Self::Entry { fault: Fault::System(cause), .. } => {
                Some(cause)
            }
            Self::Zip(error) => error.system_error(),
            _ => None,
        }
    }
}

/// Unpacks `archive` into the directory `destination`, which is replaced if it is there.
///
/// Modes pass through the umask, setuid, setgid and sticky bits are dropped, everything belongs to
/// this process (platform, section 8.2); a hard link is one, unlike in section 8.1.
pub fn unpack(archive: &Path, destination: &Path) -> Result<Unpacked, UnpackError> {
    let at_archive = |cause| UnpackError::System { path: archive.to_owned(), cause };
    let at_destination = |cause| UnpackError::System { path: destination.to_owned(), cause };
    let file = File::open(archive).map_err(at_archive)?;
    let packed = file.metadata().map_err(at_archive)?.len();
    let format = Format::of(&file).map_err(at_archive)??;
    if format == Format::Zip {
        return Ok(unzip_with_modes(KEPT_MODE, archive, destination)?);
    }
    clear(destination)
        .and_then(|()| DirBuilder::new().recursive(true).create(destination))
        .map_err(at_destination)?;
    let stream = BufReader::with_capacity(BUFFER, file);
    let bounds = Bounds::of(packed);
    let outcome = match format {
        Format::Gzip => entries::unpack(Members::new(stream), bounds, destination),
        _ => entries::unpack(stream, bounds, destination),
    };
    if outcome.is_err() {
        // The reason to report is the first failure, not what removing runs into.
        let _left = clear(destination);
    }
    outcome
}

/// Gives a tree that nobody else can change yet to a user and group, the innermost first: as long
/// as a directory is not theirs, nothing in it can be swapped.
pub fn give_to(tree: &Path, user: u32, group: u32) -> Result<(), UnpackError> {
    for entry in WalkDir::new(tree).contents_first(true) {
        let owned = entry
            .map_err(io::Error::from)
            .and_then(|entry| lchown(entry.path(), Some(user), Some(group)));
        owned.map_err(|cause| UnpackError::System { path: tree.to_owned(), cause })?;
    }
    Ok(())
}

/// What an archive may become.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    packed: u64,
    /// Bytes.
    allowed: u64,
    /// Directories without an entry included.
    entries: usize,
}

impl Bounds {
    fn of(packed: u64) -> Self {
        let allowed = MAX_UNQUESTIONED.max(packed.saturating_mul(MAX_RATIO));
        Self { packed, allowed, entries: MAX_ENTRIES }
    }
}

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gzip,
    Zip,
    Tar,
}

impl Format {
    fn of(file: &File) -> io::Result<Result<Self, UnpackError>> {
        let mut beginning = [0; TAR_MAGIC_AT + TAR_MAGIC.len()];
        let mut length = 0;
        while length < beginning.len() {
            match file.read_at(&mut beginning[length..], length as u64)? {
                0 => break,
                count => length += count,
            }
        }
        let beginning = &beginning[..length];
        Ok(if beginning.is_empty() {
            Err(UnpackError::Empty)
        } else if beginning.starts_with(GZIP_MAGIC) {
            Ok(Self::Gzip)
        } else if ZIP_MAGICS.iter().any(|magic| beginning.starts_with(magic)) {
            Ok(Self::Zip)
        } else if beginning.get(TAR_MAGIC_AT..) == Some(TAR_MAGIC) {
            Ok(Self::Tar)
        } else {
            let line = beginning.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let shown = line[..line.len().min(SHOWN_BYTES)].escape_ascii().to_string();
            Err(UnpackError::UnknownFormat(shown))
        })
    }
}

#[cfg(test)]
mod tests;

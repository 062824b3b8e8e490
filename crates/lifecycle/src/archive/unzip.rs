//! Unpacks a buildpack's zip with all cores: the directory of the zip becomes a plan of paths that
//! cannot leave the destination, then every core reads, inflates, checks and writes files.
//!
//! Accepted: stored and deflated entries, zip64, empty zips, zips behind a self-extracting prefix.
//! Whatever goes wrong, nothing is left at the destination.

mod entry;
mod extract;
mod plan;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use zip::ZipArchive;

use self::entry::Entry;
use self::plan::{Node, Plan};
use crate::file::remove_tree;
use crate::report::system_words;
use crate::size::Size;

/// More entries than this are refused: planning them would take hundreds of megabytes.
pub(super) const MAX_ENTRIES: usize = 500_000;
/// A zip that unpacks to more than [`MAX_UNQUESTIONED`] may not unpack to more than this many times its size.
pub(super) const MAX_RATIO: u64 = 100;
/// Bytes any zip may unpack to, whatever its ratio: 1 GiB.
pub(super) const MAX_UNQUESTIONED: u64 = 1 << 30;
/// So many letters of a name or path are shown.
const SHOWN_LETTERS: usize = 300;
/// How much of a file that is no zip is shown.
const SHOWN_BYTES: usize = 40;

/// What was unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Directories, files and symlinks made.
    pub entries: usize,
    /// Bytes in the files.
    pub bytes: u64,
}

/// Why a zip could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnzipError {
    /// The zip or the destination could not be used at all.
    #[error("{}: {}", path.display(), system_words(cause))]
    System {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file has no bytes.
    #[error("{} is not a zip archive: it is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file begins as no zip does and has no zip's directory at its end either.
    #[error("{} is not a zip archive: it begins with `{beginning}`", path.display())]
    NotZip {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        beginning: String,
    },
    /// It begins as a zip, but its directory is missing or damaged: most often a truncated file.
    #[error("zip: not a valid zip file: {0}")]
    Directory(zip::result::ZipError),
    /// More than planning can hold in memory.
    #[error("zip: it has {entries} entries, more than the {MAX_ENTRIES} allowed")]
    TooManyEntries {
        /// How many.
        entries: usize,
    },
    /// The entries claim more bytes of the file than there are, so they share some: only bombs do.
    #[error("zip: its entries overlap, so it looks like a zip bomb")]
    Overlap,
    /// Few bytes that claim to become very many.
    #[error("zip: {packed} would unpack to {declared}, so it looks like a zip bomb")]
    Bomb {
        /// The size of the zip.
        packed: Size,
        /// What its entries declare.
        declared: Size,
    },
    /// The disk cannot hold what the entries declare.
    #[error("zip: it unpacks to {declared}, but only {free} are free at {}", destination.display())]
    NoSpace {
        /// What its entries declare.
        declared: Size,
        /// Free bytes.
        free: Size,
        /// Where it was to be unpacked.
        destination: PathBuf,
    },
    /// One entry is at fault.
    #[error("zip: entry `{name}`")]
    Entry {
        /// Its name as stored, in a form that can be printed.
        name: String,
        /// What is wrong with it.
        #[source]
        fault: EntryFault,
    },
}

/// What is wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub enum EntryFault {
    /// Needs a password.
    #[error("it is encrypted")]
    Encrypted,
    /// Packed by a method other than stored and deflate.
    #[error("its compression method {0} is not supported, only stored and deflate are")]
    Method(String),
    /// Its path goes through a symlink that points out of the buildpack.
    #[error(
        "it would be written through the symlink `{link}` to `{target}`, outside the buildpack"
    )]
    Outside {
        /// The symlink, relative to the buildpack.
        link: String,
        /// Where it points.
        target: String,
    },
    /// Symlinks that point at each other.
    #[error("its path goes through too many symlinks")]
    SymlinkLoop,
    /// A symlink's target is too long to be a path.
    #[error("the symlink's target has {0} bytes, too many for a path")]
    LongTarget(u64),
    /// Its place is taken by an earlier entry.
    #[error("there is already {0} of that name")]
    Occupied(&'static str),
    /// Linux takes no path so long.
    #[error("its path has more than {0} bytes")]
    LongPath(usize),
    /// Each directory on the way to a deep file takes memory: only bombs have so many.
    #[error("with it, all paths together have more than {0}, so it looks like a zip bomb")]
    TooManyPaths(Size),
    /// An earlier entry is a file where this one needs a directory.
    #[error("`{0}` is a file, not a directory")]
    NotADirectory(String),
    /// It inflates to more than its size in the directory: a bomb, or damage.
    #[error("it is longer than the {0} bytes declared for it, so it looks like a zip bomb")]
    TooLong(u64),
    /// It ends before its size in the directory.
    #[error("it has only {actual} of the {declared} bytes declared for it")]
    TooShort {
        /// What it inflated to.
        actual: u64,
        /// What the directory says.
        declared: u64,
    },
    /// The deflated data makes no sense, or there is no entry where the directory says.
    #[error("its data is damaged")]
    Damaged,
    /// The CRC-32 does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// The system could not read the zip any further.
    #[error("the zip cannot be read: {}", system_words(.0))]
    Unreadable(io::Error),
    /// The system refused a step.
    #[error("{}: {}", shown(path.as_os_str().as_bytes()), system_words(cause))]
    System {
        /// The path concerned.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl UnzipError {
    /// What the system said, where that was the reason: lets a full disk be told from a bad zip.
    pub fn system_error(&self) -> Option<&io::Error> {
        match self {
            Self::System { cause, .. }
            | Self::Entry { fault: EntryFault::System { cause, .. }, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Unpacks the zip at `archive` into the directory `destination`, which is replaced if it is there.
pub fn unzip(archive: &Path, destination: &Path) -> Result<Unpacked, UnzipError> {
    unzip_with_modes(0o7777, archive, destination)
}

/// [`unzip`], of modes only the bits that `kept` has.
pub(super) fn unzip_with_modes(
    kept: u32,
    archive: &Path,
    destination: &Path,
) -> Result<Unpacked, UnzipError> {
    let at_archive = |cause| UnzipError::System { path: archive.to_owned(), cause };
    let at_destination = |cause| UnzipError::System { path: destination.to_owned(), cause };
    let file = File::open(archive).map_err(at_archive)?;
    let length = file.metadata().map_err(at_archive)?.len();
    let mut entries = read_directory(&file, archive, length)?;
    for entry in &mut entries {
        entry.mode &= kept;
    }
    check_sizes(&entries, length)?;
    let plan = Plan::new(&file, &entries)?;
    clear(destination)
        .and_then(|()| DirBuilder::new().recursive(true).create(destination))
        .map_err(at_destination)?;
    let outcome = check_space(&plan, destination)
        .and_then(|()| build(&plan, &file, destination).map(|()| plan.totals()));
    if outcome.is_err() {
        // The reason to report is the first failure, not what removing runs into.
        let _left = clear(destination);
    }
    outcome
}

/// The entries in the order of the zip's directory.
fn read_directory(file: &File, path: &Path, length: u64) -> Result<Vec<Entry>, UnzipError> {
    if length == 0 {
        return Err(UnzipError::Empty { path: path.to_owned() });
    }
    let archive = match ZipArchive::new(BufReader::new(file)) {
        Ok(archive) => archive,
        Err(zip::result::ZipError::Io(cause)) if cause.raw_os_error().is_some() => {
            return Err(UnzipError::System { path: path.to_owned(), cause });
        }
        Err(error) => return Err(not_a_zip(file, path, error)),
    };
    if archive.len() > MAX_ENTRIES {
        return Err(UnzipError::TooManyEntries { entries: archive.len() });
    }
    (0..archive.len())
        .map(|index| archive.by_index_data(index).map_err(UnzipError::Directory))
        .map(|raw| raw.and_then(|raw| Entry::read(&raw)))
        .collect()
}

fn not_a_zip(file: &File, path: &Path, error: zip::result::ZipError) -> UnzipError {
    let mut beginning = [0; SHOWN_BYTES];
    let length = file.read_at(&mut beginning, 0).unwrap_or(0);
    if beginning.starts_with(b"PK\x03\x04") {
        return UnzipError::Directory(error);
    }
    let line = beginning[..length].split(|&byte| byte == b'\n').next().unwrap_or_default();
    UnzipError::NotZip { path: path.to_owned(), beginning: line.escape_ascii().to_string() }
}

/// Refuses what only a bomb declares.
fn check_sizes(entries: &[Entry], length: u64) -> Result<(), UnzipError> {
    let sum = |field: fn(&Entry) -> u64| entries.iter().map(field).fold(0, u64::saturating_add);
    if sum(|entry| entry.compressed) > length {
        return Err(UnzipError::Overlap);
    }
    let declared = sum(|entry| entry.size);
    if declared > MAX_UNQUESTIONED.max(length.saturating_mul(MAX_RATIO)) {
        return Err(UnzipError::Bomb { packed: Size(length), declared: Size(declared) });
    }
    Ok(())
}

/// Refuses what the disk cannot hold, where the system says how much that is.
fn check_space(plan: &Plan<'_>, destination: &Path) -> Result<(), UnzipError> {
    let Ok(disk) = statvfs(destination) else { return Ok(()) };
    #[allow(clippy::useless_conversion, reason = "32 bits wide on armv7")]
    let free = u64::from(disk.blocks_available()).saturating_mul(u64::from(disk.fragment_size()));
    let declared = plan.totals().bytes;
    if disk.blocks() > 0 && declared > free {
        return Err(UnzipError::NoSpace {
            declared: Size(declared),
            free: Size(free),
            destination: destination.to_owned(),
        });
    }
    Ok(())
}

/// Removes `path`, whatever it is, if it is there.
pub(super) fn clear(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => remove_tree(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// Directories, then files, then symlinks, so that nothing is ever written through a symlink.
fn build(plan: &Plan<'_>, archive: &File, destination: &Path) -> Result<(), UnzipError> {
    for (path, node) in plan.nodes() {
        if let Node::Directory { mode } = node {
            // The owner must be able to fill it; its own mode comes last.
            make_directory(&destination.join(path), mode | 0o700).map_err(|f| named(path, f))?;
        }
    }
    extract::files(plan, archive, destination)?;
    for (path, node) in plan.nodes() {
        if let Node::Symlink { target } = node {
            let at = destination.join(path);
            symlink(OsStr::from_bytes(target), &at)
                .map_err(|cause| named(path, EntryFault::System { path: at, cause }))?;
        }
    }
    for (path, node) in plan.nodes().rev() {
        if let Node::Directory { mode } = node
            && mode & 0o700 != 0o700
        {
            narrow(&destination.join(path), *mode).map_err(|fault| named(path, fault))?;
        }
    }
    Ok(())
}

fn named(path: &Path, fault: EntryFault) -> UnzipError {
    UnzipError::Entry { name: shown(path.as_os_str().as_bytes()), fault }
}

/// A name or path within a sentence: on one line, whatever bytes are in it and however many.
pub(super) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut letters = text.chars();
    let mut shown = String::new();
    for letter in letters.by_ref().take(SHOWN_LETTERS) {
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

fn make_directory(path: &Path, mode: u32) -> Result<(), EntryFault> {
    DirBuilder::new()
        .mode(mode)
        .create(path)
        .map_err(|cause| EntryFault::System { path: path.to_owned(), cause })
}

/// Takes the owner's bits away that were lent for filling the directory; the umask has done its part.
fn narrow(path: &Path, mode: u32) -> Result<(), EntryFault> {
    path.metadata()
        .and_then(|found| {
            let narrowed = found.permissions().mode() & (mode | 0o7000);
            fs::set_permissions(path, fs::Permissions::from_mode(narrowed))
        })
        .map_err(|cause| EntryFault::System { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests;

//! The directory that is served: which file a URL's path means, and never one outside.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// A tree of files, by its canonical path.
#[derive(Debug)]
pub(crate) struct Directory {
    root: PathBuf,
}

/// A regular file, open.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) metadata: Metadata,
}

/// Why there is no file.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A bad escape, a NUL, or a `..`.
    BadPath,
    /// Nothing of that name, or nothing that is served.
    NotFound,
    /// Directories are not listed.
    IsDirectory,
    /// Not readable for the server.
    Forbidden,
    /// Anything else the system says.
    System(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match Errno::from_raw(error.raw_os_error().unwrap_or_default()) {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG => Self::NotFound,
            Errno::EACCES | Errno::EPERM => Self::Forbidden,
            _ => Self::System(error),
        }
    }
}

impl Directory {
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        fs::read_dir(path)?;
        Ok(Self { root: fs::canonicalize(path)? })
    }

    /// Opens what `path`, as it stands in a URL, means. Symlinks are followed as far as they stay
    /// inside; hidden files are not served, since secrets like to be there.
    pub(crate) fn open(&self, path: &str) -> Result<Found, Refusal> {
        let path = decoded(path).ok_or(Refusal::BadPath)?;
        let wanted = self.root.join(relative(&path)?);
        let canonical = fs::canonicalize(&wanted)?;
        let inside = canonical.strip_prefix(&self.root).map_err(|_| Refusal::NotFound)?;
        if is_hidden(inside) {
            return Err(Refusal::NotFound);
        }
        let file = self.walk(inside)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(Refusal::IsDirectory);
        }
        if !metadata.is_file() || path.ends_with(b"/") {
            return Err(Refusal::NotFound);
        }
        Ok(Found { file, metadata })
    }

    /// Opens a path without symlinks, step by step: one that became a symlink meanwhile is not
    /// followed. A pipe or device is opened without waiting, and refused by our caller.
    fn walk(&self, path: &Path) -> io::Result<File> {
        let mut file = OwnedFd::from(File::open(&self.root)?);
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        for component in path {
            file = openat(&file, component, flags | OFlag::O_NOCTTY, Mode::empty())?;
        }
        Ok(file.into())
    }
}

/// Without percent escapes; `None` if one is broken or there is a NUL.
fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            plain => plain,
        };
        if byte == 0 {
            return None;
        }
        decoded.push(byte);
    }
    Some(decoded)
}

/// The path below the root. A backslash separates too where `..` is concerned, as in the predecessor.
fn relative(path: &[u8]) -> Result<&Path, Refusal> {
    if path.split(|byte| matches!(byte, b'/' | b'\\')).any(|component| component == b"..") {
        return Err(Refusal::BadPath);
    }
    let start = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    let path = Path::new(OsStr::from_bytes(&path[start..]));
    if is_hidden(path) { Err(Refusal::NotFound) } else { Ok(path) }
}

fn is_hidden(path: &Path) -> bool {
    path.iter().any(|component| component.as_bytes().starts_with(b".") && component != ".")
}

//! Root file systems of stacks: a tar archive or a directory, unpacked once and never changed by a container, and
//! removed once nobody needs it.

pub(crate) mod unused;

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use lifecycle::download::Checksum;
use lifecycle::file::{self, FileError};
use nix::fcntl::{Flock, FlockArg};
use walkdir::WalkDir;

use crate::container::ids::{Ids, IdsError};
use crate::package::unread;

/// Directories that are mounted over in a container.
const DIRECTORIES: [&str; 8] = ["proc", "sys", "dev", "tmp", "home", "var", "var/tmp", "etc"];
/// Files that are.
const FILES: [&str; 4] = ["etc/passwd", "etc/group", "etc/hosts", "etc/resolv.conf"];
/// What a directory has of this machine rather than of its own, and devices, which only root can make.
const NOT_TAKEN: [&str; 3] = ["dev", "proc", "sys"];

/// Why a root file system can't be had.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The file system is in the way.
    #[error(transparent)]
    File(#[from] FileError),
    /// `tar` failed.
    #[error("{}: tar can't unpack it: {words}", path.display())]
    Tar {
        /// The archive or directory.
        path: PathBuf,
        /// What tar said.
        words: String,
    },
    /// It is none.
    #[error("{}: it is no root file system: {what} is no directory in it", path.display())]
    Shape {
        /// The archive or directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// This user can't have containers.
    #[error(transparent)]
    Ids(#[from] IdsError),
}

/// What is not whole yet, or not any more.
const PARTIAL: &str = "partial";

/// A root file system that stays where it is as long as this value.
#[derive(Debug)]
pub(crate) struct Root {
    /// Its directory.
    pub(crate) path: PathBuf,
    _used: Flock<File>,
}

impl Root {
    /// The one in `path`.
    pub(crate) fn hold(path: PathBuf) -> Result<Self, RootError> {
        loop {
            let directory = File::open(&path).map_err(FileError::on("open", &path))?;
            let used = locked(directory, &path, FlockArg::LockShared)?;
            // It may have been removed after it was opened; another one may be in its place.
            if file::is_at(&used, &path) {
                return Ok(Self { path, _used: used });
            }
        }
    }
}

fn locked(file: File, path: &Path, how: FlockArg) -> Result<Flock<File>, FileError> {
    Flock::lock(file, how).map_err(|(_, errno)| FileError::on("lock", path)(errno.into()))
}

/// Unpacks `source` to a directory below `roots`, named by what it holds, unless it is there; `begin` is called
/// before that.
pub(crate) fn unpacked(
    source: &Path,
    roots: &Path,
    begin: impl FnOnce(),
) -> Result<Root, RootError> {
    let target = roots.join(name(source)?);
    let lock = roots.join("lock");
    let file = File::create(&lock).map_err(FileError::on("open", &lock))?;
    let _held = locked(file, &lock, FlockArg::LockExclusive)?;
    if !target.is_dir() {
        begin();
        unpack(source, roots, &target)?;
    }
    unused::note(source, &target, roots);
    Root::hold(target)
}

/// With the lock held.
fn unpack(source: &Path, roots: &Path, target: &Path) -> Result<(), RootError> {
    let partial = roots.join(PARTIAL);
    // One that was killed left its own.
    remove(&partial)?;
    // Images have directories for everybody: only the way to them is closed.
    DirBuilder::new().mode(0o755).create(&partial).map_err(FileError::on("mkdir", &partial))?;
    let made = extract(source, &partial).and_then(|()| prepare(&partial, source)).and_then(|()| {
        Ok(fs::rename(&partial, target).map_err(FileError::on("rename", &partial))?)
    });
    if made.is_err() {
        let _first_reason_counts = remove(&partial);
    }
    made
}

fn remove(path: &Path) -> Result<(), RootError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::on("remove", path)(error).into())
        }
        _ => Ok(()),
    }
}

/// An archive's SHA-256; of a directory, a hash of what its files' names, sizes, modes and times are.
fn name(source: &Path) -> Result<String, RootError> {
    if !source.is_dir() {
        let sum = Checksum::sha256_of(source).map_err(FileError::on("read", source))?;
        return Ok(sum.value().to_owned());
    }
    let mut listing = Vec::new();
    let is_taken = |entry: &walkdir::DirEntry| {
        entry.depth() != 1 || !NOT_TAKEN.iter().any(|name| entry.file_name() == *name)
    };
    for entry in WalkDir::new(source).sort_by_file_name().into_iter().filter_entry(is_taken) {
        let found = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
        let (data, entry) = found.map_err(|error| unread(error, source))?;
        let (seconds, nanoseconds) = (data.mtime(), data.mtime_nsec());
        let place = entry.path().strip_prefix(source).unwrap_or_else(|_| entry.path());
        let fields = format!("{} {} {seconds}.{nanoseconds}", data.len(), data.mode());
        listing.push(format!("{}\0{fields}\n", place.display()));
    }
    Ok(format!("{:016x}", twox_hash::XxHash64::oneshot(0, listing.concat().as_bytes())))
}

/// By the `tar` of this machine, which reads every compression there is.
fn extract(source: &Path, target: &Path) -> Result<(), RootError> {
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--directory").arg(target);
    tar.args(["--numeric-owner", "--same-permissions", "--anchored"]);
    tar.args(
        NOT_TAKEN
            .iter()
            .flat_map(|name| [format!("--exclude=./{name}/*"), format!("--exclude={name}/*")]),
    );
    tar.arg("--file").stdout(Stdio::null()).stderr(Stdio::piped());
    let ended = if source.is_dir() {
        let mut packing = Command::new("tar")
            .args(["--create", "--file=-", "--anchored"])
            .args(NOT_TAKEN.map(|name| format!("--exclude=./{name}/*")))
            .arg("--directory")
            .arg(source)
            .arg(".")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(FileError::on("start", "tar"))?;
        let ended = tar
            .arg("-")
            .stdin(packing.stdout.take().map_or_else(Stdio::null, Stdio::from))
            .output();
        // What could not be read has been said on the terminal.
        let packed = packing.wait().as_ref().is_ok_and(ExitStatus::success);
        ended.map(|ended| (ended, packed))
    } else {
        tar.arg(source).stdin(Stdio::null()).output().map(|ended| (ended, true))
    };
    let (ended, packed) = ended.map_err(FileError::on("start", "tar"))?;
    if ended.status.success() && packed {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&ended.stderr);
    let words = words.lines().next().unwrap_or("not all of it can be read").to_owned();
    Err(RootError::Tar { path: source.to_owned(), words })
}

/// What is root's becomes that of a container's root, and what is mounted over is made.
fn prepare(root: &Path, source: &Path) -> Result<(), RootError> {
    for name in DIRECTORIES {
        let path = root.join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            // A link may lead out of the root.
            Ok(_) => {
                return Err(RootError::Shape { path: source.to_owned(), what: name.to_owned() });
            }
            Err(_) => fs::create_dir(&path).map_err(FileError::on("mkdir", &path))?,
        }
    }
    for name in FILES {
        let path = root.join(name);
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
            file::create(&path, b"").map_err(FileError::on("write", &path))?;
        }
    }
    fs::set_permissions(root, Permissions::from_mode(0o755))
        .map_err(FileError::on("chmod", root))?;
    let owner = Ids::own()?.root;
    for entry in WalkDir::new(root) {
        let found = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
        let (data, entry) = found.map_err(|error| unread(error, root))?;
        let new = |id: u32| (id == 0).then_some(owner);
        lchown(entry.path(), new(data.uid()), new(data.gid()))
            .map_err(FileError::on("chown", entry.path()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

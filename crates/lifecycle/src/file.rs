//! Whole files in and out, with errors that name the call and the path as Go does:
//! `open /x: permission denied`, `read /x: is a directory`.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;

use crate::report::system_words;

/// The most that is read of a file, in bytes: nobody writes a document that long, so it is something
/// else, `/dev/zero` for one.
pub const LONGEST: u64 = 16 * 1024 * 1024;

/// A call on a file or directory that failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} {}: {}", path.display(), system_words(cause))]
pub struct FileError {
    /// What was tried: `open`, `read`, `mkdir`, `rename`.
    pub call: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub cause: io::Error,
}

impl FileError {
    /// For `map_err`: names the call that was tried on `path`.
    pub fn on(call: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self { call, path, cause }
    }
}

/// Whether `path` names this very file or directory, links followed: another may be in its place by now, or nothing.
pub fn is_at(file: &File, path: &Path) -> bool {
    let identity = |of: io::Result<Metadata>| of.map(|found| (found.dev(), found.ino())).ok();
    let own = identity(file.metadata());
    own.is_some() && own == identity(fs::metadata(path))
}

/// The whole file; `None` if there is none, a link that leads nowhere included. Never waits: a pipe
/// is an error, and so is more than [`LONGEST`].
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    // Opening a pipe that nobody writes to would wait for ever.
    let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(FileError::on("open", path))?,
    };
    read_within_limit(file).map(Some).map_err(FileError::on("read", path))
}

fn read_within_limit(file: File) -> io::Result<Vec<u8>> {
    if file.metadata()?.file_type().is_fifo() {
        return Err(io::Error::other("it is a pipe, not a file"));
    }
    let mut bytes = Vec::new();
    if file.take(LONGEST + 1).read_to_end(&mut bytes)? as u64 > LONGEST {
        return Err(Errno::EFBIG.into());
    }
    Ok(bytes)
}

/// Makes a new file of `bytes`, in the place of any file, link or pipe of that name.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::create_new(path)?.write_all(bytes)
}

/// `remove_dir_all`, also of directories that their owner may not write to.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            permit(path);
            fs::remove_dir_all(path)
        }
        done => done,
    }
}

/// Takes all rights to the directories of a tree, outer ones first: what is in them shows only then.
fn permit(directory: &Path) {
    let _refused = fs::set_permissions(directory, fs::Permissions::from_mode(0o700));
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let inner: Vec<fs::DirEntry> = entries.filter(is_directory).collect();
    for entry in inner {
        permit(&entry.path());
    }
}

/// Makes `bytes` the whole content of `path`, never half of it: they are written beside it and
/// moved there. A new file has mode 0666 less umask, an old one keeps its mode. Devices, pipes
/// and files in directories that are not ours to write to are overwritten in place.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let old = fs::metadata(path).ok();
    if old.as_ref().is_some_and(Metadata::is_dir) {
        return Err(FileError::on("open", path)(Errno::EISDIR.into()));
    }
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return overwrite(path, bytes);
    }
    let (target, partial) = neighbour(path);
    let Ok(file) = File::create(&partial) else { return overwrite(path, bytes) };
    let written = replace(file, &partial, (&target, old), bytes);
    if written.is_err() {
        let _gone_anyway = fs::remove_file(&partial);
    }
    written.map_err(|(call, cause)| FileError::on(call, path)(cause))
}

/// Where `path` leads to (a link to a file stays a link), and the name beside it under which a file
/// is written before it takes that place.
pub fn neighbour(path: &Path) -> (PathBuf, PathBuf) {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = target.with_file_name(name);
    (target, partial)
}

fn replace(
    mut file: File,
    partial: &Path,
    (target, old): (&Path, Option<Metadata>),
    bytes: &[u8],
) -> Result<(), (&'static str, io::Error)> {
    file.write_all(bytes).map_err(|cause| ("write", cause))?;
    if let Some(old) = old {
        file.set_permissions(old.permissions()).map_err(|cause| ("chmod", cause))?;
    }
    fs::rename(partial, target).map_err(|cause| ("rename", cause))
}

fn overwrite(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = options.open(path).map_err(FileError::on("open", path))?;
    file.write_all(bytes).map_err(FileError::on("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(dir: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn what_is_not_there_reads_as_none_and_a_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink("nowhere", &link).unwrap();
        assert_eq!(read(&link).unwrap(), None);
        assert_eq!(read(&dir.path().join("missing")).unwrap(), None);
        let error = read(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("read {}: is a directory", dir.path().display()));
    }

    #[test]
    fn pipes_and_endless_files_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = read(&pipe).unwrap_err();
        assert_eq!(error.to_string(), format!("read {}: it is a pipe, not a file", pipe.display()));
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "read /dev/zero: file too large");
    }

    #[test]
    fn a_created_file_takes_the_place_of_pipes_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, link, other) =
            (dir.path().join("pipe"), dir.path().join("link"), dir.path().join("other"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(&other, "untouched").unwrap();
        symlink(&other, &link).unwrap();
        for path in [&pipe, &link] {
            create(path, b"ours").unwrap();
            assert_eq!(fs::read(path).unwrap(), b"ours");
        }
        assert_eq!(fs::read(&other).unwrap(), b"untouched");
    }

    #[test]
    fn an_old_file_is_replaced_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        fs::write(&path, "a longer old text").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(names(dir.path()), ["result.json"]);
    }

    #[test]
    fn a_new_file_has_the_mode_of_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, other) = (dir.path().join("ours"), dir.path().join("other"));
        write(&ours, b"").unwrap();
        File::create(&other).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&other));
    }

    #[test]
    fn links_stay_links_and_devices_are_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        write(Path::new("/dev/null"), b"new").unwrap();
    }

    #[test]
    fn no_neighbour_can_be_made_so_the_file_is_overwritten() {
        // In /proc no file can be made, whoever asks; the files that are there can be written.
        let path = Path::new("/proc/self/comm");
        write(path, b"documents").unwrap();
        let error = write(Path::new("/proc/self/nothing"), b"x").unwrap_err();
        assert!(error.to_string().starts_with("open /proc/self/nothing: "), "{error}");
    }

    #[test]
    fn a_directory_is_no_place_for_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path(), b"x").unwrap_err();
        assert_eq!(error.to_string(), format!("open {}: is a directory", dir.path().display()));
    }
}

//! `scp -t`: takes what the client sends (contract sshd 10.4). An entry that fails is said, left out,
//! and the rest is taken.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, FileType, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use lifecycle::file::FileError;
use nix::fcntl::OFlag;

use crate::own_memory;

use super::options::Options;
use super::peer::{Answer, Fatal, Peer};
use super::record::{Entry, Record, Times};

/// So many directories may be in each other: no path has more. Those named `.` take no room in it.
const MOST_FOLDERS: usize = 2048;

/// Takes files and directories until the client has no more.
pub(super) fn receive(peer: &mut Peer<'_>, options: &Options) -> Result<(), Fatal> {
    let [target] = &options.paths[..] else { return Ok(()) };
    if options.into_directory
        && let Err(error) = require_directory(target)
    {
        return Ok(peer.warn(&error)?);
    }
    peer.ok()?;
    let path = target.as_os_str().as_bytes().to_vec();
    let mut sink =
        Sink { peer, preserve: options.preserve, path, folders: Vec::new(), times: None };
    while let Some(line) = sink.peer.line()? {
        sink.record(Record::parse(&line)?)?;
    }
    if sink.folders.is_empty() { Ok(()) } else { Err(Fatal::LostConnection) }
}

fn require_directory(target: &Path) -> Result<(), FileError> {
    let metadata = fs::metadata(target).map_err(FileError::on("stat", target))?;
    if metadata.is_dir() {
        Ok(())
    } else {
        Err(FileError::on("open", target)(io::ErrorKind::NotADirectory.into()))
    }
}

/// A directory that is being received.
struct Folder {
    /// How much of the path is its parent's; all of it when the directory is the target itself.
    parent: usize,
    /// What it is to have once it is complete, when that differs from what it has.
    mode: Option<u32>,
    times: Option<Times>,
}

struct Sink<'a, 'b> {
    peer: &'a mut Peer<'b>,
    preserve: bool,
    /// Where entries go: the target, or the innermost folder. One path for all, since they nest deep.
    path: Vec<u8>,
    folders: Vec<Folder>,
    /// Of the next entry.
    times: Option<Times>,
}

impl Sink<'_, '_> {
    fn record(&mut self, record: Record) -> Result<(), Fatal> {
        match record {
            Record::File(entry) => return self.file(&entry),
            Record::Directory(entry) => return self.directory(&entry),
            Record::End => self.end()?,
            Record::Times(times) => {
                self.times = Some(times);
                self.peer.ok()?;
            }
            // The client shows its warnings itself, and waits for no answer.
            Record::Warning => self.peer.note_failure(),
            Record::Fatal(text) => {
                return Err(Fatal::GivenUp(String::from_utf8_lossy(&text).into_owned()));
            }
        }
        Ok(())
    }

    fn file(&mut self, entry: &Entry) -> Result<(), Fatal> {
        let times = self.times.take();
        let place = self.place(&entry.name);
        let place = as_path(&place);
        let mut file = match create(place, entry.mode) {
            Ok(file) => file,
            Err(error) => return Ok(self.peer.warn(&error)?),
        };
        self.peer.ok()?;
        let written = self.peer.receive(entry.size, &mut file)?;
        // Whether the source could read all of it does not change what is done with it.
        let (Answer::GoOn | Answer::Skip) = self.peer.answer()?;
        let mode = self.preserve.then_some(entry.mode);
        let complete = written
            .map_err(FileError::on("write", place))
            .and_then(|()| complete(file, place, mode, times));
        match complete {
            Ok(()) => Ok(self.peer.ok()?),
            Err(error) => Ok(self.peer.warn(&error)?),
        }
    }

    fn directory(&mut self, entry: &Entry) -> Result<(), Fatal> {
        let times = self.times.take();
        if self.folders.len() >= MOST_FOLDERS {
            return Ok(self.peer.warn(&"too many directories in each other")?);
        }
        let place = self.place(&entry.name);
        if fs::metadata(as_path(&place)).is_ok_and(|metadata| !metadata.is_dir()) {
            let name = String::from_utf8_lossy(&entry.name);
            return Ok(self
                .peer
                .warn(&format!("target exists and is not a directory: {name:?}"))?);
        }
        match make_directory(as_path(&place), entry.mode, self.preserve) {
            Ok(mode) => {
                let parent = self.path.len();
                self.path = place;
                self.folders.push(Folder { parent, mode, times });
                Ok(self.peer.ok()?)
            }
            // The source leaves it out, with all that is in it.
            Err(error) => Ok(self.peer.warn(&error)?),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        let Some(folder) = self.folders.pop() else { return self.peer.ok() };
        let done = finish(as_path(&self.path), &folder);
        self.path.truncate(folder.parent);
        match done {
            Ok(()) => self.peer.ok(),
            Err(error) => self.peer.warn(&error),
        }
    }

    /// Below the path when that is a directory, else the path itself.
    fn place(&self, name: &[u8]) -> Vec<u8> {
        if name != b"." && fs::metadata(as_path(&self.path)).is_ok_and(|metadata| metadata.is_dir())
        {
            as_path(&self.path).join(OsStr::from_bytes(name)).into_os_string().into_encoded_bytes()
        } else {
            self.path.clone()
        }
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Opens a file for writing, and makes it if need be. Never waits: a pipe is refused.
fn create(path: &Path, mode: u32) -> Result<File, FileError> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode & 0o777).custom_flags(flags.bits());
    let file =
        options.open(path).and_then(own_memory::refuse).map_err(FileError::on("open", path))?;
    let kind = file.metadata().map_err(FileError::on("stat", path))?.file_type();
    // Copying to /dev/null measures a network.
    if FileType::is_file(&kind) || kind.is_char_device() {
        Ok(file)
    } else {
        Err(FileError::on("open", path)(io::Error::other("not a regular file")))
    }
}

/// Sets what the source said of the file, and closes it: some file systems tell only then that it does not fit.
fn complete(
    file: File,
    path: &Path,
    mode: Option<u32>,
    times: Option<Times>,
) -> Result<(), FileError> {
    if let Some(mode) = mode {
        file.set_permissions(Permissions::from_mode(mode)).map_err(FileError::on("chmod", path))?;
    }
    if let Some(times) = times {
        file.set_times(times.to_file_times()).map_err(FileError::on("chtimes", path))?;
    }
    nix::unistd::close(file).map_err(|errno| FileError::on("close", path)(errno.into()))
}

/// Makes a directory that can be filled, unless it is there; returns the mode it is to get once that is done.
fn make_directory(path: &Path, mode: u32, preserve: bool) -> Result<Option<u32>, FileError> {
    if path.is_dir() {
        return Ok(None);
    }
    DirBuilder::new()
        .mode(mode & 0o777 | 0o700)
        .create(path)
        .map_err(FileError::on("mkdir", path))?;
    if preserve {
        return Ok(Some(mode));
    }
    // What the umask left of the mode, without the bits that were only for filling it.
    let given = fs::metadata(path).map_err(FileError::on("stat", path))?.permissions();
    Ok((mode & 0o700 != 0o700).then_some(given.mode() & mode & 0o777))
}

fn finish(path: &Path, folder: &Folder) -> Result<(), FileError> {
    if let Some(times) = folder.times {
        let directory = File::open(path).map_err(FileError::on("open", path))?;
        directory.set_times(times.to_file_times()).map_err(FileError::on("chtimes", path))?;
    }
    if let Some(mode) = folder.mode {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(FileError::on("chmod", path))?;
    }
    Ok(())
}

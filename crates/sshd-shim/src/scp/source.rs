//! `scp -f`: sends what the client asks for (contract sshd 10.3). An entry that fails is said, left out,
//! and the rest is sent; the exit status tells.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::vec;

use lifecycle::file::FileError;
use nix::fcntl::OFlag;

use crate::own_memory;

use super::glob;
use super::options::Options;
use super::peer::{Answer, Fatal, Peer};
use super::record::in_one_line;

/// How much is read of a file at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// The bits of a mode that are sent: OpenSSH's.
const MODE: u32 = 0o6777;

/// Sends all that the options name.
pub(super) fn send(peer: &mut Peer<'_>, options: &Options) -> Result<(), Fatal> {
    // Nothing is announced yet that could be skipped.
    let (Answer::GoOn | Answer::Skip) = peer.answer()?;
    let mut source = Source { peer, options, buffer: Vec::new() };
    for argument in &options.paths {
        for path in glob::expand(argument.as_os_str().as_bytes())? {
            source.tree(OsString::from_vec(path).into())?;
        }
    }
    Ok(())
}

/// A directory that is being sent.
struct Folder {
    entries: vec::IntoIter<OsString>,
    /// Device and inode: a link to a directory that is being sent would never end.
    identity: (u64, u64),
}

struct Source<'a, 'b> {
    peer: &'a mut Peer<'b>,
    options: &'a Options,
    buffer: Vec<u8>,
}

impl Source<'_, '_> {
    /// Sends `path` and what is below it. A stack of its own: directories nest as deep as a path is long.
    fn tree(&mut self, mut path: PathBuf) -> Result<(), Fatal> {
        let mut folders: Vec<Folder> = Vec::new();
        folders.extend(self.entry(&path, &folders)?);
        while let Some(folder) = folders.last_mut() {
            let Some(name) = folder.entries.next() else {
                let (Answer::GoOn | Answer::Skip) = self.peer.announce(b"E")?;
                folders.pop();
                path.pop();
                continue;
            };
            path.push(name);
            match self.entry(&path, &folders)? {
                Some(folder) => folders.push(folder),
                None => {
                    path.pop();
                }
            }
        }
        Ok(())
    }

    /// Sends a file, or announces a directory and returns it.
    fn entry(&mut self, path: &Path, above: &[Folder]) -> Result<Option<Folder>, Fatal> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return self.leave_out(&FileError::on("stat", path)(error)),
        };
        if metadata.is_file() {
            self.file(path)?;
            return Ok(None);
        }
        if !metadata.is_dir() || !self.options.recursive {
            return self
                .leave_out(&format!("{}: not a regular file", base_name(path).to_string_lossy()));
        }
        let identity = (metadata.dev(), metadata.ino());
        if above.iter().any(|folder| folder.identity == identity) {
            return self.leave_out(&format!("{}: a link to a directory it is in", path.display()));
        }
        let entries = match names(path) {
            Ok(entries) => entries.into_iter(),
            Err(error) => return self.leave_out(&FileError::on("open", path)(error)),
        };
        let answer = self.announce(b'D', path, &metadata, 0)?;
        Ok((answer == Answer::GoOn).then_some(Folder { entries, identity }))
    }

    fn leave_out(&mut self, why: &impl ToString) -> Result<Option<Folder>, Fatal> {
        self.peer.warn(why)?;
        Ok(None)
    }

    fn file(&mut self, path: &Path) -> Result<(), Fatal> {
        let (file, metadata) = match open(path) {
            Ok(opened) => opened,
            Err(error) => return Ok(self.peer.warn(&error)?),
        };
        if self.announce(b'C', path, &metadata, metadata.len())? == Answer::Skip {
            return Ok(());
        }
        if let Err(error) = self.content(&file, metadata.len())? {
            self.peer.warn(&FileError::on("read", path)(error))?;
        }
        let (Answer::GoOn | Answer::Skip) = self.peer.answer()?;
        Ok(())
    }

    /// Says what comes: its times with `-p`, then its mode, size and name.
    fn announce(
        &mut self,
        kind: u8,
        path: &Path,
        metadata: &Metadata,
        size: u64,
    ) -> Result<Answer, Fatal> {
        if self.options.preserve {
            let times = format!("T{} 0 {} 0", metadata.mtime().max(0), metadata.atime().max(0));
            if self.peer.announce(times.as_bytes())? == Answer::Skip {
                return Ok(Answer::Skip);
            }
        }
        let start = format!("{}{:04o} {size} ", char::from(kind), metadata.mode() & MODE);
        let name = in_one_line(base_name(path).as_bytes());
        self.peer.announce(&[start.as_bytes(), &name].concat())
    }

    /// Sends exactly `size` bytes: what a file lacks since it was announced is zeros, for the client
    /// counts. Then the zero that says that all is well, in one message with the last bytes; or the inner
    /// error, which is to be said instead.
    ///
    /// A client that will not answer is gone, whoever still takes what is sent: its `ssh`, in most cases.
    fn content(&mut self, mut file: &File, size: u64) -> Result<io::Result<()>, Fatal> {
        let room = usize::try_from(size).unwrap_or(CHUNK).min(CHUNK) + 1;
        self.buffer.resize(room.max(self.buffer.len()), 0);
        let mut left = size;
        let mut read = Ok(());
        loop {
            if self.peer.has_ended()? {
                return Err(Fatal::LostConnection);
            }
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let length = fill(&mut file, &mut self.buffer[..most], &mut read);
            left -= length as u64;
            let end = usize::from(left == 0 && read.is_ok());
            self.buffer[length] = 0;
            self.peer.send(&self.buffer[..length + end])?;
            if left == 0 {
                return Ok(read);
            }
        }
    }
}

/// Reads into `part`, or after a failure zeroes it; how much of it is filled.
fn fill(file: &mut &File, part: &mut [u8], read: &mut io::Result<()>) -> usize {
    while read.is_ok() && !part.is_empty() {
        match file.read(part) {
            Ok(0) => *read = Err(io::Error::other("the file became shorter while it was sent")),
            Ok(length) => return length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => *read = Err(error),
        }
    }
    part.fill(0);
    part.len()
}

/// Opens a regular file. Never waits for one that became a pipe.
fn open(path: &Path) -> Result<(File, Metadata), FileError> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .and_then(own_memory::refuse)
        .map_err(FileError::on("open", path))?;
    let metadata = file.metadata().map_err(FileError::on("stat", path))?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(FileError::on("open", path)(io::Error::other("not a regular file")))
    }
}

/// What is in a directory, sorted.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names =
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// The name that is sent: the last part, `.` and `..` as they are, `/` of the root.
fn base_name(path: &Path) -> &OsStr {
    path.components().next_back().map_or(path.as_os_str(), |last| last.as_os_str())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::options::Direction;
    use super::*;

    #[test]
    fn a_file_that_became_shorter_is_padded_with_zeros() {
        // The predecessor stopped in the middle, and the client waited for the rest.
        let paths = Vec::new();
        let options = Options {
            direction: Direction::Source,
            recursive: false,
            preserve: false,
            into_directory: false,
            paths,
        };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hello").unwrap();
        let size = CHUNK + 7;
        let mut output = Vec::new();
        let (mut input, mut errors): (&[u8], _) = (b"\0", Vec::new());
        let mut peer = Peer::new(&mut input, &mut output, &mut errors);
        let mut source = Source { peer: &mut peer, options: &options, buffer: Vec::new() };
        let read = source.content(&file.reopen().unwrap(), size as u64).unwrap();
        assert!(read.is_err());
        assert_eq!(output.len(), size);
        assert!(output.starts_with(b"hello\0") && output[5..].iter().all(|&byte| byte == 0));
    }
}

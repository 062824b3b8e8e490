//! What each request does, and the answer to it.

use std::cell::OnceCell;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use lifecycle::paths;
use nix::unistd::geteuid;
use rustix::fs::{self, Stat, StatVfs};
use rustix::io::{Errno, pread, retry_on_intr};

use crate::sftp::accounts::Accounts;
use crate::sftp::attributes::Attributes;
use crate::sftp::changes::Subject;
use crate::sftp::copying::Copy;
use crate::sftp::handles::{Handles, MOST_HANDLES, Opened};
use crate::sftp::refusal::Refusal;
use crate::sftp::replies::{Replies, length_of};
use crate::sftp::requests::{CopyData, Extension, Read, Request};
use crate::sftp::{LONGEST_DATA, LONGEST_PACKET, files, listing};

/// The longest path that is answered, in bytes: the system's own limit.
const LONGEST_PATH: usize = 4096;
/// The most users or groups that are named in one answer.
const MOST_NAMES: usize = 2048;

/// What a session knows: its open files, and who there is.
#[derive(Default)]
pub(super) struct Server {
    handles: Handles,
    accounts: OnceCell<Accounts>,
}

/// What is answered when all went well.
enum Answer {
    Done,
    Handle(String),
    Attributes(Attributes),
    Path(PathBuf),
    /// The fields of an extended reply.
    Extended(Vec<u8>),
    /// It stands among the replies already.
    Written,
}

type Outcome = Result<Answer, Refusal>;

impl Server {
    /// Does what `packet` asks for and puts the answer to `replies`. `output` tells, during a long
    /// copy, whether the client is still there.
    ///
    /// # Errors
    ///
    /// A packet that does not hold its fields, or the client gone.
    pub(super) fn answer(
        &mut self,
        packet: &[u8],
        replies: &mut Replies,
        output: &mut impl Write,
    ) -> io::Result<()> {
        let (id, request) = Request::decode(packet)?;
        if matches!(request, Request::Extended(Extension::CopyData(_))) {
            // It may take long.
            replies.send(output)?;
        }
        let start = replies.mark();
        let outcome = match request {
            Request::Initialize => {
                replies.version();
                return Ok(());
            }
            Request::Read(read) => self.read(id, &read, replies),
            Request::ReadDirectory { handle } => self.read_directory(id, handle, replies),
            Request::Extended(Extension::CopyData(copy)) => self.copy(&copy, output),
            request => self.perform(request),
        };
        match outcome {
            Ok(Answer::Done) => replies.done(id),
            Ok(Answer::Handle(handle)) => replies.handle(id, &handle),
            Ok(Answer::Attributes(attributes)) => replies.attributes(id, &attributes),
            Ok(Answer::Path(path)) => replies.path(id, &path),
            Ok(Answer::Extended(fields)) => replies.extended(id, &fields),
            Ok(Answer::Written) => {}
            Err(refusal) => {
                replies.take_back(&start);
                replies.refusal(id, &refusal);
            }
        }
        Ok(())
    }

    fn perform(&mut self, request: Request<'_>) -> Outcome {
        match request {
            Request::Open { path, flags, attributes } => {
                self.open(path, || files::open(path, flags, attributes.permissions))
            }
            Request::OpenDirectory { path } => self.open(path, || files::open_directory(path)),
            Request::Close { handle } => self.handles.close(handle).map(|()| Answer::Done),
            Request::Write { handle, offset, data } => {
                self.write(handle, offset, data).map(|()| Answer::Done)
            }
            Request::Stat { path } => attributes("stat", path, fs::stat(path)),
            Request::LinkStat { path } => attributes("lstat", path, fs::lstat(path)),
            Request::HandleStat { handle } => {
                let opened = self.handles.get(handle)?;
                attributes("stat", &opened.path, fs::fstat(&opened.file))
            }
            Request::SetStat { path, attributes } => change(path, Subject::Path(path), &attributes),
            Request::SetHandleStat { handle, attributes } => {
                let opened = self.handles.get(handle)?;
                change(&opened.path, Subject::Open(&opened.file), &attributes)
            }
            Request::Remove { path } => done("remove", path, files::remove(path)),
            Request::MakeDirectory { path, attributes } => {
                done("mkdir", path, files::make_directory(path, attributes.permissions))
            }
            Request::RealPath { path } => real_path(path),
            Request::Rename { from, to } => {
                done_to_both("rename", from, to, files::rename_to_new(from, to))
            }
            Request::ReadLink { path } => read_link(path),
            Request::SymbolicLink { target, link } => {
                done_to_both("symlink", target, link, fs::symlink(target, link))
            }
            Request::Extended(extension) => self.extended(&extension),
            // `answer` has seen to the others.
            _ => Err(Refusal::Unsupported),
        }
    }

    fn extended(&self, extension: &Extension<'_>) -> Outcome {
        match *extension {
            Extension::PosixRename { from, to } => {
                done_to_both("rename", from, to, fs::rename(from, to))
            }
            Extension::HardLink { file, link } => {
                done_to_both("link", file, link, files::hard_link(file, link))
            }
            Extension::FileSystem { path } => file_system(path, fs::statvfs(path)),
            Extension::HandleFileSystem { handle } => {
                let opened = self.handles.get(handle)?;
                file_system(&opened.path, fs::fstatvfs(&opened.file))
            }
            Extension::Sync { handle } => {
                let opened = self.handles.get(handle)?;
                done("sync", &opened.path, fs::fsync(&opened.file))
            }
            Extension::SetLinkStat { path, ref attributes } => {
                change(path, Subject::Link(path), attributes)
            }
            Extension::Limits => Ok(Answer::Extended(limits())),
            Extension::ExpandPath { path } => self.expand_path(path),
            Extension::HomeDirectory { user } => self.home(user).map(Answer::Path),
            Extension::Names { users, groups } => self.names(users, groups),
            // `answer` has seen to it.
            Extension::CopyData(_) => Err(Refusal::Unsupported),
        }
    }

    fn accounts(&self) -> &Accounts {
        self.accounts.get_or_init(Accounts::read)
    }

    fn open(&mut self, path: &Path, open: impl FnOnce() -> Result<File, Errno>) -> Outcome {
        if self.handles.are_exhausted() {
            return Err(Refusal::TooManyHandles);
        }
        let file = open().map_err(Refusal::on("open", path))?;
        Ok(Answer::Handle(self.handles.insert(Opened { file, path: path.to_owned() })))
    }

    fn read(&self, id: u32, read: &Read<'_>, replies: &mut Replies) -> Outcome {
        let opened = self.handles.get(read.handle)?;
        let length = read.length.min(LONGEST_DATA) as usize;
        replies.data(id, length, |into| {
            retry_on_intr(|| pread(&opened.file, &mut *into, read.offset))
                .map_err(Refusal::on("read", &opened.path))
        })?;
        Ok(Answer::Written)
    }

    /// Writes all of `data`, or says why not.
    pub(super) fn write(&self, handle: &[u8], offset: u64, data: &[u8]) -> Result<(), Refusal> {
        let opened = self.handles.get(handle)?;
        let written = opened.file.write_all_at(data, offset);
        written.map_err(|error| {
            Refusal::on("write", &opened.path)(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
    }

    fn read_directory(&self, id: u32, handle: &[u8], replies: &mut Replies) -> Outcome {
        let opened = self.handles.get(handle)?;
        let names = replies.start_names(id);
        let count = listing::next_entries(&opened.file, self.accounts(), replies)
            .map_err(Refusal::on("readdirent", &opened.path))?;
        if count == 0 {
            return Err(Refusal::End);
        }
        replies.finish_names(&names, count);
        Ok(Answer::Written)
    }

    fn copy(&self, asked: &CopyData<'_>, output: &mut impl Write) -> Outcome {
        let (from, to) = (self.handles.get(asked.from)?, self.handles.get(asked.to)?);
        let mut copy = Copy {
            from: &from.file,
            from_offset: asked.from_offset,
            to: &to.file,
            to_offset: asked.to_offset,
            rest: (asked.length > 0).then_some(asked.length),
            by_system: true,
        };
        if copy.is_within_one_file().map_err(Refusal::on_both("copy", &from.path, &to.path))? {
            return Err(Refusal::Argument);
        }
        // Nothing waits to be written: flushing only tells whether the client is there.
        let is_complete = copy
            .run(|| output.flush().is_ok())
            .map_err(Refusal::on_both("copy", &from.path, &to.path))?;
        if is_complete { Ok(Answer::Done) } else { Err(Refusal::End) }
    }

    /// `~` and `~user` become homes; a path without them is answered as REALPATH does.
    fn expand_path(&self, path: &Path) -> Outcome {
        let Some(path_from_home) = path.as_os_str().as_bytes().strip_prefix(b"~") else {
            return real_path(path);
        };
        let end =
            path_from_home.iter().position(|byte| *byte == b'/').unwrap_or(path_from_home.len());
        let (user, rest) = path_from_home.split_at(end);
        let mut expanded = self.home(user)?.into_os_string();
        expanded.push(OsStr::from_bytes(rest));
        real_path(Path::new(&expanded))
    }

    /// Where a user lives; the empty name is the one that the server runs as.
    fn home(&self, user: &[u8]) -> Result<PathBuf, Refusal> {
        if !user.is_empty() {
            let home = self.accounts().home(user).map(Path::to_owned);
            return home.ok_or_else(|| Refusal::no_user(user));
        }
        if let Some(home) = env::var_os("HOME").filter(|home| !home.is_empty()) {
            return Ok(home.into());
        }
        let home = self.accounts().home_of(geteuid().as_raw());
        Ok(home.map_or_else(|| PathBuf::from("/"), Path::to_owned))
    }

    /// The names of users and groups, each a list of ids; empty where there is none.
    fn names(&self, users: &[u8], groups: &[u8]) -> Outcome {
        let users = ids(users)?.map(|id| self.accounts().user(id));
        let groups = ids(groups)?.map(|id| self.accounts().group(id));
        Ok(Answer::Extended([list(users), list(groups)].concat()))
    }
}

fn done(call: &'static str, path: &Path, outcome: Result<(), Errno>) -> Outcome {
    outcome.map(|()| Answer::Done).map_err(Refusal::on(call, path))
}

fn done_to_both(call: &'static str, from: &Path, to: &Path, outcome: Result<(), Errno>) -> Outcome {
    outcome.map(|()| Answer::Done).map_err(Refusal::on_both(call, from, to))
}

fn attributes(call: &'static str, path: &Path, file: Result<Stat, Errno>) -> Outcome {
    file.map(|file| Answer::Attributes(Attributes::from(&file))).map_err(Refusal::on(call, path))
}

fn file_system(path: &Path, system: Result<StatVfs, Errno>) -> Outcome {
    system
        .map(|system| Answer::Extended(files::describe(&system)))
        .map_err(Refusal::on("statvfs", path))
}

fn change(path: &Path, subject: Subject<'_>, attributes: &Attributes) -> Outcome {
    subject
        .change(attributes)
        .map(|()| Answer::Done)
        .map_err(|(call, error)| Refusal::on(call, path)(error))
}

/// By the text alone: nothing has to exist, and links are not followed (contract sshd 12).
fn real_path(path: &Path) -> Outcome {
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(Refusal::on("realpath", path)(Errno::NAMETOOLONG));
    }
    Ok(Answer::Path(paths::absolute(path, env::var_os("PWD").as_deref())))
}

fn read_link(path: &Path) -> Outcome {
    let target = fs::readlink(path, Vec::new()).map_err(Refusal::on("readlink", path))?;
    Ok(Answer::Path(OsString::from_vec(target.into_bytes()).into()))
}

fn limits() -> Vec<u8> {
    let longest_data = u64::from(LONGEST_DATA);
    [u64::from(LONGEST_PACKET), longest_data, longest_data, MOST_HANDLES as u64]
        .iter()
        .flat_map(|limit| limit.to_be_bytes())
        .collect()
}

fn ids(list: &[u8]) -> Result<impl Iterator<Item = u32>, Refusal> {
    let (ids, _) = list.as_chunks();
    if ids.len() > MOST_NAMES {
        return Err(Refusal::Argument);
    }
    Ok(ids.iter().map(|id| u32::from_be_bytes(*id)))
}

/// A string of strings.
fn list<'a>(names: impl Iterator<Item = Option<&'a [u8]>>) -> Vec<u8> {
    let mut strings = Vec::new();
    for name in names {
        put_string(&mut strings, name.unwrap_or_default());
    }
    let mut list = Vec::new();
    put_string(&mut list, &strings);
    list
}

fn put_string(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend_from_slice(&length_of(bytes.len()).to_be_bytes());
    into.extend_from_slice(bytes);
}

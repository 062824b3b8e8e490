//! SETSTAT and its siblings: what attributes change of a file.

use std::fs::File;
use std::path::Path;

use rustix::fs::{self, AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io;

use crate::sftp::attributes::{Attributes, Times};
use crate::sftp::files::{CHANGEABLE, opened};

/// What is to be changed.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    /// The file that a path leads to.
    Path(&'a Path),
    /// What a path names itself, be it a symbolic link.
    Link(&'a Path),
    Open(&'a File),
}

impl Subject<'_> {
    /// Makes every change that `attributes` ask for, however others go; the first error counts, and
    /// comes with the name of its call. The owner is changed before the mode, since the system clears
    /// set-user-id where the owner changes.
    pub(super) fn change(self, attributes: &Attributes) -> Result<(), (&'static str, io::Errno)> {
        let outcomes = [
            ("truncate", attributes.size.map(|size| self.truncate(size))),
            ("chown", attributes.owner.map(|(user, group)| self.own(user, group))),
            ("chmod", attributes.permissions.map(|mode| self.permit(mode))),
            ("chtimes", attributes.times.map(|times| self.date(times))),
        ];
        let failed = |(call, outcome): (_, Option<io::Result<()>>)| Some((call, outcome?.err()?));
        outcomes.into_iter().find_map(failed).map_or(Ok(()), Err)
    }

    fn truncate(self, size: u64) -> io::Result<()> {
        match self {
            Self::Path(path) => fs::ftruncate(opened(path, OFlags::WRONLY, 0)?, size),
            Self::Link(_) => Err(io::Errno::INVAL),
            Self::Open(file) => fs::ftruncate(file, size),
        }
    }

    fn own(self, user: u32, group: u32) -> io::Result<()> {
        // -1 leaves it as it is.
        let (user, group) =
            ((user != u32::MAX).then_some(user), (group != u32::MAX).then_some(group));
        let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
        match self {
            Self::Path(path) => fs::chown(path, user, group),
            Self::Link(path) => fs::chownat(CWD, path, user, group, AtFlags::SYMLINK_NOFOLLOW),
            Self::Open(file) => fs::fchown(file, user, group),
        }
    }

    fn permit(self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode & CHANGEABLE);
        match self {
            Self::Path(path) => fs::chmod(path, mode),
            // The system has no modes of links, and no call of old that would refuse to follow them.
            Self::Link(path) => match FileType::from_raw_mode(fs::lstat(path)?.st_mode) {
                FileType::Symlink => Err(io::Errno::OPNOTSUPP),
                _ => fs::chmod(path, mode),
            },
            Self::Open(file) => fs::fchmod(file, mode),
        }
    }

    fn date(self, times: Times) -> io::Result<()> {
        let time = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
        let times = Timestamps {
            last_access: time(times.accessed),
            last_modification: time(times.modified),
        };
        match self {
            Self::Path(path) => fs::utimensat(CWD, path, &times, AtFlags::empty()),
            Self::Link(path) => fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW),
            Self::Open(file) => fs::futimens(file, &times),
        }
    }
}

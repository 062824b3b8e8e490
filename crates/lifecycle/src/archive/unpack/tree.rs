//! The tree being made: every step starts at the destination's own descriptor and follows no
//! symlink, so nothing can be made anywhere else, whatever the names say.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, mkfifoat, symlinkat, unlinkat};

use super::Fault;
use crate::archive::unzip::shown;

/// Longest path Linux takes, in bytes.
const MAX_PATH: usize = 4095;
/// Removing a tree holds a descriptor for each level.
const MAX_DEPTH: usize = 255;
/// Mode of directories that have no entry of their own.
const PARENT_MODE: u32 = 0o755;
/// What a directory's owner needs to fill it.
const FILLABLE: u32 = 0o700;

/// What a directory gets when everything is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) modified: Option<SystemTime>,
}

/// A tree, from its root on.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    /// The directory of the last entry: the next one is most often in it too.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Directories with entries of their own, by path: a directory comes before its content.
    directories: BTreeMap<Vec<u8>, Attributes>,
    /// How many directories were made that have no entry.
    unasked: usize,
}

/// A name taken apart: the directory's components, and the last one.
struct Place<'a> {
    directory: Vec<&'a [u8]>,
    last: &'a [u8],
}

impl Tree {
    pub(super) fn new(destination: &Path) -> io::Result<Self> {
        let root = File::open(destination)?.into();
        Ok(Self { root, last: None, directories: BTreeMap::new(), unasked: 0 })
    }

    /// How many directories were made that have no entry: names of few bytes can ask for hundreds.
    pub(super) fn unasked(&self) -> usize {
        self.unasked
    }

    /// A new file, in the place of any other.
    pub(super) fn file(&mut self, name: &[u8], mode: u32) -> Result<File, Fault> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        self.make(name, |parent, last| openat(parent, last, flags, bits(mode))).map(File::from)
    }

    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), Fault> {
        self.make(name, |parent, last| symlinkat(OsStr::from_bytes(target), parent, last))
    }

    pub(super) fn fifo(&mut self, name: &[u8], mode: u32) -> Result<(), Fault> {
        self.make(name, |parent, last| mkfifoat(parent, last, bits(mode)))
    }

    /// A second name of what is already here, symlinks themselves included.
    pub(super) fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), Fault> {
        let failed = |reason| Fault::HardLink { target: shown(target), reason: Box::new(reason) };
        let (directory, last) = self.existing(target).map_err(failed)?;
        let is_itself = components(name)? == components(target)?;
        let linked = |parent: BorrowedFd<'_>, name: &OsStr| {
            match linkat(&directory, last.as_os_str(), parent, name, AtFlags::empty()) {
                // What GNU tar makes of a file that it was given twice.
                Err(Errno::EEXIST) if is_itself => Ok(()),
                made => made,
            }
        };
        self.make(name, linked).map_err(|fault| match fault {
            Fault::System(cause) => failed(Fault::System(cause)),
            other => other,
        })
    }

    /// A directory; its mode and time come in [`Self::finish`].
    pub(super) fn directory(&mut self, name: &[u8], attributes: Attributes) -> Result<(), Fault> {
        let components = components(name)?;
        if !components.is_empty() {
            let mode = bits(attributes.mode | FILLABLE);
            match self.make(name, |parent, last| mkdirat(parent, last, mode)) {
                Ok(()) | Err(Fault::Occupied) => {}
                Err(fault) => return Err(fault),
            }
        }
        self.directories.insert(components.join(&b'/'), attributes);
        Ok(())
    }

    /// Gives the directories their modes and times, the innermost first.
    pub(super) fn finish(self) -> io::Result<()> {
        for (path, attributes) in self.directories.iter().rev() {
            let components: Vec<&[u8]> = components(path).unwrap_or_default();
            let Ok(opened) = self.walk(&components) else { continue };
            let directory = File::from(opened);
            let given = directory.metadata()?.permissions().mode() & 0o7777;
            // The umask has taken its part from what was made; the root was made without a mode.
            let mode = if path.is_empty() { attributes.mode } else { given & attributes.mode };
            if given != mode {
                directory.set_permissions(Permissions::from_mode(mode))?;
            }
            if let Some(time) = attributes.modified {
                directory.set_modified(time)?;
            }
        }
        Ok(())
    }

    /// Makes something with `call`, in the place of whatever is there, except a directory.
    fn make<T>(
        &mut self,
        name: &[u8],
        call: impl Fn(BorrowedFd<'_>, &OsStr) -> nix::Result<T>,
    ) -> Result<T, Fault> {
        let place = Place::of(name)?;
        let parent = self.parent(&place.directory)?;
        let last = OsStr::from_bytes(place.last);
        let made = match call(parent, last) {
            Err(Errno::EEXIST) => match unlinkat(parent, last, UnlinkatFlags::NoRemoveDir) {
                // Linux says EISDIR, POSIX EPERM.
                Err(Errno::EISDIR | Errno::EPERM) => return Err(Fault::Occupied),
                removed => removed.and_then(|()| call(parent, last)),
            },
            made => made,
        };
        made.map_err(system)
    }

    /// The directory for an entry, made with its parents where they are missing.
    fn parent(&mut self, components: &[&[u8]]) -> Result<BorrowedFd<'_>, Fault> {
        let path = components.join(&b'/');
        if self.last.as_ref().is_none_or(|(last, _)| *last != path) {
            let mut directory = self.root.try_clone().map_err(Fault::System)?;
            for (depth, component) in components.iter().enumerate() {
                let name = OsStr::from_bytes(component);
                directory = match open_directory(&directory, name) {
                    Err(Errno::ENOENT) => {
                        self.unasked += 1;
                        mkdirat(&directory, name, bits(PARENT_MODE))
                            .and_then(|()| open_directory(&directory, name))
                    }
                    opened => opened,
                }
                .map_err(|error| in_the_way(error, &directory, &components[..=depth]))?;
            }
            self.last = Some((path, directory));
        }
        Ok(self.last.as_ref().map_or_else(|| self.root.as_fd(), |(_, directory)| directory.as_fd()))
    }

    /// The directory and last component of something that should be here.
    fn existing(&self, name: &[u8]) -> Result<(OwnedFd, std::ffi::OsString), Fault> {
        let place = Place::of(name)?;
        let directory = self.walk(&place.directory)?;
        Ok((directory, OsStr::from_bytes(place.last).to_owned()))
    }

    fn walk(&self, components: &[&[u8]]) -> Result<OwnedFd, Fault> {
        let mut directory = self.root.try_clone().map_err(Fault::System)?;
        for (depth, component) in components.iter().enumerate() {
            directory = open_directory(&directory, OsStr::from_bytes(component))
                .map_err(|error| in_the_way(error, &directory, &components[..=depth]))?;
        }
        Ok(directory)
    }
}

impl<'a> Place<'a> {
    fn of(name: &'a [u8]) -> Result<Self, Fault> {
        let mut directory = components(name)?;
        let last = directory.pop().ok_or(Fault::Occupied)?;
        Ok(Self { directory, last })
    }
}

/// The components of a name; a leading slash means the destination, empty ones and `.` nothing.
fn components(name: &[u8]) -> Result<Vec<&[u8]>, Fault> {
    let components: Vec<&[u8]> = name
        .split(|&byte| byte == b'/')
        .filter(|component| !matches!(component, [] | [b'.']))
        .collect();
    if components.contains(&b"..".as_slice()) {
        return Err(Fault::Outside);
    }
    if name.len() > MAX_PATH || components.len() > MAX_DEPTH {
        return Err(Fault::LongName);
    }
    Ok(components)
}

fn open_directory(directory: &OwnedFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(directory, name, flags, Mode::empty())
}

/// Why the last of `path`, in `directory`, cannot be gone into.
fn in_the_way(error: Errno, directory: &OwnedFd, path: &[&[u8]]) -> Fault {
    let name = OsStr::from_bytes(path.last().copied().unwrap_or_default());
    let is_link = || nix::fcntl::readlinkat(directory, name).is_ok();
    let shown = shown(&path.join(&b'/'));
    match error {
        // Linux says ENOTDIR of a symlink, too, if it is asked for a directory.
        Errno::ELOOP | Errno::ENOTDIR if is_link() => Fault::ThroughSymlink(shown),
        Errno::ENOTDIR => Fault::NotADirectory(shown),
        other => system(other),
    }
}

fn system(error: Errno) -> Fault {
    Fault::System(error.into())
}

fn bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode)
}

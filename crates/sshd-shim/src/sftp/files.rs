//! What is done to files by their path. Nothing here waits for a pipe's other end.

use std::fs::File;
use std::path::Path;

use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, RenameFlags, StatVfs, StatVfsMountFlags};
use rustix::io;

use crate::own_memory;
use crate::sftp::requests::open_flags;

/// The bits of a mode that can be chosen.
pub(super) const CHANGEABLE: u32 = 0o7777;

/// Opens as OPEN asks for. Neither to read nor to write is an invalid argument.
pub(super) fn open(path: &Path, flags: u32, permissions: Option<u32>) -> io::Result<File> {
    let has = |flag| flags & flag != 0;
    let mut how = match (has(open_flags::READ), has(open_flags::WRITE)) {
        (true, true) => OFlags::RDWR,
        (true, false) => OFlags::RDONLY,
        (false, true) => OFlags::WRONLY,
        (false, false) => return Err(io::Errno::INVAL),
    };
    how.set(OFlags::TRUNC, has(open_flags::TRUNCATE) && has(open_flags::WRITE));
    how.set(OFlags::APPEND, has(open_flags::APPEND));
    if has(open_flags::CREATE) {
        how |= OFlags::CREATE;
        how.set(OFlags::EXCL, has(open_flags::EXCLUSIVE));
    }
    opened(path, how, permissions.unwrap_or(0o644))
}

pub(super) fn open_directory(path: &Path) -> io::Result<File> {
    opened(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)
}

/// Opening a pipe or a device must not wait, and no terminal become the server's own.
pub(super) fn opened(path: &Path, how: OFlags, permissions: u32) -> io::Result<File> {
    let how = how | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::open(path, how, Mode::from_raw_mode(permissions & CHANGEABLE))?;
    own_memory::refuse(file.into()).map_err(|_denied| io::Errno::ACCESS)
}

pub(super) fn make_directory(path: &Path, permissions: Option<u32>) -> io::Result<()> {
    fs::mkdir(path, Mode::from_raw_mode(permissions.unwrap_or(0o755) & CHANGEABLE))
}

/// Removes a file, or an empty directory.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let Err(as_file) = fs::unlink(path) else { return Ok(()) };
    match fs::rmdir(path) {
        Err(io::Errno::NOTDIR) => Err(as_file),
        as_directory => as_directory,
    }
}

/// Renames unless `to` is there: replacing it is what `posix-rename@openssh.com` is for.
pub(super) fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can do it in one step.
        Err(io::Errno::INVAL | io::Errno::NOSYS) => match fs::lstat(to) {
            Ok(_) => Err(io::Errno::EXIST),
            Err(_) => fs::rename(from, to),
        },
        outcome => outcome,
    }
}

/// Makes `link` another name of `file`, of the link itself where it is one.
pub(super) fn hard_link(file: &Path, link: &Path) -> io::Result<()> {
    fs::linkat(CWD, file, CWD, link, AtFlags::empty())
}

/// The answer to `statvfs@openssh.com` (its PROTOCOL, 4.4): eleven numbers.
pub(super) fn describe(system: &StatVfs) -> Vec<u8> {
    const READ_ONLY: u64 = 1;
    const NO_SET_USER_ID: u64 = 2;
    let flag =
        |is_set: StatVfsMountFlags, bit| if system.f_flag.contains(is_set) { bit } else { 0 };
    let flags = flag(StatVfsMountFlags::RDONLY, READ_ONLY)
        | flag(StatVfsMountFlags::NOSUID, NO_SET_USER_ID);
    [
        system.f_bsize,
        system.f_frsize,
        system.f_blocks,
        system.f_bfree,
        system.f_bavail,
        system.f_files,
        system.f_ffree,
        system.f_favail,
        system.f_fsid,
        flags,
        system.f_namemax,
    ]
    .iter()
    .flat_map(|number| number.to_be_bytes())
    .collect()
}

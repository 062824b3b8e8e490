//! One entry of a zip's directory: what it is to become, with which mode, and where its data lies.

use std::cmp::Ordering;

use zip::read::ZipFileEntry;
use zip::{CompressionMethod, System};

use super::{EntryFault, UnzipError, shown};

/// An entry that can be unpacked.
#[derive(Debug)]
pub(super) struct Entry {
    /// The name as stored: bytes with `/` between components.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    /// Permissions with setuid, setgid and sticky; the umask takes its part when the file is made.
    pub(super) mode: u32,
    pub(super) deflated: bool,
    /// Where its local header begins in the zip.
    pub(super) header_start: u64,
    /// Bytes in the zip.
    pub(super) compressed: u64,
    /// Bytes once unpacked, as the directory declares them.
    pub(super) size: u64,
    pub(super) crc32: u32,
}

/// What an entry becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
    Symlink,
}

const FILE_TYPE: u32 = 0o170_000;
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_SYMLINK: u32 = 0o120_000;
/// MS-DOS's read-only bit among the external attributes.
const READ_ONLY: u32 = 1;

impl Entry {
    /// Takes what matters from the directory's record; what cannot be unpacked is refused here.
    pub(super) fn read(raw: &ZipFileEntry<'_>) -> Result<Self, UnzipError> {
        let name = raw.name_raw().to_vec();
        let refuse = |fault| Err(at_fault(raw.name_raw(), fault));
        if raw.encrypted() {
            return refuse(EntryFault::Encrypted);
        }
        let deflated = match raw.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            other => return refuse(EntryFault::Method(format!("`{other}`"))),
        };
        let (kind, mode) = kind_and_mode(&name, raw.system(), raw.external_attributes());
        Ok(Self {
            kind,
            mode,
            deflated,
            header_start: raw.header_start(),
            compressed: raw.compressed_size(),
            size: raw.size(),
            crc32: raw.crc32(),
            name,
        })
    }

    /// The error that names this entry.
    pub(super) fn at_fault(&self, fault: EntryFault) -> UnzipError {
        at_fault(&self.name, fault)
    }

    /// Compares what was unpacked with what the directory says.
    pub(super) fn check(&self, length: u64, crc32: u32) -> Result<(), EntryFault> {
        match length.cmp(&self.size) {
            Ordering::Less => Err(EntryFault::TooShort { actual: length, declared: self.size }),
            Ordering::Greater => Err(EntryFault::TooLong(self.size)),
            Ordering::Equal if crc32 != self.crc32 => Err(EntryFault::Checksum),
            Ordering::Equal => Ok(()),
        }
    }
}

fn at_fault(name: &[u8], fault: EntryFault) -> UnzipError {
    UnzipError::Entry { name: shown(name), fault }
}

/// Unix attributes as they are; else what a zipper elsewhere would have meant: everybody reads and
/// writes unless read-only, and the scripts in `bin/` can be executed.
fn kind_and_mode(name: &[u8], system: System, attributes: u32) -> (Kind, u32) {
    let unix = match system {
        System::Unix | System::OsDarwin => attributes >> 16,
        _ => 0,
    };
    let kind = match unix & FILE_TYPE {
        TYPE_SYMLINK => Kind::Symlink,
        TYPE_DIRECTORY => Kind::Directory,
        _ if name.ends_with(b"/") => Kind::Directory,
        _ => Kind::File,
    };
    // A Unix zipper that left all of them empty did not mean a file nobody can open.
    if unix != 0 {
        return (kind, unix & 0o7777);
    }
    let script = name.strip_prefix(b"bin/").is_some_and(|rest| !rest.contains(&b'/'));
    let mode = if kind == Kind::Directory || script { 0o777 } else { 0o666 };
    (kind, if attributes & READ_ONLY == 0 { mode } else { mode & !0o222 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_attributes_are_kept_and_others_guessed() {
        let unix = |mode: u32| mode << 16;
        for (name, system, attributes, kind, mode) in [
            ("bin/run", System::Unix, unix(0o100_644), Kind::File, 0o644),
            ("tool", System::OsDarwin, unix(0o104_755), Kind::File, 0o4755),
            ("link", System::Unix, unix(0o120_777), Kind::Symlink, 0o777),
            ("lib", System::Unix, unix(0o040_700), Kind::Directory, 0o700),
            ("lib/", System::Unix, unix(0o100_750), Kind::Directory, 0o750),
            // Python's `writestr` of old, and Java: Unix, but no attributes.
            ("file", System::Unix, 0, Kind::File, 0o666),
            ("bin/detect", System::Dos, 0, Kind::File, 0o777),
            ("bin/lib/x", System::Dos, 0, Kind::File, 0o666),
            ("docs/", System::Dos, 0x10, Kind::Directory, 0o777),
            ("bin/detect", System::VFAT, 1, Kind::File, 0o555),
            ("notes", System::WindowsNTFS, 1, Kind::File, 0o444),
        ] {
            assert_eq!(
                kind_and_mode(name.as_bytes(), system, attributes),
                (kind, mode),
                "{name} made by {system:?}"
            );
        }
    }
}

//! Requests, decoded: no I/O, nothing copied.

use std::path::Path;

use crate::sftp::attributes::Attributes;
use crate::sftp::wire::{Fields, LONGEST_HANDLE, Malformed};

/// What OPEN is to do, one bit each.
pub(super) mod open_flags {
    pub(crate) const READ: u32 = 1;
    pub(crate) const WRITE: u32 = 2;
    pub(crate) const APPEND: u32 = 4;
    pub(crate) const CREATE: u32 = 8;
    pub(crate) const TRUNCATE: u32 = 0x10;
    pub(crate) const EXCLUSIVE: u32 = 0x20;
}

/// The type of WRITE, the one request whose data is not taken as a whole.
pub(super) const WRITE: u8 = 6;

/// A request of the client. Handles are as it sent them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    Initialize,
    Open { path: &'a Path, flags: u32, attributes: Attributes },
    Close { handle: &'a [u8] },
    Read(Read<'a>),
    Write { handle: &'a [u8], offset: u64, data: &'a [u8] },
    Stat { path: &'a Path },
    LinkStat { path: &'a Path },
    HandleStat { handle: &'a [u8] },
    SetStat { path: &'a Path, attributes: Attributes },
    SetHandleStat { handle: &'a [u8], attributes: Attributes },
    OpenDirectory { path: &'a Path },
    ReadDirectory { handle: &'a [u8] },
    Remove { path: &'a Path },
    MakeDirectory { path: &'a Path, attributes: Attributes },
    RealPath { path: &'a Path },
    Rename { from: &'a Path, to: &'a Path },
    ReadLink { path: &'a Path },
    SymbolicLink { target: &'a Path, link: &'a Path },
    Extended(Extension<'a>),
    Unknown,
}

/// READ: the place in the file and how much, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read<'a> {
    pub(super) handle: &'a [u8],
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// An extended request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extension<'a> {
    PosixRename { from: &'a Path, to: &'a Path },
    HardLink { file: &'a Path, link: &'a Path },
    FileSystem { path: &'a Path },
    HandleFileSystem { handle: &'a [u8] },
    Sync { handle: &'a [u8] },
    SetLinkStat { path: &'a Path, attributes: Attributes },
    Limits,
    ExpandPath { path: &'a Path },
    CopyData(CopyData<'a>),
    HomeDirectory { user: &'a [u8] },
    Names { users: &'a [u8], groups: &'a [u8] },
}

/// `copy-data` (draft-ietf-secsh-filexfer-extensions-00, section 7).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CopyData<'a> {
    pub(super) from: &'a [u8],
    pub(super) from_offset: u64,
    /// In bytes; 0 is up to the end.
    pub(super) length: u64,
    pub(super) to: &'a [u8],
    pub(super) to_offset: u64,
}

/// What VERSION tells of extensions, and each one's version.
pub(super) const EXTENSIONS: [(&str, &str); 11] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
];

impl<'a> Request<'a> {
    /// The id of a request and what it asks for. Bytes after the last field are ignored.
    pub(super) fn decode(packet: &'a [u8]) -> Result<(u32, Self), Malformed> {
        let mut fields = Fields(packet);
        let kind = fields.byte()?;
        // In INIT the client's version stands here, which does not matter.
        let id = fields.number()?;
        Ok((id, Self::of_kind(kind, &mut fields)?))
    }

    fn of_kind(kind: u8, fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        Ok(match kind {
            1 => Self::Initialize,
            3 => Self::Open {
                path: fields.path()?,
                flags: fields.number()?,
                attributes: fields.attributes()?,
            },
            4 => Self::Close { handle: fields.handle()? },
            5 => Self::Read(Read {
                handle: fields.handle()?,
                offset: fields.long()?,
                length: fields.number()?,
            }),
            WRITE => Self::Write {
                handle: fields.handle()?,
                offset: fields.long()?,
                data: fields.string()?,
            },
            7 => Self::LinkStat { path: fields.path()? },
            8 => Self::HandleStat { handle: fields.handle()? },
            9 => Self::SetStat { path: fields.path()?, attributes: fields.attributes()? },
            10 => {
                Self::SetHandleStat { handle: fields.handle()?, attributes: fields.attributes()? }
            }
            11 => Self::OpenDirectory { path: fields.path()? },
            12 => Self::ReadDirectory { handle: fields.handle()? },
            // RMDIR too: the predecessor removes files and empty directories by both.
            13 | 15 => Self::Remove { path: fields.path()? },
            14 => Self::MakeDirectory { path: fields.path()?, attributes: fields.attributes()? },
            16 => Self::RealPath { path: fields.path()? },
            17 => Self::Stat { path: fields.path()? },
            18 => Self::Rename { from: fields.path()?, to: fields.path()? },
            19 => Self::ReadLink { path: fields.path()? },
            // The draft has the link first; OpenSSH, and since then everybody, the target.
            20 => Self::SymbolicLink { target: fields.path()?, link: fields.path()? },
            200 => Extension::decode(fields)?.map_or(Self::Unknown, Self::Extended),
            _ => Self::Unknown,
        })
    }
}

/// What a WRITE has before its data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WriteHeader<'a> {
    pub(super) id: u32,
    pub(super) handle: &'a [u8],
    pub(super) offset: u64,
    /// Of the data, in bytes.
    pub(super) length: u32,
    /// How many bytes follow the data in the packet.
    pub(super) excess: usize,
}

impl<'a> WriteHeader<'a> {
    /// The bytes that tell how many there are: type, id, length of the handle.
    pub(super) const START: usize = 9;
    /// The most bytes there are: then come the handle, the offset and the length of the data.
    pub(super) const LONGEST: usize = Self::START + LONGEST_HANDLE + 12;

    /// How many bytes there are, told by the first [`Self::START`].
    pub(super) fn size(start: &[u8]) -> Result<usize, Malformed> {
        let mut fields = Fields(start);
        let (_kind, _id) = (fields.byte()?, fields.number()?);
        let handle = fields.number()? as usize;
        if handle > LONGEST_HANDLE {
            return Err(Malformed::Handle(handle));
        }
        Ok(Self::START + handle + 12)
    }

    /// The header of a packet of `length` bytes, which all its data has to fit.
    pub(super) fn decode(header: &'a [u8], length: usize) -> Result<Self, Malformed> {
        let mut fields = Fields(header);
        let (_kind, id) = (fields.byte()?, fields.number()?);
        let (handle, offset, data) = (fields.handle()?, fields.long()?, fields.number()?);
        let rest = length.checked_sub(header.len()).ok_or(Malformed::CutShort)?;
        let excess = rest.checked_sub(data as usize).ok_or(Malformed::CutShort)?;
        Ok(Self { id, handle, offset, length: data, excess })
    }
}

impl<'a> Extension<'a> {
    /// `None` for an extension that is not known.
    fn decode(fields: &mut Fields<'a>) -> Result<Option<Self>, Malformed> {
        Ok(Some(match fields.string()? {
            b"posix-rename@openssh.com" => {
                Self::PosixRename { from: fields.path()?, to: fields.path()? }
            }
            b"hardlink@openssh.com" => {
                Self::HardLink { file: fields.path()?, link: fields.path()? }
            }
            b"statvfs@openssh.com" => Self::FileSystem { path: fields.path()? },
            b"fstatvfs@openssh.com" => Self::HandleFileSystem { handle: fields.handle()? },
            b"fsync@openssh.com" => Self::Sync { handle: fields.handle()? },
            b"lsetstat@openssh.com" => {
                Self::SetLinkStat { path: fields.path()?, attributes: fields.attributes()? }
            }
            b"limits@openssh.com" => Self::Limits,
            b"expand-path@openssh.com" => Self::ExpandPath { path: fields.path()? },
            b"copy-data" => Self::CopyData(CopyData {
                from: fields.handle()?,
                from_offset: fields.long()?,
                length: fields.long()?,
                to: fields.handle()?,
                to_offset: fields.long()?,
            }),
            b"home-directory" => Self::HomeDirectory { user: fields.string()? },
            b"users-groups-by-id@openssh.com" => {
                Self::Names { users: fields.string()?, groups: fields.string()? }
            }
            _ => return Ok(None),
        }))
    }
}

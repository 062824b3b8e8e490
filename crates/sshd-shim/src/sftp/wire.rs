//! The fields of a packet, read out of its bytes: numbers, strings, paths and attributes.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sftp::attributes::{self, Attributes, Times};

/// In bytes (draft-ietf-secsh-filexfer-02, 6.2).
pub(super) const LONGEST_HANDLE: usize = 256;

/// What makes a packet unreadable, and ends the conversation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// Longer than anybody may send, or with nothing in it.
    #[error("sftp packet of {0} bytes")]
    Length(u32),
    /// Shorter than its fields.
    #[error("sftp packet cut short")]
    CutShort,
    /// With a handle that no server would have given.
    #[error("sftp handle of {0} bytes")]
    Handle(usize),
}

impl From<Malformed> for io::Error {
    fn from(fault: Malformed) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

/// What is left to read of a packet.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed::CutShort)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn number(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()? as usize;
        let (field, rest) = self.0.split_at_checked(length).ok_or(Malformed::CutShort)?;
        self.0 = rest;
        Ok(field)
    }

    pub(super) fn handle(&mut self) -> Result<&'a [u8], Malformed> {
        let handle = self.string()?;
        if handle.len() > LONGEST_HANDLE {
            return Err(Malformed::Handle(handle.len()));
        }
        Ok(handle)
    }

    /// The empty path is the working directory, as it is to the predecessor.
    pub(super) fn path(&mut self) -> Result<&'a Path, Malformed> {
        let name = self.string()?;
        Ok(Path::new(OsStr::from_bytes(if name.is_empty() { b"." } else { name })))
    }

    pub(super) fn attributes(&mut self) -> Result<Attributes, Malformed> {
        let flags = self.number()?;
        let has = |flag| flags & flag != 0;
        let read = Attributes {
            size: has(attributes::SIZE).then(|| self.long()).transpose()?,
            owner: has(attributes::OWNER)
                .then(|| Ok((self.number()?, self.number()?)))
                .transpose()?,
            permissions: has(attributes::PERMISSIONS).then(|| self.number()).transpose()?,
            times: has(attributes::TIMES)
                .then(|| Ok(Times { accessed: self.number()?, modified: self.number()? }))
                .transpose()?,
        };
        if has(attributes::EXTENDED) {
            for _ in 0..self.number()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(read)
    }
}

//! gzip as `gunzip` reads it: members one after the other, and whatever follows the last one is
//! passed over (platform, section 2.2).

use std::io::{self, BufRead, ErrorKind, Read};

use flate2::bufread::GzDecoder;

use super::GZIP_MAGIC;

/// The members' content, checked by their checksums.
#[derive(Debug)]
pub(super) struct Members<R: BufRead> {
    /// The member being read; `None` at the end.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Members<R> {
    pub(super) fn new(packed: R) -> Self {
        Self { member: Some(GzDecoder::new(packed)) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            match member.read(buffer) {
                Ok(0) if !buffer.is_empty() => {}
                Err(error) => return Err(in_words(error)),
                read => return read,
            }
            let Some(member) = self.member.take() else { break };
            let mut packed = member.into_inner();
            // A member's two first bytes may lie in two buffers: one is enough to go by, then.
            let next = packed.fill_buf()?;
            let begins = !next.is_empty() && GZIP_MAGIC.starts_with(&next[..next.len().min(2)]);
            self.member = begins.then(|| GzDecoder::new(packed));
        }
        Ok(0)
    }
}

/// Errors of the disk stay; flate2's own say what a user can act on.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        _ if error.raw_os_error().is_some() => error,
        ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the gzip data ends too early"),
        kind => io::Error::new(kind, format!("the gzip data is damaged: {error}")),
    }
}

//! `copy-data`: from one open file to another without the client in between.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{copy_file_range, fstat};
use rustix::io::{self, Errno};

/// What the system copies at a time, in bytes: between the steps it is seen whether the client is
/// still there.
const SYSTEM_STEP: u64 = 16 * 1024 * 1024;
/// What is copied at a time where the system cannot do it, in bytes.
const OWN_STEP: u64 = 64 * 1024;

/// What is still to be copied.
pub(super) struct Copy<'a> {
    pub(super) from: &'a File,
    pub(super) from_offset: u64,
    pub(super) to: &'a File,
    pub(super) to_offset: u64,
    /// In bytes; `None` is up to the end.
    pub(super) rest: Option<u64>,
    /// Whether the system's own call is still worth a try.
    pub(super) by_system: bool,
}

impl Copy<'_> {
    /// Whether it would read what it writes: then its end moves away before it, and the disk fills up.
    pub(super) fn is_within_one_file(&self) -> io::Result<bool> {
        let (from, to) = (fstat(self.from)?, fstat(self.to)?);
        Ok((from.st_dev, from.st_ino) == (to.st_dev, to.st_ino))
    }

    /// Copies as long as it `is_wanted`. Gives whether all was there to be copied.
    pub(super) fn run(&mut self, mut is_wanted: impl FnMut() -> bool) -> io::Result<bool> {
        while self.rest != Some(0) {
            let copied = self.step()?;
            if copied == 0 {
                return Ok(self.rest.is_none());
            }
            if !is_wanted() {
                return Err(Errno::PIPE);
            }
            self.from_offset = self.from_offset.saturating_add(copied);
            self.to_offset = self.to_offset.saturating_add(copied);
            self.rest = self.rest.map(|rest| rest.saturating_sub(copied));
        }
        Ok(true)
    }

    /// Copies a little and gives how many bytes it was; 0 at the end of the file.
    fn step(&mut self) -> io::Result<u64> {
        let rest = self.rest.unwrap_or(u64::MAX);
        if self.by_system {
            match self.ask_system(rest.min(SYSTEM_STEP)) {
                Ok(copied) if copied > 0 => return Ok(copied),
                // Not between these files, or nothing, which it says of some files with content.
                _ => self.by_system = false,
            }
        }
        self.carry(rest.min(OWN_STEP))
    }

    fn ask_system(&self, most: u64) -> io::Result<u64> {
        let (mut from, mut to) = (self.from_offset, self.to_offset);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        copy_file_range(self.from, Some(&mut from), self.to, Some(&mut to), most)
            .map(|copied| copied as u64)
    }

    fn carry(&self, most: u64) -> io::Result<u64> {
        let mut data = vec![0; usize::try_from(most).unwrap_or(usize::MAX)];
        let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        let read = self.from.read_at(&mut data, self.from_offset).map_err(errno)?;
        self.to.write_all_at(&data[..read], self.to_offset).map_err(errno)?;
        Ok(read as u64)
    }
}

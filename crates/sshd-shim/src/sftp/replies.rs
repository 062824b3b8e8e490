//! Answers, gathered in one buffer until they are sent.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sftp::attributes::{self, Attributes};
use crate::sftp::refusal::Refusal;
use crate::sftp::requests::EXTENSIONS;

const VERSION: u8 = 2;
const STATUS: u8 = 101;
const HANDLE: u8 = 102;
const DATA: u8 = 103;
const NAME: u8 = 104;
const ATTRIBUTES: u8 = 105;
const EXTENDED_REPLY: u8 = 201;

/// So many bytes are sent without waiting for more, even while requests are there to be answered.
const MANY: usize = 128 * 1024;

/// Answers that wait to be sent. The buffer's length only grows: its memory is cleared once, not for
/// every answer that data is read into.
#[derive(Default)]
pub(super) struct Replies {
    buffer: Vec<u8>,
    filled: usize,
}

/// Where an answer begins.
pub(super) struct Mark(usize);

/// An entry of a NAME answer.
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    /// A line as `ls -l` has it.
    pub(super) line: &'a [u8],
    pub(super) attributes: Attributes,
}

impl Replies {
    pub(super) fn are_many(&self) -> bool {
        self.filled >= MANY
    }

    /// Sends all there is, and sees to it that `output` keeps nothing back.
    pub(super) fn send(&mut self, output: &mut impl Write) -> io::Result<()> {
        if self.filled > 0 {
            output.write_all(&self.buffer[..self.filled])?;
            self.filled = 0;
            output.flush()?;
        }
        Ok(())
    }

    /// `length` bytes behind those that are filled.
    fn room(&mut self, length: usize) -> &mut [u8] {
        let end = self.filled + length;
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        &mut self.buffer[self.filled..end]
    }

    fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    fn number(&mut self, number: u32) {
        self.put(&number.to_be_bytes());
    }

    fn string(&mut self, bytes: &[u8]) {
        self.number(length_of(bytes.len()));
        self.put(bytes);
    }

    fn start(&mut self, kind: u8, id: u32) -> Mark {
        let started = Mark(self.filled);
        self.number(0);
        self.put(&[kind]);
        self.number(id);
        started
    }

    fn finish(&mut self, started: &Mark) {
        self.set_number(started.0, length_of(self.filled - started.0 - 4));
    }

    fn set_number(&mut self, at: usize, number: u32) {
        self.buffer[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }

    /// Version 3 and the extensions.
    pub(super) fn version(&mut self) {
        // The version stands where other answers have their id.
        let started = self.start(VERSION, 3);
        for (name, version) in EXTENSIONS {
            self.string(name.as_bytes());
            self.string(version.as_bytes());
        }
        self.finish(&started);
    }

    /// Status 0.
    pub(super) fn done(&mut self, id: u32) {
        self.status(id, 0, "");
    }

    pub(super) fn refusal(&mut self, id: u32, refusal: &Refusal) {
        self.status(id, refusal.code(), &refusal.to_string());
    }

    fn status(&mut self, id: u32, code: u32, text: &str) {
        let started = self.start(STATUS, id);
        self.number(code);
        self.string(text.as_bytes());
        self.string(b"");
        self.finish(&started);
    }

    pub(super) fn handle(&mut self, id: u32, handle: &str) {
        let started = self.start(HANDLE, id);
        self.string(handle.as_bytes());
        self.finish(&started);
    }

    pub(super) fn attributes(&mut self, id: u32, attributes: &Attributes) {
        let started = self.start(ATTRIBUTES, id);
        self.put_attributes(attributes);
        self.finish(&started);
    }

    pub(super) fn path(&mut self, id: u32, path: &Path) {
        let name = path.as_os_str().as_bytes();
        let names = self.start_names(id);
        self.entry(&Entry { name, line: name, attributes: Attributes::default() });
        self.finish_names(&names, 1);
    }

    pub(super) fn extended(&mut self, id: u32, fields: &[u8]) {
        let started = self.start(EXTENDED_REPLY, id);
        self.put(fields);
        self.finish(&started);
    }

    /// Up to `length` bytes of data that `read` puts in place; none is the end of the file, unless
    /// none were asked for.
    pub(super) fn data(
        &mut self,
        id: u32,
        length: usize,
        read: impl FnOnce(&mut [u8]) -> Result<usize, Refusal>,
    ) -> Result<(), Refusal> {
        let started = self.start(DATA, id);
        self.number(0);
        let size = read(self.room(length))?;
        if size == 0 && length > 0 {
            return Err(Refusal::End);
        }
        self.set_number(self.filled - 4, length_of(size));
        self.filled += size;
        self.finish(&started);
        Ok(())
    }

    /// Begins a NAME answer; [`Self::entry`] as often as need be and [`Self::finish_names`] follow.
    pub(super) fn start_names(&mut self, id: u32) -> Mark {
        let started = self.start(NAME, id);
        self.number(0);
        started
    }

    pub(super) fn entry(&mut self, entry: &Entry<'_>) {
        self.string(entry.name);
        self.string(entry.line);
        self.put_attributes(&entry.attributes);
    }

    pub(super) fn finish_names(&mut self, names: &Mark, count: u32) {
        // Behind length, type and id.
        self.set_number(names.0 + 9, count);
        self.finish(names);
    }

    /// Where the next answer begins.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.filled)
    }

    /// Forgets what was written since.
    pub(super) fn take_back(&mut self, to: &Mark) {
        self.filled = to.0;
    }

    fn put_attributes(&mut self, attributes: &Attributes) {
        let flags = attributes.size.map_or(0, |_| attributes::SIZE)
            | attributes.owner.map_or(0, |_| attributes::OWNER)
            | attributes.permissions.map_or(0, |_| attributes::PERMISSIONS)
            | attributes.times.map_or(0, |_| attributes::TIMES);
        self.number(flags);
        if let Some(size) = attributes.size {
            self.put(&size.to_be_bytes());
        }
        let numbers = [
            attributes.owner.map(|(user, _)| user),
            attributes.owner.map(|(_, group)| group),
            attributes.permissions,
            attributes.times.map(|times| times.accessed),
            attributes.times.map(|times| times.modified),
        ];
        for number in numbers.into_iter().flatten() {
            self.number(number);
        }
    }
}

/// The length as the wire has it: no answer is ever longer than 32 bits can say.
pub(super) fn length_of(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

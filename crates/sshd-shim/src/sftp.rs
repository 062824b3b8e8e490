//! The subsystem `sftp`: SSH file transfer protocol, version 3 (draft-ietf-secsh-filexfer-02), with
//! `OpenSSH`'s extensions; contract sshd 12.
//!
//! [`serve`] reads packets as they come and answers them in order. Answers gather until no further
//! request is there, so a client that keeps many requests under way costs few writes.

mod accounts;
mod attributes;
mod changes;
mod copying;
mod files;
mod handles;
mod listing;
mod operations;
mod refusal;
mod replies;
mod requests;
#[cfg(test)]
mod tests;
mod wire;

use std::io::{self, ErrorKind, Write};
use std::mem;

use crate::blocking::Source;
use crate::sftp::operations::Server;
use crate::sftp::replies::Replies;
use crate::sftp::requests::{WRITE, WriteHeader};
use crate::sftp::wire::Malformed;

/// The longest packet either way, in bytes, without its length field (contract sshd 12).
const LONGEST_PACKET: u32 = 256 * 1024;
/// The most data in one READ or WRITE, in bytes: what `OpenSSH`'s server allows.
const LONGEST_DATA: u32 = 255 * 1024;
/// What is kept of the memory that a request in pieces needed, in bytes.
const KEPT_FOR_REQUESTS: usize = 1024;

/// Answers the requests of `input` on `output`, until the client ends its side.
///
/// # Errors
///
/// What ends the conversation early: a packet that is empty, longer than 256 KiB or cut short, or
/// that does not hold the fields its type asks for; and errors of `input` and `output` themselves.
/// What was answered before has been sent.
pub fn serve(input: &mut impl Source, output: &mut impl Write) -> io::Result<()> {
    let mut conversation = Conversation {
        input,
        output,
        replies: Replies::default(),
        server: Server::default(),
        request: Vec::new(),
    };
    let outcome = conversation.run();
    let sent = conversation.replies.send(conversation.output);
    outcome.and(sent)
}

struct Conversation<'a, S, W> {
    input: &'a mut S,
    output: &'a mut W,
    replies: Replies,
    server: Server,
    /// Where a request that comes in pieces is put together.
    request: Vec<u8>,
}

impl<S: Source, W: Write> Conversation<'_, S, W> {
    fn run(&mut self) -> io::Result<()> {
        while !self.fill()?.is_empty() {
            let mut length = [0; 4];
            self.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length == 0 || length > LONGEST_PACKET {
                return Err(Malformed::Length(length).into());
            }
            self.answer(length as usize)?;
            if self.replies.are_many() {
                self.replies.send(self.output)?;
            }
        }
        Ok(())
    }

    /// Bytes of the client, waited for if there are none: not before the answers so far are sent.
    fn fill(&mut self) -> io::Result<&[u8]> {
        if !self.input.ready() {
            self.replies.send(self.output)?;
        }
        self.input.fill_buf()
    }

    fn read_exact(&mut self, mut into: &mut [u8]) -> io::Result<()> {
        while !into.is_empty() {
            let piece = self.fill()?;
            let size = piece.len().min(into.len());
            if size == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let (filled, rest) = into.split_at_mut(size);
            filled.copy_from_slice(&piece[..size]);
            into = rest;
            self.input.consume(size);
        }
        Ok(())
    }

    /// Answers the request of the next `length` bytes. What is there as a whole is not copied, and
    /// neither is the data of a WRITE that is not.
    fn answer(&mut self, length: usize) -> io::Result<()> {
        let start = self.fill()?;
        if start.len() >= length {
            let request = &self.input.fill_buf()?[..length];
            self.server.answer(request, &mut self.replies, self.output)?;
            self.input.consume(length);
            return Ok(());
        }
        if start.first() == Some(&WRITE) {
            return self.write(length);
        }
        let mut request = mem::take(&mut self.request);
        request.resize(length, 0);
        self.read_exact(&mut request)?;
        self.server.answer(&request, &mut self.replies, self.output)?;
        request.truncate(KEPT_FOR_REQUESTS);
        request.shrink_to(KEPT_FOR_REQUESTS);
        self.request = request;
        Ok(())
    }

    /// Answers the WRITE of the next `length` bytes, piece by piece as its data comes.
    fn write(&mut self, length: usize) -> io::Result<()> {
        let mut header = [0; WriteHeader::LONGEST];
        let header = self.write_header(&mut header, length)?;
        // An unknown handle is one without data too.
        let mut outcome = self.server.write(header.handle, header.offset, b"");
        let mut position = header.offset;
        let mut data = header.length as usize;
        while data > 0 {
            self.fill()?;
            let piece = self.input.fill_buf()?;
            let piece = &piece[..piece.len().min(data)];
            if piece.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            // Nothing is written behind what could not be.
            outcome = outcome.and_then(|()| self.server.write(header.handle, position, piece));
            let size = piece.len();
            self.input.consume(size);
            position = position.saturating_add(size as u64);
            data -= size;
        }
        self.skip(header.excess)?;
        match outcome {
            Ok(()) => self.replies.done(header.id),
            Err(refusal) => self.replies.refusal(header.id, &refusal),
        }
        Ok(())
    }

    /// Reads a WRITE up to its data.
    fn write_header<'h>(
        &mut self,
        bytes: &'h mut [u8; WriteHeader::LONGEST],
        length: usize,
    ) -> io::Result<WriteHeader<'h>> {
        let start = bytes.get_mut(..WriteHeader::START.min(length)).unwrap_or_default();
        self.read_exact(start)?;
        let size = WriteHeader::size(start)?.min(length);
        let rest = bytes.get_mut(WriteHeader::START..size).unwrap_or_default();
        self.read_exact(rest)?;
        Ok(WriteHeader::decode(bytes.get(..size).unwrap_or_default(), length)?)
    }

    fn skip(&mut self, mut bytes: usize) -> io::Result<()> {
        while bytes > 0 {
            let size = self.fill()?.len().min(bytes);
            if size == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.input.consume(size);
            bytes -= size;
        }
        Ok(())
    }
}

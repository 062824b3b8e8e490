//! Reads the header of an HTTP answer piece by piece in little memory: status, redirect, and how
//! long the body is. Everything else is skipped (contract, section 6.4).

/// What the check wants to know of an answer's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Three digits as the app sent them: 0 to 999.
    pub status: u16,
    /// Where a redirect leads, byte for byte; empty if nowhere.
    pub location: Vec<u8>,
    /// How the end of the body is found.
    pub framing: Framing,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the chunk of size zero.
    Chunked,
    /// When the app closes the connection.
    UntilClose,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Another protocol's answer, or no protocol's.
pub const NO_STATUS_LINE: Malformed = Malformed("it does not begin with a status line");

/// A header longer than this is refused.
const HEADER_LIMIT: usize = 10 << 20;
/// Bytes kept of one line. Longer lines are skipped, unless they matter.
const LINE_LIMIT: usize = 8 << 10;

/// The state between two pieces of a header.
#[derive(Debug, Default)]
pub struct HeadParser {
    /// Bytes seen so far.
    seen: usize,
    /// The line being read, without its end, at most [`LINE_LIMIT`] bytes.
    line: Vec<u8>,
    /// Length of the line being read.
    line_length: usize,
    /// The header field whose continuation lines may follow.
    field: Vec<u8>,
    /// The field or the line did not fit.
    field_is_cut: bool,
    version_and_status: Option<([u8; 2], u16)>,
    location: Option<Vec<u8>>,
    length: Option<Vec<u8>>,
    lengths_differ: bool,
    transfer_encoding: Option<Vec<u8>>,
    transfer_encodings: usize,
}

impl HeadParser {
    /// Takes the next piece. At the end of the header gives it with the number of bytes of `piece`
    /// that belong to it; `None` asks for more.
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.keep(&rest[..end])?;
            rest = &rest[end + 1..];
            self.seen += 1;
            if let Some(head) = self.end_line()? {
                return Ok(Some((head, piece.len() - rest.len())));
            }
        }
        self.keep(rest)?;
        Ok(None)
    }

    /// Whether anything was read yet.
    pub fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// Whether what was read so far cannot become an answer.
    pub fn is_foreign(&self) -> bool {
        let is_begin = || self.line.iter().zip(b"HTTP/").all(|(ours, theirs)| ours == theirs);
        self.version_and_status.is_none() && !is_begin()
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        self.seen += bytes.len();
        if self.seen > HEADER_LIMIT {
            return Err(Malformed("its header is longer than 10 MiB"));
        }
        if self.version_and_status.is_some() && bytes.contains(&0) {
            return Err(Malformed("its header holds a NUL byte"));
        }
        let room = LINE_LIMIT - self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.line_length += bytes.len();
        Ok(())
    }

    /// Handles the line just completed; gives the head if it was the empty one.
    fn end_line(&mut self) -> Result<Option<Head>, Malformed> {
        let mut line = std::mem::take(&mut self.line);
        let is_cut = std::mem::take(&mut self.line_length) > line.len();
        if line.last() == Some(&b'\r') && !is_cut {
            line.pop();
        }
        if self.version_and_status.is_none() {
            self.version_and_status = Some(status_line(&line)?);
        } else if line.is_empty() {
            self.end_field()?;
            return self.finish().map(Some);
        } else if matches!(line[0], b' ' | b'\t') {
            self.continue_field(&line, is_cut)?;
        } else {
            self.end_field()?;
            self.field.extend_from_slice(&line);
            self.field_is_cut = is_cut;
        }
        line.clear();
        self.line = line;
        Ok(None)
    }

    /// A line that begins with white space goes on with the field before it.
    fn continue_field(&mut self, line: &[u8], is_cut: bool) -> Result<(), Malformed> {
        if self.field.is_empty() {
            return Err(Malformed("its first header line begins with a blank"));
        }
        let line = line.trim_ascii();
        if is_cut || self.field.len() + line.len() >= LINE_LIMIT {
            self.field_is_cut = true;
        } else {
            self.field.push(b' ');
            self.field.extend_from_slice(line);
        }
        Ok(())
    }

    /// Takes what matters from the field that is now complete.
    fn end_field(&mut self) -> Result<(), Malformed> {
        let field = std::mem::take(&mut self.field);
        if field.is_empty() {
            return Ok(());
        }
        let Some(colon) = field.iter().position(|&byte| byte == b':') else {
            return Err(Malformed("a header line has no colon"));
        };
        if colon == 0 {
            return Err(Malformed("a header line has no name"));
        }
        let is_cut = std::mem::take(&mut self.field_is_cut);
        let value = field[colon + 1..].trim_ascii();
        match field[..colon].to_ascii_lowercase().as_slice() {
            b"location" | b"content-length" | b"transfer-encoding" if is_cut => {
                Err(Malformed("a header line is longer than 8 KiB"))
            }
            b"location" => {
                self.location.get_or_insert_with(|| value.to_vec());
                Ok(())
            }
            b"content-length" => {
                let first = self.length.get_or_insert_with(|| value.to_vec());
                self.lengths_differ |= first != value;
                Ok(())
            }
            b"transfer-encoding" => {
                self.transfer_encodings += 1;
                self.transfer_encoding = Some(value.to_vec());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<Head, Malformed> {
        let (version, status) = self.version_and_status.unwrap_or_default();
        let framing = self.framing(version >= *b"11")?;
        // These never have a body.
        let framing = match status {
            100..200 | 204 | 304 => Framing::Length(0),
            _ => framing,
        };
        Ok(Head { status, location: self.location.take().unwrap_or_default(), framing })
    }

    fn framing(&self, knows_chunks: bool) -> Result<Framing, Malformed> {
        if let Some(encoding) = self.transfer_encoding.as_ref().filter(|_| knows_chunks) {
            return if self.transfer_encodings == 1 && encoding.eq_ignore_ascii_case(b"chunked") {
                Ok(Framing::Chunked)
            } else {
                Err(Malformed("its Transfer-Encoding is not chunked"))
            };
        }
        if self.lengths_differ {
            return Err(Malformed("it has two different Content-Lengths"));
        }
        let Some(text) = &self.length else { return Ok(Framing::UntilClose) };
        decimal(text).map(Framing::Length).ok_or(Malformed("its Content-Length is not a number"))
    }
}

/// `HTTP/d.d`, blanks, three digits, nothing or a blank and the reason. Gives the version's digits
/// and the status.
fn status_line(line: &[u8]) -> Result<([u8; 2], u16), Malformed> {
    let Some((version, rest)) = line.split_first_chunk::<8>() else { return Err(NO_STATUS_LINE) };
    let &[b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = version else {
        return Err(NO_STATUS_LINE);
    };
    let code = &rest[rest.iter().take_while(|&&byte| byte == b' ').count()..];
    let code_end = code.iter().position(|&byte| byte == b' ').unwrap_or(code.len());
    let is_apart = rest.first() == Some(&b' ');
    let is_version = major.is_ascii_digit() && minor.is_ascii_digit();
    if !is_apart || !is_version || code_end != 3 {
        return Err(NO_STATUS_LINE);
    }
    let status =
        decimal(&code[..3]).and_then(|status| u16::try_from(status).ok()).ok_or(NO_STATUS_LINE)?;
    Ok(([major, minor], status))
}

/// Digits only, at most 63 bits.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: i64 = str::from_utf8(text).ok()?.parse().ok()?;
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests;

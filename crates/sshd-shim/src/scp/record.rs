//! The lines of the protocol: `C0644 5 name`, `D0755 0 name`, `E`, `T1 0 2 0` (contract sshd 10.2).

use std::borrow::Cow;
use std::fs::FileTimes;
use std::time::{Duration, SystemTime};

/// What the source says next.
#[derive(Debug, PartialEq, Eq)]
pub enum Record {
    /// `C`: a file follows.
    File(Entry),
    /// `D`: a directory follows, until its `E`.
    Directory(Entry),
    /// `E`: the directory is complete.
    End,
    /// `T`: of what comes next.
    Times(Times),
    /// Byte 1: something could not be sent.
    Warning,
    /// Byte 2, and why the source gives up.
    Fatal(Vec<u8>),
}

/// A file or a directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Permission bits, the special ones included.
    pub mode: u32,
    /// In bytes; at most `i64::MAX`.
    pub size: u64,
    /// A name: not empty, not `..`, without `/` and NUL. Only a directory's may be `.`.
    pub name: Vec<u8>,
}

/// When an entry was changed and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    modified: SystemTime,
    accessed: SystemTime,
}

impl Times {
    /// As the system's call wants them.
    pub fn to_file_times(self) -> FileTimes {
        FileTimes::new().set_modified(self.modified).set_accessed(self.accessed)
    }
}

/// A line that is no record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Begins with none of `C D E T`.
    #[error("unexpected message type: {0}")]
    Type(char),
    /// A mode or size with other than digits.
    #[error("strconv.{0}: parsing \"{1}\": invalid syntax")]
    Number(&'static str, String),
    /// A mode or size beyond what there is.
    #[error("strconv.{0}: parsing \"{1}\": value out of range")]
    Range(&'static str, String),
    /// Parts are missing.
    #[error("protocol error: malformed record")]
    Parts,
    /// A name that would leave the directory, as OpenSSH says it.
    #[error("error: unexpected filename: {0}")]
    Name(String),
}

impl Record {
    /// Reads a line, without its newline.
    pub fn parse(line: &[u8]) -> Result<Self, Malformed> {
        let (&kind, rest) = line.split_first().ok_or(Malformed::Type('\n'))?;
        Ok(match kind {
            b'C' => Self::File(entry(rest).and_then(|entry| named(entry, &[b".", b".."]))?),
            // `scp -r . host:dir` says `D0755 0 .`: the target itself.
            b'D' => Self::Directory(entry(rest).and_then(|entry| named(entry, &[b".."]))?),
            b'E' => Self::End,
            b'T' => Self::Times(times(rest)?),
            1 => Self::Warning,
            2 => Self::Fatal(rest.to_vec()),
            other => return Err(Malformed::Type(char::from(other))),
        })
    }
}

fn entry(text: &[u8]) -> Result<Entry, Malformed> {
    let mut parts = text.splitn(3, |&byte| byte == b' ');
    let (Some(mode), Some(size), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Malformed::Parts);
    };
    let mode = number("ParseUint", mode, 8)?;
    Ok(Entry {
        mode: (mode & 0o7777) as u32,
        size: number("ParseInt", size, 10)?,
        name: name.to_vec(),
    })
}

/// Refuses names that lead elsewhere, or nowhere.
fn named(entry: Entry, refused: &[&[u8]]) -> Result<Entry, Malformed> {
    let name = entry.name.as_slice();
    if name.is_empty() || refused.contains(&name) || name.contains(&b'/') || name.contains(&0) {
        return Err(Malformed::Name(lossy(name)));
    }
    Ok(entry)
}

/// Digits only: no sign, no blank. At most `i64::MAX`.
fn number(function: &'static str, text: &[u8], radix: u32) -> Result<u64, Malformed> {
    let mut number: u64 = 0;
    for &byte in text {
        let digit = char::from(byte)
            .to_digit(radix)
            .ok_or_else(|| Malformed::Number(function, lossy(text)))?;
        let next = number
            .checked_mul(u64::from(radix))
            .and_then(|number| number.checked_add(u64::from(digit)));
        number = next
            .filter(|&number| i64::try_from(number).is_ok())
            .ok_or_else(|| Malformed::Range(function, lossy(text)))?;
    }
    if text.is_empty() { Err(Malformed::Number(function, String::new())) } else { Ok(number) }
}

fn times(text: &[u8]) -> Result<Times, Malformed> {
    let parts: Vec<&[u8]> = text.split(|&byte| byte == b' ').take(5).collect();
    let [modified, modified_part, accessed, accessed_part] = parts[..] else {
        return Err(Malformed::Parts);
    };
    Ok(Times { modified: time(modified, modified_part)?, accessed: time(accessed, accessed_part)? })
}

fn time(seconds: &[u8], microseconds: &[u8]) -> Result<SystemTime, Malformed> {
    let microseconds = number("ParseInt", microseconds, 10)?;
    if microseconds > 999_999 {
        return Err(Malformed::Range("ParseInt", microseconds.to_string()));
    }
    let since_epoch =
        Duration::from_secs(number("ParseInt", seconds, 10)?) + Duration::from_micros(microseconds);
    SystemTime::UNIX_EPOCH
        .checked_add(since_epoch)
        .ok_or_else(|| Malformed::Range("ParseInt", lossy(seconds)))
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A text that fits in a line, as OpenSSH writes newlines in names.
pub fn in_one_line(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\n') {
        return text.into();
    }
    let parts: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    parts.join(br"\^J".as_slice()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read() {
        let entry = |mode, size, name: &str| Entry { mode, size, name: name.into() };
        for (line, record) in [
            ("C0644 5 name", Record::File(entry(0o644, 5, "name"))),
            (
                "C6755 9223372036854775807 a b ",
                Record::File(entry(0o6755, i64::MAX as u64, "a b ")),
            ),
            ("C100644 0 ..a", Record::File(entry(0o644, 0, "..a"))),
            ("D0755 0 dir", Record::Directory(entry(0o755, 0, "dir"))),
            ("D0755 0 .", Record::Directory(entry(0o755, 0, "."))),
            ("E", Record::End),
            ("\u{1}scp: x: gone", Record::Warning),
            ("\u{2}over", Record::Fatal(b"over".to_vec())),
        ] {
            assert_eq!(Record::parse(line.as_bytes()), Ok(record), "{line:?}");
        }
        let at = |seconds, microseconds: u32| {
            SystemTime::UNIX_EPOCH + Duration::new(seconds, microseconds * 1000)
        };
        let times = Times { modified: at(1_700_000_000, 0), accessed: at(5, 999_999) };
        assert_eq!(Record::parse(b"T1700000000 0 5 999999"), Ok(Record::Times(times)));
    }

    #[test]
    fn what_is_no_record_is_said_in_the_predecessors_words() {
        for (line, text) in [
            ("", "unexpected message type: \n"),
            ("X", "unexpected message type: X"),
            ("C0644 five x", "strconv.ParseInt: parsing \"five\": invalid syntax"),
            ("C0644 -5 x", "strconv.ParseInt: parsing \"-5\": invalid syntax"),
            ("C0644  x", "strconv.ParseInt: parsing \"\": invalid syntax"),
            ("C0999 5 x", "strconv.ParseUint: parsing \"0999\": invalid syntax"),
            (
                "C0644 9223372036854775808 x",
                "strconv.ParseInt: parsing \"9223372036854775808\": value out of range",
            ),
            ("C0644 5", "protocol error: malformed record"),
            ("C", "protocol error: malformed record"),
            ("T1 0 2", "protocol error: malformed record"),
            ("T1 0 2 0 3", "protocol error: malformed record"),
            ("T1 1000000 2 0", "strconv.ParseInt: parsing \"1000000\": value out of range"),
        ] {
            assert_eq!(Record::parse(line.as_bytes()).unwrap_err().to_string(), text, "{line:?}");
        }
    }

    #[test]
    fn names_that_lead_out_of_the_directory_are_refused() {
        for name in ["", "..", "../x", "/etc/passwd", "a/b", "a/", "a\0b"] {
            for kind in ["C0644 5", "D0755 0"] {
                let line = format!("{kind} {name}");
                assert_eq!(
                    Record::parse(line.as_bytes()),
                    Err(Malformed::Name(name.to_owned())),
                    "{line:?}"
                );
            }
        }
        assert_eq!(Record::parse(b"C0644 5 ."), Err(Malformed::Name(".".to_owned())));
    }
}

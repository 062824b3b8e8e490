//! An app's log: lines as `cf logs` shows them, in a file that several readers may follow.
//!
//! Rules of the platform (its contract, 10): output is split at `\n` and `\r`, empty lines are dropped, and a line
//! longer than 61,440 bytes is cut at a letter's boundary.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use lifecycle::file;
use serde::Serialize;

/// A line is cut here, in bytes.
const LONGEST_LINE: usize = 61_440;
/// A log file larger than this becomes `log.1`, in bytes.
const LARGEST_FILE: u64 = 10 << 20;

/// Which of a process's streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Stream {
    /// Standard output.
    #[serde(rename = "out")]
    Out,
    /// Standard error.
    #[serde(rename = "err")]
    Error,
}

/// A line of a log, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Line<'a> {
    /// When it was written.
    pub(crate) time: &'a str,
    /// Who wrote it: `APP/PROC/WEB/0`.
    pub(crate) source: &'a str,
    /// Where.
    pub(crate) stream: Stream,
    /// What.
    pub(crate) text: &'a str,
}

impl<'a> Line<'a> {
    /// The line as [`Log`] writes it, with or without its end; `None` for any other.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let (time, rest) = line.trim_start_matches(' ').split_once(" [")?;
        let (source, rest) = rest.split_once("] ")?;
        let (stream, text) = match rest.split_once(' ')? {
            ("OUT", text) => (Stream::Out, text),
            ("ERR", text) => (Stream::Error, text),
            _ => return None,
        };
        Some(Self { time, source, stream, text })
    }

    /// What stands before its text.
    pub(crate) fn head(&self) -> String {
        head(self.time, self.source, self.stream)
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.head(), self.text)
    }
}

/// Where lines go. Clones write to the same file.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    file: Arc<Mutex<LogFile>>,
}

#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Log {
    /// Appends to the file at `path`, which is made (0600) if need be.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file: Arc::new(Mutex::new(LogFile { path: path.to_owned(), file, size })) })
    }

    /// Writes one line of `source` (`APP/PROC/WEB/0`). A full disk loses the line, not the app.
    pub(crate) fn line(&self, source: &str, stream: Stream, text: &[u8]) {
        let mut line = head(&time(Timestamp::now()), source, stream).into_bytes();
        line.extend_from_slice(text);
        line.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).append(&line);
    }

    /// Writes what `stream` of a process says, until it ends.
    pub(crate) fn follow(&self, source: &str, stream: Stream, mut output: impl Read) {
        let mut lines = Lines::default();
        let mut chunk = vec![0; 16 << 10];
        loop {
            match output.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => {
                    lines.push(chunk.get(..length).unwrap_or_default(), |line| {
                        self.line(source, stream, line);
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lines.finish(|line| self.line(source, stream, line));
    }
}

impl LogFile {
    /// One write a line, so that readers see whole lines.
    fn append(&mut self, line: &[u8]) {
        let _next_time = self.make_room();
        if self.file.write_all(line).is_ok() {
            self.size += line.len() as u64;
        }
    }

    /// Begins a new file where this one is too large, or where another process has begun one.
    fn make_room(&mut self) -> io::Result<()> {
        let is_current = file::is_at(&self.file, &self.path);
        if is_current && self.size <= LARGEST_FILE {
            return Ok(());
        }
        if is_current {
            fs::rename(&self.path, self.path.with_extension("1"))?;
        }
        self.file = open(&self.path)?;
        self.size = self.file.metadata()?.len();
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// `2026-11-21T14:00:00.12+0000`.
fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%2f+0000").to_string()
}

/// `   2026-11-21T14:00:00.12+0000 [APP/PROC/WEB/0] OUT `.
fn head(time: &str, source: &str, stream: Stream) -> String {
    let stream = match stream {
        Stream::Out => "OUT",
        Stream::Error => "ERR",
    };
    format!("   {time} [{source}] {stream} ")
}

/// Splits a stream into lines.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, chunk: &[u8], mut line: impl FnMut(&[u8])) {
        for piece in chunk.split_inclusive(|&byte| matches!(byte, b'\n' | b'\r')) {
            let (text, ended) = match piece {
                [text @ .., b'\n' | b'\r'] => (text, true),
                text => (text, false),
            };
            self.partial.extend_from_slice(text);
            while self.partial.len() > LONGEST_LINE {
                let rest = self.partial.split_off(boundary(&self.partial));
                line(&std::mem::replace(&mut self.partial, rest));
            }
            if ended {
                self.finish(&mut line);
            }
        }
    }

    fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            line(&self.partial);
            self.partial.clear();
        }
    }
}

/// Where to cut a line that is too long: at the last letter's beginning, but not in the middle of one.
fn boundary(text: &[u8]) -> usize {
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    (LONGEST_LINE - 3..=LONGEST_LINE).rev().find(|&at| !is_inside(at)).unwrap_or(LONGEST_LINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let mut keep = |line: &[u8]| found.push(String::from_utf8_lossy(line).into_owned());
        for chunk in chunks {
            lines.push(chunk, &mut keep);
        }
        lines.finish(&mut keep);
        found
    }

    #[test]
    fn output_is_split_into_lines_and_empty_ones_are_dropped() {
        assert_eq!(split(&[b"a\n\nb\rc", b"d\r\n", b"", b"e"]), ["a", "b", "cd", "e"]);
    }

    #[test]
    fn long_lines_are_cut_between_letters() {
        let text = format!("{}é and more\n", "x".repeat(LONGEST_LINE - 1));
        let lines = split(&[text.as_bytes()]);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].len(), lines[1].as_str()), (LONGEST_LINE - 1, "é and more"));
    }

    #[test]
    fn a_line_begins_with_time_source_and_stream() {
        let at: Timestamp = "2026-11-21T14:00:00.129Z".parse().unwrap();
        let written = format!("{}[x] y", head(&time(at), "STG/0", Stream::Error));
        assert_eq!(written, "   2026-11-21T14:00:00.12+0000 [STG/0] ERR [x] y");
        let line = Line::parse(&written).unwrap();
        assert_eq!(
            (line.source, line.stream, line.text, line.to_string()),
            ("STG/0", Stream::Error, "[x] y", written.clone())
        );
        assert_eq!(Line::parse("anything [else] there"), None);
    }

    /// Its lines went to the old one, which nobody reads, and then nowhere.
    #[test]
    fn who_writes_to_a_log_that_another_process_began_anew_goes_on_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = Log::open(&path).unwrap();
        log.line("CELL/0", Stream::Out, b"one");
        fs::rename(&path, directory.path().join("log.1")).unwrap();
        fs::write(&path, "begun\n").unwrap();
        log.line("CELL/0", Stream::Out, b"two");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("begun\n") && text.ends_with(" two\n"), "{text}");
    }

    #[test]
    fn a_log_that_grew_too_large_begins_anew_and_keeps_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, vec![b'x'; usize::try_from(LARGEST_FILE).unwrap() + 1]).unwrap();
        let log = Log::open(&path).unwrap();
        log.follow("CELL/0", Stream::Out, &b"one\ntwo"[..]);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().map(|line| line.rsplit_once(' ').unwrap().1).collect::<Vec<_>>(),
            ["one", "two"]
        );
        assert_eq!(fs::metadata(directory.path().join("log.1")).unwrap().len(), LARGEST_FILE + 1);
    }
}

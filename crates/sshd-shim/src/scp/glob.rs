//! Wildcards in the paths that a client asks for: `*`, `?`, `[a-z]`, `[^a-z]` and `\` (contract sshd
//! 10.3). A star also stands for names with a leading dot.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::expansion::LONGEST;
use super::options::UsageError;

/// A name's part beyond this is no pattern, in bytes: no name is that long.
const LONGEST_PATTERN: usize = 4096;

/// The paths that `pattern` stands for, sorted by directory and name. What exists as it is written, what
/// is no pattern, and what nothing matches stands for itself.
pub fn expand(pattern: &[u8]) -> Result<Vec<Vec<u8>>, UsageError> {
    let itself = || vec![pattern.to_vec()];
    if !is_pattern(pattern) || fs::symlink_metadata(OsStr::from_bytes(pattern)).is_ok() {
        return Ok(itself());
    }
    let found = matches(pattern)?;
    Ok(if found.is_empty() { itself() } else { found })
}

fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[\\".contains(byte))
}

fn matches(pattern: &[u8]) -> Result<Vec<Vec<u8>>, UsageError> {
    let root: &[u8] = if pattern.starts_with(b"/") { b"/" } else { b"" };
    let mut found = vec![root.to_vec()];
    for part in pattern.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        if is_pattern(part) {
            let Some(part) = Pattern::parse(part) else { return Ok(Vec::new()) };
            found = below(&found, &part)?;
        } else {
            for directory in &mut found {
                append(directory, part);
            }
        }
    }
    let must_be_directory = pattern.ends_with(b"/");
    found.retain(|path| {
        fs::symlink_metadata(OsStr::from_bytes(path)).is_ok()
            && (!must_be_directory || Path::new(OsStr::from_bytes(path)).is_dir())
    });
    Ok(found)
}

/// All names that match, of all `directories`; those that cannot be read have none.
fn below(directories: &[Vec<u8>], pattern: &Pattern) -> Result<Vec<Vec<u8>>, UsageError> {
    let mut found = Vec::new();
    let mut size = 0;
    for directory in directories {
        let read =
            fs::read_dir(OsStr::from_bytes(if directory.is_empty() { b"." } else { directory }));
        let names = read.into_iter().flatten().flatten().map(|entry| entry.file_name().into_vec());
        let first = found.len();
        for name in names.filter(|name| pattern.matches(name)) {
            let mut path = directory.clone();
            append(&mut path, &name);
            size += path.len();
            if size > LONGEST {
                return Err(UsageError::TooLong);
            }
            found.push(path);
        }
        found[first..].sort_unstable();
    }
    Ok(found)
}

fn append(directory: &mut Vec<u8>, name: &[u8]) {
    if !directory.is_empty() && !directory.ends_with(b"/") {
        directory.push(b'/');
    }
    directory.extend_from_slice(name);
}

/// A pattern for one name.
#[derive(Debug)]
pub struct Pattern(Vec<Token>);

#[derive(Debug)]
enum Token {
    One(u32),
    Any,
    Star,
    Class { negated: bool, ranges: Vec<(u32, u32)> },
}

impl Pattern {
    /// `None` when it is malformed: an open bracket, a backslash at the end.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > LONGEST_PATTERN {
            return None;
        }
        let mut letters = letters(text).into_iter();
        let mut tokens = Vec::new();
        while let Some(letter) = letters.next() {
            tokens.push(match u8::try_from(letter) {
                Ok(b'*') => Token::Star,
                Ok(b'?') => Token::Any,
                Ok(b'\\') => Token::One(letters.next()?),
                Ok(b'[') => class(&mut letters)?,
                _ => Token::One(letter),
            });
        }
        Some(Self(tokens))
    }

    /// Whether the whole `name` matches. Only the last star seen is tried anew: linear in memory, and
    /// in time at most the product of both lengths.
    pub fn matches(&self, name: &[u8]) -> bool {
        let name = letters(name);
        let (mut token, mut letter) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while letter < name.len() {
            match self.0.get(token) {
                Some(Token::Star) => {
                    token += 1;
                    star = Some((token, letter));
                }
                Some(one) if one.stands_for(name[letter]) => {
                    (token, letter) = (token + 1, letter + 1);
                }
                _ => {
                    let Some((after, from)) = star else { return false };
                    star = Some((after, from + 1));
                    (token, letter) = (after, from + 1);
                }
            }
        }
        self.0[token..].iter().all(|rest| matches!(rest, Token::Star))
    }
}

impl Token {
    fn stands_for(&self, letter: u32) -> bool {
        match self {
            Self::One(one) => *one == letter,
            Self::Any => true,
            Self::Star => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|&(from, to)| (from..=to).contains(&letter)) != *negated
            }
        }
    }
}

/// What stands between brackets; the opening one is read already.
fn class(letters: &mut impl Iterator<Item = u32>) -> Option<Token> {
    let mut letters = letters.peekable();
    let negated =
        letters.next_if(|&letter| letter == u32::from(b'^') || letter == u32::from(b'!')).is_some();
    let mut ranges = Vec::new();
    loop {
        let mut from = letters.next()?;
        // A bracket that closes nothing stands for itself.
        if from == u32::from(b']') && !ranges.is_empty() {
            return Some(Token::Class { negated, ranges });
        }
        if from == u32::from(b'\\') {
            from = letters.next()?;
        }
        ranges.push((from, from));
        // A dash before the closing bracket is a letter, and read as such in the next round.
        if letters.next_if_eq(&u32::from(b'-')).is_some() {
            match *letters.peek()? {
                end if end == u32::from(b']') => ranges.push((u32::from(b'-'), u32::from(b'-'))),
                _ => {
                    let to = letters
                        .next()
                        .filter(|&to| to != u32::from(b'\\'))
                        .or_else(|| letters.next())?;
                    ranges.push((from, to));
                }
            }
        }
    }
}

/// A text as letters, so that `?` stands for an `ä`. Bytes that are no UTF-8 are letters of their own.
fn letters(text: &[u8]) -> Vec<u32> {
    let mut letters = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        letters.extend(chunk.valid().chars().map(u32::from));
        letters
            .extend(chunk.invalid().iter().map(|&byte| u32::from(char::MAX) + 1 + u32::from(byte)));
    }
    letters
}

#[cfg(test)]
mod tests;

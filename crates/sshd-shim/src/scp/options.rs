//! The options of `scp`, with the rules of traditional getopt (contract sshd 10.1).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// What is wrong with a command.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// A quote is not closed, or the text ends with a backslash.
    #[error("unterminated quote in the command")]
    UnterminatedQuote,
    /// Braces, variables or wildcards stand for more than fits.
    #[error("argument list too long")]
    TooLong,
    /// The first word is `scp""x`, say.
    #[error("Usage: scp -f|-t [-r] [-p] [-d] [-v] [-q] path ...")]
    NotScp,
    /// An option that is none of `-t -f -d -v -p -r -q`.
    #[error("unknown option: -{0}")]
    UnknownOption(char),
    /// Neither or both of `-t` and `-f`.
    #[error("Must specify either target mode(-t) or source mode(-f) at a time")]
    Direction,
    /// `-f` without a path.
    #[error("Must specify at least one source in source mode")]
    NoSource,
    /// `-t` with no path, or several.
    #[error("Must specify one target in target mode")]
    NoTarget,
}

/// Which way the files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `-f`: to the client.
    Source,
    /// `-t`: from the client.
    Sink,
}

/// A command, understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// `-f` or `-t`.
    pub direction: Direction,
    /// `-r`: directories are sent, too. They are received without it.
    pub recursive: bool,
    /// `-p`: modes and times go along.
    pub preserve: bool,
    /// `-d`: the target must be a directory.
    pub into_directory: bool,
    /// One target, or one source and more.
    pub paths: Vec<PathBuf>,
}

impl Options {
    /// Reads `words`, of which the first is `scp`. Options may be joined, and end at the first word that
    /// is none, or at `--`.
    pub fn parse(words: Vec<Vec<u8>>) -> Result<Self, UsageError> {
        let mut words = words.into_iter().peekable();
        if words.next().is_none_or(|word| word != b"scp") {
            return Err(UsageError::NotScp);
        }
        let mut letters = Vec::new();
        while let Some(word) = words.next_if(|word| word.len() > 1 && word[0] == b'-') {
            if word == b"--" {
                break;
            }
            letters.extend_from_slice(&word[1..]);
        }
        if let Some(unknown) = letters.iter().find(|letter| !b"tfdvprq".contains(letter)) {
            return Err(UsageError::UnknownOption(char::from(*unknown)));
        }
        let has = |letter: u8| letters.contains(&letter);
        let direction = match (has(b'f'), has(b't')) {
            (true, false) => Direction::Source,
            (false, true) => Direction::Sink,
            _ => return Err(UsageError::Direction),
        };
        let paths: Vec<PathBuf> = words.map(|word| OsString::from_vec(word).into()).collect();
        match (direction, paths.len()) {
            (Direction::Source, 0) => return Err(UsageError::NoSource),
            (Direction::Sink, 0 | 2..) => return Err(UsageError::NoTarget),
            _ => {}
        }
        Ok(Self {
            direction,
            recursive: has(b'r'),
            preserve: has(b'p'),
            into_directory: has(b'd'),
            paths,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(command: &str) -> Result<Options, UsageError> {
        Options::parse(command.split(' ').map(|word| word.as_bytes().to_vec()).collect())
    }

    #[test]
    fn options_may_be_joined_and_end_at_the_first_word_that_is_none() {
        let options = parse("scp -vqrp -d -t /x").unwrap();
        assert_eq!(
            options,
            Options {
                direction: Direction::Sink,
                recursive: true,
                preserve: true,
                into_directory: true,
                paths: vec!["/x".into()]
            }
        );
        for (command, paths) in [
            ("scp -f -- -x", vec!["-x"]),
            ("scp -f a -r", vec!["a", "-r"]),
            ("scp -f - a", vec!["-", "a"]),
            ("scp -f -- -- a", vec!["--", "a"]),
        ] {
            let options = parse(command).unwrap();
            assert_eq!(
                options.paths,
                paths.into_iter().map(PathBuf::from).collect::<Vec<_>>(),
                "{command}"
            );
            assert!(!options.recursive, "{command}");
        }
    }

    #[test]
    fn usage_errors_have_the_predecessors_words() {
        let direction = "Must specify either target mode(-t) or source mode(-f) at a time";
        for (command, text) in [
            ("scp", direction),
            ("scp x", direction),
            ("scp -t -f x", direction),
            ("scp -f", "Must specify at least one source in source mode"),
            ("scp -t", "Must specify one target in target mode"),
            ("scp -t a b", "Must specify one target in target mode"),
            ("scp -t -x a", "unknown option: -x"),
            ("scp -4 -t a", "unknown option: -4"),
            ("scp --target a", "unknown option: --"),
            ("scpx -t a", "Usage: scp -f|-t [-r] [-p] [-d] [-v] [-q] path ..."),
        ] {
            assert_eq!(parse(command).unwrap_err().to_string(), text, "{command}");
        }
    }
}

//! A command as words: blanks, quotes, backslashes and comments (contract sshd 10.1).

use super::options::UsageError;

/// How a letter of a word was written, which decides what may still become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// Bare: braces, tilde and variables count.
    Plain,
    /// Between double quotes: only variables count.
    Double,
    /// Between single quotes or behind a backslash: nothing counts.
    Literal,
}

/// One byte of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    /// The byte.
    pub byte: u8,
    /// How it was written.
    pub quoting: Quoting,
}

/// A word, not expanded yet.
pub type Word = Vec<Letter>;

/// The words of `command`. An empty quoted word counts, what follows a `#` at a word's start does not.
pub fn split(command: &[u8]) -> Result<Vec<Word>, UsageError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quoting = Quoting::Plain;
    let mut bytes = command.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quoting, byte) {
            (Quoting::Plain, b' ' | b'\t' | b'\r' | b'\n') => words.extend(word.take()),
            (Quoting::Plain, b'#') if word.is_none() => {
                bytes.by_ref().find(|&byte| byte == b'\n');
            }
            (Quoting::Plain, b'\'') => quoting = open(Quoting::Literal, &mut word),
            (Quoting::Plain, b'"') => quoting = open(Quoting::Double, &mut word),
            (Quoting::Literal, b'\'') | (Quoting::Double, b'"') => quoting = Quoting::Plain,
            (Quoting::Plain | Quoting::Double, b'\\') => {
                let byte = bytes.next().ok_or(UsageError::UnterminatedQuote)?;
                word.get_or_insert_default().push(Letter { byte, quoting: Quoting::Literal });
            }
            _ => word.get_or_insert_default().push(Letter { byte, quoting }),
        }
    }
    if quoting != Quoting::Plain {
        return Err(UsageError::UnterminatedQuote);
    }
    words.extend(word);
    Ok(words)
}

/// A quote makes a word, even when nothing stands in it.
fn open(quoting: Quoting, word: &mut Option<Word>) -> Quoting {
    word.get_or_insert_default();
    quoting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(command: &str) -> Vec<String> {
        let words = split(command.as_bytes()).unwrap();
        words.iter().map(|word| word.iter().map(|letter| letter.byte as char).collect()).collect()
    }

    #[test]
    fn words_are_split_as_the_contract_says() {
        for (command, words) in [
            ("scp -t x", vec!["scp", "-t", "x"]),
            (" scp\t-t\r\nx ", vec!["scp", "-t", "x"]),
            ("scp 'a b' \"c d\" e\\ f", vec!["scp", "a b", "c d", "e f"]),
            // Any letter may be escaped between double quotes, none between single ones.
            (r#"scp "a\"b\c" 'a\b'"#, vec!["scp", "a\"bc", r"a\b"]),
            ("scp '' x", vec!["scp", "", "x"]),
            ("scp a'b'\"c\"d", vec!["scp", "abcd"]),
            ("scp a#b #c d\ne", vec!["scp", "a#b", "e"]),
            ("scp a;b && c|d", vec!["scp", "a;b", "&&", "c|d"]),
            ("", vec![]),
        ] {
            assert_eq!(texts(command), words, "{command:?}");
        }
    }

    #[test]
    fn an_open_quote_is_an_error() {
        for command in ["scp 'a", "scp \"a", "scp a\\", "scp \"a\\\""] {
            assert!(
                matches!(split(command.as_bytes()), Err(UsageError::UnterminatedQuote)),
                "{command:?}"
            );
        }
    }
}

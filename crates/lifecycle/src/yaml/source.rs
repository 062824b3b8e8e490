//! The bytes of a document as text, refused where libyaml refuses them: bad UTF-8, control
//! characters, directives it does not know.

use super::{Place, YamlError};

/// `bytes` as text without byte order mark: UTF-8, or UTF-16 when its byte order mark says so.
pub(super) fn text(bytes: &[u8]) -> Result<String, YamlError> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
        _ => utf8(bytes)?,
    };
    if let Some(at) = text.find(|letter| !is_allowed(letter)) {
        let letter = text[at..].chars().next().unwrap_or_default();
        let reason = format!("the control character U+{:04X} is not allowed", u32::from(letter));
        return Err(error(&text[..at], "control characters are not allowed", reason));
    }
    check_directives(&text)?;
    Ok(text)
}

fn utf8(bytes: &[u8]) -> Result<String, YamlError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|bad| {
        let before = String::from_utf8_lossy(&bytes[..bad.valid_up_to()]);
        let reason = format!("the byte 0x{:02x} is not UTF-8", bytes[bad.valid_up_to()]);
        error(&before, "invalid UTF-8", reason)
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, YamlError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::new();
    for letter in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        let Ok(letter) = letter else {
            let reason = "a half of a surrogate pair stands alone".to_owned();
            return Err(error(&text, "invalid UTF-16", reason));
        };
        text.push(letter);
    }
    if !rest.is_empty() {
        return Err(error(&text, "invalid UTF-16", "half a character at the end".to_owned()));
    }
    Ok(text)
}

/// The characters libyaml's reader lets through.
fn is_allowed(letter: char) -> bool {
    matches!(letter,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}'
        | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// libyaml knows `%TAG` and `%YAML 1.1` before the first document, nothing else: 1.2 is refused.
fn check_directives(text: &str) -> Result<(), YamlError> {
    let mut before = 0;
    for line in text.split_inclusive(['\n', '\r']) {
        if let Some(directive) = line.strip_prefix('%') {
            let mut words = directive.split_ascii_whitespace();
            let problem = match (words.next(), words.next()) {
                (Some("TAG"), _) | (Some("YAML"), Some("1.1")) => None,
                (Some("YAML"), _) => Some("found incompatible YAML document"),
                _ => Some("found unknown directive name"),
            };
            if let Some(problem) = problem {
                let reason = format!("{problem}: `{}`", line.trim_end());
                return Err(error(&text[..before], problem, reason));
            }
        } else if !line.trim_start().is_empty() && !line.trim_start().starts_with('#') {
            break;
        }
        before += line.len();
    }
    Ok(())
}

/// An error at the end of `before`.
fn error(before: &str, problem: &str, reason: String) -> YamlError {
    let line = before.replace("\r\n", "\n").matches(['\n', '\r']).count() + 1;
    let column = before.rsplit(['\n', '\r']).next().map_or(0, |tail| tail.chars().count()) + 1;
    YamlError::Syntax { place: Place { line, column }, problem: problem.to_owned(), reason }
}

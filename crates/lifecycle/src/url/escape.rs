//! Percent-encoding: which bytes each part of a URL keeps as they are.

use std::fmt::Write;

use super::Reason;

/// The parts of a URL that have their own rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    User,
    Host,
    /// The scope of an IPv6 address, `%25eth0`.
    Zone,
    Path,
    Fragment,
}

/// Whether `byte` is written as it is.
fn is_kept(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return true;
    }
    let more: &[u8] = match part {
        Part::User => b"$&+,;=",
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,;=/:@",
        Part::Fragment => b"$&+,;=/:@?!()*",
    };
    more.contains(&byte)
}

/// Encodes `decoded`, escapes in upper case.
pub(super) fn escape(decoded: &[u8], part: Part) -> String {
    let mut encoded = String::new();
    for &byte in decoded {
        if is_kept(byte, part) {
            encoded.push(char::from(byte));
        } else {
            let _infallible = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Whether `raw` may stay as written: more is allowed than [`escape`] would leave.
pub(super) fn is_valid_encoding(raw: &str, part: Part) -> bool {
    raw.bytes().all(|byte| is_kept(byte, part) || b"!'()*[]%".contains(&byte))
}

/// Decodes `text`.
pub(super) fn unescape(text: &str, part: Part) -> Result<Vec<u8>, Reason> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'%' {
            let value = hex_pair(&bytes[at + 1..]).filter(|&value| is_allowed(value, part));
            let Some(value) = value else {
                let sequence = &bytes[at..bytes.len().min(at + 3)];
                return Err(Reason::Escape(String::from_utf8_lossy(sequence).into_owned()));
            };
            decoded.push(value);
            at += 3;
            continue;
        }
        if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && !is_kept(byte, part) {
            return Err(Reason::HostCharacter(char::from(byte).to_string()));
        }
        decoded.push(byte);
        at += 1;
    }
    Ok(decoded)
}

/// Whether the byte may be written as an escape: hosts take escapes of non-ASCII bytes only.
fn is_allowed(value: u8, part: Part) -> bool {
    match part {
        Part::Host => !value.is_ascii() || value == b'%',
        Part::Zone => value == b'%' || value == b' ' || is_kept(value, Part::Host),
        Part::User | Part::Path | Part::Fragment => true,
    }
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

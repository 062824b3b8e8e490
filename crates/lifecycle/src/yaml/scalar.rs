//! What a scalar means by the rules of YAML 1.1 as yaml.v2 has them, and numbers as Go writes them
//! into JSON.

use std::str::FromStr;

use serde_json::{Number, Value};

/// A scalar's meaning.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
}

/// What `text` means with `tag`, `plain` being unquoted. An error is yaml.v2's sentence.
pub(super) fn meaning(tag: Option<&str>, text: &str, plain: bool) -> Result<Meaning, &'static str> {
    match tag {
        None if plain => Ok(implicit(text)),
        Some("!!int" | "!!float" | "!!bool" | "!!null") => Ok(implicit(text)),
        Some("!!binary") => binary(text).ok_or("!!binary value contains invalid base64 data"),
        // Tags of others are ignored, and what they stand before is text.
        _ => Ok(Meaning::Text(text.to_owned())),
    }
}

impl Meaning {
    /// The value for JSON. What JSON cannot hold (`.inf`, `.nan`) stays the text it was: the
    /// predecessor's staging ended with an error there.
    pub(super) fn into_json(self, text: &str) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value) => number(&value.to_string(), text),
            Self::Float(value) if value.is_finite() => number(&go_float(value), text),
            Self::Float(_) => Value::String(text.to_owned()),
            Self::Text(value) => Value::String(value),
        }
    }

    /// yaml.v2's name of the type.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Integer(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Text(_) => "!!str",
        }
    }
}

fn number(digits: &str, text: &str) -> Value {
    Number::from_str(digits).map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

/// A finite number as Go's JSON encoder writes it: the shortest form, with an exponent below 1e-6
/// and from 1e21.
fn go_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        return if size < 1.0 { text } else { text.replace('e', "e+") };
    }
    value.to_string()
}

/// The meaning of an unquoted scalar without tag.
fn implicit(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            Meaning::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            Meaning::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Meaning::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Meaning::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Meaning::Float(f64::NEG_INFINITY),
        _ => numeric(text).unwrap_or_else(|| Meaning::Text(text.to_owned())),
    }
}

fn numeric(text: &str) -> Option<Meaning> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return None;
    }
    let plain = text.replace('_', "");
    if let Some(value) = integer(&plain) {
        return Some(Meaning::Integer(value));
    }
    let value: f64 = if is_float(&plain) { plain.parse().ok()? } else { return None };
    // Too large for a float: yaml.v2 leaves it text.
    value.is_finite().then_some(Meaning::Float(value))
}

/// Decimal, `0x`, `0o`, `0b` or, after a leading `0`, octal; with sign; within 64 bits.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, body) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !body.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let size = i128::from_str_radix(body, radix).ok()?;
    let value = if negative { -size } else { size };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

/// yaml.v2's pattern for floats: digits with at most one point, then an exponent.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_exponent = |part: &str| {
        let part = part.strip_prefix(['-', '+']).unwrap_or(part);
        !part.is_empty() && digits(part)
    };
    (!whole.is_empty() || !fraction.is_empty())
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(is_exponent)
}

/// Base64 with line breaks; bytes that are not UTF-8 become U+FFFD, as they would in JSON.
fn binary(text: &str) -> Option<Meaning> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !b"\r\n ".contains(byte)).collect();
    let padding = digits.iter().rev().take_while(|&&byte| byte == b'=').count();
    if !digits.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for &digit in &digits[..digits.len() - padding] {
        bits = bits << 6 | base64_digit(digit)?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(Meaning::Text(String::from_utf8_lossy(&bytes).into_owned()))
}

fn base64_digit(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

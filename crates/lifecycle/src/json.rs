//! JSON as Go reads and writes it (contract, section 4), except that numbers keep their digits and
//! objects their order. Broken UTF-8 and lone surrogates become U+FFFD; errors have Go's words.

use serde::Serialize;
use serde_json::Value;

mod fault;

/// Why a text is not the JSON that was wanted, in the words of Go's `encoding/json`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text ends within a value, or is empty.
    #[error("unexpected end of JSON input")]
    End,
    /// A character that cannot stand where it stands.
    #[error("invalid character {character} {place}")]
    Character {
        /// In single quotes.
        character: String,
        /// `looking for beginning of value` and the like.
        place: String,
    },
    /// More than 127 arrays and objects within each other (Go takes 10000).
    #[error("exceeded max depth")]
    Depth,
    /// Valid, but not what belongs there.
    #[error("json: cannot unmarshal {kind} into {place}")]
    Type {
        /// What stands there: `array`, `string` and so on.
        kind: &'static str,
        /// Where, in Go's words.
        place: String,
    },
    /// A value that has no form in JSON, such as a map with keys that are not strings.
    #[error("json: unsupported value: {0}")]
    Unsupported(String),
}

impl JsonError {
    /// `value` is not of the type that `place` wants.
    pub fn wrong_type(value: &Value, place: impl Into<String>) -> Self {
        Self::Type { kind: kind(value), place: place.into() }
    }
}

/// Go's word for what a value is.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Reads one value; nothing but blanks may follow it. Of equal keys the last wins.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = without_lone_surrogates(utf8(bytes));
    serde_json::from_str(&text).map_err(|_| fault::find(text.as_bytes()))
}

/// Writes a value without blanks, with Go's escapes in strings.
pub fn to_string(value: &impl Serialize) -> Result<String, JsonError> {
    let plain = serde_json::to_string(value);
    let plain = plain.map_err(|error| JsonError::Unsupported(error.to_string()))?;
    let mut escaped = String::with_capacity(plain.len());
    // Outside of strings JSON has none of these characters.
    for letter in plain.chars() {
        match letter {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    Ok(escaped)
}

/// The field `name` of an object, upper and lower case being one; of several the last counts.
pub fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let mut fields = value.as_object()?.iter().rev();
    fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Each broken byte as U+FFFD.
fn utf8(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// Half of a surrogate pair (`\ud83d` alone) as `\ufffd`; `serde_json` refuses it.
fn without_lone_surrogates(text: String) -> String {
    if !text.contains("\\u") {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (escaped_unit(rest), rest.get(6..).and_then(escaped_unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            (Some(_), _) => 6,
            // `\\`, `\n`; what follows the backslash may be the text's end or a long character.
            (None, _) => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out + rest
}

/// The number in `\uXXXX` at the beginning of `text`.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    // `from_str_radix` would take a sign.
    let all_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| all_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &[u8]) -> String {
        to_string(&parse(text).unwrap()).unwrap()
    }

    #[test]
    fn keys_keep_their_order_and_numbers_their_text() {
        let text = r#"{"z":12345678901234567890,"a":1.0,"m":[1e+400,-0,0.10]}"#;
        assert_eq!(rewritten(text.as_bytes()), text);
        assert_eq!(rewritten(b" { \"a\" : [ ] , \"a\" : 2 } \n"), r#"{"a":2}"#);
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        let text = r#""<&>\u2028\u2029\u007f\/\u0001\b\f\n\r\t\"\\\u00e9""#;
        let written =
            "\"\\u003c\\u0026\\u003e\\u2028\\u2029\u{7f}/\\u0001\\b\\f\\n\\r\\t\\\"\\\\é\"";
        assert_eq!(rewritten(text.as_bytes()), written);
        assert_eq!(rewritten(r#"{"<k>":1}"#.as_bytes()), r#"{"\u003ck\u003e":1}"#);
    }

    #[test]
    fn broken_utf8_and_lone_surrogates_become_u_fffd() {
        let table: [(&[u8], &str); 8] = [
            (b"\"a\xff\xfeb\"", "\"a\u{fffd}\u{fffd}b\""),
            // A cut three-byte character: one replacement for each byte.
            (b"\"\xe2\x82\"", "\"\u{fffd}\u{fffd}\""),
            (br#""\ud83d\ude00""#, "\"😀\""),
            (br#""\ud83d""#, "\"\u{fffd}\""),
            (br#""\ude00x""#, "\"\u{fffd}x\""),
            (br#""\ud83d\ud83d\ude00""#, "\"\u{fffd}😀\""),
            (br#""\ud83d\n""#, "\"\u{fffd}\\n\""),
            // An escaped backslash before `ud83d` is no surrogate.
            (br#""\\ud83d""#, r#""\\ud83d""#),
        ];
        for (text, written) in table {
            assert_eq!(rewritten(text), written, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn fields_are_found_in_any_case_and_the_last_counts() {
        let value = parse(br#"{"URI":1,"x":{},"Uri":2}"#).unwrap();
        assert_eq!(field(&value, "uri").unwrap().to_string(), "2");
        assert_eq!(field(&value, "y"), None);
        assert_eq!(field(&Value::Null, "y"), None);
    }

    #[test]
    fn maps_without_string_keys_are_refused() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(matches!(to_string(&map), Err(JsonError::Unsupported(_))));
    }
}

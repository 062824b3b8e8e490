//! JSON as the predecessor's encoder writes it: `<`, `>` and `&` escaped too.

use std::fmt::Write;

use super::Value;

/// Writes an object with these fields in this order.
pub(super) fn object(out: &mut String, fields: &[(&str, Value<'_>)]) {
    out.push('{');
    for (index, (key, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        text(out, key);
        out.push(':');
        match value {
            Value::Text(string) => text(out, string),
            Value::Number(number) => {
                let _infallible = write!(out, "{number}");
            }
        }
    }
    out.push('}');
}

/// Writes a string in quotes.
pub(super) fn text(out: &mut String, string: &str) {
    out.push('"');
    for letter in string.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _infallible = write!(out, "\\u{:04x}", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

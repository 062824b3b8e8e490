//! Where a text stops being JSON, told as Go's `encoding/json` tells it. Run only over texts that
//! `serde_json` refused.

use super::JsonError;

/// As `serde_json` has it.
const MAX_DEPTH: usize = 127;

/// The first fault of `text`.
pub(super) fn find(text: &[u8]) -> JsonError {
    let mut walk = Walk { text, at: 0 };
    match walk.value(0, "looking for beginning of value") {
        Err(fault) => fault,
        Ok(()) => match walk.next_word() {
            Some(_) => walk.bad("after top-level value"),
            // Whatever else serde_json may mind.
            None => JsonError::Unsupported("unreadable".to_owned()),
        },
    }
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is not blank.
    fn next_word(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.peek()
    }

    /// The fault of the byte here.
    fn bad(&self, place: &str) -> JsonError {
        let Some(byte) = self.peek() else { return JsonError::End };
        let character = match byte {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            // Go names bytes, not characters: `Ã` for the first byte of `é`.
            0x80.. => format!("'{}'", char::from(byte)),
            _ => format!("'{}'", byte.escape_ascii()),
        };
        JsonError::Character { character, place: place.to_owned() }
    }

    fn expect(&mut self, byte: u8, place: &str) -> Result<(), JsonError> {
        if self.next_word() != Some(byte) {
            return Err(self.bad(place));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize, place: &str) -> Result<(), JsonError> {
        match self.next_word() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(JsonError::Depth),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.bad(place)),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        if self.next_word() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.next_word() != Some(b'"') {
                return Err(self.bad("looking for beginning of object key string"));
            }
            self.string()?;
            self.expect(b':', "after object key")?;
            self.value(depth, "looking for beginning of value")?;
            if self.next_word() == Some(b'}') {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',', "after object key:value pair")?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        if self.next_word() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth, "looking for beginning of value")?;
            if self.next_word() == Some(b']') {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',', "after array element")?;
        }
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0x20..) => {}
                _ => return Err(self.bad("in string literal")),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(())
    }

    /// From the backslash to the last byte of the escape.
    fn escape(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_some_and(|digit| digit.is_ascii_hexdigit()) {
                        return Err(self.bad(r"in \u hexadecimal character escape"));
                    }
                }
                Ok(())
            }
            _ => Err(self.bad("in string escape code")),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), JsonError> {
        for letter in word.bytes() {
            if self.peek() != Some(letter) {
                let place = format!("in literal {word} (expecting '{}')", char::from(letter));
                return Err(self.bad(&place));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    fn digits(&mut self, place: &str) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|digit| digit.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.bad(place)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use crate::json::parse;

    #[test]
    fn faults_are_told_in_gos_words() {
        let table = [
            ("", "unexpected end of JSON input"),
            ("  ", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            (r#"{"a"#, "unexpected end of JSON input"),
            (r#"{"a":"#, "unexpected end of JSON input"),
            ("tru", "unexpected end of JSON input"),
            ("-", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("[,", "invalid character ',' looking for beginning of value"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("'a'", r"invalid character '\'' looking for beginning of value"),
            ("\u{1}", r"invalid character '\x01' looking for beginning of value"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("{a", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            (r#"{"a" 1"#, "invalid character '1' after object key"),
            (r#"{"a":1 "b""#, "invalid character '\"' after object key:value pair"),
            ("[1 2", "invalid character '2' after array element"),
            ("\"a\nb\"", r"invalid character '\n' in string literal"),
            (r#""\x""#, "invalid character 'x' in string escape code"),
            (r#""\u12g4""#, r"invalid character 'g' in \u hexadecimal character escape"),
            ("trap", "invalid character 'a' in literal true (expecting 'u')"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1e+x", "invalid character 'x' in exponent of numeric literal"),
        ];
        for (text, sentence) in table {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), sentence, "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(127).as_bytes()).is_ok());
        assert_eq!(parse(nested(128).as_bytes()).unwrap_err().to_string(), "exceeded max depth");
    }
}

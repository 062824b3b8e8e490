//! Words as a shell reads them: what is printed to be typed, and what `cell ssh` sends.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A name as it is to be typed: in quotes where a shell would take it for several words.
pub(crate) fn typed(name: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_.".contains(letter);
    if !name.is_empty() && name.chars().all(is_plain) {
        return name.to_owned();
    }
    quoted(name.as_ref()).to_string_lossy().into_owned()
}

/// A word in quotes, so that a shell reads nothing into it.
pub(crate) fn quoted(word: &OsStr) -> OsString {
    let pieces: Vec<_> = word.as_bytes().split(|&byte| byte == b'\'').collect();
    OsString::from_vec([b"'", pieces.join(&br"'\''"[..]).as_slice(), b"'"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_typed_in_quotes_where_a_shell_would_read_otherwise() {
        for (name, words) in [
            ("shop-1.2_b", "shop-1.2_b"),
            ("Straße", "Straße"),
            ("my shop", "'my shop'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(typed(name), words);
        }
    }
}

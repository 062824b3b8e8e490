//! The one key that may log in: the first usable line of an `authorized_keys` text (contract sshd 3.3).

use russh::keys::{Algorithm, PublicKey, PublicKeyBase64, parse_public_key_base64};

/// The text has no line with a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("ssh: no key found")]
pub struct NoKey;

/// The first key in `text`. Blank lines, comments and lines that are no key are passed over; options in
/// front of a key are ignored. The type that counts is the one in the key itself.
pub fn parse(text: &str) -> Result<PublicKey, NoKey> {
    text.lines().find_map(|line| key_of(line.trim())).ok_or(NoKey)
}

fn key_of(line: &str) -> Option<PublicKey> {
    if line.starts_with('#') {
        return None;
    }
    let (_, rest) = split(line)?;
    key(rest).or_else(|| key(split(after_options(line)?)?.1))
}

/// The key whose base64 text `text` begins with; a comment may follow.
fn key(text: &str) -> Option<PublicKey> {
    let base64 = split(text).map_or(text, |(word, _)| word);
    let key = parse_public_key_base64(base64).ok()?;
    // The reader passes over what follows a key in the text, which then is not that key.
    let is_whole = key.public_key_base64() == base64;
    (is_whole && is_usable(&key.algorithm())).then_some(key)
}

/// Whether clients can prove that they have such a key. DSA is none of them.
fn is_usable(algorithm: &Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::Rsa { .. }
            | Algorithm::Ecdsa { .. }
            | Algorithm::Ed25519
            | Algorithm::SkEcdsaSha2NistP256
            | Algorithm::SkEd25519
    )
}

/// The first word and what follows its blanks.
fn split(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once([' ', '\t'])?;
    Some((word, rest.trim_start()))
}

/// What stands behind the options, which may have blanks in quotes.
fn after_options(line: &str) -> Option<&str> {
    let mut is_quoted = false;
    let mut previous = '\0';
    for (index, letter) in line.char_indices() {
        match letter {
            '"' if previous != '\\' => is_quoted = !is_quoted,
            ' ' | '\t' if !is_quoted => return Some(line[index..].trim_start()),
            _ => {}
        }
        previous = letter;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn algorithm(text: &str) -> Option<Algorithm> {
        parse(text).ok().map(|key| key.algorithm())
    }

    #[test]
    fn the_first_line_with_a_key_counts() {
        for text in [
            format!("ssh-ed25519 {ED25519}"),
            format!("ssh-ed25519 {ED25519} me@home and more\n"),
            format!(
                "\n  \r\n# ssh-ed25519 {ED25519}\nnonsense\nssh-ed25519 AAAA\n \tssh-ed25519\t {ED25519}\r\nx"
            ),
            // The type in front is not looked at.
            format!("ssh-rsa {ED25519}"),
            format!("no-pty,command=\"a b\\\" c\",from=\"x\" ssh-ed25519 {ED25519} me"),
            format!("no-pty ssh-ed25519 {ED25519}"),
        ] {
            assert_eq!(algorithm(&text), Some(Algorithm::Ed25519), "{text}");
        }
    }

    #[test]
    fn what_has_no_such_line_has_no_key() {
        let bare = ED25519;
        let cut = &ED25519[..40];
        for text in [
            "",
            "#",
            bare,
            "ssh-ed25519",
            &format!("ssh-ed25519 {cut}"),
            &format!("ssh-ed25519 {bare}AAAA"),
            &format!("command=\"a ssh-ed25519 {bare}"),
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n",
            // A key of a type that nobody knows.
            "ssh-new AAAAB3NzaC1uZXcAAAAAAAAAAA==",
        ] {
            assert_eq!(parse(text), Err(NoKey), "{text}");
        }
        assert_eq!(NoKey.to_string(), "ssh: no key found");
    }
}

//! Passwords in texts of others: what git or a server says may quote a URL whole.

/// `text` with the password of every URL in it as `***`; in http(s) URLs also a user without
/// password, for that is how access tokens are given.
pub fn mask_passwords(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        masked.push_str(before);
        let word_end = after.find(|c: char| c.is_whitespace() || "'\"<>`".contains(c));
        match secret(&after[..word_end.unwrap_or(after.len())], is_http(before)) {
            Some((from, to)) => {
                masked.push_str(&after[..from]);
                masked.push_str("***");
                rest = &after[to..];
            }
            None => rest = after,
        }
    }
    masked.push_str(rest);
    masked
}

/// As [`mask_passwords`] for a text that is one URL, valid or not: blanks and quotes in it may
/// belong to the password.
pub fn mask_url(text: &str) -> String {
    let (before, after) = text.split_at(text.find("://").map_or(text.len(), |at| at + 3));
    match secret(after, is_http(before)) {
        Some((from, to)) => format!("{before}{}***{}", &after[..from], &after[to..]),
        None => text.to_owned(),
    }
}

fn is_http(before: &str) -> bool {
    let before = before.to_ascii_lowercase();
    before.ends_with("http://") || before.ends_with("https://")
}

/// Where in `word`, which begins with an authority, the secret stands.
fn secret(word: &str, is_http: bool) -> Option<(usize, usize)> {
    let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
    let colon = authority.find(':');
    let end = match (authority.rfind('@'), colon) {
        (Some(end), _) => end,
        // `user:pass/word@host`: not a valid URL, but a password all the same. A port is no user.
        (None, Some(colon)) if !is_port(&authority[colon + 1..]) => word.rfind('@')?,
        (None, _) => return None,
    };
    match colon.filter(|&colon| colon < end) {
        Some(colon) => Some((colon + 1, end)),
        None if is_http => Some((0, end)),
        None => None,
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

//! Passwords in texts of others: what git or a server says may quote a URL whole.

/// `text` with the password of every URL in it as `***`; in http(s) URLs also a user without
/// password, for that is how access tokens are given.
pub fn mask_passwords(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        masked.push_str(before);
        let is_http = before.ends_with("http://") || before.ends_with("https://");
        match secret(after, is_http) {
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

/// Where in `text`, which begins with an authority, the secret stands.
fn secret(text: &str, is_http: bool) -> Option<(usize, usize)> {
    let word_end = text.find(|c: char| c.is_whitespace() || "'\"<>`".contains(c));
    let word = &text[..word_end.unwrap_or(text.len())];
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

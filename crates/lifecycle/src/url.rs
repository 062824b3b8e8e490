//! URLs by the rules of Go's `net/url`: what the platform's keys, database URIs and CredHub
//! addresses are read and written with (contract, sections 3.3 and 6, Appendix A). No
//! normalising: host case, dots in paths and the query stay as they are.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write};
use std::net::Ipv6Addr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

mod escape;
mod mask;
mod reference;

use escape::{Part, escape, is_valid_encoding, unescape};
pub use mask::{mask_passwords, mask_url};

/// A URL taken apart. [`fmt::Display`] writes it back, password included; [`Url::masked`] hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    /// What follows `scheme:` when that is not a `/`.
    opaque: String,
    user: Option<User>,
    /// Decoded, with the port.
    host: Vec<u8>,
    /// `scheme:/path`: no `//` is written back.
    omits_host: bool,
    raw_path: String,
    path: OsString,
    /// As written; `Some("")` is a lone `?`.
    query: Option<String>,
    raw_fragment: String,
    fragment: OsString,
}

/// User and password, decoded.
#[derive(Clone, PartialEq, Eq)]
struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// Why a text is not a URL. Its own text shows the URL without its password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse {}: {reason}", quoted(text))]
pub struct UrlError {
    text: String,
    reason: Reason,
}

/// The reason in the words of Go's `net/url`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("net/url: invalid control character in URL")]
    ControlCharacter,
    #[error("missing protocol scheme")]
    MissingScheme,
    #[error("first path segment in URL cannot contain colon")]
    ColonInFirstSegment,
    #[error("invalid URL escape {}", quoted(.0))]
    Escape(String),
    #[error("invalid character {} in host name", quoted(.0))]
    HostCharacter(String),
    #[error("missing ']' in host")]
    MissingBracket,
    #[error("invalid IP-literal in host")]
    BadAddress,
    #[error("invalid port {} after host", quoted(.0))]
    Port(String),
    #[error("net/url: invalid userinfo")]
    Userinfo,
}

impl Url {
    /// Reads `text`. A text without scheme is a URL too: one with a path only.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        parse(text).map_err(|reason| UrlError { text: mask_url(text), reason })
    }

    /// The scheme in lower case, empty if there is none.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The same URL under another scheme.
    #[must_use]
    pub fn with_scheme(mut self, scheme: &str) -> Self {
        scheme.clone_into(&mut self.scheme);
        self
    }

    /// The host and its port as written in the URL (`h:80`, `[::1]:80`), `%XX` for non-ASCII bytes.
    pub fn host(&self) -> String {
        escape(&self.host, Part::Host)
    }

    /// User and password, decoded; the password is empty where none is given.
    pub fn credentials(&self) -> Option<(&[u8], &[u8])> {
        let user = self.user.as_ref()?;
        Some((&user.name, user.password.as_deref().unwrap_or_default()))
    }

    /// The path, decoded.
    pub fn path(&self) -> &OsStr {
        &self.path
    }

    /// The same server with this path, already encoded, and neither query nor fragment.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.raw_path);
        self.path = path.into();
        self.query = None;
        self.without_fragment()
    }

    /// The query as written, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The fragment, decoded, empty if there is none.
    pub fn fragment(&self) -> &OsStr {
        &self.fragment
    }

    /// The same URL without its fragment.
    #[must_use]
    pub fn without_fragment(mut self) -> Self {
        self.raw_fragment.clear();
        self.fragment.clear();
        self
    }

    /// The same URL without user and password.
    #[must_use]
    pub fn without_credentials(mut self) -> Self {
        self.user = None;
        self
    }

    /// Written for people: the password is `***`. So is a user without password in an http(s)
    /// URL, for that is how access tokens are given.
    pub fn masked(&self) -> String {
        mask_passwords(&self.to_string())
    }
}

/// Shows the masked form: a password must not get into a log by `{:?}`.
impl fmt::Debug for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Url").field(&self.masked()).finish()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.scheme.is_empty() {
            write!(f, "{}:", self.scheme)?;
        }
        if self.opaque.is_empty() {
            self.write_authority(f)?;
            self.write_path(f)?;
        } else {
            f.write_str(&self.opaque)?;
        }
        if let Some(query) = &self.query {
            write!(f, "?{query}")?;
        }
        if !self.fragment.is_empty() {
            write!(f, "#{}", encoded(&self.raw_fragment, &self.fragment, Part::Fragment))?;
        }
        Ok(())
    }
}

impl Url {
    fn write_authority(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nobody_and_nowhere = self.user.is_none() && self.host.is_empty();
        if nobody_and_nowhere
            && (self.scheme.is_empty() || self.omits_host || self.raw_path.is_empty())
        {
            return Ok(());
        }
        f.write_str("//")?;
        if let Some(user) = &self.user {
            f.write_str(&escape(&user.name, Part::User))?;
            if let Some(password) = &user.password {
                write!(f, ":{}", escape(password, Part::User))?;
            }
            f.write_str("@")?;
        }
        f.write_str(&self.host())
    }

    fn write_path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encoded(&self.raw_path, &self.path, Part::Path))
    }
}

/// `raw` if it is a valid encoding, else `decoded` encoded anew.
fn encoded(raw: &str, decoded: &OsStr, part: Part) -> String {
    if is_valid_encoding(raw, part) { raw.to_owned() } else { escape(decoded.as_bytes(), part) }
}

fn parse(text: &str) -> Result<Url, Reason> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err(Reason::ControlCharacter);
    }
    let (rest, raw_fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = split_scheme(rest)?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_owned())),
        None => (rest, None),
    };
    let opaque = !scheme.is_empty() && !rest.starts_with('/');
    if !opaque && !rest.starts_with('/') && rest.split('/').next().is_some_and(has_colon) {
        return Err(Reason::ColonInFirstSegment);
    }
    let has_authority = rest.starts_with("//") && (!scheme.is_empty() || !rest.starts_with("///"));
    let (authority, raw_path) = match (opaque, has_authority) {
        (true, _) => ("", ""),
        (false, true) => rest[2..].split_at(rest[2..].find('/').unwrap_or(rest.len() - 2)),
        (false, false) => ("", rest),
    };
    let (user, host) = parse_authority(authority)?;
    Ok(Url {
        user,
        host,
        omits_host: !has_authority,
        path: OsString::from_vec(unescape(raw_path, Part::Path)?),
        raw_path: raw_path.to_owned(),
        opaque: if opaque { rest.to_owned() } else { String::new() },
        scheme: scheme.to_ascii_lowercase(),
        query,
        fragment: OsString::from_vec(unescape(raw_fragment, Part::Fragment)?),
        raw_fragment: raw_fragment.to_owned(),
    })
}

fn has_colon(segment: &str) -> bool {
    segment.contains(':')
}

/// The scheme, empty if there is none, and what follows its colon.
fn split_scheme(text: &str) -> Result<(&str, &str), Reason> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
    let end = end.filter(|&end| text[end..].starts_with(':'));
    match end {
        Some(0) => Err(Reason::MissingScheme),
        Some(end) if text.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            Ok((&text[..end], &text[end + 1..]))
        }
        _ => Ok(("", text)),
    }
}

fn parse_authority(authority: &str) -> Result<(Option<User>, Vec<u8>), Reason> {
    let Some((userinfo, host)) = authority.rsplit_once('@') else {
        return Ok((None, parse_host(authority)?));
    };
    let host = parse_host(host)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    if !userinfo.bytes().all(allowed) {
        return Err(Reason::Userinfo);
    }
    let (name, password) = match userinfo.split_once(':') {
        Some((name, password)) => (name, Some(unescape(password, Part::User)?)),
        None => (userinfo, None),
    };
    Ok((Some(User { name: unescape(name, Part::User)?, password }), host))
}

/// The host with its port, decoded and checked.
fn parse_host(host: &str) -> Result<Vec<u8>, Reason> {
    if !host.starts_with('[') {
        check_port(&host[host.rfind(':').unwrap_or(host.len())..])?;
        return unescape(host, Part::Host);
    }
    let end = host.rfind(']').ok_or(Reason::MissingBracket)?;
    check_port(&host[end + 1..])?;
    let (address, zone) = host[1..end].split_at(host[1..end].find("%25").unwrap_or(end - 1));
    let mut decoded = vec![b'['];
    decoded.extend(unescape(address, Part::Host)?);
    if address.parse::<Ipv6Addr>().is_err() {
        return Err(Reason::BadAddress);
    }
    decoded.extend(unescape(zone, Part::Zone)?);
    decoded.extend(unescape(&host[end..], Part::Host)?);
    Ok(decoded)
}

/// Nothing, a lone colon, or a colon and digits.
fn check_port(port: &str) -> Result<(), Reason> {
    let digits = port.strip_prefix(':').unwrap_or(port);
    if (port.is_empty() || port.starts_with(':')) && digits.bytes().all(|b| b.is_ascii_digit()) {
        Ok(())
    } else {
        Err(Reason::Port(port.to_owned()))
    }
}

/// `text` in double quotes as Go's `%q` has it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_ascii_control() => {
                let _infallible = write!(out, "\\x{:02x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;

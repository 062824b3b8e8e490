//! What `-uri` and a redirect's `Location` make of `http://IP:PORT`: the `Host` header and the
//! request target (contract, sections 6.1 and 6.5).

use std::net::IpAddr;

/// An `http` URL on the container's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The container's address.
    pub address: IpAddr,
    /// Port to connect to; `None` where the digits exceed 65535.
    pub port: Option<u16>,
    /// `IP:PORT` as the `Host` header says it.
    pub authority: String,
    /// Path and query as the request line says them: begins with `/`, holds no control bytes.
    pub target: Vec<u8>,
    /// `name:password` of a redirect that carries them, decoded.
    pub credentials: Option<Vec<u8>>,
}

/// Why a redirect is not followed; the text says where it leads.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// `https`: there is no TLS in this program.
    #[error("{0}: https is not followed")]
    Https(String),
    /// Neither http nor https.
    #[error("{0}: not an http URL")]
    Scheme(String),
    /// A host other than the app's address.
    #[error("{0}: another host is not followed")]
    Host(String),
    /// Not a URL.
    #[error("{0}: not a URL")]
    Unusable(String),
}

impl Url {
    /// `http://` + `address` + `:` + `port` + `uri`; `None` where that is no URL.
    pub fn new(address: IpAddr, port: &str, uri: &[u8]) -> Option<Self> {
        let starts_well = uri.first().is_none_or(|first| b"/?#".contains(first));
        if !starts_well || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let host = host(address);
        let authority = if port.is_empty() { host } else { format!("{host}:{port}") };
        Some(Self {
            address,
            port: port_number(port),
            authority,
            target: target(uri)?,
            credentials: None,
        })
    }

    /// Where a redirect from here to `location` leads.
    pub fn join(&self, location: &[u8]) -> Result<Self, RedirectError> {
        let shown = || shown(location);
        let reference = match scheme(location) {
            None => location,
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case(b"https") => {
                return Err(RedirectError::Https(shown()));
            }
            Some(_) => return Err(RedirectError::Scheme(shown())),
        };
        if let Some(rest) = reference.strip_prefix(b"//") {
            return self.elsewhere(rest, shown);
        }
        if reference.len() != location.len() {
            return Err(RedirectError::Unusable(shown())); // `http:` without a host
        }
        let mut here = self.clone();
        here.target = self.resolve(reference).ok_or_else(|| RedirectError::Unusable(shown()))?;
        Ok(here)
    }

    /// `rest` is what follows the `//` of a URL: another port of this address at most.
    fn elsewhere(&self, rest: &[u8], shown: impl Fn() -> String) -> Result<Self, RedirectError> {
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, uri) = rest.split_at(end);
        let at = authority.iter().rposition(|&byte| byte == b'@');
        let (user, place) =
            at.map_or((None, authority), |at| (Some(&authority[..at]), &authority[at + 1..]));
        let authority = str::from_utf8(place).map_err(|_| RedirectError::Host(shown()))?;
        let bracket = authority.rfind(']').unwrap_or(0);
        let (name, port) = match authority[bracket..].rfind(':') {
            Some(colon) => (&authority[..bracket + colon], &authority[bracket + colon + 1..]),
            None => (authority, ""),
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if bare.parse() != Ok(self.address) {
            return Err(RedirectError::Host(shown()));
        }
        let mut url =
            Self::new(self.address, port, uri).ok_or_else(|| RedirectError::Unusable(shown()))?;
        url.target = without_dots(&url.target);
        if let Some(user) = user {
            let credentials = credentials(user).ok_or_else(|| RedirectError::Unusable(shown()))?;
            url.credentials = Some(credentials);
        }
        Ok(url)
    }

    /// The target of a reference without scheme and host.
    fn resolve(&self, reference: &[u8]) -> Option<Vec<u8>> {
        let own_path = self.target.split(|&byte| byte == b'?').next()?;
        let combined = match reference.first() {
            Some(b'/') => reference.to_vec(),
            // The same page again.
            None | Some(b'#') => self.target.clone(),
            Some(b'?') => [own_path, reference].concat(),
            Some(_) => {
                let directory = own_path.iter().rposition(|&byte| byte == b'/')?;
                [&own_path[..=directory], reference].concat()
            }
        };
        target(&combined).map(|target| without_dots(&target))
    }
}

/// A location for the app's log: without query and user, which may hold secrets.
fn shown(location: &[u8]) -> String {
    let text = String::from_utf8_lossy(split_at_byte(location, b'?').0).into_owned();
    let Some((before, rest)) = text.split_once("//") else { return text };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let place = authority.rsplit('@').next().unwrap_or(authority);
    format!("{before}//{place}{path}")
}

/// `name:password` of the part before a URL's `@`.
fn credentials(user: &[u8]) -> Option<Vec<u8>> {
    let (name, password) = split_at_byte(user, b':');
    let password = decoded(password.strip_prefix(b":").unwrap_or_default())?;
    Some([&decoded(name)?, b":".as_slice(), &password].concat())
}

/// An address as URLs and endpoints show it.
pub fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Empty means 80. A number too large is `None`.
fn port_number(port: &str) -> Option<u16> {
    if port.is_empty() { Some(80) } else { port.parse().ok() }
}

/// The scheme and what follows its colon, when `location` begins with one.
fn scheme(location: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = location.iter().position(|byte| b":/?#".contains(byte))?;
    (location[end] == b':').then(|| (&location[..end], &location[end + 1..]))
}

/// Path and query of `uri` as they are sent. The fragment is checked and dropped, the query kept
/// byte for byte, the path too unless it holds a byte that no path may hold.
fn target(uri: &[u8]) -> Option<Vec<u8>> {
    if uri.iter().any(u8::is_ascii_control) {
        return None;
    }
    let (uri, fragment) = split_at_byte(uri, b'#');
    decoded(fragment)?;
    let (path, query) = split_at_byte(uri, b'?');
    let plain = decoded(path)?;
    let mut target = match path {
        b"" => b"/".to_vec(),
        path if path.iter().all(|&byte| is_legal(byte)) => path.to_vec(),
        _ => encoded(&plain),
    };
    target.extend_from_slice(query);
    Some(target)
}

/// What is before `byte`, and the rest from it on.
fn split_at_byte(bytes: &[u8], byte: u8) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|&b| b == byte).unwrap_or(bytes.len()))
}

/// What a path may hold as it is; `%` has been checked before.
fn is_legal(byte: u8) -> bool {
    is_kept(byte) || b"%!'()*[]".contains(&byte)
}

/// What re-encoding leaves alone.
fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~$&+,;=:@/".contains(&byte)
}

/// Undoes `%XX`; `None` where `%` is not followed by two hexadecimal digits.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(*bytes.next()?).to_digit(16)?;
            let low = char::from(*bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

fn encoded(path: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(path.len() * 3);
    for &byte in path {
        if is_kept(byte) {
            out.push(byte);
        } else {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    out
}

/// Resolves the segments `.` and `..` of the path; the query stays.
fn without_dots(target: &[u8]) -> Vec<u8> {
    let (path, query) = split_at_byte(target, b'?');
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut last: &[u8] = b"";
    for segment in path.split(|&byte| byte == b'/').skip(1) {
        last = segment;
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    if last == b"." || last == b".." {
        kept.push(b"");
    }
    let mut out = b"/".to_vec();
    out.extend(kept.join(&b'/'));
    out.extend_from_slice(query);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));

    fn sent(uri: &str) -> Option<String> {
        Url::new(HERE, "8080", uri.as_bytes()).map(|url| String::from_utf8(url.target).unwrap())
    }

    #[test]
    fn targets_are_sent_as_given_where_they_are_legal() {
        for (uri, target) in [
            ("/", "/"),
            ("/a/../b//c", "/a/../b//c"),
            ("/-._~!$&'()*+,;=:@[]", "/-._~!$&'()*+,;=:@[]"),
            // Hexadecimal digits keep their case.
            ("/%2f%2F", "/%2f%2F"),
            ("?x=1", "/?x=1"),
            ("#x", "/"),
            ("/a#b", "/a"),
            // A query is sent byte for byte, even where it is no query.
            ("/a?b \"\u{e9}%zz", "/a?b \"\u{e9}%zz"),
            ("/a?b?c#d?e", "/a?b?c"),
        ] {
            assert_eq!(sent(uri).as_deref(), Some(target), "{uri}");
        }
    }

    #[test]
    fn one_illegal_byte_has_the_whole_path_encoded_anew() {
        for (uri, target) in [
            ("/a b", "/a%20b"),
            ("/\"<>^{}|\\`", "/%22%3C%3E%5E%7B%7D%7C%5C%60"),
            ("/\u{e9}", "/%C3%A9"),
            ("/%2f b", "//%20b"),
            ("/!'()*[] ", "/%21%27%28%29%2A%5B%5D%20"),
            ("/%3f%23%25 $&+,;=:@", "/%3F%23%25%20$&+,;=:@"),
        ] {
            assert_eq!(sent(uri).as_deref(), Some(target), "{uri}");
        }
    }

    #[test]
    fn some_uris_and_ports_make_no_url() {
        for uri in
            ["ok", "@other:80/x", "/%zz", "/ok%2", "/ok#%zz", "/a\nb", "/a\tb", "/\u{7f}", "/?\r"]
        {
            assert_eq!(sent(uri), None, "{uri:?}");
        }
        for port in ["-1", "http", "+80", "80 "] {
            assert_eq!(Url::new(HERE, port, b"/"), None, "{port}");
        }
    }

    #[test]
    fn the_port_is_any_digits_and_80_if_empty() {
        let url = |port| Url::new(HERE, port, b"/").unwrap();
        assert_eq!((url("080").port, url("080").authority.as_str()), (Some(80), "10.0.0.5:080"));
        assert_eq!((url("").port, url("").authority.as_str()), (Some(80), "10.0.0.5"));
        assert_eq!(url("65536").port, None);
        let six = Url::new("fd00::2".parse().unwrap(), "80", b"/").unwrap();
        assert_eq!(six.authority, "[fd00::2]:80");
    }

    #[test]
    fn redirects_are_resolved_on_the_same_address() {
        let base = Url::new(HERE, "8080", b"/a/b?q").unwrap();
        for (location, authority, target) in [
            ("/x", "10.0.0.5:8080", "/x"),
            ("c", "10.0.0.5:8080", "/a/c"),
            ("../c", "10.0.0.5:8080", "/c"),
            ("../../../c", "10.0.0.5:8080", "/c"),
            (".", "10.0.0.5:8080", "/a/"),
            ("..", "10.0.0.5:8080", "/"),
            ("/x/./y/../z", "10.0.0.5:8080", "/x/z"),
            ("?r", "10.0.0.5:8080", "/a/b?r"),
            ("#f", "10.0.0.5:8080", "/a/b?q"),
            ("/x#f", "10.0.0.5:8080", "/x"),
            ("/x y?a b", "10.0.0.5:8080", "/x%20y?a b"),
            ("/x:y", "10.0.0.5:8080", "/x:y"),
            ("//10.0.0.5:8081/x", "10.0.0.5:8081", "/x"),
            ("http://10.0.0.5:8080/x", "10.0.0.5:8080", "/x"),
            ("HTTP://10.0.0.5/x?y=..", "10.0.0.5", "/x?y=.."),
            ("http://10.0.0.5", "10.0.0.5", "/"),
        ] {
            let url = base.join(location.as_bytes()).unwrap();
            let target_found = String::from_utf8(url.target).unwrap();
            assert_eq!(
                (url.authority.as_str(), target_found.as_str()),
                (authority, target),
                "{location}"
            );
        }
    }

    #[test]
    fn redirects_elsewhere_are_refused_with_the_reason() {
        let base = Url::new(HERE, "8080", b"/").unwrap();
        for (location, reason) in [
            ("https://10.0.0.5/", "https://10.0.0.5/: https is not followed"),
            ("http://example.com/", "http://example.com/: another host is not followed"),
            ("//10.0.0.6/", "//10.0.0.6/: another host is not followed"),
            ("http://user:word@10.0.0.6/a?b", "http://10.0.0.6/a: another host is not followed"),
            ("http://%zz@10.0.0.5/", "http://10.0.0.5/: not a URL"),
            ("ftp://10.0.0.5/", "ftp://10.0.0.5/: not an http URL"),
            ("http:/x", "http:/x: not a URL"),
            ("/%zz", "/%zz: not a URL"),
            ("http://10.0.0.5:http/", "http://10.0.0.5:http/: not a URL"),
        ] {
            assert_eq!(base.join(location.as_bytes()).unwrap_err().to_string(), reason);
        }
    }

    #[test]
    fn a_redirect_may_carry_credentials_which_relative_ones_keep() {
        let base = Url::new(HERE, "8080", b"/").unwrap();
        for (location, expected) in [
            ("http://user:word@10.0.0.5/", &b"user:word"[..]),
            ("//user@10.0.0.5/", b"user:"),
            ("//%41:a%3Ab@10.0.0.5/", b"A:a:b"),
        ] {
            let url = base.join(location.as_bytes()).unwrap();
            assert_eq!(
                (url.credentials.as_deref(), url.authority.as_str()),
                (Some(expected), "10.0.0.5")
            );
            assert_eq!(url.join(b"/x").unwrap().credentials.as_deref(), Some(expected));
            assert_eq!(url.join(b"//10.0.0.5/x").unwrap().credentials, None);
        }
    }

    #[test]
    fn redirects_work_on_version_6_addresses() {
        let base = Url::new("fd00::2".parse().unwrap(), "80", b"/").unwrap();
        assert_eq!(base.join(b"http://[fd00::2]:81/x").unwrap().authority, "[fd00::2]:81");
        assert_eq!(base.join(b"//[fd00::2]/").unwrap().port, Some(80));
    }
}

//! What git's words amount to. They decide what is worth another attempt and are explained to the
//! user; no exit status depends on them.

/// What is added to git's output when a signal ended it; the signal's name follows.
pub(super) const ENDED_BY: &str = "git was ended by ";

/// Why git failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    NoSuchHost(String),
    Refused,
    UntrustedCertificate,
    BadCertificate,
    Unauthorized,
    Forbidden,
    ProxyAuthentication,
    NoSuchRepository,
    NoSuchRef,
    NoSshKey,
    UnknownSshHost,
    NoTransport(String),
    TooSlow,
    DiskFull,
    /// Ended by a signal: a second git would meet the same.
    Ended(String),
    Unknown,
}

/// Phrases of git, curl, the TLS libraries and ssh, by what they mean. The first that is found
/// counts, so the more telling ones come first.
const PHRASES: [(&str, Verdict); 38] = [
    ("No space left on device", Verdict::DiskFull),
    ("Disk quota exceeded", Verdict::DiskFull),
    ("not found in upstream", Verdict::NoSuchRef),
    ("not our ref", Verdict::NoSuchRef),
    ("couldn't find remote ref", Verdict::NoSuchRef),
    ("did not match any file(s) known to git", Verdict::NoSuchRef),
    ("is not a tree", Verdict::NoSuchRef),
    ("unable to read tree", Verdict::NoSuchRef),
    ("unable to get local issuer certificate", Verdict::UntrustedCertificate),
    ("unable to get issuer certificate", Verdict::UntrustedCertificate),
    ("self-signed certificate", Verdict::UntrustedCertificate),
    ("self signed certificate", Verdict::UntrustedCertificate),
    ("server certificate verification failed", Verdict::UntrustedCertificate),
    ("certificate signer not trusted", Verdict::UntrustedCertificate),
    ("issuer is unknown", Verdict::UntrustedCertificate),
    ("SSL certificate problem", Verdict::BadCertificate),
    ("SSL: no alternative certificate subject name", Verdict::BadCertificate),
    ("does not match target host name", Verdict::BadCertificate),
    ("certificate subject name", Verdict::BadCertificate),
    ("response 407", Verdict::ProxyAuthentication),
    ("HTTP code 407", Verdict::ProxyAuthentication),
    ("returned error: 407", Verdict::ProxyAuthentication),
    ("returned error: 401", Verdict::Unauthorized),
    ("Authentication failed", Verdict::Unauthorized),
    ("could not read Username", Verdict::Unauthorized),
    ("could not read Password", Verdict::Unauthorized),
    ("returned error: 403", Verdict::Forbidden),
    ("Permission denied (publickey", Verdict::NoSshKey),
    ("Host key verification failed", Verdict::UnknownSshHost),
    ("Operation too slow", Verdict::TooSlow),
    ("timed out", Verdict::TooSlow),
    ("Connection refused", Verdict::Refused),
    ("Could not connect to server", Verdict::Refused),
    ("Couldn't connect to server", Verdict::Refused),
    ("returned error: 404", Verdict::NoSuchRepository),
    ("does not appear to be a git repository", Verdict::NoSuchRepository),
    ("access denied or repository not exported", Verdict::NoSuchRepository),
    ("is this a git repository?", Verdict::NoSuchRepository),
];

/// Phrases that a host's name follows.
const BEFORE_HOSTS: [&str; 4] = [
    "Could not resolve host: ",
    "Could not resolve proxy: ",
    "Could not resolve hostname ",
    "unable to look up ",
];
/// Phrases that a scheme follows.
const BEFORE_SCHEMES: [&str; 3] =
    ["git: 'remote-", "Unable to find remote helper for '", "transport '"];

impl Verdict {
    /// Reads git's output, which is in English.
    pub(super) fn of(output: &str) -> Self {
        if let Some(host) = name_after(&BEFORE_HOSTS, output) {
            return Self::NoSuchHost(host);
        }
        if let Some(scheme) = name_after(&BEFORE_SCHEMES, output) {
            return Self::NoTransport(scheme);
        }
        if let Some(signal) = name_after(&[ENDED_BY], output) {
            return Self::Ended(signal);
        }
        let repository = output.contains("repository '") && output.contains("' not found");
        let missing = || if repository { Self::NoSuchRepository } else { Self::Unknown };
        let found = PHRASES.into_iter().find(|(phrase, _)| output.contains(phrase));
        found.map_or_else(missing, |(_, verdict)| verdict)
    }

    /// Whether a whole clone would fail just the same.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self, Self::Unknown | Self::TooSlow)
    }

    /// What to tell the user; nothing where git's own words must do.
    pub(super) fn words(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchHost(host) => {
                format!("The host name `{host}` was not found: check the URL and the DNS servers")
            }
            Self::NoTransport(scheme) => {
                format!("git cannot fetch from `{scheme}:` URLs here: use https, ssh or git")
            }
            Self::Ended(signal) if signal == "SIGKILL" => {
                "git was killed, most often that is for want of memory".to_owned()
            }
            other => other.fixed_words()?.to_owned(),
        })
    }

    fn fixed_words(&self) -> Option<&'static str> {
        Some(match self {
            Self::Refused => "Nobody answers at that address: check host and port",
            Self::UntrustedCertificate => {
                "The server's certificate has an unknown issuer: install the issuer's certificate \
                 in the container, or name its file in GIT_SSL_CAINFO"
            }
            Self::BadCertificate => {
                "The server's certificate is expired or made for another host name"
            }
            Self::Unauthorized => {
                "The server wants a user and password (401): check those in the URL"
            }
            Self::Forbidden => "The server forbids it to this user (403)",
            Self::ProxyAuthentication => {
                "The proxy wants a user and password (407): put them in the proxy's variable"
            }
            Self::NoSuchRepository => {
                "There is no git repository at that URL, or it is not shown to this user"
            }
            Self::NoSshKey => "The server accepts none of this container's ssh keys",
            Self::UnknownSshHost => "ssh does not know the server's host key",
            Self::TooSlow => "The server took too long",
            Self::DiskFull => "The disk is full",
            Self::NoSuchRef
            | Self::NoSuchHost(_)
            | Self::NoTransport(_)
            | Self::Ended(_)
            | Self::Unknown => return None,
        })
    }
}

fn name_after(phrases: &[&str], output: &str) -> Option<String> {
    let (_, rest) = phrases.iter().find_map(|phrase| output.split_once(phrase))?;
    let end = rest.find(|c: char| c.is_whitespace() || ":;'(".contains(c));
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_git_are_understood() {
        for (output, verdict) in [
            (
                "fatal: unable to access 'http://h.invalid/': Could not resolve host: h.invalid\n",
                Verdict::NoSuchHost("h.invalid".to_owned()),
            ),
            (
                "ssh: Could not resolve hostname h: Name or service not known\nfatal: Could not",
                Verdict::NoSuchHost("h".to_owned()),
            ),
            (
                "fatal: unable to look up h (port 9418) (Name or service not known)",
                Verdict::NoSuchHost("h".to_owned()),
            ),
            (
                "fatal: unable to access 'http://127.0.0.1:1/': Failed to connect to 127.0.0.1 \
                 port 1 after 0 ms: Couldn't connect to server",
                Verdict::Refused,
            ),
            (
                "fatal: unable to access 'https://h/': SSL certificate problem: unable to get \
                 local issuer certificate",
                Verdict::UntrustedCertificate,
            ),
            (
                "fatal: unable to access 'https://h/': SSL certificate problem: certificate has \
                 expired",
                Verdict::BadCertificate,
            ),
            (
                "fatal: unable to access 'https://h/': server certificate verification failed. \
                 CAfile: none CRLfile: none",
                Verdict::UntrustedCertificate,
            ),
            (
                "fatal: could not read Username for 'http://h': terminal prompts disabled",
                Verdict::Unauthorized,
            ),
            (
                "fatal: unable to access 'x': CONNECT tunnel failed, response 407",
                Verdict::ProxyAuthentication,
            ),
            ("fatal: repository 'http://h/x/' not found", Verdict::NoSuchRepository),
            ("fatal: Remote branch x not found in upstream origin", Verdict::NoSuchRef),
            (
                "git: 'remote-foo' is not a git command. See 'git --help'.\nfatal: Unable to find \
                 remote helper for 'foo'",
                Verdict::NoTransport("foo".to_owned()),
            ),
            ("fatal: dumb http transport does not support shallow capabilities", Verdict::Unknown),
        ] {
            assert_eq!(Verdict::of(output), verdict, "{output}");
        }
    }
}

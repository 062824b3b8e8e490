//! The server's own key: the first PEM block of a text (contract sshd 3.2), or one made at start.

use russh::keys::key::safe_rng;
use russh::keys::{self, Algorithm, PrivateKey, decode_secret_key};

/// Why a text has no key for the server; the first three in the predecessor's words.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// No PEM block.
    #[error("ssh: no key found")]
    NotFound {
        /// Of the text.
        bytes: usize,
        /// Of the text.
        lines: usize,
    },
    /// It takes a passphrase.
    #[error("ssh: this private key is passphrase protected")]
    Encrypted,
    /// The block is none with a private key.
    #[error("ssh: unsupported key type {0:?}")]
    Unsupported(String),
    /// A key of a kind that this server cannot use.
    #[error("ssh: host keys of type {0} are not supported: RSA, ECDSA and Ed25519 are")]
    Kind(String),
    /// What is in the block is no such key.
    #[error("ssh: the block {label:?} has no readable key: {reason}")]
    Malformed {
        /// What it says it is.
        label: String,
        /// What is wrong with it.
        reason: keys::Error,
    },
    /// The system has no random numbers.
    #[error("ssh: no host key could be made: {0}")]
    Generate(keys::ssh_key::Error),
}

/// DSA's object identifier.
const DSA: &str = "1.2.840.10040.4.1";

impl HostKeyError {
    fn dsa() -> Self {
        Self::Kind("ssh-dss".to_owned())
    }
}

/// The key in the first PEM block of `text`.
pub fn parse(text: &str) -> Result<PrivateKey, HostKeyError> {
    let not_found = || HostKeyError::NotFound { bytes: text.len(), lines: text.lines().count() };
    let block = Block::first(text).ok_or_else(not_found)?;
    match block.label {
        "RSA PRIVATE KEY" | "PRIVATE KEY" | "EC PRIVATE KEY" | "OPENSSH PRIVATE KEY" => {}
        "DSA PRIVATE KEY" => return Err(HostKeyError::dsa()),
        "ENCRYPTED PRIVATE KEY" => return Err(HostKeyError::Encrypted),
        other => return Err(HostKeyError::Unsupported(other.to_owned())),
    }
    if block.is_encrypted {
        return Err(HostKeyError::Encrypted);
    }
    let key = decode_secret_key(&block.text(), None).map_err(|reason| match reason {
        keys::Error::KeyIsEncrypted => HostKeyError::Encrypted,
        keys::Error::UnknownAlgorithm(id) if id.to_string() == DSA => HostKeyError::dsa(),
        reason => HostKeyError::Malformed { label: block.label.to_owned(), reason },
    })?;
    match key.algorithm() {
        Algorithm::Rsa { .. } | Algorithm::Ecdsa { .. } | Algorithm::Ed25519 => Ok(key),
        other => Err(HostKeyError::Kind(other.as_str().to_owned())),
    }
}

/// A new key for a server that was given none: Ed25519 takes microseconds to make.
pub fn generate() -> Result<PrivateKey, HostKeyError> {
    PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(HostKeyError::Generate)
}

/// A PEM block.
struct Block<'a> {
    label: &'a str,
    /// By its header: the older way.
    is_encrypted: bool,
    base64: Vec<&'a str>,
}

impl<'a> Block<'a> {
    /// The first block that begins and ends on lines of their own and has base64 between them.
    fn first(text: &'a str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        (0..lines.len()).find_map(|start| Self::at(&lines[start..]))
    }

    fn at(lines: &[&'a str]) -> Option<Self> {
        let (first, rest) = lines.split_first()?;
        let label = first.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
        let is_end = |line: &&str| {
            line.strip_prefix("-----END ").and_then(|line| line.strip_suffix("-----"))
                == Some(label)
        };
        let body = &rest[..rest.iter().position(is_end)?];
        let headers = body.iter().take_while(|line| line.contains(':')).count();
        let (headers, base64) = body.split_at(headers);
        let is_base64 = |line: &&str| {
            line.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        };
        base64.iter().all(is_base64).then(|| Self {
            label,
            is_encrypted: headers.iter().any(|line| line.contains("ENCRYPTED")),
            base64: base64.to_vec(),
        })
    }

    /// The block alone, without its headers.
    fn text(&self) -> String {
        let Self { label, base64, .. } = self;
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64.join("\n"))
    }
}

#[cfg(test)]
mod tests;

//! The key pair of an app's SSH servers: RSA with 2048 bits for host and user alike, as the Cloud Controller makes it.

use lifecycle::file;
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::LineEnding;
use ssh_key::public::{KeyData, RsaPublicKey};

use crate::recipe::KeyPair;
use crate::state::{AppDirectory, StateError, write_private};

const BITS: usize = 2048;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// They can't be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// They can't be read.
    #[error(transparent)]
    File(#[from] file::FileError),
    /// They can't be made.
    #[error("no SSH keys can be made: {0}")]
    Make(String),
}

/// What SSH clients are told that an app's servers are called, for their addresses change.
pub(crate) const HOST: &str = "piecrust";

/// The app's keys, made when it has none. `key` holds the private one, `key.pub` the public one, `known_hosts` that
/// for clients, as [`HOST`]'s.
pub(crate) fn of(directory: &AppDirectory) -> Result<KeyPair, KeyError> {
    let (private, public) = (directory.place("key"), directory.place("key.pub"));
    if let (Some(private), Some(public)) = (file::read(&private)?, file::read(&public)?) {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        return Ok(KeyPair { private: text(private), public: text(public).trim().to_owned() });
    }
    let keys = make()?;
    let known_hosts = format!("{HOST} {}\n", keys.public);
    write_private(&directory.place("known_hosts"), known_hosts.as_bytes())?;
    write_private(&public, keys.public.as_bytes())?;
    write_private(&private, keys.private.as_bytes())?;
    Ok(keys)
}

fn make() -> Result<KeyPair, KeyError> {
    let wrong = |error: &dyn std::fmt::Display| KeyError::Make(error.to_string());
    let key = RsaPrivateKey::new(&mut rand::rng(), BITS).map_err(|error| wrong(&error))?;
    let private = key.to_pkcs1_pem(LineEnding::LF).map_err(|error| wrong(&error))?;
    let public = RsaPublicKey::try_from(key.to_public_key()).map_err(|error| wrong(&error))?;
    let public = ssh_key::PublicKey::from(KeyData::from(public));
    let public = public.to_openssh().map_err(|error| wrong(&error))?;
    Ok(KeyPair { private: private.to_string(), public: public.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let app = State::at(directory.path().to_owned()).unwrap().make_app("a").unwrap();
        let keys = of(&app).unwrap();
        assert!(keys.private.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"), "{}", keys.private);
        assert!(
            keys.public.starts_with("ssh-rsa AAAA") && keys.public.split(' ').count() == 2,
            "{}",
            keys.public
        );
        assert_eq!(of(&app).unwrap(), keys);
        let mode = fs::metadata(app.place("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

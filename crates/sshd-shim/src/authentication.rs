//! Who may log in (contract sshd 6): the owner of the one key, or everybody; the user's name has no effect.

use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::server::Auth;
use russh::{MethodKind, MethodSet};

use crate::config::Config;
use crate::log::{Log, Value};

/// So many failures end a connection; a first `none`, which asks for the methods, is none of them.
pub const MOST_FAILURES: usize = 6;

/// The methods that clients are told of: `none` needs no telling.
pub fn methods(config: &Config) -> MethodSet {
    let methods: &[MethodKind] =
        if config.authorized_key.is_some() { &[MethodKind::PublicKey] } else { &[] };
    MethodSet::from(methods)
}

/// The method `none`.
pub fn none(config: &Config) -> Auth {
    if config.allow_unauthenticated { Auth::Accept } else { reject(config) }
}

/// A method that nobody may log in with, such as `password`.
pub fn refused(config: &Config, log: &Log, method: &str) -> Auth {
    let error = format!("the method {method} is not accepted");
    log.error("authentication-failed", &[("error", error.into())]);
    reject(config)
}

/// A key that a client has offered.
#[derive(Debug)]
pub struct Offer {
    key_type: String,
    fingerprint: String,
}

impl Offer {
    /// `key` was offered.
    pub fn new(key: &PublicKey) -> Self {
        Self {
            key_type: key.algorithm().as_str().to_owned(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
        }
    }

    /// For a line of the log.
    pub fn data(&self) -> [(&'static str, Value<'_>); 2] {
        [("key-type", (&self.key_type).into()), ("fingerprint", (&self.fingerprint).into())]
    }
}

/// Whether `key` may log in with signatures of `algorithm`. If not, the log has what was offered.
pub fn offered(config: &Config, log: &Log, key: &PublicKey, algorithm: &Algorithm) -> Auth {
    let is_the_one = config
        .authorized_key
        .as_ref()
        .is_some_and(|authorized| authorized.key_data() == key.key_data());
    let is_strong = config.algorithms.signatures.contains(algorithm);
    if is_the_one && is_strong {
        return Auth::Accept;
    }
    let why = if is_the_one {
        "signatures of this algorithm are not allowed"
    } else {
        "not the authorized key"
    };
    let offer = Offer::new(key);
    let [key_type, fingerprint] = offer.data();
    let signatures = ("signature-algorithm", algorithm.as_str().into());
    log.error("authentication-failed", &[("error", why.into()), key_type, signatures, fingerprint]);
    reject(config)
}

/// No, and what else may be tried.
pub fn reject(config: &Config) -> Auth {
    Auth::Reject { proceed_with_methods: Some(methods(config)), partial_success: false }
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;

    use super::*;
    use crate::context::Context;

    fn key() -> PrivateKey {
        crate::host_key::generate().unwrap()
    }

    #[test]
    fn only_the_one_key_and_only_with_allowed_signatures() {
        let (owner, other) = (key(), key());
        let mut context = Context::example();
        context.config.allow_unauthenticated = false;
        context.config.authorized_key = Some(owner.public_key().clone());
        let Context { config, log, .. } = context;
        let offer =
            |key: &PrivateKey, algorithm| offered(&config, &log, key.public_key(), &algorithm);
        assert_eq!(offer(&owner, Algorithm::Ed25519), Auth::Accept);
        assert_eq!(offer(&owner, Algorithm::Rsa { hash: None }), reject(&config));
        assert_eq!(offer(&other, Algorithm::Ed25519), reject(&config));
        assert_eq!(none(&config), reject(&config));
        assert_eq!(methods(&config), MethodSet::from(&[MethodKind::PublicKey][..]));
    }

    #[test]
    fn none_is_for_everybody_if_so_configured_but_keys_still_must_be_right() {
        let Context { config, log, .. } = Context::example();
        assert_eq!(none(&config), Auth::Accept);
        assert_eq!(
            offered(&config, &log, key().public_key(), &Algorithm::Ed25519),
            reject(&config)
        );
        assert_eq!(methods(&config), MethodSet::empty());
    }
}

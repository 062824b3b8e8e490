//! Which algorithms are offered: the defaults of contract sshd 18.2, or what the allow-list flags name
//! (section 5). Algorithms with SHA-1 are offered only where a flag names them.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};

/// The algorithms of every connection.
#[derive(Clone, Debug)]
pub struct Algorithms {
    /// What the server's key-exchange message offers. `key` has the algorithms of the host key only.
    pub preferred: Preferred,
    /// Signature algorithms that clients may authenticate with, as `server-sig-algs` tells them.
    pub signatures: Vec<Algorithm>,
}

/// The allow-lists as given; an empty one stands for the defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowLists<'a> {
    /// `-allowedKeyExchanges`.
    pub key_exchanges: &'a str,
    /// `-allowedCiphers`.
    pub ciphers: &'a str,
    /// `-allowedMACs`.
    pub macs: &'a str,
    /// `-allowedHostKeyAlgorithms`.
    pub host_key_algorithms: &'a str,
}

/// Why there is nothing to offer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// A list without a single known name.
    #[error("-{flag} names no algorithm that this server has: it has {}", known.join(","))]
    NothingLeft {
        /// Which list.
        flag: &'static str,
        /// What could be named.
        known: Vec<&'static str>,
    },
    /// A name that is none of the host key's, in the predecessor's words.
    #[error("ssh: algorithm {name:?} is not supported for key type {key_type:?}")]
    NotOfHostKey {
        /// As given.
        name: String,
        /// `ssh-rsa`, `ssh-ed25519` and so on.
        key_type: String,
    },
}

/// A name in an allow-list that this server does not know, and which list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("-{flag} names {name:?}, which this server does not have and leaves out{}", blank_note(.name))]
pub struct UnknownName {
    /// Without its dash.
    pub flag: &'static str,
    /// As given, blanks included.
    pub name: String,
}

fn blank_note(name: &str) -> &'static str {
    if name.trim() == name { "" } else { ": blanks count, take them out" }
}

const KEX_DEFAULTS: &[kex::Name] =
    &[kex::MLKEM768X25519_SHA256, kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731];

/// Only by name. Group exchange is left out: the predecessor has none either.
const KEX_OTHERS: &[kex::Name] = &[
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G14_SHA256,
    kex::DH_G15_SHA512,
    kex::DH_G16_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G14_SHA1,
    kex::DH_G1_SHA1,
];

const CIPHER_DEFAULTS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_GCM,
    cipher::AES_128_GCM,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

const CIPHER_OTHERS: &[cipher::Name] =
    &[cipher::AES_256_CBC, cipher::AES_192_CBC, cipher::AES_128_CBC];

const MAC_DEFAULTS: &[mac::Name] =
    &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512];

const MAC_OTHERS: &[mac::Name] = &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];

/// The algorithms that `lists` leave, and the names in them that are unknown.
pub fn choose(
    lists: &AllowLists<'_>,
    host_key: &Algorithm,
) -> Result<(Algorithms, Vec<UnknownName>), AlgorithmError> {
    let mut unknown = Vec::new();
    let mut kex = Allowed { flag: "allowedKeyExchanges", list: lists.key_exchanges }.choose(
        KEX_DEFAULTS,
        KEX_OTHERS,
        &mut unknown,
    )?;
    // One algorithm by two names, of which old clients know the second only.
    if kex.contains(&kex::CURVE25519) && !kex.contains(&kex::CURVE25519_PRE_RFC_8731) {
        kex.push(kex::CURVE25519_PRE_RFC_8731);
    }
    kex.push(kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER);
    let cipher = Allowed { flag: "allowedCiphers", list: lists.ciphers }.choose(
        CIPHER_DEFAULTS,
        CIPHER_OTHERS,
        &mut unknown,
    )?;
    let mac = Allowed { flag: "allowedMACs", list: lists.macs }.choose(
        MAC_DEFAULTS,
        MAC_OTHERS,
        &mut unknown,
    )?;
    let key = host_key_algorithms(lists.host_key_algorithms, host_key)?;
    let mut signatures = SIGNATURES.to_vec();
    if lists.host_key_algorithms.split(',').any(|name| name == SSH_RSA.as_str()) {
        signatures.push(SSH_RSA);
    }
    let preferred = Preferred {
        kex: Cow::Owned(kex),
        key: Cow::Owned(key),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Owned(cipher),
        mac: Cow::Owned(mac),
        compression: Cow::Borrowed(&[compression::NONE]),
    };
    Ok((Algorithms { preferred, signatures }, unknown))
}

/// One list of names.
struct Allowed<'a> {
    flag: &'static str,
    list: &'a str,
}

impl Allowed<'_> {
    /// The names known, in the list's order and not trimmed, as the predecessor reads them.
    fn choose<N: AsRef<str> + Copy + PartialEq + 'static>(
        &self,
        defaults: &'static [N],
        others: &'static [N],
        unknown: &mut Vec<UnknownName>,
    ) -> Result<Vec<N>, AlgorithmError> {
        if self.list.is_empty() {
            return Ok(defaults.to_vec());
        }
        let known = || defaults.iter().chain(others);
        let mut chosen = Vec::new();
        for name in self.list.split(',') {
            match known().find(|known| known.as_ref() == name) {
                Some(known) if !chosen.contains(known) => chosen.push(*known),
                Some(_) => {}
                None => unknown.push(UnknownName { flag: self.flag, name: name.to_owned() }),
            }
        }
        if chosen.is_empty() {
            let known = known().map(AsRef::as_ref).collect();
            return Err(AlgorithmError::NothingLeft { flag: self.flag, known });
        }
        Ok(chosen)
    }
}

const RSA_SHA2_256: Algorithm = Algorithm::Rsa { hash: Some(HashAlg::Sha256) };
const RSA_SHA2_512: Algorithm = Algorithm::Rsa { hash: Some(HashAlg::Sha512) };
/// RSA with SHA-1.
const SSH_RSA: Algorithm = Algorithm::Rsa { hash: None };

/// What clients may sign with.
const SIGNATURES: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::SkEd25519,
    Algorithm::SkEcdsaSha2NistP256,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    RSA_SHA2_256,
    RSA_SHA2_512,
];

/// What the host key may sign with, in this order whatever the list's. Every name in the list must be
/// one of the key's.
fn host_key_algorithms(list: &str, host_key: &Algorithm) -> Result<Vec<Algorithm>, AlgorithmError> {
    let (defaults, all) = if matches!(host_key, Algorithm::Rsa { .. }) {
        (vec![RSA_SHA2_256, RSA_SHA2_512], vec![RSA_SHA2_256, RSA_SHA2_512, SSH_RSA])
    } else {
        (vec![host_key.clone()], vec![host_key.clone()])
    };
    if list.is_empty() {
        return Ok(defaults);
    }
    let names: Vec<&str> = list.split(',').collect();
    if let Some(name) = names.iter().find(|name| !all.iter().any(|known| known.as_str() == **name))
    {
        let key_type = host_key.as_str().to_owned();
        return Err(AlgorithmError::NotOfHostKey { name: (*name).to_owned(), key_type });
    }
    Ok(all.into_iter().filter(|known| names.contains(&known.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<N: AsRef<str>>(list: &[N]) -> String {
        list.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(",")
    }

    fn chosen(lists: AllowLists<'_>) -> (Algorithms, Vec<UnknownName>) {
        choose(&lists, &SSH_RSA).unwrap()
    }

    #[test]
    fn the_defaults_are_todays_without_sha_1() {
        let (algorithms, unknown) = chosen(AllowLists::default());
        let offer = &algorithms.preferred;
        assert_eq!(
            names(&offer.kex),
            "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,\
             kex-strict-s-v00@openssh.com"
        );
        assert_eq!(
            names(&offer.cipher),
            "chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,\
             aes256-ctr,aes192-ctr,aes128-ctr"
        );
        assert_eq!(
            names(&offer.mac),
            "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
        );
        assert_eq!(names(&offer.key), "rsa-sha2-256,rsa-sha2-512");
        assert_eq!(names(&offer.compression), "none");
        assert!(!names(&algorithms.signatures).contains("ssh-rsa"));
        assert_eq!(unknown, []);
    }

    #[test]
    fn lists_replace_the_defaults_in_their_own_order() {
        // The three lists of the platform's suites.
        let (algorithms, unknown) = chosen(AllowLists {
            key_exchanges: "curve25519-sha256@libssh.org,ecdh-sha2-nistp384,diffie-hellman-group14-sha1",
            ciphers: "aes128-ctr,aes256-ctr",
            macs: "hmac-sha2-256,hmac-sha1",
            host_key_algorithms: "",
        });
        let offer = &algorithms.preferred;
        assert_eq!(
            names(&offer.kex),
            "curve25519-sha256@libssh.org,ecdh-sha2-nistp384,diffie-hellman-group14-sha1,\
             kex-strict-s-v00@openssh.com"
        );
        assert_eq!(names(&offer.cipher), "aes128-ctr,aes256-ctr");
        assert_eq!(names(&offer.mac), "hmac-sha2-256,hmac-sha1");
        assert_eq!(unknown, []);
    }

    #[test]
    fn curve25519_by_its_name_of_today_is_meant_by_both() {
        let key_exchanges = "curve25519-sha256,ecdh-sha2-nistp256";
        let (algorithms, _) = chosen(AllowLists { key_exchanges, ..AllowLists::default() });
        assert_eq!(
            names(&algorithms.preferred.kex),
            "curve25519-sha256,ecdh-sha2-nistp256,curve25519-sha256@libssh.org,kex-strict-s-v00@openssh.com"
        );
    }

    #[test]
    fn unknown_names_are_told_and_left_out() {
        let ciphers = "aes128-ctr, aes256-ctr,arcfour,aes128-ctr,none,";
        let (algorithms, unknown) = chosen(AllowLists { ciphers, ..AllowLists::default() });
        assert_eq!(names(&algorithms.preferred.cipher), "aes128-ctr");
        let unknown: Vec<&str> = unknown.iter().map(|unknown| unknown.name.as_str()).collect();
        assert_eq!(unknown, [" aes256-ctr", "arcfour", "none", ""]);
    }

    #[test]
    fn a_list_of_which_nothing_is_left_is_an_error() {
        for list in ["nope", ",", " aes128-ctr", "none", "clear", "hmac-md5,nope"] {
            for lists in [
                AllowLists { key_exchanges: list, ..AllowLists::default() },
                AllowLists { ciphers: list, ..AllowLists::default() },
                AllowLists { macs: list, ..AllowLists::default() },
            ] {
                let error = choose(&lists, &SSH_RSA).unwrap_err();
                assert!(matches!(error, AlgorithmError::NothingLeft { .. }), "{list}: {error}");
            }
        }
        let macs = AllowLists { macs: "nope", ..AllowLists::default() };
        assert_eq!(
            choose(&macs, &SSH_RSA).unwrap_err().to_string(),
            "-allowedMACs names no algorithm that this server has: it has \
             hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512,\
             hmac-sha1-etm@openssh.com,hmac-sha1"
        );
    }

    #[test]
    fn host_key_algorithms_are_a_subset_in_fixed_order() {
        for (list, expected) in [
            ("", "rsa-sha2-256,rsa-sha2-512"),
            ("ssh-rsa,rsa-sha2-256", "rsa-sha2-256,ssh-rsa"),
            ("ssh-rsa,rsa-sha2-512,rsa-sha2-256", "rsa-sha2-256,rsa-sha2-512,ssh-rsa"),
        ] {
            let lists = AllowLists { host_key_algorithms: list, ..AllowLists::default() };
            let (algorithms, _) = chosen(lists);
            assert_eq!(names(&algorithms.preferred.key), expected, "{list}");
            let sha_1 = algorithms.signatures.contains(&SSH_RSA);
            assert_eq!(sha_1, list.contains("ssh-rsa"), "{list}");
            assert!(algorithms.signatures.contains(&Algorithm::Ed25519));
        }
    }

    #[test]
    fn a_name_that_is_not_of_the_host_key_is_an_error() {
        for (list, name) in [
            ("invalid", "invalid"),
            (" rsa-sha2-256", " rsa-sha2-256"),
            ("ssh-rsa,ssh-ed25519", "ssh-ed25519"),
            (",", ""),
        ] {
            let lists = AllowLists { host_key_algorithms: list, ..AllowLists::default() };
            let error = choose(&lists, &SSH_RSA).unwrap_err().to_string();
            let expected =
                format!("ssh: algorithm {name:?} is not supported for key type \"ssh-rsa\"");
            assert_eq!(error, expected);
        }
        let lists = AllowLists { host_key_algorithms: "ssh-ed25519", ..AllowLists::default() };
        let (algorithms, _) = choose(&lists, &Algorithm::Ed25519).unwrap();
        assert_eq!(names(&algorithms.preferred.key), "ssh-ed25519");
    }
}

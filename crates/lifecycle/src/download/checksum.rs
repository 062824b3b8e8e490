//! Checksums as the Cloud Controller gives them: an algorithm's name and a value in hex
//! (platform, section 2.2).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Trouble;
use crate::archive::pack::hex;

const CHUNK: usize = 128 << 10;

/// The algorithms that the platform knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// 32 hex digits.
    Md5,
    /// 40 hex digits.
    Sha1,
    /// 64 hex digits.
    Sha256,
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    /// In lower case.
    value: String,
}

/// Why something is no checksum.
#[derive(Debug, thiserror::Error)]
pub enum ChecksumError {
    /// Neither md5, sha1 nor sha256.
    #[error("unknown checksum algorithm `{0}`: md5, sha1 and sha256 are known")]
    Algorithm(String),
    /// Too long, too short, or other characters.
    #[error("`{value}` is no {algorithm} checksum: that has {digits} hex digits")]
    Value {
        /// What was given.
        value: String,
        /// The algorithm's name.
        algorithm: &'static str,
        /// How many digits its values have.
        digits: usize,
    },
}

/// The checksums of one file, in hex.
pub(super) type Checksums = BTreeMap<Algorithm, String>;

impl Algorithm {
    /// Its name in the platform.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }
}

impl Checksum {
    /// `algorithm` is `md5`, `sha1` or `sha256`, `value` in hex of either case.
    pub fn new(algorithm: &str, value: &str) -> Result<Self, ChecksumError> {
        let known = [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256];
        let found = known.into_iter().find(|known| known.name() == algorithm);
        let found = found.ok_or_else(|| ChecksumError::Algorithm(algorithm.to_owned()))?;
        let digits = found.digits();
        if value.len() != digits || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let (value, algorithm) = (value.to_owned(), found.name());
            return Err(ChecksumError::Value { value, algorithm, digits });
        }
        Ok(Self { algorithm: found, value: value.to_ascii_lowercase() })
    }

    /// The SHA-256 of a file.
    pub fn sha256_of(path: &Path) -> io::Result<Self> {
        let value = of_file(path, None)?.0.remove(&Algorithm::Sha256).unwrap_or_default();
        Ok(Self { algorithm: Algorithm::Sha256, value })
    }

    /// It in hex, in lower case.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether `checksums` have it.
    pub(super) fn is_among(&self, checksums: &Checksums) -> bool {
        checksums.get(&self.algorithm) == Some(&self.value)
    }

    /// The error that a file with these checksums is.
    pub(super) fn check(&self, checksums: &Checksums) -> Result<(), Trouble> {
        if self.is_among(checksums) {
            return Ok(());
        }
        Err(Trouble::Checksum {
            algorithm: self.algorithm.name(),
            expected: self.value.clone(),
            actual: checksums.get(&self.algorithm).cloned().unwrap_or_default(),
        })
    }
}

/// SHA-256 of some bytes, in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file, by which it is kept, its length in bytes, and the checksum that is demanded.
pub(super) fn of_file(path: &Path, demanded: Option<&Checksum>) -> io::Result<(Checksums, u64)> {
    let mut file = File::open(path)?;
    let (mut sha256, mut sha1, mut md5) = (Sha256::new(), Sha1::new(), Md5::new());
    let demanded = demanded.map(|demanded| demanded.algorithm);
    let mut chunk = vec![0; CHUNK];
    let mut length = 0;
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        length += count as u64;
        let bytes = &chunk[..count];
        sha256.update(bytes);
        match demanded {
            Some(Algorithm::Sha1) => sha1.update(bytes),
            Some(Algorithm::Md5) => md5.update(bytes),
            Some(Algorithm::Sha256) | None => {}
        }
    }
    let mut checksums = Checksums::from([(Algorithm::Sha256, hex(&sha256.finalize()))]);
    match demanded {
        Some(Algorithm::Sha1) => checksums.insert(Algorithm::Sha1, hex(&sha1.finalize())),
        Some(Algorithm::Md5) => checksums.insert(Algorithm::Md5, hex(&md5.finalize())),
        Some(Algorithm::Sha256) | None => None,
    };
    Ok((checksums, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_the_platform_are_known_and_others_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        for (algorithm, value) in [
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("sha1", "A9993E364706816ABA3E25717850C26C9CD0D89D"),
            ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            let checksum = Checksum::new(algorithm, value).unwrap();
            let (checksums, length) = of_file(&path, Some(&checksum)).unwrap();
            assert_eq!(length, 3);
            checksum.check(&checksums).unwrap();
            let other = Checksum::new(algorithm, &"0".repeat(value.len())).unwrap();
            assert!(other.check(&checksums).is_err());
        }
        for (algorithm, value, sentence) in [
            ("sha512", "", "unknown checksum algorithm `sha512`: md5, sha1 and sha256 are known"),
            ("md5", "90", "`90` is no md5 checksum: that has 32 hex digits"),
        ] {
            assert_eq!(Checksum::new(algorithm, value).unwrap_err().to_string(), sentence);
        }
        assert!(Checksum::new("sha1", &"g".repeat(40)).is_err());
    }
}

//! Buildpacks: their keys, their order, and where each one lives.

use std::fs;
use std::path::{Path, PathBuf};

use lifecycle::architecture::Architecture;
use lifecycle::url::Url;
use md5::{Digest, Md5};
use twox_hash::XxHash64;

use crate::config::Config;
use crate::error::StagingError;
use crate::fetch::Download;

/// A buildpack as `-buildpackOrder` names it: a key of the platform's, or a URL.
#[derive(Debug)]
pub(crate) struct Key {
    /// As given.
    pub(crate) text: String,
    /// The URL it is, where it is one.
    pub(crate) url: Option<Url>,
}

impl Key {
    /// Reads one element of the order. Whatever has a scheme is a URL (contract, section 3.3).
    fn parse(text: &str) -> Result<Self, StagingError> {
        let url = Url::parse(text).map_err(|source| StagingError::BuildpackUrl {
            key: lifecycle::url::mask_url(text),
            source,
        })?;
        let url = Some(url).filter(|url| !url.scheme().is_empty());
        Ok(Self { text: text.to_owned(), url })
    }

    /// The name of its directories: xxHash64 with seed 0 of the key, 16 hex digits.
    pub(crate) fn hash(&self) -> String {
        format!("{:016x}", XxHash64::oneshot(0, self.text.as_bytes()))
    }

    /// The name of its directory on platforms with `legacy_md5_buildpack_paths_enabled`.
    fn legacy_hash(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(Md5::digest(self.text.as_bytes()).into()))
    }

    /// The key as people may see it: passwords masked.
    pub(crate) fn shown(&self) -> String {
        self.url.as_ref().map_or_else(|| self.text.clone(), Url::masked)
    }
}

/// The buildpacks in order.
#[derive(Debug)]
pub(crate) struct Order {
    /// At least one.
    pub(crate) keys: Vec<Key>,
    skip_detect: bool,
}

impl Order {
    /// Reads `-buildpackOrder`. Empty elements stay: they are looked up like any other.
    pub(crate) fn parse(config: &Config) -> Result<Self, StagingError> {
        let keys = config.buildpack_order.split(',').map(Key::parse).collect::<Result<_, _>>()?;
        Ok(Self { keys, skip_detect: config.skip_detect })
    }

    /// All but the last where detection is skipped, else none.
    pub(crate) fn supply(&self) -> &[Key] {
        if self.skip_detect { &self.keys[..self.keys.len() - 1] } else { &[] }
    }

    /// The last one.
    pub(crate) fn last(&self) -> &Key {
        &self.keys[self.keys.len() - 1]
    }

    /// The buildpacks to be fetched, and where to.
    pub(crate) fn downloads(&self, config: &Config) -> Vec<Download> {
        let download = |key: &Key| {
            let destination = config.buildpacks_download_dir.join(key.hash());
            key.url.clone().map(|url| Download { url, destination })
        };
        self.keys.iter().filter_map(download).collect()
    }

    /// The names of the deps directories, padded to equal width: `0`, or `00` … `09` for ten.
    pub(crate) fn deps_indices(&self) -> Vec<String> {
        deps_indices(self.supply().len() + 1)
    }
}

fn deps_indices(count: usize) -> Vec<String> {
    let width = count.to_string().len();
    (0..count).map(|index| format!("{index:0width$}")).collect()
}

/// A buildpack on disk.
#[derive(Debug)]
pub(crate) struct Buildpack {
    /// The directory that has `bin`.
    pub(crate) path: PathBuf,
    /// Its key, with passwords masked.
    pub(crate) shown: String,
}

/// Why a buildpack was not found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// No directory of that name. The path stands twice, as in the predecessor; never the key.
    #[error("Failed to read buildpack directory '{0}' for buildpack '{0}'", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// Its key, with passwords masked.
        buildpack: String,
    },
    /// A directory without `bin`.
    #[error("malformed buildpack does not contain a /bin dir: {0}")]
    NoBin(String),
}

impl LocateError {
    /// The key, which the predecessor's sentence lacks.
    pub(crate) fn explanation(&self) -> Vec<String> {
        match self {
            Self::Missing { path, buildpack } => {
                let directory = path.parent().unwrap_or(path).display();
                vec![format!("buildpack '{buildpack}' is not installed in {directory}")]
            }
            Self::NoBin(_) => Vec::new(),
        }
    }
}

impl Buildpack {
    /// Finds the buildpack on disk (contract, section 3.8), and says so when it ships programs for
    /// another machine.
    pub(crate) fn locate(key: &Key, config: &Config) -> Result<Self, LocateError> {
        let base = match key.url {
            Some(_) => &config.buildpacks_download_dir,
            None => &config.buildpacks_dir,
        };
        let path = directory(key, base)?;
        let buildpack = Self { path, shown: key.shown() };
        buildpack.warn_of_foreign_programs();
        Ok(buildpack)
    }

    /// Where its script of that name is.
    pub(crate) fn script(&self, name: &str) -> PathBuf {
        self.path.join("bin").join(name)
    }

    /// Whether it has that script.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.script(name).exists()
    }

    /// The kernel's own words for a program of another machine are "exec format error".
    fn warn_of_foreign_programs(&self) {
        let own = Architecture::own();
        let mut foreign: Vec<(String, Architecture)> = fs::read_dir(self.path.join("bin"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let architecture = Architecture::of_file(&entry.path()).ok()??;
                (!own.runs(&architecture))
                    .then(|| (entry.file_name().to_string_lossy().into_owned(), architecture))
            })
            .collect();
        foreign.sort_by(|a, b| a.0.cmp(&b.0));
        let Some((_, architecture)) = foreign.first() else { return };
        let names: Vec<String> = foreign.iter().map(|(name, _)| format!("bin/{name}")).collect();
        lifecycle::report::warn(&format!(
            "WARNING: buildpack {} ships {architecture} programs, this cell is {}: {} will not run here",
            self.shown,
            own.name(),
            names.join(", "),
        ));
    }
}

fn directory(key: &Key, base: &Path) -> Result<PathBuf, LocateError> {
    let [current, legacy] = [key.hash(), key.legacy_hash()].map(|name| base.join(name));
    for candidate in [&current, &legacy] {
        if candidate.join("bin").exists() {
            return Ok(candidate.clone());
        }
    }
    let entries = list(&current)
        .filter(|entries| !entries.is_empty())
        .or_else(|| list(&legacy))
        .ok_or_else(|| LocateError::Missing { path: current, buildpack: key.shown() })?;
    // Zips made of a whole directory hold just that directory.
    match entries.as_slice() {
        [only] if only.join("bin").exists() => Ok(only.clone()),
        _ => Err(LocateError::NoBin(key.shown())),
    }
}

fn list(directory: &Path) -> Option<Vec<PathBuf>> {
    Some(fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_by_the_hash_of_the_key() {
        for (key, hash) in [("", "ef46db3751d8e999"), ("abc", "44bc2cf5ad770999")] {
            assert_eq!(Key::parse(key).unwrap().hash(), hash);
        }
        assert_eq!(Key::parse("abc").unwrap().legacy_hash(), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn deps_indices_have_the_width_of_their_count() {
        assert_eq!(deps_indices(1), ["0"]);
        assert_eq!(deps_indices(9).last().unwrap(), "8");
        assert_eq!(deps_indices(10)[..2], ["00", "01"]);
        assert_eq!(deps_indices(100)[7], "007");
    }

    #[test]
    fn a_scheme_makes_a_key_a_url() {
        for (key, is_url) in
            [("ruby_buildpack", false), ("https://h/bp.zip", true), ("a:b", true), ("1_2", false)]
        {
            assert_eq!(Key::parse(key).unwrap().url.is_some(), is_url, "{key}");
        }
        assert!(Key::parse("git@h:org/repo").is_err());
    }
}

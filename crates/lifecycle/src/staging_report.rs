//! `staging_report.json`: what staging was done on and what it cost. Ours, not the platform's:
//! a short form lies in the droplet's root, the whole one beside `-outputMetadata`.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::architecture::Architecture;
use crate::file;

/// The file's name, in the droplet's root and beside `-outputMetadata`.
pub const STAGING_REPORT: &str = "staging_report.json";

/// Where a droplet was staged. The bytes of a droplet do not depend on the time, so no times here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Version of the builder.
    pub builder_version: String,
    /// The stack (`CF_STACK`); empty when staging was not told.
    #[serde(default)]
    pub stack: String,
    /// The machine architecture, as `uname -m` names it.
    pub architecture: String,
}

impl Origin {
    /// A droplet staged here and now, on `stack`.
    pub fn here(stack: String) -> Self {
        Self {
            builder_version: env!("CARGO_PKG_VERSION").to_owned(),
            stack,
            architecture: Architecture::own().name().to_owned(),
        }
    }

    /// Reads the report in the droplet unpacked at `root`. `None` when there is none: droplets of
    /// other builders have no report.
    pub fn read(root: &Path) -> Option<Self> {
        let text = file::read(&root.join(STAGING_REPORT)).ok()??;
        serde_json::from_slice(&text).ok()
    }

    /// Writes the report into the droplet's root.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        file::create(&root.join(STAGING_REPORT), line(self)?.as_bytes())
    }
}

/// The whole report: the origin, the outputs' checksums, and what each step cost.
#[derive(Clone, Debug, Serialize)]
pub struct StagingReport {
    /// Where the droplet was staged.
    #[serde(flatten)]
    pub origin: Origin,
    /// Wall time of the whole staging, in seconds.
    pub seconds: f64,
    /// The packed droplet.
    pub droplet: Output,
    /// The packed build artifacts cache.
    pub cache: Output,
    /// The steps in the order in which they began.
    pub phases: Vec<Phase>,
    /// The buildpacks in their order.
    pub buildpacks: Vec<BuildpackShare>,
}

/// A packed file.
#[derive(Clone, Debug, Serialize)]
pub struct Output {
    /// Size of the gzip file, in bytes.
    pub bytes: u64,
    /// Size of the tar stream in it, in bytes.
    pub unpacked_bytes: u64,
    /// SHA-256 of the gzip file, in lower-case hex.
    pub sha256: String,
    /// SHA-1 of the gzip file, in lower-case hex.
    pub sha1: String,
}

/// One step of staging.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// `fetch`, `detect`, `supply`, `finalize`, `compile`, `release`, `pack`.
    pub name: String,
    /// The buildpack whose script it was, by its key with passwords masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buildpack: Option<String>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Bytes fetched or packed, where the step moves any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What one buildpack cost.
#[derive(Clone, Debug, Serialize)]
pub struct BuildpackShare {
    /// The buildpack's key, with passwords masked.
    pub key: String,
    /// Wall time of all its scripts, in seconds.
    pub seconds: f64,
    /// Bytes of files it supplied in its deps directory.
    pub deps_bytes: u64,
}

impl StagingReport {
    /// Writes the whole report into `directory`.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        fs::write(directory.join(STAGING_REPORT), line(self)?)
    }
}

fn line(report: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(report)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_droplet_says_where_it_was_staged() {
        let root = tempfile::tempdir().unwrap();
        let origin = Origin::here("cflinuxfs4".to_owned());
        origin.write(root.path()).unwrap();
        assert_eq!(Origin::read(root.path()), Some(origin));
    }

    #[test]
    fn droplets_of_other_builders_have_no_report() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Origin::read(root.path()), None);
        fs::write(root.path().join(STAGING_REPORT), "{}").unwrap();
        assert_eq!(Origin::read(root.path()), None);
    }
}

//! The lifecycle bundles as `scripts/bundle` left them in `dist` (or `DIST`): run by `scripts/test --bundles`,
//! not with the other tests, which need none. `scripts/with-qemu` lets it run the programs of every architecture.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are test code too"
)]

mod any_image;
mod archive;
mod cell;
mod fetched;
mod large;
mod programs;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use suite::{tool, workspace};
use tempfile::TempDir;

/// What every bundle holds, in this order.
const PROGRAMS: [&str; 5] = ["builder", "launcher", "shell", "healthcheck", "diego-sshd"];
/// Those that are symbolic links, to builder.
const LINKS: [&str; 2] = ["launcher", "shell"];

fn dist() -> PathBuf {
    std::env::var_os("DIST").map_or_else(|| workspace().join("dist"), PathBuf::from)
}

fn index() -> Value {
    let path = dist().join("lifecycle.json");
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run scripts/bundle", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// A bundle of the index, unpacked into a directory that can be a container's root.
struct Bundle {
    target: String,
    archive: PathBuf,
    unpacked: TempDir,
    entry: Value,
}

impl Bundle {
    /// All of them; there is one at least.
    fn all() -> Vec<Self> {
        let index = index();
        let targets = index["targets"].as_array().unwrap();
        assert!(!targets.is_empty());
        targets.iter().map(Self::of).collect()
    }

    /// Those that need nothing of an image.
    fn all_static() -> Vec<Self> {
        let bundles: Vec<_> = Self::all().into_iter().filter(Self::is_static).collect();
        assert!(!bundles.is_empty());
        bundles
    }

    fn of(entry: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let archive = dist().join(text(&entry["bundle"]["name"]));
        let unpacked = TempDir::with_prefix("bundle-").unwrap();
        let destination = unpacked.path().to_str().unwrap();
        tool("tar", ["-xzf", archive.to_str().unwrap(), "-C", destination]);
        Self { target: text(&entry["target"]), archive, unpacked, entry: entry.clone() }
    }

    fn is_static(&self) -> bool {
        self.target.contains("-musl")
    }

    fn root(&self) -> &Path {
        self.unpacked.path()
    }

    fn program(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }
}

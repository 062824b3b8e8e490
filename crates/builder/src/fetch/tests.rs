//! Fetches from servers of every mood: scripted ones for what goes wrong on the way, nginx and git
//! for what goes right.

mod order;
mod repositories;
mod scripted;
mod web;
mod zips;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lifecycle::report::chain;
use tempfile::TempDir;

use super::*;

/// Where buildpacks are fetched to, and with which environment.
struct Place {
    dir: TempDir,
    environment: Environment,
    skip_cert_verify: bool,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        let mut environment = Environment::default();
        environment.set("PATH", std::env::var_os("PATH").unwrap());
        environment.set("HOME", dir.path());
        environment.set("TMPDIR", dir.path().join("tmp"));
        Self { dir, environment, skip_cert_verify: false }
    }

    fn with(mut self, name: &str, value: impl Into<std::ffi::OsString>) -> Self {
        self.environment.set(name, value);
        self
    }

    fn download(&self, url: &str, name: &str) -> Download {
        Download { url: Url::parse(url).unwrap(), destination: self.path(name) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("downloads").join(name)
    }

    fn fetch_all(&self, downloads: &[Download]) -> Result<Vec<Fetched>, FetchError> {
        let cleanup = Cleanup::default();
        let options = FetchOptions {
            skip_cert_verify: self.skip_cert_verify,
            environment: &self.environment,
            cleanup: &cleanup,
        };
        let outcome = all(downloads, &options);
        self.assert_nothing_temporary_is_left();
        outcome
    }

    fn assert_nothing_temporary_is_left(&self) {
        assert_eq!(fs::read_dir(self.dir.path().join("tmp")).unwrap().count(), 0);
    }

    /// Fetches one buildpack into `bp`.
    fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        self.fetch_all(&[self.download(url, "bp")]).map(|mut fetched| fetched.remove(0))
    }

    /// The sentence of a failed fetch and the lines below it.
    fn failure(&self, url: &str) -> (String, Vec<String>) {
        let error = self.fetch(url).unwrap_err();
        assert!(!self.path("bp").exists(), "something is left at the destination");
        (chain(&error), error.explanation())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("bp").join(name)).unwrap()
    }
}

/// The bytes of a zip of one script, `bin/detect`, and so much noise that it has about `size` bytes.
fn zip_of(size: usize) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    fs::write(dir.path().join("bin/detect"), "#!/bin/sh\n").unwrap();
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(size)
    .collect();
    fs::write(dir.path().join("noise"), noise).unwrap();
    let zipped = Command::new("zip")
        .args(["-qr", "bp.zip", "bin", "noise"])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(zipped.success());
    fs::read(dir.path().join("bp.zip")).unwrap()
}

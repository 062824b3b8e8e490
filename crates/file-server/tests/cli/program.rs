//! The example that downloads as a cell does.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A cache, and processes that download into it.
pub(crate) struct Cell {
    pub(crate) dir: TempDir,
    limit: u64,
}

impl Cell {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), limit: 1 << 30 }
    }

    pub(crate) fn with_limit(limit: u64) -> Self {
        Self { limit, ..Self::new() }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// The command that downloads; `words` are a URL, and a checksum's algorithm and value.
    pub(crate) fn command(&self, form: &str, words: &[&str]) -> Command {
        let example = std::env::current_exe().unwrap();
        let example = example.parent().unwrap().with_file_name("examples").join("download");
        let mut command = Command::new(example);
        command.args(Some(form).filter(|form| *form == "archive"));
        command.arg(self.cache()).arg(self.limit.to_string()).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Downloads an archive: how (`downloaded` or `cached`), and its content.
    pub(crate) fn archive(&self, words: &[&str]) -> (String, Vec<u8>) {
        let (how, path) = succeeded(&self.command("archive", words).output().unwrap());
        (how, fs::read(path).unwrap())
    }

    /// Downloads and unpacks: how, and the directory.
    pub(crate) fn directory(&self, words: &[&str]) -> (String, PathBuf) {
        succeeded(&self.command("directory", words).output().unwrap())
    }

    /// The sentence of a download that fails.
    pub(crate) fn failure(&self, form: &str, words: &[&str]) -> String {
        failed(&self.command(form, words).output().unwrap())
    }

    /// All that is in the cache but locks, as paths of files.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let found = suite::tool("find", [self.cache().as_os_str(), "-type".as_ref(), "f".as_ref()]);
        let mut files: Vec<PathBuf> = found.lines().map(PathBuf::from).collect();
        files.retain(|path| path.extension().is_none_or(|ending| ending != "lock"));
        files.sort();
        files
    }

    /// Whether nothing at all is left in the cache.
    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(self.cache()).unwrap().next().is_none()
    }

    /// The file that a download arrives in, once it is there.
    pub(crate) fn part(&self) -> Option<PathBuf> {
        self.cache().exists().then(|| self.files())?.into_iter().find(|path| path.ends_with("part"))
    }
}

/// How it went and the path, of a download that must have succeeded.
pub(crate) fn succeeded(output: &Output) -> (String, PathBuf) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let line = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    (words[0].to_owned(), words[2].into())
}

pub(crate) fn failed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stderr).trim_end().to_owned()
}

/// Bytes that no compression and no shift leaves the same.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

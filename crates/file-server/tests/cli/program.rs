//! The programs under test: the server, and processes that download as cells do.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use lifecycle::download::{Asset, Cache, Checksum};
use lifecycle::environment::Environment;
use lifecycle::http::{Client, transfer::TIMEOUTS};
use lifecycle::size::Size;
use lifecycle::url::Url;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use suite::program;
use tempfile::TempDir;

/// The variable with what [`acts_as_a_cell`] is to do.
pub(crate) const ORDER: &str = "CELL_DOWNLOAD";
/// What its lines begin with.
const SAID: &str = "@ ";

/// A running `file-server`, killed when dropped.
pub(crate) struct FileServer {
    child: Child,
    /// What the names of files are appended to.
    pub(crate) url: String,
}

impl FileServer {
    /// Serves `directory` at a free port.
    pub(crate) fn of(directory: &Path) -> Self {
        let mut command = Command::new(program("file-server"));
        command.args(["-address", "127.0.0.1:0"]).arg(directory).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.ends_with("/v1/static/\n"), "{url:?}");
        Self { child, url: url.trim_end().to_owned() }
    }

    /// The URL of a file.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}{name}", self.url)
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Waits for the end and gives the status.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

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

    /// The command that downloads; `words` are a URL, and a checksum's algorithm and value. It is this
    /// very program, since cargo does not build examples for every test run.
    pub(crate) fn command(&self, form: &str, words: &[&str]) -> Command {
        let (cache, limit) = (self.cache(), self.limit.to_string());
        let order = [&[form, cache.to_str().unwrap(), &limit], words].concat().join("\n");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "program::acts_as_a_cell", "--nocapture", "--quiet"]);
        command.env(ORDER, order).stdout(Stdio::piped()).stderr(Stdio::piped());
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
    let line = lines(&output.stdout).remove(0);
    let words: Vec<&str> = line.splitn(3, ' ').collect();
    (words[0].to_owned(), words[2].into())
}

/// The sentence of a download that must have failed.
pub(crate) fn failed(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    lines(&output.stderr).remove(0)
}

/// What [`acts_as_a_cell`] said, among the words of the test harness.
pub(crate) fn lines(said: &[u8]) -> Vec<String> {
    let said = String::from_utf8_lossy(said);
    said.lines().filter_map(|line| line.strip_prefix(SAID).map(str::to_owned)).collect()
}

/// Not a test: what other tests start as a process of a cell, with an order in the environment.
#[test]
fn acts_as_a_cell() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let words: Vec<&str> = order.split('\n').collect();
    let client = Client::new(&Environment::inherited(), TIMEOUTS);
    let limit = Size(words[2].parse().unwrap());
    let cache = Cache::open(Path::new(words[1]), limit, client).unwrap();
    let checksum = words.get(4).map(|algorithm| Checksum::new(algorithm, words[5]).unwrap());
    let asset = Asset { url: Url::parse(words[3]).unwrap(), checksum };
    let got = if words[0] == "archive" { cache.archive(&asset) } else { cache.directory(&asset) };
    let held = got.unwrap_or_else(|error| {
        eprintln!("\n{SAID}{error}");
        panic!("the test that started this process expects it to fail");
    });
    let how = if held.was_cached() { "cached" } else { "downloaded" };
    println!("\n{SAID}{how} {} {}", held.size(), held.path().display());
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

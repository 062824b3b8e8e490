//! The harness: an app and buildpacks in a directory of their own, one run of `builder`, and what
//! came of it. `LIFECYCLE_BIN_DIR=/some/dir` makes every test use the binaries there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "this library is test code: a broken fixture is a failed test"
)]

mod container;
mod debian;
mod port;
mod running;
pub mod ssh;
mod staged;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use container::Container;
pub use debian::{debian_with_languages, essential_debian};
pub use port::free_port;
pub use running::{Running, is_alive};
pub use staged::{Server, Staged};

/// How long anything may take before the test that waits for it fails.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// The program `name`: from `LIFECYCLE_BIN_DIR`, or where cargo put it for this test run.
pub fn program(name: &str) -> PathBuf {
    let path = match std::env::var_os("LIFECYCLE_BIN_DIR") {
        Some(directory) => PathBuf::from(directory).join(name),
        None => std::env::current_exe().unwrap().parent().unwrap().with_file_name(name),
    };
    assert!(path.is_file(), "{} is missing: run `cargo test --workspace`", path.display());
    path
}

/// The machine the programs under test are for, as `uname -m` calls it: not always this one's
/// (`scripts/test --arch`).
pub fn machine() -> &'static str {
    let program = fs::read(program("builder")).unwrap();
    match program[18..20] {
        [62, 0] => "x86_64",
        [183, 0] => "aarch64",
        [40, 0] => "armv7l",
        ref other => panic!("no machine known for {other:?}"),
    }
}

/// The workspace's root, where `tests/apps` and `buildpacks-fixtures` are.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Polls `probe` until it gives something; panics with `what` after [`DEADLINE`].
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a tool that must succeed and gives its stdout.
pub fn tool<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}\n{text}{errors}", output.status);
    text
}

/// The directory name of a buildpack key: xxHash64 with seed 0 in 16 hex digits.
pub fn xxhash(key: &str) -> String {
    format!("{:016x}", twox_hash::XxHash64::oneshot(0, key.as_bytes()))
}

/// A staging to be: its own directory with `app`, `buildpacks`, `cache`, `tmp` and `out` in it.
#[derive(Debug)]
pub struct Stage {
    root: TempDir,
    order: Vec<String>,
    flags: Vec<(String, OsString)>,
    environment: Vec<(OsString, OsString)>,
    wrapper: Vec<OsString>,
}

impl Stage {
    /// An app without files.
    pub fn empty() -> Self {
        let root = TempDir::with_prefix("suite-").unwrap();
        // Staging as another user must be able to get here.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for directory in ["app", "buildpacks", "tmp"] {
            fs::create_dir(root.path().join(directory)).unwrap();
        }
        let path = std::env::var_os("PATH").unwrap();
        let mut stage = Self {
            environment: vec![("PATH".into(), path)],
            flags: Vec::new(),
            order: Vec::new(),
            wrapper: Vec::new(),
            root,
        };
        for (name, path) in [("ROOT", ""), ("HOME", ""), ("TMPDIR", "tmp")] {
            let path = stage.path(path);
            stage = stage.env(name, path);
        }
        let paths = [
            ("buildDir", "app"),
            ("outputDroplet", "out/droplet"),
            ("outputMetadata", "out/result.json"),
            ("outputBuildArtifactsCache", "out/cache"),
            ("buildpacksDir", "buildpacks"),
            ("buildpacksDownloadDir", "downloads"),
            ("buildArtifactsCacheDir", "cache"),
        ];
        paths.into_iter().fold(stage, |stage, (flag, path)| {
            let path = stage.path(path);
            stage.flag(flag, path)
        })
    }

    /// A copy of `tests/apps/<name>`.
    pub fn app(name: &str) -> Self {
        let stage = Self::empty();
        let source = workspace().join("tests/apps").join(name).join(".");
        tool("cp", [OsStr::new("-a"), source.as_ref(), stage.path("app").as_ref()]);
        stage
    }

    /// A path in this staging's directory.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        let relative = relative.as_ref();
        if relative.as_os_str().is_empty() {
            return self.root.path().to_owned();
        }
        self.root.path().join(relative)
    }

    /// A file of the app.
    #[must_use]
    pub fn file(self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Self {
        let name = Path::new("app").join(name);
        self.seed(name, contents)
    }

    /// A file anywhere in this staging's directory; its parents are made.
    #[must_use]
    pub fn seed(self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    /// The sh script `bin/<name>` of the buildpack `key`, which joins the order if it is new.
    #[must_use]
    pub fn script(self, key: &str, name: &str, body: &str) -> Self {
        let path = Path::new("buildpacks").join(xxhash(key)).join("bin").join(name);
        let stage = self.seed(&path, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(stage.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
        stage.and_key(key)
    }

    /// Buildpacks of `buildpacks-fixtures`; each one's key is its name.
    #[must_use]
    pub fn buildpacks<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().fold(self, |stage, name| {
            let source = workspace().join("buildpacks-fixtures").join(name);
            let target = stage.path("buildpacks").join(xxhash(name));
            tool("cp", [OsStr::new("-a"), source.as_ref(), target.as_ref()]);
            stage.and_key(name)
        })
    }

    /// The buildpack order, exactly.
    #[must_use]
    pub fn order<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        self.order = keys.into_iter().map(str::to_owned).collect();
        self
    }

    fn and_key(mut self, key: &str) -> Self {
        if !self.order.iter().any(|known| known == key) {
            self.order.push(key.to_owned());
        }
        self
    }

    /// Runs all buildpacks but the last as supply buildpacks.
    #[must_use]
    pub fn skip_detect(self) -> Self {
        self.flag("skipDetect", "true")
    }

    /// Sets a flag, or replaces the harness's value of it.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.flags.retain(|(known, _)| known != name);
        self.flags.push((name.to_owned(), value.into()));
        self
    }

    /// Sets a variable of the builder's environment, which else has `PATH`, `ROOT`, `HOME`, `TMPDIR` only.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// A command that runs the builder: its words come before the builder's.
    #[must_use]
    pub fn wrapped<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.wrapper.extend(words.into_iter().map(Into::into));
        self
    }

    /// An sh script that runs the builder as `"$@"`.
    #[must_use]
    pub fn within(self, script: &str) -> Self {
        self.wrapped(["sh", "-c", script, "sh"])
    }

    /// As the platform's user 2000, who owns everything but the buildpacks. Needs root.
    #[must_use]
    pub fn as_user_2000(self) -> Self {
        let root = self.path("");
        tool("chown", [OsStr::new("2000:2000"), root.as_ref()]);
        for entry in fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()) {
            if !entry.ends_with("buildpacks") {
                tool("chown", [OsStr::new("-hR"), OsStr::new("2000:2000"), entry.as_ref()]);
            }
        }
        self.wrapped(["setpriv", "--reuid=2000", "--regid=2000", "--clear-groups", "--"])
    }

    fn command(&self) -> Command {
        let mut words = self.wrapper.clone();
        words.push(program("builder").into());
        words.push(format!("-buildpackOrder={}", self.order.join(",")).into());
        for (name, value) in &self.flags {
            let mut word = OsString::from(format!("-{name}="));
            word.push(value);
            words.push(word);
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.path("")).stdin(Stdio::null());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the builder and leaves it running.
    pub fn start(self) -> Running {
        let command = self.command();
        Running::start(command, self.root)
    }

    /// Stages, to the end.
    pub fn run(self) -> Staged {
        self.start().finish()
    }
}

/// Text that may hold any bytes, for names that are not UTF-8.
pub fn bytes(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

//! What came of a staging: output, files, archives; and the droplet launched.
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::running::as_a_shell_sees;
use crate::{free_port, program, tool, wait_for};

/// A finished staging.
#[derive(Debug)]
pub struct Staged {
    /// The exit status as a shell sees it: 128 and the signal's number for a death by signal.
    pub status: i32,
    /// What the builder and its scripts printed.
    pub stdout: String,
    /// What they printed on stderr.
    pub stderr: String,
    root: TempDir,
}

impl Staged {
    pub(crate) fn new(status: i32, root: TempDir) -> Self {
        let log = |name| {
            let bytes = fs::read(root.path().join(name)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Self { status, stdout: log("stdout"), stderr: log("stderr"), root }
    }

    /// A path in the staging's directory.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The text of a file in the staging's directory; empty if there is none.
    pub fn read(&self, relative: &str) -> String {
        let bytes = fs::read(self.path(relative)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether there is such a file (or link).
    pub fn has(&self, relative: &str) -> bool {
        self.path(relative).symlink_metadata().is_ok()
    }

    /// The names in a directory of the staging, sorted; none if it is not there.
    pub fn names(&self, relative: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(relative)).into_iter().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// Asserts status 0.
    #[must_use]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.status, 0, "{self}");
        self
    }

    /// Asserts the status and that `line` is a whole line of stderr.
    #[must_use]
    pub fn fails(self, status: i32, line: &str) -> Self {
        assert_eq!(self.status, status, "{self}");
        self.warns(line)
    }

    /// Asserts that `line`, where `{root}` stands for the staging's directory, is a whole line of stderr.
    #[must_use]
    pub fn warns(self, line: &str) -> Self {
        let line = line.replace("{root}", &self.root.path().to_string_lossy());
        assert!(self.stderr.lines().any(|found| found == line), "no line `{line}` in:\n{self}");
        self
    }

    /// Asserts that some line of stderr holds all of `parts`.
    #[must_use]
    pub fn explains(self, parts: &[&str]) -> Self {
        let whole = |line: &str| parts.iter().all(|part| line.contains(part));
        assert!(self.stderr.lines().any(whole), "no line with {parts:?} in:\n{self}");
        self
    }

    /// result.json as written.
    pub fn result_text(&self) -> String {
        self.read("out/result.json")
    }

    /// result.json parsed.
    pub fn result(&self) -> Value {
        let text = self.result_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in `{text}`\n{self}"))
    }

    /// The file with checksums and times beside result.json.
    pub fn report(&self) -> Value {
        serde_json::from_str(&self.read("out/staging_report.json")).unwrap()
    }

    /// The droplet's entries as GNU tar lists them.
    pub fn droplet(&self) -> Vec<String> {
        self.listing("out/droplet")
    }

    /// The output cache's entries as GNU tar lists them.
    pub fn cache(&self) -> Vec<String> {
        self.listing("out/cache")
    }

    fn listing(&self, archive: &str) -> Vec<String> {
        assert!(self.has(archive), "no {archive}\n{self}");
        let archive = self.path(archive);
        // Literal: in a locale that is not UTF-8 tar would escape names.
        let words = [Path::new("--quoting-style=literal"), Path::new("-tzf"), &archive];
        tool("tar", words).lines().map(str::to_owned).collect()
    }

    /// The contents of one file of the droplet, such as `./staging_info.yml`.
    pub fn droplet_file(&self, name: &str) -> String {
        tool("tar", [Path::new("-xzOf"), &self.path("out/droplet"), Path::new(name)])
    }

    /// Unpacks the droplet as the platform does, into `home`, unless that is done.
    pub fn unpacked(&self) -> PathBuf {
        let home = self.path("home");
        if !home.exists() {
            fs::create_dir(&home).unwrap();
            let flags = ["--no-same-permissions", "--no-same-owner", "-xzf"].map(Path::new);
            let paths = [&self.path("out/droplet"), Path::new("-C"), &home];
            tool("tar", flags.iter().chain(&paths));
        }
        home
    }

    fn launcher(&self, start_command: &str) -> Command {
        let home = self.unpacked();
        let mut command = Command::new(program("launcher"));
        command.args(["app", start_command, ""]).current_dir(&home).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home);
        command
    }

    /// Launches the droplet to its end: exit status and stdout. No command means the staged one.
    pub fn launch(&self, start_command: &str) -> (i32, String) {
        let output = self.launcher(start_command).stderr(Stdio::inherit()).output().unwrap();
        (as_a_shell_sees(output.status), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Launches the droplet's staged command as a server on a free port.
    pub fn serve(&self) -> Server {
        let port = free_port();
        let log = File::create(self.path("app.log")).unwrap();
        let mut command = self.launcher("");
        command.process_group(0);
        command.env("PORT", port.to_string()).stdout(log.try_clone().unwrap()).stderr(log);
        Server { child: command.spawn().unwrap(), port, log: self.path("app.log") }
    }
}

impl fmt::Display for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, stdout, stderr, .. } = self;
        writeln!(f, "status {status}\n--- stdout\n{stdout}--- stderr\n{stderr}---")?;
        writeln!(f, "result.json: {}", self.result_text())
    }
}

/// A launched app; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// The whole answer, head and body, to a GET of `path`; waits for the app to listen.
    pub fn get(&mut self, path: &str) -> String {
        let mut stream = wait_for("the app to listen", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the app ended with {status}:\n{}", fs::read_to_string(&self.log).unwrap());
            }
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()
        });
        let request = format!("GET {path} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The app's process id: the launcher has become the app.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The whole group: a start command like `npm start` has children of its own.
        let _gone = killpg(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGKILL);
        let _status = self.child.wait();
    }
}

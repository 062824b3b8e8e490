//! A machine of a test's own, and what `cell` says on it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::installed::CELL;

/// A machine with nothing on it; its apps are stopped in the end.
pub(crate) struct Machine {
    directory: TempDir,
    /// What makes containers here, if not this machine's own runtime.
    pub(crate) runtime: Option<PathBuf>,
    /// Its network, if not this machine's own.
    pub(crate) network: Option<Network>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let directory = TempDir::with_prefix("cell-").unwrap();
        Self { directory, runtime: None, network: None }
    }

    pub(crate) fn app(&self, files: &[(&str, &str)]) -> PathBuf {
        let app = self.directory.path().join("shop");
        fs::create_dir_all(&app).unwrap();
        for (name, text) in files {
            fs::write(app.join(name), text).unwrap();
        }
        app
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = match &self.network {
            Some(network) => network.command(&CELL),
            None => Command::new(&*CELL),
        };
        command.args(words);
        command
            .current_dir(self.directory.path())
            .env("CELL_HOME", self.state())
            .env_remove("CELL_STACKS")
            .env_remove("CELL_RUNTIME");
        if let Some(runtime) = &self.runtime {
            command.env("CELL_RUNTIME", runtime);
        }
        command
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(crate) fn cell(&self, words: &[&str]) -> Said {
        Said(self.command(words).output().unwrap())
    }

    /// The same in a shell that does something else before: `umask 0`.
    pub(crate) fn cell_after(&self, script: &str, words: &[&str]) -> Said {
        let cell = self.command(words);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{script} && exec \"$0\" \"$@\""));
        shell.arg(cell.get_program()).args(cell.get_args());
        shell.current_dir(cell.get_current_dir().unwrap());
        for (name, value) in cell.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Said(shell.output().unwrap())
    }

    /// Pushes the app and gives its URL.
    pub(crate) fn push(&self, app: &Path) -> String {
        let said = self.cell(&["push", app.to_str().unwrap(), "--detach", "--json"]);
        let events = said.succeeds().events();
        events.iter().find(|it| it["event"] == "running").unwrap()["url"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place("log")).unwrap_or_default()
    }

    /// Starts a command that goes on beside the test.
    pub(crate) fn start(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A directory of the app.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.state().join("apps/shop").join(name)
    }

    /// Processes of this machine's containers, and those that keep them.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let marker = self.state().into_os_string().into_string().unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let Ok(number) = entry.file_name().to_string_lossy().parse() else { continue };
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if String::from_utf8_lossy(&environment).contains(&marker) {
                found.push(Pid::from_raw(number));
            }
        }
        found
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.state().join("apps/shop/instances").exists() {
            let _as_far_as_it_goes = self.command(&["stop", "shop"]).output();
        }
        for pid in self.processes() {
            let _gone = kill(pid, Signal::SIGKILL);
        }
    }
}

/// A network with nothing but loopback and what a test puts there; making it needs root.
pub(crate) struct Network(Child);

impl Network {
    pub(crate) fn new() -> Self {
        // Whoever is in it keeps it: until this process lets go of its input, however it ends.
        let script = "ip link set lo up && echo up && exec cat";
        let mut keeper = Command::new("unshare");
        keeper.args(["--net", "sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut network = Self(keeper.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(network.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "a network namespace needs root");
        network
    }

    /// What runs a program in it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.0.id())).arg("--").arg(program);
        command
    }

    /// Its sockets that wait for somebody, a line each: `tcp   LISTEN 0 128 127.0.0.1:22 …`.
    pub(crate) fn sockets(&self) -> String {
        let mut ss = self.command("ss".as_ref());
        let said = Said(ss.args(["-H", "-l", "-n", "-t", "-u", "-x"]).output().unwrap());
        said.succeeds().out()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

/// What a command said.
pub(crate) struct Said(pub(crate) Output);

impl Said {
    pub(crate) fn succeeds(self) -> Self {
        assert!(self.0.status.success(), "{}\n{}", self.out(), self.error());
        self
    }

    pub(crate) fn fails(self, status: i32) -> String {
        assert_eq!(self.0.status.code(), Some(status), "{}\n{}", self.out(), self.error());
        self.error()
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn error(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The lines that are JSON: the log is in between.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.out().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

pub(crate) fn get(url: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

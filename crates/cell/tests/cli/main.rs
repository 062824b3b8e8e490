//! `cell` from outside: apps are pushed, asked, entered, broken and stopped, without isolation.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// A machine with nothing on it; its apps are stopped in the end.
struct Machine {
    directory: TempDir,
}

impl Machine {
    fn new() -> Self {
        let directory = TempDir::with_prefix("cell-").unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../buildpacks-fixtures");
        let release = |name: &str| {
            format!("      {name}: {{directory: {}}}\n", fixtures.join(name).display())
        };
        let names = ["procfile", "static"];
        let releases: String = names.map(release).concat();
        let stacks = format!(
            "stacks:\n  host:\n    install_buildpacks: [{}]\n    releases:\n{releases}",
            names.join(", ")
        );
        fs::write(directory.path().join("stacks.yml"), stacks).unwrap();
        Self { directory }
    }

    fn app(&self, files: &[(&str, &str)]) -> PathBuf {
        let app = self.directory.path().join("shop");
        fs::create_dir_all(&app).unwrap();
        for (name, text) in files {
            fs::write(app.join(name), text).unwrap();
        }
        app
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cell"));
        command.args(words);
        command
            .env("CELL_HOME", self.state())
            .env("CELL_STACKS", self.directory.path().join("stacks.yml"));
        command
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn cell(&self, words: &[&str]) -> Said {
        Said(self.command(words).output().unwrap())
    }

    /// Pushes the app and gives its URL.
    fn push(&self, app: &Path) -> String {
        let said = self.cell(&["push", app.to_str().unwrap(), "--detach", "--json"]);
        let events = said.succeeds().events();
        events.iter().find(|it| it["event"] == "running").unwrap()["url"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.state().join("apps/shop/log")).unwrap()
    }

    /// Processes of this machine's containers, and those that keep them.
    fn processes(&self) -> Vec<Pid> {
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
        for pid in self.processes() {
            let _gone = kill(pid, Signal::SIGKILL);
        }
    }
}

/// What a command said.
struct Said(Output);

impl Said {
    fn succeeds(self) -> Self {
        assert!(self.0.status.success(), "{}\n{}", self.out(), self.error());
        self
    }

    fn fails(self, status: i32) -> String {
        assert_eq!(self.0.status.code(), Some(status), "{}\n{}", self.out(), self.error());
        self.error()
    }

    fn out(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn error(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The lines that are JSON: the log is in between.
    fn events(&self) -> Vec<Value> {
        self.out().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

fn get(url: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_app_is_pushed_asked_entered_changed_and_stopped() {
    let machine = Machine::new();
    let app = machine.app(&[
        ("index.html", "first"),
        ("Staticfile", ""),
        ("manifest.yml", "applications: [{name: shop, routes: [], env: {COLOUR: red}}]"),
    ]);
    let url = machine.push(&app);
    assert!(get(&url).ends_with("first"));
    let said = machine.cell(&["ssh", "shop", "--", "echo $COLOUR; cat app/index.html; exit 7"]);
    assert_eq!(
        (said.0.status.code(), said.out().as_str()),
        (Some(7), "red\nfirst"),
        "{}",
        said.error()
    );
    fs::write(app.join("index.html"), "second").unwrap();
    let said = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).succeeds();
    assert!(said.out().contains("with the cache of the last staging"), "{}", said.out());
    assert!(
        said.error().contains("manifest: applications[0].routes has no effect on one machine"),
        "{}",
        said.error()
    );
    let listed = machine.cell(&["ps", "--json"]).succeeds().events();
    assert_eq!(
        (listed.len(), &listed[0]["state"], &listed[0]["ready"]),
        (1, &"running".into(), &true.into())
    );
    assert!(get(listed[0]["url"].as_str().unwrap()).ends_with("second"));
    assert!(machine.cell(&["inspect", "shop"]).succeeds().out().contains("Process web: "));
    machine.cell(&["stop", "shop"]).succeeds();
    eventually("nothing is left to run", || machine.processes().is_empty());
    let left: Vec<_> = fs::read_dir(machine.state().join("apps/shop"))
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert!(!left.iter().any(|name| name == "instances" || name == "staging"), "{left:?}");
    machine.cell(&["run", "shop", "--detach"]).succeeds();
    machine.cell(&["stop", "shop"]).succeeds();
}

#[test]
fn an_app_that_listens_elsewhere_is_never_healthy_and_the_log_says_why() {
    let machine = Machine::new();
    let manifest = "applications: [{name: shop, timeout: 2}]";
    let app = machine.app(&[("Procfile", "web: sleep 600\n"), ("manifest.yml", manifest)]);
    let error = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).fails(1);
    assert!(error.contains("'shop' crashed: Instance never healthy after "), "{error}");
    assert!(error.contains("connection refused"), "{error}");
    let log = machine.log();
    assert!(
        log.contains("[HEALTH/0] ERR ")
            && log.contains("[CELL/0] ERR Process has crashed with type: \"web\""),
        "{log}"
    );
    machine.cell(&["stop", "shop"]).succeeds();
}

#[test]
fn an_app_that_ends_is_started_again_at_once_three_times() {
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: exit 9\n")]);
    let error = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).fails(1);
    assert!(error.contains("'shop' crashed: APP/PROC/WEB: Exited with status 9"), "{error}");
    eventually("the fourth start is put off", || {
        machine.log().contains("The next start is in 30 s")
    });
    assert_eq!(machine.log().matches("Process has crashed").count(), 4);
    machine.cell(&["stop", "shop"]).succeeds();
}

#[test]
fn what_a_killed_cell_left_goes_with_the_next_one() {
    let machine = Machine::new();
    let app = machine.app(&[("index.html", "here"), ("Staticfile", "")]);
    machine.push(&app);
    let of_supervisor = |pid: &Pid| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .unwrap_or_default()
            .windows(9)
            .any(|word| word == b"supervise")
    };
    let supervisor = machine.processes().into_iter().find(of_supervisor).unwrap();
    kill(supervisor, Signal::SIGKILL).unwrap();
    eventually("the supervisor is gone", || !machine.processes().contains(&supervisor));
    assert!(!machine.processes().is_empty(), "the app lives on");
    let url = machine.push(&app);
    assert!(get(&url).ends_with("here"));
    machine.cell(&["stop", "shop"]).succeeds();
    eventually("nothing is left to run", || machine.processes().is_empty());
}

#[test]
fn failures_say_what_to_do() {
    let machine = Machine::new();
    let empty = machine.app(&[]);
    let app = empty.to_str().unwrap();
    for (words, status, sentence) in [
        (&["stop", "none"][..], 1, "no app is named 'none'; `cell ps` lists those there are"),
        (&["ssh", "../x"], 1, "'../x' can't be an app's name"),
        (&["push", "/nowhere"], 1, "/nowhere: there is no such directory"),
        (&["push", app], 1, "there is nothing to stage"),
        (&["push", app, "-s", "moon"], 1, "there is no stack 'moon': there are host"),
        (
            &["push", app, "-b", "ruby"],
            1,
            "stack 'host' has no buildpack 'ruby': it has procfile_buildpack, static_buildpack",
        ),
        (&["push", app, "--bundle", "/none.tgz"], 1, "/none.tgz"),
        (&["push", app, "--memory", "much"], 2, "'much' is no size"),
        (&["pusch"], 2, "push"),
    ] {
        let error = machine.cell(words).fails(status);
        assert!(error.contains(sentence), "{words:?}: {error}");
    }
    fs::write(empty.join("x"), "").unwrap();
    let error = machine.cell(&["stage", app]).fails(1);
    assert!(error.contains("NoAppDetectedError: An app was not successfully detected"), "{error}");
    assert!(!machine.state().join("apps/shop/staging").exists());
}

//! What was staged, and what runs of it: each has a droplet and settings that belong together.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde_json::Value;

use crate::machine::{Machine, Said, eventually};

/// An app whose first words are its version twice: as its environment has it, and as its files have it.
fn write(machine: &Machine, version: &str) -> PathBuf {
    let manifest = format!(
        "applications: [{{name: shop, env: {{NOTE: {version}}}, health-check-type: process}}]"
    );
    machine.app(&[
        ("Procfile", "web: echo $NOTE and $(cat note); echo $$ >../pid; exec sleep 600\n"),
        ("note", version),
        ("manifest.yml", &manifest),
    ])
}

/// What each start of it said.
fn said(machine: &Machine) -> Vec<String> {
    let own = |line: &str| line.split_once("[APP/PROC/WEB/0] OUT ").map(|it| it.1.to_owned());
    machine.log().lines().filter_map(own).filter(|it| it.contains(" and ")).collect()
}

fn droplets(machine: &Machine) -> Vec<PathBuf> {
    let entries = fs::read_dir(machine.place("")).into_iter().flatten().filter_map(Result::ok);
    let is_droplet = |path: &PathBuf| {
        path.file_name().is_some_and(|it| it.to_string_lossy().starts_with("droplet"))
    };
    entries.map(|it| it.path()).filter(is_droplet).collect()
}

/// Such a start had the new droplet with the old environment.
#[test]
fn what_crashes_is_started_again_as_it_was_whatever_was_staged_meanwhile() {
    let machine = Machine::new();
    let app = write(&machine, "first");
    let path = app.to_str().unwrap();
    machine.cell(&["push", path, "--detach"]).succeeds();
    write(&machine, "second");
    machine.cell(&["stage", path]).succeeds();
    assert_eq!(droplets(&machine).len(), 1, "what was staged before is not kept");
    let pid = machine.place("instances/web-0/home/vcap/pid");
    // The file is there before its content.
    let number = || fs::read_to_string(&pid).unwrap_or_default();
    eventually("it runs", || said(&machine).len() == 1 && number().ends_with('\n'));
    let pid = number().trim().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    eventually("it runs again", || said(&machine).len() == 2);
    machine.cell(&["run", "shop", "--detach"]).succeeds();
    eventually("what was staged runs", || said(&machine).len() == 3);
    assert_eq!(said(&machine), ["first and first", "first and first", "second and second"]);
    machine.cell(&["stop", "shop"]).succeeds();
    assert!(!machine.place("instances").exists());
}

/// Its staging removed the droplet that was about to run, while the old app was being stopped: then neither ran.
#[test]
fn nothing_is_staged_while_an_app_that_is_to_be_replaced_is_stopped() {
    let machine = Machine::new();
    let manifest = "applications: [{name: shop, health-check-type: process}]";
    let deaf = "web: trap '' TERM; echo deaf; while sleep 1; do :; done\n";
    let app = machine.app(&[("Procfile", deaf), ("manifest.yml", manifest)]);
    let path = app.to_str().unwrap();
    machine.cell(&["push", path, "--detach"]).succeeds();
    let times = |words: &str| machine.log().matches(words).count();
    for (number, start) in [["push", path], ["run", "shop"]].into_iter().enumerate() {
        eventually("it is deaf", || times("OUT deaf") == number + 1);
        let next = machine.start(&[&start[..], &["--detach"]].concat());
        eventually("it is being stopped", || times("Stopping instance") == number + 1);
        let error = machine.cell(&["stage", path]).fails(1);
        assert_eq!(error, "another cell stages 'shop'; wait for it\n");
        Said(next.wait_with_output().unwrap()).succeeds();
        machine.cell(&["stage", path]).succeeds();
    }
    eventually("it is deaf", || times("OUT deaf") == 3);
    for pid in machine.processes() {
        let _gone = kill(pid, Signal::SIGKILL);
    }
}

/// The old settings were run with the new droplet.
#[test]
fn a_staging_that_is_killed_once_it_has_its_droplet_leaves_what_was_staged_before() {
    let machine = Machine::new();
    let app = write(&machine, "first");
    let path = app.to_str().unwrap();
    machine.cell(&["stage", path]).succeeds();
    let files = || {
        let number = |path: &PathBuf| fs::metadata(path).map(|it| it.ino()).ok();
        droplets(&machine).iter().map(number).collect::<Vec<_>>()
    };
    let before = files();
    write(&machine, "second");
    // Its container takes a while to go.
    many_files(&app.join("files"));
    let mut stage = machine.start(&["stage", path]);
    while files() == before && stage.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    let _ended_already = stage.kill();
    stage.wait().unwrap();
    machine.cell(&["run", "shop", "--detach"]).succeeds();
    eventually("it runs", || !said(&machine).is_empty());
    assert!(["first and first", "second and second"].contains(&said(&machine)[0].as_str()));
    machine.cell(&["stop", "shop"]).succeeds();
    fs::remove_dir_all(app.join("files")).unwrap();
    machine.cell(&["stage", path]).succeeds();
    assert_eq!(droplets(&machine).len(), 1);
}

fn many_files(directory: &Path) {
    fs::create_dir(directory).unwrap();
    for number in 0..5000 {
        fs::write(directory.join(number.to_string()), "").unwrap();
    }
}

/// The next run had it as well.
#[test]
fn a_command_given_for_a_run_is_for_that_run_alone() {
    let machine = Machine::new();
    let app = write(&machine, "first");
    machine.cell(&["stage", app.to_str().unwrap()]).succeeds();
    let otherwise = "echo otherwise and so; exec sleep 600";
    machine.cell(&["run", "shop", "--detach", "-c", otherwise]).succeeds();
    eventually("it runs otherwise", || said(&machine) == ["otherwise and so"]);
    machine.cell(&["run", "shop", "--detach"]).succeeds();
    eventually("it runs", || said(&machine).len() == 2);
    assert_eq!(said(&machine)[1], "first and first");
    machine.cell(&["stop", "shop"]).succeeds();
}

/// Runs the droplet that is the only one of the app, as a file of its own.
fn run_as_file(machine: &Machine, flags: &[&str]) -> Said {
    let file = machine.state().with_file_name("shop.tgz");
    if !file.exists() {
        fs::copy(&droplets(machine)[0], &file).unwrap();
    }
    machine.cell(&[&["run", "shop.tgz", "--detach"], flags].concat())
}

/// Whatever it was staged on, it had the machine's own stack; and an app of that name was gone without a word.
#[test]
fn a_droplet_that_is_a_file_has_its_own_stack_and_replaces_no_app_unasked() {
    let machine = Machine::new();
    let app = write(&machine, "first");
    let stacks = machine.state().with_file_name("stacks.yml");
    let text = "{stacks: {first: {}, mine: {install_buildpacks: [procfile]}}}";
    fs::write(&stacks, text).unwrap();
    machine.cell(&["stage", app.to_str().unwrap(), "-s", "mine"]).succeeds();
    let recorded = || -> Value {
        serde_json::from_slice(&fs::read(machine.place("app.json")).unwrap()).unwrap()
    };
    let before = recorded();
    let refusal = "'shop' is an app that was pushed; this droplet takes its place with --name shop, and another one with another name\n";
    assert_eq!(run_as_file(&machine, &[]).fails(1), refusal);
    assert_eq!(recorded(), before);
    let port = [
        "--name",
        "shop",
        "-c",
        "exec perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(Listen => 1, LocalPort => $ENV{PORT}) or die; sleep 600'",
    ];
    run_as_file(&machine, &port).succeeds();
    assert_eq!((&recorded()["stack"], &recorded()["guid"]), (&"mine".into(), &before["guid"]));
    // Now it is a droplet's own app.
    run_as_file(&machine, &port[2..]).succeeds();
    machine.cell(&["stop", "shop"]).succeeds();
    fs::remove_file(&stacks).unwrap();
    let error = run_as_file(&machine, &[]).fails(1);
    assert_eq!(error, "there is no stack 'mine': there are host; -s chooses one\n");
}

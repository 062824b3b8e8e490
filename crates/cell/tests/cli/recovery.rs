//! What is killed, and what the next start makes of it; cells that are at work at once.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::installed::bundle;
use crate::machine::{Machine, Network, Said, eventually};

const GOOD: &str = "applications: [{name: shop, command: sleep 600, health-check-type: process}]";
const NEVER_UP: &str = "applications: [{name: shop, command: sleep 600}]";

fn buildpack(name: &str) -> String {
    suite::workspace().join("buildpacks-fixtures").join(name).display().to_string()
}

/// Kills what is at work: `cell push`, or the process that keeps the app.
fn kill_cells(machine: &Machine, mut push: Child) {
    push.kill().unwrap();
    push.wait().unwrap();
    let is_cell = |pid: &Pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name == "cell\n"
    };
    for pid in machine.processes().into_iter().filter(is_cell) {
        kill(pid, Signal::SIGKILL).unwrap();
        eventually("it is gone", || !machine.processes().contains(&pid));
    }
}

#[test]
fn whatever_a_cell_does_when_it_is_killed_the_next_one_goes_on() {
    killed_in_every_phase(&Machine::new(), "none");
}

/// The same with this isolation.
pub(crate) fn killed_in_every_phase(machine: &Machine, isolation: &str) {
    let app = machine.app(&[("Procfile", "web: sleep 600\n"), ("manifest.yml", GOOD)]);
    let push = ["push", app.to_str().unwrap(), "--detach", "--isolation", isolation];
    let slow = buildpack("sleeps");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let url = format!("http://{}/bundle.tgz", silent.local_addr().unwrap());
    let staging = "What a staging of 'shop' left that was killed is removed\n";
    let running = "What 'shop' left when the process that kept it was killed is removed\n";
    let no_container = || !machine.place("instances").exists();
    let killed_in = |phase: &str, manifest: &str, flags: &[&str], said: &str| {
        // A server that hung up would end the download.
        let mut asked = None;
        let is_reached = || match phase {
            "download" => {
                asked = asked.take().or_else(|| silent.accept().ok());
                asked.is_some()
            }
            "package" => machine.place("staging/tmp/app/files").exists(),
            "stage" => machine.place("staging/tmp/app/pids").exists(),
            "start" => machine.log().contains("Starting health monitoring"),
            _ => machine.log().contains("Container became healthy"),
        };
        fs::write(app.join("manifest.yml"), manifest).unwrap();
        if phase == "package" {
            many_files(&app.join("files"));
        }
        let _first = fs::remove_file(machine.place("log"));
        let child = machine.start(&[&push, flags].concat());
        eventually(phase, is_reached);
        kill_cells(machine, child);
        let _only_once = fs::remove_dir_all(app.join("files"));
        fs::write(app.join("manifest.yml"), GOOD).unwrap();
        let next = machine.cell(&push).succeeds();
        assert_eq!(next.error(), said, "{phase}");
        assert!(!no_container() && !machine.place("staging").exists(), "{phase}");
        machine.cell(&["stop", "shop"]).succeeds();
        eventually("nothing is left to run", || machine.processes().is_empty());
        assert!(no_container());
    };
    killed_in("download", GOOD, &["--bundle", &url], "");
    killed_in("package", GOOD, &[], staging);
    killed_in("stage", GOOD, &["-b", &slow], staging);
    killed_in("start", NEVER_UP, &[], running);
    killed_in("running", GOOD, &[], running);
}

/// So many that copying them takes a while.
fn many_files(directory: &Path) {
    fs::create_dir(directory).unwrap();
    for number in 0..5000 {
        fs::write(directory.join(number.to_string()), "x").unwrap();
    }
}

#[test]
fn what_a_killed_cell_left_is_named_and_goes_with_stop() {
    let machine = Machine::new();
    let app = machine.app(&[("index.html", "here")]);
    machine.push(&app);
    let child = machine.start(&["ps"]);
    kill_cells(&machine, child);
    assert!(!machine.processes().is_empty(), "the app lives on");
    let listed = machine.cell(&["ps"]).succeeds();
    assert_eq!(listed.out(), "shop  web/0  down\n");
    let said = "What 'shop' left when the process that kept it was killed is ";
    assert_eq!(listed.error(), format!("{said}still there; to remove it: cell stop shop\n"));
    assert_eq!(machine.cell(&["stop", "shop"]).succeeds().error(), format!("{said}removed\n"));
    eventually("nothing is left to run", || machine.processes().is_empty());
    let error = machine.cell(&["stop", "shop"]).fails(1);
    assert_eq!(error, "'shop' does not run; start it by cell run shop\n");
}

#[test]
fn one_app_is_staged_by_one_cell_at_a_time() {
    is_staged_by_one_cell(&Machine::new());
}

/// The same, wherever its containers are.
pub(crate) fn is_staged_by_one_cell(machine: &Machine) {
    let app = machine.app(&[("Procfile", "web: sleep 600\n"), ("manifest.yml", GOOD)]);
    let path = app.to_str().unwrap();
    let mut first = machine.start(&["stage", path, "-b", &buildpack("ignores-sigterm")]);
    let pids = machine.place("staging/tmp/app/pids");
    eventually("the first one stages", || pids.exists());
    let error = machine.cell(&["push", path, "--detach"]).fails(1);
    assert_eq!(error, "another cell stages 'shop'; wait for it\n");
    // Ctrl-C ends the builder and its scripts, also those that don't listen.
    kill(Pid::from_raw(first.id().cast_signed()), Signal::SIGINT).unwrap();
    let mut words = String::new();
    first.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(!first.wait().unwrap().success() && words.contains("StagingError"), "{words}");
    eventually("nothing is left to run", || machine.processes().is_empty());
    assert!(!machine.place("staging").exists());
    machine.cell(&["stage", path]).succeeds();
}

#[test]
fn ctrl_c_ends_a_download_that_does_not_come() {
    // It was taken for a staging's, which nobody looked at before that began.
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: sleep 600\n")]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/bundle.tgz", silent.local_addr().unwrap());
    let mut push = machine.start(&["push", app.to_str().unwrap(), "--bundle", &url]);
    let _asked = silent.accept().unwrap();
    kill(Pid::from_raw(push.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(push.wait().unwrap().signal(), Some(2));
}

#[test]
fn ctrl_c_before_an_app_is_healthy_leaves_it_to_itself() {
    // It was called running, with a URL.
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: sleep 600\n")]);
    let mut command = machine.command(&["push", app.to_str().unwrap(), "--name", "shop"]);
    let mut push = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let log = machine.place("log");
    let monitored = "Starting health monitoring of container";
    eventually("it is started", || fs::read_to_string(&log).is_ok_and(|it| it.contains(monitored)));
    kill(Pid::from_raw(push.id().cast_signed()), Signal::SIGINT).unwrap();
    let mut words = String::new();
    push.stdout.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(push.wait().unwrap().success(), "{words}");
    assert!(words.contains("shop goes on") && !words.contains("http://"), "{words}");
    assert!(machine.cell(&["ps"]).succeeds().out().contains("starting"));
}

/// It was said to go on.
#[test]
fn what_was_stopped_while_its_log_was_followed_does_not_go_on() {
    let machine = Machine::new();
    let stop = || drop(machine.cell(&["stop", "shop"]).succeeds());
    assert_eq!(last_line(&machine, stop), "shop was stopped meanwhile");
}

/// It was said to have been stopped.
#[test]
fn what_was_killed_while_its_log_was_followed_does_not_run_any_more() {
    let machine = Machine::new();
    let kill_supervisor = || {
        let is_supervisor = |pid: &Pid| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words.contains("\0supervise\0")
        };
        let supervisor = machine.processes().into_iter().find(is_supervisor).unwrap();
        kill(supervisor, Signal::SIGKILL).unwrap();
        let stat = format!("/proc/{supervisor}/stat");
        eventually("it is gone", || {
            !fs::read_to_string(&stat).is_ok_and(|it| !it.contains(") Z "))
        });
    };
    assert_eq!(last_line(&machine, kill_supervisor), "shop does not run any more");
}

/// What `cell push` says in the end, when Ctrl-C follows on something that is done to the app.
fn last_line(machine: &Machine, done: impl FnOnce()) -> String {
    let app = machine.app(&[("Procfile", "web: sleep 600\n"), ("manifest.yml", GOOD)]);
    let mut command = machine.command(&["push", app.to_str().unwrap()]);
    let mut push = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(push.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("A shell in it")));
    done();
    kill(Pid::from_raw(push.id().cast_signed()), Signal::SIGINT).unwrap();
    let last = lines.last().unwrap();
    assert!(push.wait().unwrap().success());
    last
}

/// It asked once, before the app listened, and failed after a minute; the app ran.
#[test]
fn an_app_that_is_being_started_can_be_stopped() {
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: sleep 600\n"), ("manifest.yml", GOOD)]);
    machine.cell(&["stage", app.to_str().unwrap()]).succeeds();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/bundle.tgz", server.local_addr().unwrap());
    let mut run = machine.start(&["run", "shop", "--detach", "--bundle", &url]);
    let (mut client, _) = server.accept().unwrap();
    let stop = machine.start(&["stop", "shop"]);
    // If it took longer to begin, it would only ask later.
    thread::sleep(Duration::from_millis(300));
    let bundle = fs::read(bundle()).unwrap();
    write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bundle.len()).unwrap();
    client.write_all(&bundle).unwrap();
    let stop = Said(stop.wait_with_output().unwrap()).succeeds();
    assert_eq!(stop.error(), "");
    // It may have seen the app run in between.
    run.wait().unwrap();
    eventually("nothing is left to run", || machine.processes().is_empty());
    assert!(!machine.place("instances").exists());
}

/// Meanwhile `cell ps` said nothing, and then that the app's keeper was killed; who started the app heard of a connection
/// that was refused.
#[test]
fn an_app_that_is_being_stopped_is_listed_and_nobody_calls_it_killed() {
    let machine = Machine::new();
    let deaf = "web: trap '' TERM; echo deaf; while sleep 1; do :; done\n";
    let app = machine.app(&[("Procfile", deaf)]);
    let push = machine.start(&["push", app.to_str().unwrap(), "--name", "shop"]);
    // Before that it would end at once.
    eventually("it is deaf", || machine.log().contains("OUT deaf"));
    let mut stop = machine.start(&["stop", "shop"]);
    eventually("it is being stopped", || machine.log().contains("Stopping instance"));
    let listed = machine.cell(&["ps"]).succeeds();
    assert!(stop.try_wait().unwrap().is_none(), "it takes ten seconds");
    assert!(listed.out().starts_with("shop  web/0  starting"), "{}", listed.out());
    while stop.try_wait().unwrap().is_none() {
        assert_eq!(machine.cell(&["ps"]).succeeds().error(), "");
    }
    assert!(stop.wait().unwrap().success());
    // Nor one that could not be started.
    machine.cell(&["run", "shop", "--bundle", "/none.tgz"]).fails(1);
    let listed = machine.cell(&["ps"]).succeeds();
    assert_eq!((listed.out(), listed.error()), ("shop  web/0  down\n".to_owned(), String::new()));
    let push = push.wait_with_output().unwrap();
    assert_eq!(Said(push).fails(1).lines().last(), Some("'shop' was stopped meanwhile"));
    let log = machine.log();
    let killed: Vec<_> = log.lines().filter(|line| line.contains("Exit status 137")).collect();
    assert_eq!(killed.len(), 1, "{log}");
    assert!(killed[0].ends_with("Exit status 137 (exceeded 10s graceful shutdown interval)"));
}

#[test]
fn root_a_hundred_pushes_and_stops_of_four_apps_at_once_leave_nothing() {
    pushes_and_stops(&mut Machine::new(), 100);
}

/// So many, of four apps at once, in a network where nobody else has ports.
pub(crate) fn pushes_and_stops(machine: &mut Machine, count: usize) {
    machine.network = Some(Network::new());
    let machine = &*machine;
    let sockets = || machine.network.as_ref().unwrap().sockets();
    let app = machine.app(&[("Procfile", "web: sleep 600\n"), ("manifest.yml", GOOD)]);
    let path = app.to_str().unwrap();
    let round = |name: &str| {
        machine.cell(&["push", path, "--detach", "--name", name]).succeeds();
        eventually("its SSH server is seen", || sockets().contains("tcp "));
        machine.cell(&["stop", name]).succeeds();
    };
    let names = ["a", "b", "c", "d"];
    names.into_iter().for_each(round);
    // A droplet's name is another after each push.
    let kept = || {
        let all = files(&machine.state()).into_iter();
        all.map(|path| path.display().to_string().split("/droplet-").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let before = kept();
    thread::scope(|scope| {
        for name in names {
            scope.spawn(move || (1..count / 4).for_each(|_| round(name)));
        }
    });
    eventually("nothing is left to run", || machine.processes().is_empty());
    assert_eq!(kept(), before);
    eventually("no port is left", || sockets().is_empty());
}

fn files(root: &Path) -> BTreeSet<PathBuf> {
    walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap().into_path()).collect()
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: sleep 600\n"), ("manifest.yml", GOOD)]);
    let services = app.with_extension("json");
    fs::write(&services, r#"{"sql": [{"name": "db", "password": "s3cret"}]}"#).unwrap();
    let words =
        ["push", app.to_str().unwrap(), "--detach", "--services", services.to_str().unwrap()];
    // Whatever the umask.
    let said = machine.cell_after("umask 0", &words).succeeds();
    assert!(!said.out().contains("s3cret"));
    let said = machine.cell(&["ssh", "shop", "--", "echo $VCAP_SERVICES; ls -a"]).succeeds();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&machine.state()), 0o700);
    for name in ["", "apps", "apps/shop", "downloads", "served", "apps/shop/instances/web-0"] {
        assert_eq!(mode(&machine.state().join(name)), 0o700, "{name}");
    }
    for name in ["key", "app.json", "log", "known_hosts"] {
        assert_eq!(mode(&machine.place(name)), 0o600, "{name}: {}", said.out());
    }
    // In what was downloaded are programs that know the words.
    let own = files(&machine.state().join("apps")).into_iter().filter(|it| it.is_file());
    for path in own.filter(|it| mode(it) != 0o600) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let has_secret = text.contains("s3cret") || text.contains("PRIVATE KEY");
        assert!(!has_secret, "{}", path.display());
    }
    machine.cell(&["stop", "shop"]).succeeds();
}

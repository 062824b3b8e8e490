//! What is shown on terminals, what in pipes, and what programs read.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::Value;
use suite::ssh::Terminal;

use crate::installed::bundle;
use crate::machine::{Machine, eventually, get};

#[test]
fn on_a_terminal_there_are_colours_and_what_goes_on() {
    let machine = Machine::new();
    let app = machine.app(&[("index.html", "here")]);
    let mut command = machine.command(&["push", app.to_str().unwrap()]);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let mut terminal = Terminal::start(&command, &[]);
    let screen = terminal.shows("cell ssh shop");
    for shown in [
        "Downloading and unpacking the lifecycle bundle",
        "Starting shop",
        "\u{1b}[36m   2",
        "[STG/0] OUT \u{1b}[0m----->",
        "\u{1b}[33m   2",
        // The cursor's way back over a line that is drawn anew.
        "\u{1b}[2K",
    ] {
        assert!(screen.contains(shown), "no {shown:?}: {screen:?}");
    }
    let address = screen.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
    terminal.types("\u{3}");
    let screen = terminal.shows("to stop it: cell stop shop");
    assert_eq!(terminal.wait(), 0, "{screen:?}");
    assert!(get(&format!("http://{address}")).ends_with("here"), "the app goes on");

    // A shell in the app has a terminal of its own, and its status is that of `cell`.
    let mut terminal = Terminal::start(&machine.command(&["ssh", "shop"]), &[]);
    terminal.types("tty; cat app/index.html; exit 3\r");
    let screen = terminal.shows("here");
    assert!(screen.contains("/dev/pts/"), "{screen:?}");
    assert_eq!(terminal.wait(), 3);

    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut command = machine.command(&["logs", "shop", "--recent"]);
        command.env("TERM", "xterm").env_remove("NO_COLOR").env(name, value);
        let mut terminal = Terminal::start(&command, &[]);
        assert_eq!(terminal.wait(), 0);
        let screen = terminal.shows("Container became healthy");
        assert!(!screen.contains('\u{1b}'), "{name}: {screen:?}");
    }
    // A dumb terminal can't draw anything anew either.
    let mut command = machine.command(&["push", app.to_str().unwrap(), "--detach"]);
    command.env("TERM", "dumb");
    let mut terminal = Terminal::start(&command, &[]);
    assert_eq!(terminal.wait(), 0);
    let screen = terminal.shows("A shell in it");
    assert!(!screen.contains('\u{1b}') && !screen.contains("Starting shop"), "{screen:?}");
    machine.cell(&["stop", "shop"]).succeeds();
}

/// An app could write to the terminal that it was pushed from.
#[test]
fn an_app_has_a_session_of_its_own_and_no_terminal() {
    let machine = Machine::new();
    let web = "web: (echo >/dev/tty) 2>/dev/null || echo $(cut -d' ' -f6 /proc/$$/stat) leads $$; sleep 600\n";
    let manifest = "applications: [{name: shop, health-check-type: process}]";
    let app = machine.app(&[("Procfile", web), ("manifest.yml", manifest)]);
    let push = machine.command(&["push", app.to_str().unwrap(), "--detach"]);
    let mut terminal = Terminal::start(&push, &[]);
    let screen = terminal.shows("A shell in it");
    assert_eq!(terminal.wait(), 0, "{screen:?}");
    eventually("it is its session's leader", || {
        machine
            .log()
            .lines()
            .filter_map(|line| line.split_once(" leads "))
            .any(|(session, pid)| session.ends_with(&format!(" {pid}")))
    });
    machine.cell(&["stop", "shop"]).succeeds();
}

#[test]
fn on_a_terminal_a_download_shows_how_much_has_come() {
    let machine = Machine::new();
    let app = machine.app(&[("index.html", "here")]);
    let bundle = fs::read(bundle()).unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/bundle.tgz", server.local_addr().unwrap());
    let mut command = machine.command(&["stage", app.to_str().unwrap(), "--bundle", &url]);
    command.env("TERM", "xterm");
    let mut terminal = Terminal::start(&command, &[]);
    let (mut client, _) = server.accept().unwrap();
    let (first, rest) = bundle.split_at(2 << 20);
    write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bundle.len()).unwrap();
    client.write_all(first).unwrap();
    terminal.shows("Downloading and unpacking the lifecycle bundle (2M)");
    client.write_all(rest).unwrap();
    let screen = terminal.shows("Staged in ");
    assert_eq!(terminal.wait(), 0, "{screen:?}");
}

#[test]
fn in_pipes_there_are_plain_lines() {
    let machine = Machine::new();
    let app = machine.app(&[("index.html", "here")]);
    let said = machine.cell(&["stage", app.to_str().unwrap()]).succeeds();
    for line in [
        "Downloaded the lifecycle bundle (",
        "Staging shop on stack host with ",
        "-----> 1 files",
        "Staged in ",
    ] {
        assert!(said.out().contains(line), "{}", said.out());
    }
    assert!(!said.out().contains('\u{1b}') && !said.error().contains('\u{1b}'));
}

#[test]
fn for_programs_every_line_is_an_object() {
    let machine = Machine::new();
    let manifest = "applications: [{name: shop, colour: red}]";
    let app = machine.app(&[("index.html", "here"), ("manifest.yml", manifest)]);
    let push = ["push", app.to_str().unwrap(), "--detach", "--json"];
    let said = machine.cell(&push).succeeds();
    assert_eq!(said.error(), "");
    let events = objects(&said.out());
    let of = |name: &str| events.iter().find(|it| it["event"] == name).unwrap();
    assert!(of("warning")["text"].as_str().unwrap().contains("applications[0].colour"));
    assert_eq!(of("log")["source"], "STG/0");
    let staged = of("staged");
    assert_eq!((&staged["app"], &staged["used_cache"]), (&"shop".into(), &false.into()));
    let phases = ["download", "package", "detect", "supply", "finalize", "release", "pack"];
    assert!(phases.iter().all(|phase| staged["phases"][phase].is_u64()), "{staged}");
    assert!(fs::metadata(staged["droplet"].as_str().unwrap()).unwrap().len() > 0);
    assert!(of("running")["milliseconds"].as_u64().unwrap() > 0);
    read_a_line_of_the_log(&machine, of("running")["url"].as_str().unwrap());
    for (words, event, field) in [
        (&["logs", "shop", "--recent"][..], "log", "text"),
        (&["ps"], "instance", "ready"),
        (&["stop", "shop"], "stopped", "app"),
    ] {
        let said = machine.cell(&[words, &["--json"]].concat()).succeeds().out();
        let fits = |it: &Value| it["event"] == event && !it[field].is_null();
        assert!(objects(&said).iter().all(fits) && !said.is_empty(), "{words:?}: {said}");
    }
    let content = objects(&machine.cell(&["inspect", "shop", "--json"]).succeeds().out());
    assert_eq!(content[0]["process_types"]["web"], "serve-static .");
}

/// As `cell logs shop | head -1` does, which waited for ever for a Ctrl-C.
fn read_a_line_of_the_log(machine: &Machine, url: &str) {
    let mut command = machine.command(&["logs", "shop"]);
    let mut logs = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(logs.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("[STG/0] OUT "), "{line}");
    eventually("what nobody reads ends with the next line", || {
        get(url);
        logs.try_wait().unwrap().is_some()
    });
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The URL was a bare line for programs too, and a home was needed for nothing.
#[test]
fn what_serves_tells_where_and_needs_no_home() {
    let machine = Machine::new();
    let mut command = machine.command(&["--json", "serve", ".", "--address", "127.0.0.1:0"]);
    let mut server = command.env_clear().stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let read = BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line);
    server.kill().unwrap();
    server.wait().unwrap();
    read.unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["event"], "serving");
    assert!(told["url"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{told}");
}

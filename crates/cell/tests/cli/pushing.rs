//! Apps pushed, asked, entered, changed and stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::machine::{Machine, eventually, get};

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
    let said = machine.cell(&["inspect", "shop"]).succeeds().out();
    for line in [
        " files\nStack: host, ",
        "\nBuildpack 0: static 1.0.0\nProcess web: serve-static .\nDirectories:\n",
        "  ./\n",
        "    6B    app/\n",
        "\nLargest files:\n",
        "  deps/0/bin/serve-static\n",
    ] {
        assert!(said.contains(line), "no {line}: {said}");
    }
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

/// Each made its own server the only one that was known: of sixteen, six met the other's.
#[test]
fn shells_in_two_instances_may_be_opened_at_once() {
    let machine = Machine::new();
    let app = machine.app(&[("index.html", "here"), ("Staticfile", "")]);
    machine.cell(&["push", app.to_str().unwrap(), "-i", "2", "--detach"]).succeeds();
    for _ in 0..5 {
        thread::scope(|scope| {
            for index in ["0", "1"] {
                let words = ["ssh", "shop", "-i", index, "--", "echo $CF_INSTANCE_INDEX"];
                let machine = &machine;
                scope.spawn(move || {
                    assert_eq!(machine.cell(&words).succeeds().out(), format!("{index}\n"));
                });
            }
        });
    }
    machine.cell(&["stop", "shop"]).succeeds();
}

/// Words lost their quotes: the shell there read `sh -c printf '<%s>' "$@" it's a  b`.
#[test]
fn words_for_ssh_arrive_as_they_were_typed_and_one_word_is_for_the_shell() {
    let machine = Machine::new();
    let app = machine.app(&[("index.html", "here"), ("Staticfile", "")]);
    machine.push(&app);
    let words = ["sh", "-c", "printf '<%s>' \"$@\"", "it's", "a  b", "", "$HOME"];
    let said = machine.cell(&[&["ssh", "shop", "--"][..], &words[..]].concat()).succeeds();
    assert_eq!(said.out(), "<a  b><><$HOME>");
    let said = machine.cell(&["ssh", "shop", "--", "echo a  b"]).succeeds();
    assert_eq!(said.out(), "a b\n");
    machine.cell(&["stop", "shop"]).succeeds();
    // The command of an app that was staged went unheard.
    machine.cell(&["run", "shop", "--detach", "-c", "echo otherwise; serve-static ."]).succeeds();
    let said = machine.cell(&["logs", "shop", "--recent"]).succeeds();
    assert!(said.out().contains("OUT otherwise"), "{}", said.out());
    // What was printed to be typed was two words to a shell.
    let push = ["push", app.to_str().unwrap(), "--name", "my shop", "--detach"];
    let said = machine.cell(&push).succeeds().out();
    assert!(said.ends_with("\nA shell in it: cell ssh 'my shop'\n"), "{said}");
    machine.cell(&["stop", "my shop"]).succeeds();
    // It was staged, but its supervisor took it for an option.
    let error = machine.cell(&["stage", app.to_str().unwrap(), "--name=-x"]).fails(1);
    assert!(error.contains("'-x' can't be an app's name"), "{error}");
}

#[test]
fn apps_have_the_platforms_umask_whatever_the_users_is() {
    has_the_platforms_umask(&Machine::new());
}

/// With 077, as root has it on some machines, no container could be made.
pub(crate) fn has_the_platforms_umask(machine: &Machine) {
    let app = machine.app(&[("index.html", "here"), ("Staticfile", "")]);
    for script in ["umask 077", "umask 000"] {
        machine.cell_after(script, &["push", app.to_str().unwrap(), "--detach"]).succeeds();
        let said = machine.cell(&["ssh", "shop", "--", "umask; stat -c %a app"]).succeeds();
        assert_eq!(said.out(), "0022\n755\n");
        machine.cell(&["stop", "shop"]).succeeds();
    }
}

/// Apps, each with the name of the buildpack that stages it, and words that it answers.
pub(crate) const APPS: [(&str, &str); 4] = [
    ("static", "A page out of a droplet"),
    ("procfile", "Started with a greeting from .profile"),
    ("python", "Temperatures, by bottle"),
    ("node", "s\n"),
];

#[test]
fn each_fixture_app_runs_with_the_buildpacks_in_the_program() {
    let machine = Machine::new();
    for it in APPS {
        runs(&machine, it);
        machine.cell(&["stop", it.0]).succeeds();
    }
}

/// One of [`APPS`] does; it is still there then.
pub(crate) fn runs(machine: &Machine, (name, words): (&str, &str)) -> PathBuf {
    let app = suite::workspace().join("tests/apps").join(name);
    let said = machine.cell(&["push", app.to_str().unwrap(), "--detach", "--json"]).succeeds();
    let events = said.events();
    let staged = events.iter().find(|it| it["event"] == "staged").unwrap();
    assert_eq!(staged["buildpack"], name, "{events:?}");
    let url = events.iter().find(|it| it["event"] == "running").unwrap()["url"].clone();
    let answer = get(url.as_str().unwrap());
    assert!(answer.contains("200") && answer.contains(words), "{name}: {answer}");
    app
}

#[test]
fn stacks_are_what_the_file_says() {
    let machine = Machine::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../buildpacks-fixtures");
    let app = machine.app(&[("index.html", "here")]);
    let path = app.to_str().unwrap();
    let file = fixtures.join("stacks.yml");
    let said = machine.cell(&["stage", path, "--stacks", file.to_str().unwrap()]).succeeds();
    assert!(said.out().contains("on stack host with python_buildpack, node_"), "{}", said.out());
    // The working directory's file, whose first stack is the one that is taken.
    let text = format!(
        "stacks:\n  mine:\n    install_buildpacks: [pages]\n    releases: {{pages: {{directory: {}}}}}\n",
        fixtures.join("static").display()
    );
    fs::write(app.parent().unwrap().join("stacks.yml"), text).unwrap();
    let said = machine.cell(&["stage", path]).succeeds();
    assert!(
        said.out().contains("Staging shop on stack mine with pages_buildpack"),
        "{}",
        said.out()
    );
    // Buildpacks in the program need no place; others do.
    let text = "stacks: {mine: {install_buildpacks: [procfile, static, ruby]}}";
    fs::write(app.parent().unwrap().join("stacks.yml"), text).unwrap();
    let said = machine.cell(&["stage", path, "-b", "static"]).succeeds();
    assert!(said.out().contains("on stack mine with static_buildpack"), "{}", said.out());
    let error = machine.cell(&["stage", path]).fails(1);
    assert!(error.ends_with("ruby-buildpack-mine: no such file or directory\n"), "{error}");
    let said = machine.cell(&["stage", path, "-s", "host", "-b", "static"]).succeeds();
    assert!(said.out().contains("on stack host with static_buildpack"), "{}", said.out());
}

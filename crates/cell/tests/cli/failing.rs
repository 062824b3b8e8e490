//! Failures that a user makes: one sentence each.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::machine::{Machine, Said};

/// Files that are not what they are given for.
fn write_documents(directory: &Path) {
    for (name, text) in [
        ("junk", "no YAML of ours"),
        ("open.yml", "applications: {"),
        ("names.yml", "applications: [{name: ((n))}]"),
        ("sizes.yml", "applications: [{memory: lots}]"),
        ("list.yml", "stacks: [1]"),
        (
            "many.yml",
            "applications: [{name: a, instances: 64, processes: [{type: b, instances: 4294967295}]}]",
        ),
    ] {
        fs::write(directory.join(name), text).unwrap();
    }
}

/// Each of these ends with a status, and one sentence that has these words.
fn fail(machine: &Machine, cases: &[(&[&str], i32, &str)]) {
    for &(words, status, sentence) in cases {
        let error = machine.cell(words).fails(status);
        assert!(error.contains(sentence), "{words:?}: {error}");
        let own = error.lines().filter(|line| !line.starts_with("No isolation"));
        assert!(status == 2 || own.count() == 1, "one sentence: {error}");
    }
    assert_eq!(machine.cell(&["ps"]).succeeds().out(), "", "nothing was staged");
}

#[test]
fn failures_say_what_to_do() {
    let machine = Machine::new();
    let empty = machine.app(&[]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = port.local_addr().unwrap().to_string();
    let app = empty.to_str().unwrap();
    fail(
        &machine,
        &[
            (&["stop", "none"], 1, "no app is named 'none'; `cell ps` lists those there are"),
            (&["ssh", "../x"], 1, "'../x' can't be an app's name"),
            (&["push", "/nowhere"], 1, "/nowhere: there is no such directory or archive"),
            (&["push", app], 1, "there is nothing to stage"),
            (&["push", app, "-s", "moon"], 1, "there is no stack 'moon': there are host"),
            (
                &["push", app, "-b", "ruby"],
                1,
                "stack 'host' has no buildpack 'ruby': it has python_buildpack, node_buildpack, procfile_buildpack, static_buildpack",
            ),
            (&["push", app, "--bundle", "/none.tgz"], 1, "/none.tgz"),
            (&["push", app, "-b", "./none"], 1, "/none: no such file or directory\n"),
            (&["push", app, "--bundle", "http://127.0.0.1:9/b"], 1, "connection refused"),
            (&["push", app, "--memory", "much"], 2, "'much' is no size"),
            // The machine could hardly be used any more.
            (
                &["push", app, "-i", "100000"],
                1,
                "'shop' is to have 100000 instances: one machine runs at most 64 of an app; give fewer by -i, or as instances in the manifest\n",
            ),
            // Of a file that is missing it was said that it can't be an app's name.
            (&["run", "./none.tgz"], 1, "'./none.tgz' is neither a file nor an app"),
            (&["inspect", "none"], 1, "'none' is neither a file nor an app"),
            (&["logs", "none"], 1, "no app is named 'none'"),
            (&["serve", "/nowhere"], 1, "cannot serve /nowhere: no such file or directory\n"),
            (&["serve", ".", "--address", &taken], 1, "address already in use\n"),
            (&["pusch"], 2, "push"),
        ],
    );
    // It was called `././none`.
    let error = machine.cell(&["push", ".", "-b", "./none"]).fails(1);
    assert_eq!(error.lines().last(), Some("./none: no such file or directory"));
    fs::write(empty.join("x"), "").unwrap();
    let error = machine.cell(&["stage", app]).fails(1);
    assert!(error.contains("NoAppDetectedError: An app was not successfully detected"), "{error}");
    assert!(!machine.state().join("apps/shop/staging").exists());
}

#[test]
fn files_that_do_not_fit_are_named_with_what_is_wrong() {
    let machine = Machine::new();
    let app = machine.app(&[]);
    write_documents(app.parent().unwrap());
    let app = app.to_str().unwrap();
    fail(
        &machine,
        &[
            (
                &["push", app, "--bundle", "junk"],
                1,
                "junk: it cannot be unpacked: unknown archive format",
            ),
            (&["push", app, "-f", "none.yml"], 1, "none.yml: no such file\n"),
            (
                &["push", app, "-f", "junk"],
                1,
                "junk: the document: \"no YAML of ours\" stands where a mapping",
            ),
            (&["push", app, "-f", "open.yml"], 1, "open.yml: yaml: line 1: "),
            (
                &["push", app, "-f", "names.yml"],
                1,
                "names.yml: Expected to find variables: n; give them by --var",
            ),
            (&["push", app, "-f", "names.yml", "--var", "n"], 1, "--var n: expected NAME=VALUE\n"),
            (
                &["push", app, "-f", "names.yml", "--var", "n=a/b"],
                1,
                "'a/b' can't be an app's name",
            ),
            (
                &["push", app, "-f", "sizes.yml"],
                1,
                "sizes.yml: applications[0].memory: 'lots' is no size",
            ),
            (&["stage", app, "-f", "many.yml"], 1, "'a' is to have 4294967359 instances: one "),
            (&["push", app, "--stacks", "none.yml"], 1, "none.yml: no such file\n"),
            (&["push", app, "--stacks", "list.yml"], 1, "list.yml: stacks: invalid type: sequence"),
            (
                &["push", app, "--services", "list.yml"],
                1,
                "list.yml: expected an object of lists, as VCAP_SERVICES is",
            ),
            (&["run", "junk"], 1, "junk is no droplet: "),
            (&["inspect", "junk"], 1, "junk is no droplet: "),
        ],
    );
}

/// It was said what failed, but not of what variable the path is; a colon made two directories of one on the app's PATH.
#[test]
fn a_place_where_nothing_can_be_kept_is_named_with_its_variable() {
    let machine = Machine::new();
    let app = machine.app(&[("file", "")]);
    let file = app.join("file");
    let two = app.join("a:b");
    let not_there =
        |below: &str| format!("mkdir {}/{below}apps: not a directory\n", file.display());
    let colon = "a:b: a colon divides directories in lists such as PATH\n".to_owned();
    for (variable, value, words) in [
        ("CELL_HOME", &file, not_there("")),
        ("CELL_HOME", &two, colon),
        ("XDG_STATE_HOME", &file, not_there("piecrust/")),
        ("HOME", &file, not_there(".local/state/piecrust/")),
    ] {
        let mut command = machine.command(&["ps"]);
        command.env_remove("CELL_HOME").env_remove("XDG_STATE_HOME").env(variable, value);
        let error = Said(command.output().unwrap()).fails(1);
        let begin = format!(
            "{variable} names no place for this cell's state; set CELL_HOME to a directory of yours: "
        );
        assert!(error.starts_with(&begin) && error.ends_with(&words), "{error}");
    }
    assert!(!two.exists());
}

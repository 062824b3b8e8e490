//! Failures that a user makes: one sentence each.

use std::fs;

use crate::machine::Machine;

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
            "stack 'host' has no buildpack 'ruby': it has python_buildpack, node_buildpack, procfile_buildpack, static_buildpack",
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

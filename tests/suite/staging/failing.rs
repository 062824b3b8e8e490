//! What is left when staging fails, and what the explanation names (3.17, issue 2).

use suite::Stage;

use super::{detecting_buildpack, example};

/// No archive, no half-written file: the output directory holds these names only.
fn leaves(staged: &suite::Staged, names: &[&str]) {
    let mut left = staged.names("out");
    left.retain(|name| name != "staging_report.json");
    assert_eq!(left, names, "{staged}");
}

#[test]
fn a_failing_build_leaves_the_result_and_no_archives() {
    for (script, status) in [("finalize", 223), ("release", 224)] {
        let staged = example().script("A", script, "exit 3").run();
        assert_eq!(staged.status, status);
        leaves(&staged, &["result.json"]);
    }
}

#[test]
fn an_earlier_buildpack_that_fails_leaves_nothing() {
    let stage =
        || Stage::empty().script("A", "supply", "exit 3").script("B", "finalize", "").skip_detect();
    let staged = stage().run().fails(225, "Failed to run all supply scripts: exit status 3");
    leaves(&staged, &[]);
    let staged = stage().script("A", "supply", "kill -9 $$").run();
    leaves(&staged.fails(225, "Failed to run all supply scripts: signal: killed"), &[]);
}

#[test]
fn old_outputs_stay_when_the_build_fails() {
    let stage = detecting_buildpack().script("A", "finalize", "exit 3");
    let staged = stage.seed("out/droplet", "old").seed("out/cache", "old").run();
    assert_eq!(staged.read("out/droplet"), "old");
    assert_eq!(staged.read("out/cache"), "old");
}

#[test]
fn a_supply_script_is_looked_for_in_all_buildpacks_before_any_runs() {
    let staged = Stage::empty()
        .script("A", "supply", "echo ran > $ROOT/ran")
        .script("B", "compile", "")
        .script("C", "finalize", "")
        .skip_detect()
        .run()
        .fails(
            225,
            "Error: one of the buildpacks chosen to supply dependencies does not support multi-buildpack apps",
        );
    assert!(!staged.has("ran"));
    leaves(&staged, &[]);
}

#[test]
fn the_explanation_names_script_buildpack_and_status() {
    for (script, line) in [
        ("finalize", "Failed to compile droplet: Failed to run finalize script: exit status 3"),
        ("release", "Failed to build droplet release: exit status 3"),
    ] {
        let staged = example().script("A", script, "exit 3").run();
        let line_at = staged.stderr.find(line).unwrap_or_else(|| panic!("{staged}"));
        let explained = &staged.stderr[line_at + line.len()..];
        assert!(
            explained.contains(script) && explained.contains('A'),
            "no explanation below: {staged}"
        );
    }
}

#[test]
fn the_explanation_names_the_supply_script_of_the_buildpack_that_failed() {
    let stage =
        Stage::empty().script("good-one", "supply", "").script("bad-one", "supply", "exit 41");
    let staged = stage.script("last", "finalize", "").skip_detect().run();
    let staged = staged.fails(225, "Failed to run all supply scripts: exit status 41");
    let _explained = staged.explains(&["supply", "bad-one", "41"]);
}

#[test]
fn a_signal_is_named() {
    let staged = example().script("A", "finalize", "kill -TERM $$").run();
    let staged = staged
        .fails(223, "Failed to compile droplet: Failed to run finalize script: signal: terminated");
    let _explained = staged.explains(&["finalize", "A", "15"]);
}

#[test]
fn the_sentence_is_printed_once() {
    for stage in [
        example().script("A", "finalize", "exit 3"),
        example().script("A", "release", "exit 3"),
        example().script("A", "detect", "exit 3"),
    ] {
        let staged = stage.run();
        let first = |line: &&str| line.starts_with("Failed to") || line.starts_with("None of");
        assert_eq!(staged.stderr.lines().filter(first).count(), 1, "{staged}");
        assert!(staged.stderr.ends_with('\n'));
    }
}

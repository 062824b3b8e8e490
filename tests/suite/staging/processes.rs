//! Process types and sidecars from launch.yml, release and Procfile (3.13).

use serde_json::{Value, json};
use suite::{Stage, Staged};

use super::{detecting_buildpack, example, release, writes};

/// launch.yml with these processes, in YAML's flow style.
fn launch_yml(processes: &str) -> String {
    writes("launch.yml", &format!("processes: [ {processes} ]"))
}

/// `type command` of each process in order.
fn processes(staged: &Staged) -> Vec<String> {
    let result = staged.result();
    let Some(list) = result["processes"].as_array() else { return Vec::new() };
    list.iter()
        .map(|process| format!("{} {}", text(process, "type"), text(process, "command")))
        .collect()
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_else(|| panic!("no {key} in {object}"))
}

/// Supply buildpacks A and B, final buildpack C, each with its launch.yml.
fn three(a: &str, b: &str, c: &str) -> Stage {
    Stage::empty()
        .script("A", "supply", &launch_yml(a))
        .script("B", "supply", &launch_yml(b))
        .script("C", "finalize", &launch_yml(c))
        .script("C", "release", &release("released: x"))
        .skip_detect()
}

#[test]
fn launch_yml_of_all_buildpacks_is_merged_in_order() {
    let staged = three(
        "{type: web, command: a}, {type: one, command: a}",
        "{type: two, command: b}, {type: web, command: b}",
        "{type: one, command: c}, {type: three, command: c}",
    );
    let staged = staged.run().succeeds();
    assert_eq!(processes(&staged), ["web b", "one c", "two b", "three c"]);
    let types = json!({"one": "c", "three": "c", "two": "b", "web": "b"});
    assert_eq!(staged.result()["process_types"], types);
}

#[test]
fn process_types_are_sorted_by_name_and_processes_are_not() {
    let staged =
        example().script("A", "release", &release("zed: z, web: w, alpha: a")).run().succeeds();
    let text = staged.result_text();
    assert!(text.contains(r#""process_types":{"alpha":"a","web":"w","zed":"z"}"#), "{text}");
    assert_eq!(processes(&staged), ["zed z", "web w", "alpha a"], "the document's order (fix 6)");
}

#[test]
fn the_final_launch_yml_replaces_release_even_when_empty() {
    let staged = three("", "", "{type: web, command: c}").run().succeeds();
    assert_eq!(processes(&staged), ["web c"]);
    for empty in ["", "# nothing", "processes: []", "other: 1"] {
        let stage = detecting_buildpack().script("A", "finalize", &writes("launch.yml", empty));
        let staged = stage.script("A", "release", "echo ran > $ROOT/ran; exit 3").run().succeeds();
        assert!(!staged.has("ran"), "release ran beside launch.yml {empty:?}");
        assert!(processes(&staged).is_empty());
    }
}

#[test]
fn the_procfile_goes_over_everything() {
    let staged =
        three("{type: one, command: a}", "{type: web, command: b}", "{type: last, command: c}");
    let staged = staged.file("Procfile", "web: proc\nextra: more\none: 1\n").run().succeeds();
    assert_eq!(processes(&staged), ["one 1", "web proc", "last c", "extra more"]);
    let staged = example().file("Procfile", "worker: w\nweb: proc\n").run().succeeds();
    assert_eq!(processes(&staged), ["web proc", "worker w"]);
}

#[test]
fn a_procfile_written_by_the_buildpack_counts() {
    let stage = detecting_buildpack().script("A", "finalize", "echo 'web: made' > $1/Procfile");
    assert_eq!(processes(&stage.script("A", "release", "").run().succeeds()), ["web made"]);
}

#[test]
fn a_dangling_procfile_link_counts_as_none() {
    let stage = example();
    std::os::unix::fs::symlink("gone", stage.path("app/Procfile")).unwrap();
    assert_eq!(processes(&stage.run().succeeds()), ["web run"]);
}

#[test]
fn a_type_twice_in_one_document_stays_twice_and_the_later_is_the_type() {
    let staged = three("{type: web, command: a}, {type: web, command: b}", "", "").run().succeeds();
    assert_eq!(processes(&staged), ["web a", "web b"]);
    assert_eq!(staged.result()["process_types"], json!({"web": "b"}));
    // A later document's web replaces both, in place.
    let staged = three(
        "{type: web, command: a}, {type: x, command: x}, {type: web, command: b}",
        "{type: web, command: c}",
        "",
    );
    assert_eq!(processes(&staged.run().succeeds()), ["web c", "x x", "web c"]);
}

#[test]
fn processes_with_targets_are_sidecars() {
    let staged = three(
        "{type: log, command: l, limits: {memory: 10}, platforms: {cloudfoundry: {sidecar_for: [web, worker]}}}",
        "{type: web, command: w, limits: {memory: 99}}, {type: none, command: n, platforms: {cloudfoundry: {sidecar_for: []}}}",
        "{type: tail, command: t, platforms: {cloudfoundry: {sidecar_for: [web]}}}",
    );
    let staged = staged.run().succeeds();
    let text = staged.result_text();
    let sidecars = r#""sidecars":[{"name":"log","process_types":["web","worker"],"command":"l","memory":10},{"name":"tail","process_types":["web"],"command":"t"}]"#;
    assert!(text.contains(sidecars), "{text}");
    assert!(
        text.contains(
            r#""processes":[{"type":"web","command":"w"},{"type":"none","command":"n"}]"#
        ),
        "{text}"
    );
    assert_eq!(staged.result()["process_types"], json!({"none": "n", "web": "w"}));
}

#[test]
fn a_procfile_entry_turns_a_sidecar_of_its_name_into_a_process() {
    let sidecar = "{type: web, command: s, platforms: {cloudfoundry: {sidecar_for: [worker]}}}";
    let staged = three(sidecar, "", "").file("Procfile", "web: proc").run().succeeds();
    assert_eq!(processes(&staged), ["web proc"]);
    assert!(staged.result().get("sidecars").is_none());
}

#[test]
fn launch_yml_counts_in_directories_with_two_digits() {
    // The predecessor looks for it in deps/0 to deps/9, which are 00 to 09 (section 11, 4).
    let stage = (0..11).fold(Stage::empty(), |stage, number| {
        let own = launch_yml(&format!("{{type: t{number}, command: c{number}}}"));
        stage.script(&format!("S{number}"), "supply", &own)
    });
    let staged = stage
        .script("F", "finalize", &launch_yml("{type: web, command: f}"))
        .skip_detect()
        .run()
        .succeeds();
    let mut expected: Vec<String> = (0..11).map(|number| format!("t{number} c{number}")).collect();
    expected.push("web f".to_owned());
    assert_eq!(processes(&staged), expected);
}

#[test]
fn launch_yml_of_a_detected_buildpack_counts_however_many_keys_there_are() {
    // The predecessor looks for it at the index of the last key (section 11, 5).
    let staged = Stage::empty()
        .script("no", "detect", "exit 1")
        .script("A", "detect", "")
        .script("A", "finalize", &launch_yml("{type: web, command: launch}"))
        .script("A", "release", "echo ran > $ROOT/ran")
        .script("never", "detect", "")
        .run()
        .succeeds();
    assert_eq!(processes(&staged), ["web launch"]);
    assert!(!staged.has("ran"), "release ran beside a launch.yml");
}

#[test]
fn a_missing_web_command_is_warned_about_and_no_error() {
    for types in ["worker: w", "web: ''", ""] {
        let staged = example().script("A", "release", &release(types)).run().succeeds();
        let two = "No start command specified by buildpack or via Procfile.\n\
                   App will not start unless a command is provided at runtime.\n";
        assert!(staged.stderr.contains(two), "{types}: {staged}");
    }
    let staged = example().run().succeeds();
    assert!(!staged.stderr.contains("No start command"), "{staged}");
}

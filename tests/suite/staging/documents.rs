//! What Procfile, release output, launch.yml and config.yml may hold (section 4).

use serde_json::{Value, json};
use suite::Stage;

use super::{detecting_buildpack, example, writes};

/// Scalars as written in YAML, and the text a string field takes from them.
const SCALARS: &[(&str, &str)] = &[
    ("5", "5"),
    ("5.0", "5.0"),
    ("1e3", "1e3"),
    ("true", "true"),
    ("yes", "yes"),
    ("0x1F", "0x1F"),
    ("1_000", "1_000"),
    ("2020-01-01", "2020-01-01"),
    (".inf", ".inf"),
    ("null", ""),
    ("~", ""),
    ("", ""),
    ("!!binary aGk=", "hi"),
    ("'it''s'", "it's"),
    (r#""a\tb""#, "a\tb"),
    ("plain words # comment", "plain words"),
    ("bundle exec rails s -p $PORT", "bundle exec rails s -p $PORT"),
];

#[test]
fn procfile_values_keep_their_text() {
    for (written, command) in SCALARS {
        let staged = example().file("Procfile", format!("web: {written}\n")).run().succeeds();
        assert_eq!(staged.result()["process_types"]["web"], *command, "web: {written}");
    }
}

#[test]
fn procfile_forms_that_work() {
    for (text, types) in [
        ("", json!({"web": "run"})),
        ("# a comment only\n", json!({"web": "run"})),
        ("--- {}\n", json!({"web": "run"})),
        ("web: a\r\nworker: b\r\n", json!({"web": "a", "worker": "b"})),
        ("\u{feff}web: a\n", json!({"web": "a"})),
        ("web: a\nweb: b\n", json!({"web": "b"})),
        ("web: >\n  one\n  two\n", json!({"web": "one two\n"})),
        ("web: one\n  two\n", json!({"web": "one two"})),
        ("5: five\ntrue: yes\n", json!({"5": "five", "true": "yes", "web": "run"})),
        ("a: &x run it\nb: *x\n", json!({"a": "run it", "b": "run it", "web": "run"})),
        ("web: a\n---\nweb: b\n", json!({"web": "a"})),
        ("web: é\n", json!({"web": "é"})),
        ("{web: a, worker: b}", json!({"web": "a", "worker": "b"})),
    ] {
        let staged = example().file("Procfile", text).run().succeeds();
        assert_eq!(staged.result()["process_types"], types, "{text:?}");
    }
}

#[test]
fn a_bad_procfile_is_status_1_and_says_where() {
    for text in [
        "- a\n- b\n",
        "just text\n",
        "web:a\n",
        "web: [a, b]\n",
        "web: {a: b}\n",
        "web: a: b\n",
        "\tweb: a\n",
        "web: @a\n",
        "web: `a`\n",
        "web: %a\n",
        "web: *unknown\n",
        "web: \"open\n",
    ] {
        let staged = example().file("Procfile", text).run();
        let staged = staged.fails(1, "Failed to read command from Procfile: invalid YAML");
        assert_eq!(staged.result()["process_types"], Value::Null, "{text:?}: the failure form");
        assert!(!staged.has("out/droplet"));
    }
    let _raw = example()
        .file("Procfile", b"web: a\xff\n")
        .run()
        .fails(1, "Failed to read command from Procfile: invalid YAML");
}

#[test]
fn a_procfile_that_is_a_directory_is_status_1() {
    let line = "Failed to read command from Procfile: read {root}/app/Procfile: is a directory";
    let _failed = example().file("Procfile/x", "").run().fails(1, line);
}

#[test]
fn release_output_that_works() {
    for (printed, types) in [
        ("", json!({})),
        ("--- {}", json!({})),
        ("null", json!({})),
        ("# nothing", json!({})),
        ("default_process_types:", json!({})),
        ("---\ndefault_process_types:\n  web: a\n  5: 6\n", json!({"5": "6", "web": "a"})),
        ("config_vars: {A: b}\ndefault_process_types: {web: ~}\naddons: []", json!({"web": ""})),
        ("default_process_types: {web: a}\n--- other", json!({"web": "a"})),
        (
            "odd: !ruby/object:Pathname {path: x}\ndefault_process_types: {web: a}",
            json!({"web": "a"}),
        ),
        (
            "base: &b {web: a}\ndefault_process_types:\n  <<: *b\n  c: d",
            json!({"c": "d", "web": "a"}),
        ),
        ("Default_Process_Types: {web: a}", json!({})),
    ] {
        let script = format!("echo free to say >&2; cat <<'END'\n{printed}\nEND");
        let staged = example().script("A", "release", &script).run().succeeds();
        assert_eq!(staged.result()["process_types"], types, "{printed:?}");
    }
}

#[test]
fn bad_release_output_is_224_and_names_its_reason() {
    for printed in [
        "- a",
        "some text",
        "default_process_types: [a]",
        "default_process_types: text",
        "default_process_types: {web: [a]}",
        "noise before\n---\ndefault_process_types: {web: a}\nx: y",
        "a: b: c",
        "x: &ruby/object:Pathname y",
    ] {
        let staged =
            example().script("A", "release", &format!("cat <<'END'\n{printed}\nEND")).run();
        assert_eq!(staged.status, 224, "{printed:?}: {staged}");
        let start = "Failed to build droplet release: buildpack's release output invalid: yaml: ";
        assert!(staged.stderr.lines().any(|line| line.starts_with(start)), "{printed:?}: {staged}");
        assert!(!staged.has("out/droplet"));
    }
}

/// The result of staging with this launch.yml of the final buildpack.
fn launched(document: &str) -> suite::Staged {
    detecting_buildpack().script("A", "finalize", &writes("launch.yml", document)).run()
}

#[test]
fn launch_yml_memory_is_an_integer_in_many_spellings() {
    for (written, memory) in [
        ("1.5", 1),
        ("1e3", 1000),
        ("0x10", 16),
        ("10.0", 10),
        ("-5", -5),
        ("1_000", 1000),
        ("256", 256),
    ] {
        let staged = launched(&format!(
            "processes:\n- {{type: s, command: c, limits: {{memory: {written}}}, platforms: {{cloudfoundry: {{sidecar_for: [web]}}}}}}"
        ));
        assert_eq!(
            staged.succeeds().result()["sidecars"][0]["memory"],
            memory,
            "memory: {written}"
        );
    }
    for written in ["0", "~"] {
        let staged = launched(&format!(
            "processes:\n- {{type: s, command: c, limits: {{memory: {written}}}, platforms: {{cloudfoundry: {{sidecar_for: [web]}}}}}}"
        ));
        assert!(
            staged.succeeds().result()["sidecars"][0].get("memory").is_none(),
            "memory: {written}"
        );
    }
}

#[test]
fn launch_yml_scalars_keep_their_text() {
    for (written, command) in SCALARS {
        let staged =
            launched(&format!("processes:\n- type: web\n  command: {written}\n")).succeeds();
        assert_eq!(staged.result()["process_types"]["web"], *command, "command: {written}");
    }
    let staged = launched("processes: [ ~, {type: 5, command: x, unknown: 1} ]").succeeds();
    let expected = json!([{"type": "", "command": ""}, {"type": "5", "command": "x"}]);
    assert_eq!(staged.result()["processes"], expected, "a null entry is a process without type");
}

#[test]
fn a_bad_launch_yml_is_status_1() {
    let sidecar = |field: &str| format!("processes:\n- {{type: s, command: c, {field}}}\n");
    for document in [
        sidecar("platforms: {cloudfoundry: {sidecar_for: web}}"),
        sidecar("limits: {memory: '10'}"),
        sidecar("limits: {memory: 1M}"),
        sidecar("command: [a]"),
        "processes: text".to_owned(),
        "- a".to_owned(),
    ] {
        let staged = launched(&document);
        assert_eq!(staged.status, 1, "{document}: {staged}");
        assert!(staged.stderr.contains("yaml: "), "{document}: {staged}");
        assert_eq!(staged.result()["process_types"], Value::Null, "{document}");
    }
    let staged = launched("processes: [ @ ]");
    let line = staged.stderr.lines().find(|line| line.starts_with("yaml: line 1"));
    assert!(staged.status == 1 && line.is_some(), "the sentence has the line: {staged}");
    let directory = detecting_buildpack().script("A", "finalize", "mkdir $3/$4/launch.yml").run();
    assert_eq!(directory.status, 1);
    let end = "deps/0/launch.yml: is a directory";
    let read = |line: &str| line.starts_with("read ") && line.ends_with(end);
    assert!(directory.stderr.lines().any(read), "{directory}");
}

/// The first buildpack object of result.json after staging with this config.yml.
fn configured(document: &str) -> Value {
    let stage = example().script("A", "finalize", &writes("config.yml", document));
    stage.run().succeeds().result()["lifecycle_metadata"]["buildpacks"][0].clone()
}

#[test]
fn config_yml_fields() {
    let plain = json!({"key": "A", "name": "D"});
    for (document, expected) in [
        ("", plain.clone()),
        ("not: [closed", plain.clone()),
        ("- a", plain.clone()),
        ("name: N\nversion: 1.10\n", json!({"key": "A", "name": "N", "version": "1.10"})),
        ("name: ''\nversion: ''", plain.clone()),
        ("key: other", json!({"key": "other", "name": "D"})),
        ("config: ~", plain.clone()),
        ("config:", plain.clone()),
        ("config: {}", json!({"key": "A", "name": "D", "config": {}})),
        ("config: x", json!({"key": "A", "name": "D", "config": {}})),
        (
            "config: {entrypoint_prefix: exec}",
            json!({"key": "A", "name": "D", "config": {"entrypoint_prefix": "exec"}}),
        ),
        ("name: [a]\nversion: 2", json!({"key": "A", "name": "D", "version": "2"})),
        ("output_metadata: {}", plain.clone()),
    ] {
        assert_eq!(configured(document), expected, "{document:?}");
    }
}

#[test]
fn output_metadata_takes_any_value() {
    for (written, value) in [
        ("5", json!(5)),
        ("0x10", json!(16)),
        ("017", json!(15)),
        ("0o7", json!(7)),
        ("0b1", json!(1)),
        ("1_000", json!(1000)),
        ("-3", json!(-3)),
        ("y", json!(true)),
        ("No", json!(false)),
        ("on", json!(true)),
        ("OFF", json!(false)),
        ("~", Value::Null),
        ("text", json!("text")),
        ("'5'", json!("5")),
        ("2020-01-01", json!("2020-01-01")),
        ("1:30", json!("1:30")),
        ("[1, a, true, [2]]", json!([1, "a", true, [2]])),
        // Nested mappings end the predecessor with status 1 (section 11, 1).
        ("{a: {b: c}, 5: d}", json!({"a": {"b": "c"}, "5": "d"})),
        ("[{a: b}, {c: [{d: e}]}]", json!([{"a": "b"}, {"c": [{"d": "e"}]}])),
    ] {
        let buildpack = configured(&format!("output_metadata: {{ k: {written} }}"));
        assert_eq!(buildpack["output_metadata"], json!({"k": value}), "k: {written}");
    }
}

#[test]
fn output_metadata_floats_are_in_shortest_form() {
    for (written, text) in [
        ("1.5", "1.5"),
        ("1.0", "1"),
        ("1e21", "1e+21"),
        ("1e-7", "1e-7"),
        ("0.000001", "0.000001"),
        ("-0.0", "-0"),
    ] {
        let document = format!("output_metadata: {{ k: {written} }}");
        let staged =
            example().script("A", "finalize", &writes("config.yml", &document)).run().succeeds();
        let expected = format!(r#""output_metadata":{{"k":{text}}}"#);
        assert!(staged.result_text().contains(&expected), "k: {written}: {}", staged.result_text());
    }
}

#[test]
fn config_yml_of_each_buildpack_goes_to_its_own_object() {
    let staged = Stage::empty()
        .script("A", "supply", &writes("config.yml", "name: NA\nversion: '1'"))
        .script("B", "supply", "")
        .script(
            "C",
            "finalize",
            &writes("config.yml", "name: NC\nconfig: {entrypoint_prefix: pfx}"),
        )
        .script("C", "release", &super::release("web: run"))
        .skip_detect()
        .run()
        .succeeds();
    let metadata = &staged.result()["lifecycle_metadata"];
    let expected = json!([
        {"key": "A", "name": "NA", "version": "1"},
        {"key": "B", "name": ""},
        {"key": "C", "name": "NC", "config": {"entrypoint_prefix": "pfx"}},
    ]);
    assert_eq!(metadata["buildpacks"], expected);
    assert_eq!(metadata["detected_buildpack"], "NC");
}

//! The bytes of result.json and `staging_info.yml` (3.15 to 3.17, section 4).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use suite::Stage;

use super::{detecting_buildpack, example, release, writes};

#[test]
fn result_json_of_the_contracts_example_to_the_byte() {
    let staged = example().run().succeeds();
    assert_eq!(
        staged.result_text(),
        "{\"lifecycle_metadata\":{\"buildpack_key\":\"A\",\"detected_buildpack\":\"D\",\"buildpacks\":[{\"key\":\"A\",\"name\":\"D\"}]},\
         \"process_types\":{\"web\":\"run\"},\"processes\":[{\"type\":\"web\",\"command\":\"run\"}],\
         \"execution_metadata\":\"\",\"lifecycle_type\":\"buildpack\"}\n"
    );
}

#[test]
fn result_json_with_every_field_to_the_byte() {
    let config =
        "name: N\nversion: '2'\nconfig: {entrypoint_prefix: pfx}\noutput_metadata: {z: 1, a: [x]}";
    let launch = "processes: [{type: web, command: w}, {type: s, command: c, limits: {memory: 5}, \
                  platforms: {cloudfoundry: {sidecar_for: [web]}}}]";
    let finalize = format!("{}\n{}", writes("config.yml", config), writes("launch.yml", launch));
    let staged = detecting_buildpack().script("A", "finalize", &finalize).run().succeeds();
    assert_eq!(
        staged.result_text(),
        "{\"lifecycle_metadata\":{\"buildpack_key\":\"A\",\"detected_buildpack\":\"N\",\"buildpacks\":[{\"key\":\"A\",\"name\":\"N\",\
         \"version\":\"2\",\"config\":{\"entrypoint_prefix\":\"pfx\"},\"output_metadata\":{\"a\":[\"x\"],\"z\":1}}]},\
         \"process_types\":{\"web\":\"w\"},\"processes\":[{\"type\":\"web\",\"command\":\"w\"}],\
         \"sidecars\":[{\"name\":\"s\",\"process_types\":[\"web\"],\"command\":\"c\",\"memory\":5}],\
         \"execution_metadata\":\"\",\"lifecycle_type\":\"buildpack\"}\n"
    );
}

#[test]
fn result_json_without_processes_to_the_byte() {
    let staged = example().script("A", "release", "").run().succeeds();
    assert_eq!(
        staged.result_text(),
        "{\"lifecycle_metadata\":{\"buildpack_key\":\"A\",\"detected_buildpack\":\"D\",\"buildpacks\":[{\"key\":\"A\",\"name\":\"D\"}]},\
         \"process_types\":{},\"execution_metadata\":\"\",\"lifecycle_type\":\"buildpack\"}\n"
    );
}

#[test]
fn result_json_of_a_failed_finalize_to_the_byte() {
    let config = writes("config.yml", "name: N\noutput_metadata: {k: v}");
    let staged = detecting_buildpack().script("A", "finalize", &format!("{config}\nexit 3")).run();
    let staged = staged
        .fails(223, "Failed to compile droplet: Failed to run finalize script: exit status 3");
    assert_eq!(
        staged.result_text(),
        "{\"lifecycle_metadata\":{\"buildpack_key\":\"A\",\"detected_buildpack\":\"N\",\"buildpacks\":[{\"key\":\"A\",\"name\":\"N\",\
         \"output_metadata\":{\"k\":\"v\"}}]},\"process_types\":null,\"execution_metadata\":\"\",\"lifecycle_type\":\"buildpack\"}\n"
    );
}

#[test]
fn the_detect_output_is_no_name_in_a_failed_result() {
    let staged = detecting_buildpack().script("A", "finalize", "exit 3").run();
    assert_eq!(
        staged.result_text(),
        "{\"lifecycle_metadata\":{\"buildpack_key\":\"A\",\"detected_buildpack\":\"\",\"buildpacks\":[{\"key\":\"A\",\"name\":\"\"}]},\
         \"process_types\":null,\"execution_metadata\":\"\",\"lifecycle_type\":\"buildpack\"}\n"
    );
}

#[test]
fn strings_are_escaped_as_the_platform_expects() {
    let staged = example()
        .file("Procfile", "web: \"<a> & \\\"b\\\" \\\\ / \\u2028 \\x01 \\x08 \\x0c \\t \\x7f é\"");
    let staged = staged.run().succeeds();
    let expected = "\\u003ca\\u003e \\u0026 \\\"b\\\" \\\\ / \\u2028 \\u0001 \\b \\f \\t \u{7f} é";
    assert!(staged.result_text().contains(expected), "{}", staged.result_text());
    assert!(staged.droplet_file("./staging_info.yml").contains(expected));
}

#[test]
fn detect_output_that_is_not_utf_8_becomes_replacement_characters() {
    let staged = example().script("A", "detect", r"printf 'a\377\376b'").run().succeeds();
    // Go writes such a byte as the escape `\ufffd`, here it is the character: equal to a parser.
    assert_eq!(staged.result()["lifecycle_metadata"]["detected_buildpack"], "a\u{fffd}\u{fffd}b");
}

#[test]
fn staging_info_to_the_byte() {
    let config = |document: &str| writes("config.yml", document);
    for (finalize, expected) in [
        (String::new(), r#"{"detected_buildpack":"D","start_command":"run"}"#),
        (config("config: {}"), r#"{"detected_buildpack":"D","start_command":"run","config":{}}"#),
        (
            config("name: NC\nconfig: {entrypoint_prefix: pfx}"),
            r#"{"detected_buildpack":"NC","start_command":"run","config":{"entrypoint_prefix":"pfx"}}"#,
        ),
    ] {
        let staged = example().script("A", "finalize", &finalize).run().succeeds();
        assert_eq!(staged.droplet_file("./staging_info.yml"), format!("{expected}\n"));
    }
    let staged = example().script("A", "release", &release("worker: w")).run().succeeds();
    let info = staged.droplet_file("./staging_info.yml");
    assert_eq!(info, "{\"detected_buildpack\":\"D\",\"start_command\":\"\"}\n");
}

#[test]
fn output_metadata_too_long_for_the_platform_is_dropped_with_a_warning() {
    // The platform reads 51,200 bytes and fails the staging of a longer result.
    let long = "x".repeat(60_000);
    let config = format!("name: N\nversion: '1'\noutput_metadata: {{k: {long}}}");
    let staged = example().script("A", "finalize", &writes("config.yml", &config)).run().succeeds();
    let buildpack = staged.result()["lifecycle_metadata"]["buildpacks"][0].clone();
    assert_eq!(buildpack, serde_json::json!({"key": "A", "name": "N", "version": "1"}));
    assert!(staged.result_text().len() <= 51_200);
    let _warned = staged.explains(&["output_metadata"]);
}

#[test]
fn a_result_of_exactly_the_limit_keeps_its_metadata() {
    let with = |length: usize| {
        let config = format!("output_metadata: {{k: {}}}", "x".repeat(length));
        example().script("A", "finalize", &writes("config.yml", &config)).run().succeeds()
    };
    let rest = with(1).result_text().len() - 1;
    let staged = with(51_200 - rest);
    assert_eq!(staged.result_text().len(), 51_200);
    assert!(!staged.stderr.contains("output_metadata"), "{}", staged.stderr);
    let over = with(51_201 - rest).explains(&["output_metadata"]);
    assert!(over.result_text().len() < 51_200);
}

#[test]
fn an_old_result_is_replaced_whole_and_keeps_its_mode() {
    let stage = example().seed("out/result.json", "x".repeat(5000));
    fs::set_permissions(stage.path("out/result.json"), fs::Permissions::from_mode(0o640)).unwrap();
    let staged = stage.run().succeeds();
    assert!(staged.result_text().ends_with("\"buildpack\"}\n"));
    let mode = fs::metadata(staged.path("out/result.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
}

#[test]
fn the_droplet_and_the_report_say_where_the_droplet_was_made() {
    let staged = example().env("CF_STACK", "cflinuxfs4").run().succeeds();
    for report in
        [staged.droplet_file("./staging_report.json"), staged.read("out/staging_report.json")]
    {
        for part in ["cflinuxfs4", suite::machine()] {
            assert!(report.contains(part), "no {part} in {report}");
        }
    }
}

#[test]
fn nothing_is_staged_twice_into_one_result() {
    // Two stagings with the same inputs give the same bytes of result.json.
    let texts = [1, 2].map(|_| {
        let stage = Stage::empty().script("A", "detect", "echo D").script("A", "finalize", "");
        let types = (0..40).map(|n| format!("t{n}: c{n}")).collect::<Vec<_>>().join(", ");
        stage.script("A", "release", &release(&types)).run().succeeds().result_text()
    });
    assert_eq!(texts[0], texts[1]);
}

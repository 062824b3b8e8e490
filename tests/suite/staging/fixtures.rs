//! The buildpacks of `buildpacks-fixtures`: each does to a staging what its name says.

use serde_json::json;
use suite::{Stage, tool};

fn with(fixture: &str) -> Stage {
    Stage::empty().buildpacks([fixture])
}

#[test]
fn detected_ones_give_their_name_and_their_web_process() {
    for (fixture, name, web) in [
        ("always-detects", "Always", "the release command"),
        ("has-finalize", "Has-Finalize", "the release command"),
        ("has-supply-and-finalize", "Has-Both", "the release command"),
        ("has-compile-only", "Compiled", "the release command"),
        ("detects-in-many-lines", "One\nTwo ", "the release command"),
        ("detects-silently", "", "the release command"),
        ("detects-with-bytes", "caf\u{fffd} <&> \"quoted\"", "the release command"),
        ("closes-stdout", "Quiet", "the release command"),
        ("bad-config-yml", "Kept", "the release command"),
        ("nested", "Nested", "the release command"),
        ("overrides-its-key", "Renamed", "the release command"),
        ("writes-config-yml", "Named by config.yml", "the release command"),
        ("release-prints-to-stderr", "Releases", "the release command"),
        ("leaves-background-child", "Lingers", "lingering"),
        ("writes-launch-yml", "Launches", "from launch.yml"),
        ("sidecar-launch-yml", "Launches", "serve"),
    ] {
        let staged = with(fixture).run().succeeds();
        let result = staged.result();
        assert_eq!(result["process_types"]["web"], web, "{fixture}");
        assert_eq!(result["lifecycle_metadata"]["detected_buildpack"], name, "{fixture}");
    }
}

fn fails(fixture: &str, status: i32, sentence: &str) {
    let directory = format!("{{root}}/buildpacks/{}", suite::xxhash(fixture));
    let staged = with(fixture).run();
    assert_eq!(staged.status, status, "{fixture}: {staged}");
    let _told = staged.warns(&sentence.replace("{b}", &directory));
}

#[test]
fn what_cannot_detect_is_222() {
    let none = "None of the buildpacks detected a compatible application";
    for fixture in ["never-detects", "fails-to-detect", "detect-not-executable", "has-no-detect"] {
        fails(fixture, 222, none);
    }
    for fixture in ["no-bin", "nested-twice", "nested-beside-a-file"] {
        fails(fixture, 222, none);
        let reason = format!("malformed buildpack does not contain a /bin dir: {fixture}");
        fails(fixture, 222, &reason);
    }
}

#[test]
fn what_cannot_build_is_223() {
    for (fixture, sentence) in [
        ("fails-to-compile", "Failed to compile droplet: exit status 3"),
        (
            "has-no-scripts",
            "Failed to compile droplet: fork/exec {b}/bin/compile: no such file or directory",
        ),
        ("fails-to-supply", "Failed to run all supply scripts: exit status 3"),
        ("fails-to-finalize", "Failed to run finalize script: exit status 3"),
        ("killed-by-signal", "Failed to run finalize script: signal: killed"),
    ] {
        fails(fixture, 223, &format!("Failed to compile droplet: {sentence}"));
    }
    for (fixture, reason) in [
        ("finalize-not-executable", "permission denied"),
        ("finalize-without-interpreter", "no such file or directory"),
        ("finalize-without-shebang", "exec format error"),
        ("wrong-architecture", "exec format error"),
    ] {
        let sentence =
            format!("Failed to run finalize script: fork/exec {{b}}/bin/finalize: {reason}");
        fails(fixture, 223, &format!("Failed to compile droplet: {sentence}"));
    }
}

#[test]
fn what_cannot_release_is_224() {
    let release = "Failed to build droplet release: ";
    fails("fails-to-release", 224, &format!("{release}exit status 3"));
    let missing = format!("{release}fork/exec {{b}}/bin/release: no such file or directory");
    fails("has-no-release", 224, &missing);
    for fixture in [
        "bad-release-yaml",
        "release-is-a-list",
        "release-prints-noise",
        "release-with-nested-values",
    ] {
        let staged = with(fixture).run().explains(&[release, "release output invalid: yaml: "]);
        assert_eq!(staged.status, 224, "{fixture}: {staged}");
    }
}

#[test]
fn a_launch_yml_that_cannot_be_read_is_1() {
    for fixture in ["bad-launch-yml", "broken-launch-yml", "launch-yml-is-a-directory"] {
        let staged = with(fixture).run();
        assert_eq!(staged.status, 1, "{fixture}: {staged}");
    }
}

#[test]
fn the_number_of_stagings_lives_on_in_the_cache() {
    let staged = with("uses-cache").run().succeeds();
    assert!(staged.stdout.contains("staging number 1\n"), "{staged}");
    let stage = with("uses-cache").seed("cache/.keep", "");
    // As the platform does: the output cache is unpacked for the next staging.
    let (archive, target) = (staged.path("out/cache"), stage.path("cache"));
    tool("tar", ["-xzf", archive.to_str().unwrap(), "-C", target.to_str().unwrap()]);
    let staged = stage.run().succeeds();
    assert!(staged.stdout.contains("staging number 2\n"), "{staged}");
}

#[test]
fn stdin_is_empty_although_the_builders_never_ends() {
    // In a container stdin is a FIFO that gives neither data nor an end.
    let staged =
        with("reads-stdin").within("mkfifo fifo; exec 3<> fifo; exec \"$@\" <&3").run().succeeds();
    assert_eq!(staged.droplet_file("./deps/0/stdin"), "");
}

#[test]
fn nested_output_metadata_reaches_the_result() {
    let staged = with("nested-output-metadata").run().succeeds();
    let metadata = &staged.result()["lifecycle_metadata"]["buildpacks"][0]["output_metadata"];
    assert_eq!(
        *metadata,
        json!({"list": [{"a": 1}], "runtime": {"3": {"patch": 1}, "name": "ruby"}})
    );
}

#[test]
fn metadata_over_the_limit_is_left_out() {
    let staged = with("long-output-metadata").run().succeeds().explains(&["output_metadata"]);
    assert!(staged.result_text().len() <= 51_200);
    assert_eq!(staged.result()["lifecycle_metadata"]["buildpacks"][0]["name"], "Long");
}

#[test]
fn processes_keep_the_documents_order() {
    let staged = with("release-with-many-processes").run().succeeds();
    let processes = staged.result()["processes"].clone();
    let expected = [
        ("worker", "work"),
        ("web", "serve"),
        ("clock", "0x1F"),
        ("answer", "yes"),
        ("nothing", ""),
    ];
    let expected = expected.map(|(kind, command)| json!({"type": kind, "command": command}));
    assert_eq!(processes, json!(expected));
}

#[test]
fn deps_that_link_elsewhere_stay_a_link() {
    let staged = with("links-its-deps-away").run();
    if staged.status == 0 {
        let droplet = staged.droplet();
        assert!(droplet.contains(&"./deps/0".to_owned()), "{droplet:?}");
        assert!(
            !droplet.iter().any(|name| name.contains("passwd")),
            "the host's /etc is in the droplet"
        );
    }
    assert_eq!(staged.status, 0, "{staged}");
}

#[test]
fn deps_that_were_removed_are_no_error() {
    let staged = with("removes-its-deps").run().succeeds();
    assert!(staged.stdout.contains("no deps 0\n"), "{staged}");
}

#[test]
fn both_streams_are_passed_on_in_order() {
    let staged = with("prints-to-both-streams").run().succeeds();
    assert!(
        staged.stdout.contains("supply on stdout\nno line endfinalize on stdout\n"),
        "{staged}"
    );
    assert!(staged.stderr.contains("supply on stderr\nfinalize on stderr\n"), "{staged}");
}

#[test]
fn special_files_in_deps_are_in_the_droplet() {
    let staged = with("writes-special-files").run().succeeds().explains(&[".wh.file"]);
    let home = staged.path("home");
    std::fs::create_dir(&home).unwrap();
    tool(
        "tar",
        ["-xpzf", staged.path("out/droplet").to_str().unwrap(), "-C", home.to_str().unwrap()],
    );
    let deps = home.join("deps/0");
    let script = "cd \"$0\" && test file -ef hard-link && test -u file && test -k sticky && test -p fifo \
        && test \"$(readlink upward)\" = ../../.. && test \"$(stat -c %Y file)\" = \"$(date -d '2001-02-03 04:05:06' +%s)\"";
    tool("sh", ["-c", script, deps.to_str().unwrap()]);
}

//! The table of situations, sentences and exit statuses (3.2), and the steps before staging.
use suite::{Stage, Staged, xxhash};

/// A single buildpack `A` that stages anything.
fn single() -> Stage {
    let stage = Stage::empty().script("A", "detect", "echo D").script("A", "finalize", "");
    stage.script("A", "release", "echo 'default_process_types: {web: run}'")
}

/// `A` supplies for `single`'s scripts under the key `B`.
fn pair() -> Stage {
    let stage = Stage::empty().script("A", "supply", "").script("B", "finalize", "");
    stage.script("B", "release", "").skip_detect()
}

#[test]
fn failing_scripts_have_their_statuses_and_sentences() {
    let compile = |name: &str, body: &str| {
        let stage = Stage::empty().script("A", "detect", "");
        stage.script("A", name, body).script("A", "release", "")
    };
    for (situation, stage, status, line) in [
        (
            "nothing detected",
            single().script("A", "detect", "exit 1"),
            222,
            "None of the buildpacks detected a compatible application",
        ),
        (
            "finalize fails",
            single().script("A", "finalize", "exit 3"),
            223,
            "Failed to compile droplet: Failed to run finalize script: exit status 3",
        ),
        (
            "last supply fails",
            single().script("A", "supply", "exit 3"),
            223,
            "Failed to compile droplet: Failed to run all supply scripts: exit status 3",
        ),
        (
            "compile fails",
            compile("compile", "exit 3"),
            223,
            "Failed to compile droplet: Failed to compile droplet: exit status 3",
        ),
        (
            "compile is missing",
            compile("other", ""),
            223,
            "Failed to compile droplet: Failed to compile droplet: fork/exec {A}/bin/compile: no such file or directory",
        ),
        (
            "script dies of a signal",
            single().script("A", "finalize", "kill -9 $$"),
            223,
            "Failed to compile droplet: Failed to run finalize script: signal: killed",
        ),
        (
            "release fails",
            single().script("A", "release", "exit 3"),
            224,
            "Failed to build droplet release: exit status 3",
        ),
        (
            "statuses of scripts are not the builder's",
            single().script("A", "finalize", "exit 222"),
            223,
            "Failed to compile droplet: Failed to run finalize script: exit status 222",
        ),
    ] {
        fails(situation, stage, status, line);
    }
}

fn fails(situation: &str, stage: Stage, status: i32, line: &str) {
    let staged = stage.run();
    assert_eq!(staged.status, status, "{situation}: {staged}");
    let line = line.replace("{A}", &format!("{{root}}/buildpacks/{}", xxhash("A")));
    let _printed = staged.warns(&line);
}

#[test]
fn failing_supply_buildpacks_have_their_statuses_and_sentences() {
    for (situation, stage, status, line) in [
        (
            "earlier supply fails",
            pair().script("A", "supply", "exit 3"),
            225,
            "Failed to run all supply scripts: exit status 3",
        ),
        (
            "last supply of several fails",
            pair().script("B", "supply", "exit 3"),
            223,
            "Failed to compile droplet: Failed to run all supply scripts: exit status 3",
        ),
        (
            "earlier buildpack has no supply",
            pair().script("C", "finalize", "").order(["C", "B"]),
            225,
            "Error: one of the buildpacks chosen to supply dependencies does not support multi-buildpack apps",
        ),
    ] {
        fails(situation, stage, status, line);
    }
}

#[test]
fn scripts_that_cannot_start_are_named() {
    let script = format!("buildpacks/{}/bin/finalize", xxhash("A"));
    for (contents, mode, reason) in [
        ("#!/bin/sh\n", "644", "permission denied"),
        ("#!/no/such/interpreter\n", "755", "no such file or directory"),
        ("no interpreter line\n", "755", "exec format error"),
    ] {
        let stage = single().seed(&script, contents);
        suite::tool("chmod", [mode, stage.path(&script).to_str().unwrap()]);
        let line = format!(
            "Failed to compile droplet: Failed to run finalize script: fork/exec {{root}}/{script}: {reason}"
        );
        let _failed = stage.run().fails(223, &line);
    }
}

/// Staging with this as the release script's whole output.
fn released(text: &str) -> Staged {
    single().script("A", "release", &format!("cat <<'END'\n{text}\nEND")).run()
}

#[test]
fn release_output_that_is_not_yaml_is_224() {
    let staged = released("- a list").explains(&[
        "Failed to build droplet release: buildpack's release output invalid: yaml: unmarshal errors:",
    ]);
    assert_eq!(staged.status, 224);
    let start = "Failed to build droplet release: buildpack's release output invalid: yaml: ";
    assert_eq!(released("a: [b").explains(&[start]).status, 224);
}

#[test]
fn a_missing_buildpack_is_225_first_and_223_never() {
    let path = format!("{{root}}/buildpacks/{}", xxhash("gone"));
    let line = format!("Failed to read buildpack directory '{path}' for buildpack '{path}'");
    let whole = format!("Failed to run all supply scripts: {line}");
    // An earlier one is printed on its own as well; the last one is not (3.11).
    let staged = pair().order(["gone", "B"]).run().fails(225, &whole).warns(&line);
    assert!(!staged.has("out/result.json"));
    let staged = pair().order(["A", "gone"]).run().fails(225, &whole);
    assert_eq!(staged.stderr.matches("Failed to read buildpack directory").count(), 1, "{staged}");
}

#[test]
fn urls_that_cannot_be_fetched_are_status_1() {
    let key = "ftp://user:secret@127.0.0.1/b.zip";
    let staged = Stage::empty().order([key]).skip_detect().run();
    let staged = staged
        .explains(&["Failed to download buildpack 'ftp://", "unsupported protocol scheme \"ftp\""]);
    assert_eq!(staged.status, 1);
    assert!(!staged.stderr.contains("secret") && !staged.stdout.contains("secret"), "{staged}");

    let stage = Stage::empty();
    let gone = format!("file://{}/gone", stage.path("").display());
    let gone = gone.replace("//gone", "/gone");
    let line = format!("Failed to clone git repository at {gone}");
    let _failed = stage.order([gone.as_str()]).skip_detect().run().fails(1, &line);

    let without_git = Stage::empty().order(["a:b"]).skip_detect().env("PATH", "/nowhere").run();
    let _failed = without_git.fails(1, r#"exec: "git": executable file not found in $PATH"#);
}

#[test]
fn bad_platform_options_are_status_3_before_anything_is_made() {
    for (options, reason) in [
        ("{", "unexpected end of JSON input"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("{} x", "invalid character 'x' after top-level value"),
        (
            "[]",
            "json: cannot unmarshal array into Go value of type platformoptions.PlatformOptions",
        ),
    ] {
        let staged = single().env("VCAP_PLATFORM_OPTIONS", options).run();
        let staged = staged.fails(3, &format!("Invalid platform options: {reason}"));
        assert!(!staged.has("out") && !staged.has("cache"), "made before the options were read");
    }
}

#[test]
fn platform_options_without_credhub_change_nothing() {
    for options in ["", "null", "{}", r#"{"credhub-uri":""}"#, r#"{"credhub-uri":null,"other":1}"#]
    {
        let staged = single().env("VCAP_PLATFORM_OPTIONS", options).run().succeeds();
        assert_eq!(staged.result()["process_types"]["web"], "run");
    }
}

#[test]
fn credhub_problems_are_status_4() {
    let services = r#"{"s":[{"credentials":{"credhub-ref":"/x"}}]}"#;
    let stage = || {
        let stage = single().env("VCAP_SERVICES", services);
        stage.env("VCAP_PLATFORM_OPTIONS", r#"{"CREDHUB-URI":"https://127.0.0.1:1"}"#)
    };
    let set_up = "Unable to interpolate credhub refs: Unable to set up credhub client: ";
    let missing = format!("{set_up}Missing CF_INSTANCE_CERT and/or CF_INSTANCE_KEY");
    let staged = stage().run().fails(4, &missing);
    assert!(!staged.has("out") && !staged.has("cache"));
    let _half = stage().env("CF_INSTANCE_CERT", "/x").run().fails(4, &missing);
    let stage = || stage().env("CF_INSTANCE_CERT", "/nope").env("CF_INSTANCE_KEY", "/nope");
    let _path = stage().run().fails(4, &format!("{set_up}Missing CF_SYSTEM_CERT_PATH"));
    let unreadable = format!(
        "{set_up}Can't read contents of system cert path: open /gone: no such file or directory"
    );
    let _gone = stage().env("CF_SYSTEM_CERT_PATH", "/gone").run().fails(4, &unreadable);
    // Nothing to interpolate, or told not to: no CredHub is needed.
    let _skipped = stage().env("CREDHUB_SKIP_INTERPOLATION", "1").run().succeeds();
    let _plain = stage().env("VCAP_SERVICES", "{}").run().succeeds();
}

#[test]
fn a_credhub_that_does_not_answer_is_asked_as_often_as_told() {
    // Plain http works without TLS; nobody listens on this port.
    let port = suite::free_port();
    let certificates = ["CF_INSTANCE_CERT", "CF_INSTANCE_KEY"];
    let stage = certificates.into_iter().fold(single(), |stage, name| stage.env(name, "/nope"));
    let staged = stage
        .env("VCAP_SERVICES", r#"{"s":[{"credentials":{"credhub-ref":"/x"}}]}"#)
        .env("VCAP_PLATFORM_OPTIONS", format!(r#"{{"credhub-uri":"http://127.0.0.1:{port}"}}"#))
        .env("CF_SYSTEM_CERT_PATH", "/etc/ssl/certs")
        .flag("credhubConnectAttempts", "2")
        .flag("credhubRetryDelay", "0")
        .run();
    assert_eq!(staged.status, 4, "{staged}");
    let _told = staged.explains(&["Unable to interpolate credhub refs: "]);
}

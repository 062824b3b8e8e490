//! What the launcher says when it does not launch, and its exit status (contract, section 8).

use predicates::prelude::*;

use crate::{Droplet, launcher};

#[test]
fn three_arguments_are_needed() {
    let name = launcher().display().to_string();
    for (count, arguments) in [&[][..], &["app"], &["app", "run"]].iter().enumerate() {
        let droplet = Droplet::new();
        let mut command = droplet.launcher([]);
        let sentence = format!(
            "{name}: received only {count} arguments\n\
             Usage: {name} <app-directory> <start-command> <metadata>\n"
        );
        command.args(*arguments).assert().code(1).stdout("").stderr(sentence);
    }
}

#[test]
fn without_a_start_command_there_is_nothing_to_start() {
    let sentence =
        format!("{}: no start command specified or detected in droplet\n", launcher().display());
    let empty = Droplet::new().file("staging_info.yml", r#"{"start_command":""}"#);
    for droplet in [Droplet::new(), empty] {
        // Flags are read later: help is not given either.
        for last in ["", "-h", "-nope"] {
            let mut command = droplet.launcher(["app", "", last]);
            command.assert().code(1).stdout("").stderr(sentence.clone());
        }
    }
}

#[test]
fn staging_info_that_cannot_be_read_ends_the_launch_even_if_it_is_not_needed() {
    let directory = Droplet::new().file("staging_info.yml/file", "");
    let mut command = directory.start("echo started");
    let sentence = "Invalid staging info - read staging_info.yml: is a directory\n";
    command.assert().code(1).stdout("").stderr(sentence);
}

#[test]
fn staging_info_that_is_no_yaml_ends_the_launch() {
    for text in ["start_command: [", "start_command: {a: b}", "- a list"] {
        let droplet = Droplet::new().file("staging_info.yml", text);
        let beginning = "Invalid staging info - failed to unmarshal staging_info.yml: yaml: ";
        let stderr = predicate::str::starts_with(beginning);
        droplet.start("echo started").assert().code(1).stdout("").stderr(stderr);
    }
}

#[test]
fn bad_flags_are_named_and_followed_by_the_usage_list() {
    for (flag, sentence) in [
        ("-nope", "flag provided but not defined: -nope\n"),
        ("---x", "bad flag syntax: ---x\n"),
        ("-credhubRetryDelay", "flag needs an argument: -credhubRetryDelay\n"),
        ("-credhubRetryDelay=5", "invalid value \"5\" for flag -credhubRetryDelay: parse error\n"),
        (
            "-credhubConnectAttempts=x",
            "invalid value \"x\" for flag -credhubConnectAttempts: parse error\n",
        ),
    ] {
        let usage = predicate::str::starts_with(format!("{sentence}Usage of launcher:\n"));
        let droplet = Droplet::new();
        droplet.launcher(["app", "true", flag]).assert().code(2).stdout("").stderr(usage);
    }
}

#[test]
fn help_lists_the_flags_and_is_no_failure() {
    for flag in ["-h", "--help"] {
        let usage =
            predicate::str::starts_with("Usage of launcher:\n  -credhubConnectAttempts int\n")
                .and(predicate::str::contains("(default 3)\n  -credhubRetryDelay duration\n"))
                .and(predicate::str::contains("(default 1s)\n"));
        let droplet = Droplet::new();
        let mut command = droplet.launcher(["app", "true", flag]);
        command.assert().code(0).stdout("").stderr(usage);
    }
}

#[test]
fn flags_are_read_in_third_place_only() {
    let droplet = Droplet::new();
    for arguments in [
        ["app", "true", "-credhubRetryDelay=0s", "-credhubConnectAttempts=1"],
        ["app", "true", "--credhubRetryDelay", "1m30s"],
        ["app", "true", "", "-nope"],
        ["app", "true", "{\"metadata\":1}", "-h"],
        ["app", "true", "--", "-nope"],
    ] {
        droplet.launcher(arguments).assert().code(0).stderr("");
    }
}

#[test]
fn platform_options_that_are_no_json_end_the_launch() {
    for (options, reason) in [
        ("{", "unexpected end of JSON input"),
        ("x", "invalid character 'x' looking for beginning of value"),
    ] {
        let droplet = Droplet::new();
        let mut command = droplet.start("echo started");
        let sentence = format!("Invalid platform options: {reason}\n");
        let assert = command.env("VCAP_PLATFORM_OPTIONS", options).assert();
        assert.code(3).stdout("").stderr(sentence);
    }
}

#[test]
fn credhub_out_of_reach_ends_the_launch() {
    let droplet = Droplet::new();
    let mut command = droplet.launcher(["app", "echo started", "-credhubConnectAttempts=1"]);
    command
        .env("VCAP_PLATFORM_OPTIONS", r#"{"credhub-uri":"https://127.0.0.1:1"}"#)
        .env("VCAP_SERVICES", r#"{"a":[{"credentials":{"credhub-ref":"/c"}}]}"#);
    let sentence = "Unable to interpolate credhub refs: Unable to set up credhub client: \
        Missing CF_INSTANCE_CERT and/or CF_INSTANCE_KEY\n";
    command.assert().code(3).stdout("").stderr(sentence);
}

#[test]
fn a_variable_too_large_for_the_kernel_is_named_with_its_size() {
    // Small enough to come in, too large with what the launcher adds.
    let application = format!("{{\"name\":\"{}\"}}", "x".repeat(131_030));
    let droplet = Droplet::new();
    let mut command = droplet.start("echo started");
    let sentence = predicate::str::is_match(
        "the variable VCAP_APPLICATION is too large for the kernel: 131[0-9]{3} bytes, at most 131072 are possible\n$",
    );
    command.env("VCAP_APPLICATION", application).assert().code(4).stderr(sentence.unwrap());
}

#[test]
fn a_droplet_for_another_machine_is_named_as_such_before_it_starts() {
    let report = r#"{"builder_version":"1","stack":"s","architecture":"s390x"}"#;
    let droplet = Droplet::new().file("staging_report.json", report);
    let warning = "WARNING: this droplet was staged for s390x, and this cell is ";
    let stderr = predicate::str::starts_with(warning);
    let started = predicate::str::ends_with("started\n");
    droplet.start("echo started").assert().code(0).stdout(started).stderr(stderr);
}

#[test]
fn a_droplet_for_this_machine_needs_no_words() {
    let own = lifecycle::architecture::Architecture::of_file(&launcher()).unwrap().unwrap();
    let report = format!(r#"{{"builder_version":"1","architecture":"{}"}}"#, own.name());
    let droplet = Droplet::new().file("staging_report.json", &report);
    droplet.start("true").assert().code(0).stderr("");
}

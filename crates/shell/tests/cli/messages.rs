//! What the shell says when there is none, and its exit status.

use predicates::prelude::*;

use crate::Home;

#[test]
fn a_given_app_directory_must_exist() {
    for missing in ["/no/such/directory", "app", "", "-h", "--", "-nope"] {
        let home = Home::new();
        let sentence = "Provided app direcory does not exist\n";
        home.shell([missing]).assert().code(1).stdout("").stderr(sentence);
    }
}

#[test]
fn without_one_there_must_be_an_app_in_home() {
    let home = Home::new();
    let sentence = "Could not infer app directory, please provide one\n";
    home.shell([]).env("HOME", "/no/such").assert().code(1).stdout("").stderr(sentence);
    home.shell([]).env_remove("HOME").assert().code(1).stdout("").stderr(sentence);
}

#[test]
fn bad_flags_are_named_and_followed_by_the_usage_list() {
    let home = Home::new();
    for (flag, sentence) in [
        ("-nope", "flag provided but not defined: -nope\n"),
        ("-credhubRetryDelay", "flag needs an argument: -credhubRetryDelay\n"),
        (
            "-credhubConnectAttempts=x",
            "invalid value \"x\" for flag -credhubConnectAttempts: parse error\n",
        ),
    ] {
        let usage = predicate::str::starts_with(format!("{sentence}Usage of shell:\n"));
        home.run("true").arg(flag).assert().code(2).stdout("").stderr(usage);
    }
}

#[test]
fn help_lists_the_flags_and_is_no_failure() {
    let home = Home::new();
    for flag in ["-h", "--help"] {
        let usage = predicate::str::starts_with("Usage of shell:\n  -credhubConnectAttempts int\n")
            .and(predicate::str::contains("  -credhubRetryDelay duration\n"));
        home.run("true").arg(flag).assert().code(0).stdout("").stderr(usage);
    }
}

#[test]
fn flags_stand_behind_the_command() {
    let home = Home::new();
    let flags = ["-credhubRetryDelay=0s", "--credhubConnectAttempts", "1", "not-a-flag", "-nope"];
    home.run("echo run").args(flags).assert().code(0).stdout("run\n").stderr("");
}

#[test]
fn platform_options_that_are_no_json_end_it() {
    let home = Home::new();
    let mut command = home.run("echo run");
    let sentence = "Invalid platform options: unexpected end of JSON input\n";
    command.env("VCAP_PLATFORM_OPTIONS", "{").assert().code(1).stdout("").stderr(sentence);
}

#[test]
fn credhub_out_of_reach_ends_it() {
    let home = Home::new();
    let mut command = home.run("echo run");
    command
        .env("VCAP_PLATFORM_OPTIONS", r#"{"credhub-uri":"https://127.0.0.1:1"}"#)
        .env("VCAP_SERVICES", r#"{"a":[{"credentials":{"credhub-ref":"/c"}}]}"#);
    let sentence = "Unable to interpolate credhub refs: Unable to set up credhub client: \
        Missing CF_INSTANCE_CERT and/or CF_INSTANCE_KEY\n";
    command.assert().code(1).stdout("").stderr(sentence);
}

// diego-sshd gives this flag: one has to be able to look into a container whose CredHub is away.
#[test]
fn with_keep_services_credhub_out_of_reach_is_a_warning() {
    let home = Home::new();
    let services = r#"{"a":[{"credentials":{"credhub-ref":"/c"}}]}"#;
    let mut command =
        home.run("echo $VCAP_SERVICES; basename $HOME; echo ${VCAP_PLATFORM_OPTIONS-unset}");
    command
        .arg("-keepServices")
        .env("VCAP_PLATFORM_OPTIONS", r#"{"credhub-uri":"https://127.0.0.1:1"}"#)
        .env("VCAP_SERVICES", services);
    let warning = "WARNING: VCAP_SERVICES and DATABASE_URL are as they were: Unable to interpolate credhub refs: \
        Unable to set up credhub client: Missing CF_INSTANCE_CERT and/or CF_INSTANCE_KEY\n";
    command.assert().code(0).stdout(format!("{services}\napp\nunset\n")).stderr(warning);
}

#[test]
fn a_variable_too_large_for_the_kernel_ends_it() {
    let home = Home::new();
    let application = format!("{{\"name\":\"{}\"}}", "x".repeat(131_030));
    let stderr = predicate::str::starts_with("the variable VCAP_APPLICATION is too large");
    let mut command = home.run("echo run");
    command.env("VCAP_APPLICATION", application).assert().code(1).stdout("").stderr(stderr);
}

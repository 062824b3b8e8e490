//! What the command finds, and what becomes of it.

use std::process::Stdio;

use predicates::prelude::*;

use crate::{Home, shell};

/// Both ways to the command: without and with a profile script.
fn homes() -> [Home; 2] {
    [Home::new(), Home::new().file("profile.d/a", "")]
}

#[test]
fn the_app_in_home_is_the_usual_one_and_bash_the_usual_command() {
    for home in homes() {
        let mut command = home.shell([]);
        let pwd = format!("{}\n", home.path("app").display());
        command.write_stdin("pwd").assert().code(0).stdout(pwd).stderr("");
    }
}

#[test]
fn the_environment_is_the_apps() {
    for home in homes() {
        let names = ["app", "tmp", "deps", "app"].map(|name| home.path(name).display().to_string());
        let mut command = home.run("echo $HOME $TMPDIR $DEPS_DIR $PWD; echo $VCAP_APPLICATION; echo $DATABASE_URL; echo ${VCAP_PLATFORM_OPTIONS-unset}");
        command
            .env("VCAP_APPLICATION", "{\"b\":1,\"a\":2}")
            .env("PORT", "8080")
            .env("VCAP_SERVICES", r#"{"s":[{"credentials":{"uri":"postgresql://h"}}]}"#)
            .env("VCAP_PLATFORM_OPTIONS", "{}");
        let application = r#"{"b":1,"a":2,"host":"0.0.0.0","instance_id":"","port":8080}"#;
        let stdout = format!("{}\n{application}\npostgres://h\nunset\n", names.join(" "));
        command.assert().code(0).stdout(stdout).stderr("");
    }
}

#[test]
fn profiles_but_not_dot_profile_are_sourced_and_nothing_is_announced() {
    let home = Home::new()
        .file("profile.d/a b", "export SEEN=1")
        .file("app/.profile.d/c", "export SEEN=$SEEN-2")
        .file("app/.profile", "export SEEN=$SEEN-3");
    home.run("echo $SEEN").assert().code(0).stdout("1-2\n").stderr("");
}

#[test]
fn dot_profile_alone_is_not_sourced() {
    let home = Home::new().file("app/.profile", "echo sourced");
    home.run("echo run").assert().code(0).stdout("run\n").stderr("");
}

#[test]
fn staging_info_is_not_read() {
    let info = r#"{"start_command":"echo staged","config":{"entrypoint_prefix":"echo"}}"#;
    let home = Home::new().file("staging_info.yml", info);
    let mut command = home.run("echo run");
    command.current_dir(home.path("")).assert().code(0).stdout("run\n");
}

#[test]
fn an_empty_command_is_run_as_given() {
    for home in homes() {
        home.run("").write_stdin("echo not read").assert().code(0).stdout("").stderr("");
    }
}

#[test]
fn a_plain_file_passes_as_app_directory_with_bashs_own_words() {
    let home = Home::new().file("file", "");
    let mut command = home.shell([home.path("file").to_str().unwrap(), "pwd"]);
    let stderr = predicate::str::contains("cd: ").and(predicate::str::contains("Not a directory"));
    command.assert().code(0).stdout("/\n").stderr(stderr);
}

#[test]
fn a_relative_app_directory_is_seen_from_the_working_directory() {
    let home = Home::new();
    let mut command = home.shell(["app", "pwd"]);
    let pwd = format!("{}\n", home.path("app").display());
    command.current_dir(home.path("")).assert().code(0).stdout(pwd);
}

#[test]
fn the_process_becomes_the_command_and_so_does_its_status() {
    for home in homes() {
        let mut command = std::process::Command::new(shell());
        command.arg(home.path("app")).arg("echo $$; exit 7").stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{pid}\n"));
        assert_eq!(output.status.code(), Some(7));
    }
}

#[test]
fn a_missing_program_is_named_by_bash() {
    for home in homes() {
        let stderr = "bash: line 1: no-such-program: command not found\n";
        home.run("no-such-program").assert().code(127).stderr(stderr);
    }
}

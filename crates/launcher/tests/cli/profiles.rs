//! Profile scripts and the entrypoint prefix (contract, section 8.9).

use std::fs;
use std::os::unix::fs::symlink;

use predicates::prelude::*;

use crate::{Droplet, app_output, launcher};

#[test]
fn profiles_are_sourced_in_order_between_the_announcements() {
    let droplet = Droplet::new()
        .file("profile.d/b", "echo 2; export SEEN=$SEEN-b")
        .file("profile.d/a name with blanks.sh", "echo 1; export SEEN=a")
        .file("profile.d/.hidden", "echo hidden")
        .file("app/.profile.d/c.sh", "echo 3; export SEEN=$SEEN-c")
        .file("app/.profile", "echo 4; export SEEN=$SEEN-profile");
    let output =
        "Invoking pre-start scripts.\n1\n2\n3\n4\nInvoking start command.\na-b-c-profile\n";
    droplet.start("echo $SEEN").assert().code(0).stdout(output).stderr("");
}

#[test]
fn without_profiles_the_announcements_are_the_same() {
    for droplet in [
        Droplet::new(),
        Droplet::new().file("profile.d/.hidden", "echo hidden"),
        Droplet::new().file("app/.profile/directory", ""),
    ] {
        let output = "Invoking pre-start scripts.\nInvoking start command.\nrun\n";
        droplet.start("echo run").assert().code(0).stdout(output).stderr("");
    }
}

#[test]
fn dot_profile_is_the_apps_and_not_one_along_the_path() {
    // The predecessor searched PATH first.
    let droplet =
        Droplet::new().file("other/.profile", "echo other").file("app/.profile", "echo own");
    let mut command = droplet.start("true");
    let path = format!("{}:/usr/bin:/bin", droplet.path("other").display());
    let output = "Invoking pre-start scripts.\nown\nInvoking start command.\n";
    command.env("PATH", path).assert().code(0).stdout(output);
}

#[test]
fn profiles_need_no_ls() {
    let droplet = Droplet::new().file("profile.d/a", "echo sourced");
    fs::create_dir(droplet.path("bin")).unwrap();
    symlink("/bin/bash", droplet.path("bin/bash")).unwrap();
    let mut command = droplet.start("true");
    let sourced = predicate::str::contains("\nsourced\n");
    command.env("PATH", droplet.path("bin")).assert().code(0).stdout(sourced);
}

#[test]
fn profiles_see_the_launcher_the_directory_and_the_command() {
    let droplet = Droplet::new().file("profile.d/a", "echo \"$0|$1|$2|$#\"");
    let seen = format!("{}|{}|echo run|2", launcher().display(), droplet.path("app").display());
    let output = format!("Invoking pre-start scripts.\n{seen}\nInvoking start command.\nrun\n");
    droplet.start("echo run").assert().code(0).stdout(output);
}

#[test]
fn what_a_profile_does_to_the_shell_takes_effect() {
    let started = "Invoking start command.\n";
    for (profile, status, stdout) in [
        ("exit 5", 5, ""),
        ("return 5\necho not reached", 0, started),
        ("set -e\nfalse", 1, ""),
        ("false", 0, started),
        ("cd /", 0, "Invoking start command.\n"),
        ("PATH=/nowhere", 127, started),
        ("kill -TERM $$", 143, ""),
    ] {
        let droplet = Droplet::new().file("profile.d/a", profile);
        let output = droplet
            .command("sh")
            .args(["-c", "\"$@\"; exit $?", "sh"])
            .arg(launcher())
            .args(["app", "true", ""])
            .output();
        let output = output.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, format!("Invoking pre-start scripts.\n{stdout}"), "{profile}");
        assert_eq!(output.status.code(), Some(status), "{profile}");
    }
}

#[test]
fn a_profile_may_change_the_commands_directory() {
    let droplet = Droplet::new().file("app/.profile", "cd /usr");
    let mut command = droplet.start("pwd");
    assert_eq!(app_output(&mut command), "/usr\n");
}

#[test]
fn no_variable_of_the_script_reaches_the_app() {
    let droplet = Droplet::new().file("profile.d/a", "set -a");
    let seen = app_output(&mut droplet.start("env"));
    assert!(!seen.contains("profile"), "{seen}");
}

#[test]
fn what_cannot_be_sourced_gives_an_error_line_and_no_more() {
    let directory = Droplet::new().file("profile.d/directory/file", "");
    let dangling = Droplet::new().file("profile.d/z", "");
    symlink("nowhere", dangling.path("profile.d/link")).unwrap();
    let broken = Droplet::new().file("app/.profile", "if then");
    for (droplet, words) in
        [(directory, "directory"), (dangling, "No such file"), (broken, "syntax error")]
    {
        let stderr = predicate::str::contains(words);
        let stdout = predicate::str::ends_with("Invoking start command.\nrun\n");
        droplet.start("echo run").assert().code(0).stdout(stdout).stderr(stderr);
    }
}

#[test]
fn an_app_directory_that_is_missing_does_not_stop_the_launch() {
    let droplet = Droplet::new();
    let mut command = droplet.launcher(["missing", "pwd", ""]);
    let name = launcher();
    let sentence = format!("{}: line 2: cd: ", name.display());
    let stdout = format!(
        "Invoking pre-start scripts.\nInvoking start command.\n{}\n",
        droplet.path("").display().to_string().trim_end_matches('/')
    );
    command.assert().code(0).stdout(stdout).stderr(predicate::str::starts_with(sentence));
}

#[test]
fn bash_env_is_sourced_by_both_shells() {
    let droplet = Droplet::new().file("env.sh", "echo env");
    let mut command = droplet.start("echo run");
    let output = "env\nInvoking pre-start scripts.\nInvoking start command.\nenv\nrun\n";
    command.env("BASH_ENV", droplet.path("env.sh")).assert().code(0).stdout(output);
}

#[test]
fn the_staged_command_is_run_unless_one_is_given() {
    let droplet = Droplet::new().file("staging_info.yml", r#"{"start_command":"echo staged"}"#);
    assert_eq!(app_output(&mut droplet.start("")), "staged\n");
    assert_eq!(app_output(&mut droplet.start("echo given")), "given\n");
}

#[test]
fn staging_info_lies_in_the_working_directory_and_not_in_the_app() {
    let droplet = Droplet::new().file("app/staging_info.yml", r#"{"start_command":"echo staged"}"#);
    droplet.start("").assert().code(1);
}

#[test]
fn an_entrypoint_prefix_is_shell_text_in_place_of_bash() {
    for (prefix, output) in [
        ("echo", "two  words\n"),
        ("echo a   b", "a b two  words\n"),
        ("echo $GREETING", "hello you two  words\n"),
        ("true; echo", ""),
        ("bash -c", "bash: line 1: two: command not found\n"),
    ] {
        let info = format!(r#"{{"config":{{"entrypoint_prefix":"{prefix}"}}}}"#);
        let droplet = Droplet::new().file("staging_info.yml", &info);
        let mut command = droplet.start("two  words");
        let output_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let all = command.env("GREETING", "hello   you").output().unwrap();
        let text = output_of(all.stdout) + &output_of(all.stderr);
        let expected = format!("Invoking pre-start scripts.\nInvoking start command.\n{output}");
        assert_eq!(text, expected, "{prefix}");
    }
}

#[test]
fn an_entrypoint_that_is_missing_is_named_by_the_shell() {
    let info = r#"{"config":{"entrypoint_prefix":"no-such-program"}}"#;
    let droplet = Droplet::new().file("staging_info.yml", info);
    let stderr = predicate::str::ends_with("exec: no-such-program: not found\n");
    droplet.start("run").assert().code(127).stderr(stderr);
}

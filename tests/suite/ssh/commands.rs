//! Commands and shells without a terminal, by each client.
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use suite::ssh::{Client, HOST, Outcome, SshServer, SshSetup, run};
use suite::{Stage, is_alive, wait_for};

use super::{dbclient, noise, putty};

fn by_ssh(server: &SshServer, command: &str) -> Command {
    server.openssh("ssh", ["-T", HOST, command])
}

/// OpenSSH 7.5, of 2017: for RSA it knows SHA-2 already, and no key exchange after quantum computers.
fn by_old_ssh(server: &SshServer, command: &str) -> Command {
    server.openssh("ssh1", ["-2", "-T", HOST, command])
}

fn by_plink(server: &SshServer, command: &str) -> Command {
    putty(server, "plink", ["root@127.0.0.1", command])
}

fn by_dbclient(server: &SshServer, command: &str) -> Command {
    dbclient(server, [command])
}

#[test]
fn a_commands_status_reaches_each_client() {
    let server = SshServer::start();
    for make in [by_ssh, by_old_ssh, by_plink, by_dbclient] {
        for (command, status) in
            [("true", 0), ("exit 7", 7), ("exit 255", 255), ("no-such-program", 127)]
        {
            let mut client = make(&server, command);
            let outcome = run(&mut client, b"");
            assert_eq!(outcome.status, status, "{client:?}: {outcome}");
        }
    }
}

#[test]
fn input_goes_to_the_command_until_its_end_and_comes_back_whole() {
    let server = SshServer::start();
    let input = noise(3_000_001, 1);
    let clients = [by_ssh, by_old_ssh, by_plink, by_dbclient];
    for mut client in clients.map(|make| make(&server, "cat")) {
        let outcome = run(&mut client, &input).succeeds();
        assert!(outcome.bytes == input, "{client:?}: {} bytes came back", outcome.bytes.len());
        run(&mut client, b"").prints("");
    }
}

#[test]
fn stdout_and_stderr_are_kept_apart() {
    let server = SshServer::start();
    let command = "echo out; echo error >&2; head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; exit 3";
    let clients = [by_ssh, by_old_ssh, by_plink, by_dbclient];
    for mut client in clients.map(|make| make(&server, command)) {
        let outcome = run(&mut client, b"");
        assert_eq!(outcome.status, 3);
        assert_eq!(outcome.stdout.len(), 3_000_004, "{client:?}");
        assert!(outcome.stdout.starts_with("out\n"));
        assert!(outcome.stderr.contains("error\n"));
        assert_eq!(
            outcome.stderr.bytes().filter(|byte| *byte == 0).count(),
            2_000_000,
            "{client:?}"
        );
    }
}

#[test]
fn a_shell_without_a_terminal_reads_commands_from_its_input() {
    let server = SshServer::start();
    let script = b"echo one\ncd /\npwd\nread line\nsome text\necho \"$line\"\nexit 5\n";
    let outcome = run(&mut server.openssh("ssh", ["-T", HOST]), script).ends_with(5);
    assert_eq!(outcome.stdout, "one\n/\nsome text\n");
    let outcome = run(&mut putty(&server, "plink", ["-T", "root@127.0.0.1"]), script).ends_with(5);
    assert_eq!(outcome.stdout, "one\n/\nsome text\n");
    let outcome = run(&mut dbclient(&server, ["-T"]), script).ends_with(5);
    assert_eq!(outcome.stdout, "one\n/\nsome text\n");
}

#[test]
fn variables_of_the_client_reach_its_session_and_no_other() {
    let server = SshServer::start();
    let words =
        ["-o", "SetEnv=ONE=1 TWO=\"2 and 2\" EMPTY=", HOST, "echo $ONE,$TWO,${EMPTY-unset}"];
    run(&mut server.openssh("ssh", words), b"").prints("1,2 and 2,\n");
    // The predecessor had one map for all sessions.
    server.ssh("echo ${ONE-unset},${EMPTY-unset}", b"").prints("unset,unset\n");
}

#[test]
fn commands_are_any_bytes_of_any_length() {
    let server = SshServer::start();
    server
        .ssh("printf '%s' 'ä\u{1f600} \"$HOME\" \\'; printf \"\\n\"", b"")
        .prints("ä\u{1f600} \"$HOME\" \\\n");
    let long = format!("echo {}", "x".repeat(100_000));
    let outcome = server.ssh(&long, b"").succeeds();
    assert_eq!(outcome.stdout.len(), 100_001);
    server.ssh("echo one\necho two # comment\n", b"").prints("one\ntwo\n");
}

#[test]
fn a_command_that_does_not_read_its_input_ends_all_the_same() {
    let server = SshServer::start();
    server.ssh("echo done", &noise(8_000_000, 2)).prints("done\n");
    server.ssh("exec <&-; sleep 0.2; echo done", &noise(8_000_000, 2)).prints("done\n");
}

#[test]
fn output_goes_on_after_the_input_was_closed_and_input_after_the_output() {
    let server = SshServer::start();
    server.ssh("cat >/dev/null; sleep 0.2; echo later", b"input").prints("later\n");
    let into = server.work("into");
    let command = format!("exec >&- 2>&-; cat > {}", into.display());
    let input = noise(5_000_000, 3);
    server.ssh(&command, &input).prints("");
    assert!(fs::read(into).unwrap() == input);
}

#[test]
fn a_command_ended_by_a_signal_is_an_error_for_the_client() {
    let server = SshServer::start();
    for signal in ["TERM", "KILL", "BUS"] {
        let outcome = server.ssh(&format!("kill -{signal} $$; sleep 60"), b"");
        assert_eq!(outcome.status, 255, "{signal}: {outcome}");
    }
    let outcome = run(&mut putty(&server, "plink", ["root@127.0.0.1", "kill -TERM $$"]), b"");
    assert_ne!(outcome.status, 0);
}

#[test]
fn a_background_child_holds_up_the_client_for_seconds_at_most() {
    // OpenSSH's own sshd waits for it to the end.
    let server = SshServer::start();
    let began = Instant::now();
    let outcome = server.ssh("sleep 300 & echo $!; exit 4", b"").ends_with(4);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let child = outcome.stdout;
    assert!(!child.is_empty());
    // A command that keeps nothing open is not waited for at all.
    let began = Instant::now();
    let other = server.ssh("sleep 300 </dev/null >/dev/null 2>&1 & echo $!", b"").succeeds().stdout;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    for child in [child, other] {
        let _ended = Command::new("kill").arg(child.trim()).output();
    }
}

#[test]
fn when_the_client_goes_its_commands_group_goes_too() {
    let server = SshServer::start();
    let command = "echo $$; sleep 300 & echo $!; sleep 300";
    let client = Client::start(&mut server.openssh("ssh", ["-T", HOST, command]));
    let printed = wait_for("two process ids", || {
        let printed = String::from_utf8(client.stdout()).unwrap();
        (printed.lines().count() == 2 && printed.ends_with('\n')).then_some(printed)
    });
    assert!(printed.lines().all(is_alive));
    drop(client);
    wait_for("the command's end", || printed.lines().all(|pid| !is_alive(pid)).then_some(()));
    wait_for("no child", || server.children().is_empty().then_some(()));
}

#[test]
fn an_unknown_subsystem_is_refused_and_the_server_goes_on() {
    let server = SshServer::start();
    let outcome = run(&mut server.openssh("ssh", ["-s", HOST, "netconf"]), b"").ends_with(255);
    let _refused = outcome.complains("subsystem request failed");
    server.ssh("echo still here", b"").prints("still here\n");
}

#[test]
fn any_user_name_is_welcome() {
    let server = SshServer::start();
    for user in ["vcap", "cf:7fd5f0cb-5a0b-4e38-8f3f-9c3f5ebd7a0d/0", "ä ö"] {
        run(&mut server.openssh("ssh", ["-l", user, HOST, "echo ok"]), b"").prints("ok\n");
    }
}

/// An app's home as a droplet brings it, and a server that runs in it as beside the app.
fn beside_an_app(setup: SshSetup) -> (tempfile::TempDir, SshServer) {
    let home = tempfile::TempDir::with_prefix("home-").unwrap();
    for (name, text) in [
        ("app/file", ""),
        ("profile.d/000.sh", "export FROM_PROFILE=\"of $(basename \"$DEPS_DIR\")\"\n"),
        ("app/.profile.d/app.sh", "export FROM_APP=too\n"),
        ("deps/0/tool", ""),
        ("staging_info.yml", "{\"detected_buildpack\":\"\",\"start_command\":\"\"}\n"),
    ] {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let services =
        r#"{"db":[{"name":"db","credentials":{"uri":"mysql2://u:p@db.example.com/d"}}]}"#;
    let server = setup
        .env("HOME", home.path().to_str().unwrap())
        .env("VCAP_APPLICATION", r#"{"application_name":"notes"}"#)
        .env("VCAP_SERVICES", services)
        .env("PORT", "8080")
        .start();
    (home, server)
}

#[test]
fn a_session_sees_the_apps_world_where_it_is_asked_to() {
    // Beside diego-sshd lies `shell`, which computes it.
    let _beside = suite::program("shell");
    let say = "echo \"$FROM_PROFILE,$FROM_APP,$PWD,$HOME,$DATABASE_URL,$VCAP_APPLICATION\"; exit 7";
    let check = |home: &Path, outcome: Outcome| {
        let outcome = outcome.ends_with(7);
        let expected = format!(
            "of deps,too,{0}/app,{0}/app,mysql2://u:p@db.example.com/d,{{\"application_name\":\"notes\"",
            home.display()
        );
        assert!(outcome.stdout.starts_with(&expected), "{outcome}");
    };
    let (home, server) = beside_an_app(SshServer::setup().flag("appEnv", "true"));
    check(home.path(), server.ssh(say, b""));
    check(home.path(), run(&mut server.openssh("ssh", ["-T", HOST]), say.as_bytes()));
    let (home, server) = beside_an_app(SshServer::setup());
    let words = ["-T", "-o", "SetEnv=CF_SSH_APP_ENV=1", HOST, say];
    check(home.path(), run(&mut server.openssh("ssh", words), b""));
    // Unasked it is the contract's.
    let plain = server.ssh("echo \"$FROM_PROFILE,$HOME,$DATABASE_URL\"", b"");
    plain.prints(&format!(",{},\n", home.path().display()));
}

#[test]
fn a_session_in_the_world_of_a_staged_app() {
    let supply = "mkdir -p $3/$4/bin $3/$4/profile.d
         echo \"export FROM_DEPS=$(basename $3)\" >$3/$4/profile.d/tool.sh";
    let staged = Stage::empty()
        .script("A", "supply", supply)
        .script("B", "finalize", "echo 'export FROM_FINALIZE=yes' >$5/000.sh")
        .script("B", "release", "echo 'default_process_types: {web: ignored}'")
        .file(".profile.d/app.sh", "export FROM_APP=\"in $PWD\"\n")
        .skip_detect()
        .run()
        .succeeds();
    let home = staged.unpacked().canonicalize().unwrap();
    let services = r#"{"db": [{"name": "db", "credentials": {"uri": "postgres://u:p@host/db"}}]}"#;
    let say = "pwd; echo $HOME,$TMPDIR,$DEPS_DIR; echo $DATABASE_URL; echo $FROM_FINALIZE,$FROM_APP; \
               echo $VCAP_APPLICATION | tr , '\\n' | grep -c instance_index";
    let server = |setup: SshSetup| {
        setup
            .env("HOME", home.to_str().unwrap())
            .env("VCAP_SERVICES", services)
            .env("VCAP_APPLICATION", r#"{"name":"app"}"#)
            .env("INSTANCE_INDEX", "0")
            .start()
    };
    let home_text = home.display();
    let expected = format!(
        "{home_text}/app\n{home_text}/app,{home_text}/tmp,{home_text}/deps\npostgres://u:p@host/db\nyes,in {home_text}/app\n1\n"
    );
    let asked = server(SshServer::setup().flag("appEnv", "true"));
    asked.ssh(say, b"").prints(&expected);
    let wish = server(SshServer::setup());
    let words = ["-T", "-o", "SetEnv=CF_SSH_APP_ENV=1", HOST, say];
    run(&mut wish.openssh("ssh", words), b"").prints(&expected);
}

//! What sessions have to do with the program's own place: its file, its process id.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use suite::wait_for;
use tempfile::TempDir;

use crate::daemon::{Daemon, cleared, program};

/// Runs `command` by `ssh` on a server that anybody may use.
fn ssh(daemon: &Daemon, command: &str) -> Output {
    ssh_with(daemon, "-T", command)
}

fn ssh_with(daemon: &Daemon, option: &str, command: &str) -> Output {
    let port = daemon.address.port().to_string();
    Command::new("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ])
        .args(["-o", "LogLevel=ERROR", "-o", "PubkeyAuthentication=no", "-p", &port])
        .args([option, "vcap@127.0.0.1", command])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn sessions_in_the_apps_world_go_through_the_shell_beside_the_program() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str| directory.path().join(name);
    fs::copy(program(), file("diego-sshd")).unwrap();
    fs::write(file("shell"), "#!/bin/sh\nfor word; do echo \"[$word]\"; done; echo $PATH\n")
        .unwrap();
    fs::set_permissions(file("shell"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(file("app")).unwrap();
    let daemon = Daemon::start(
        cleared(file("diego-sshd"))
            .args(["-allowUnauthenticatedClients", "-appEnv"])
            .env("HOME", directory.path())
            .env("PATH", "/usr/bin:/bin:/from/the/app"),
    );
    let app = file("app");
    let expected =
        format!("[{}]\n[echo '$X']\n[-keepServices]\n/usr/bin:/bin:/from/the/app\n", app.display());
    assert_eq!(stdout(&ssh(&daemon, "echo '$X'")), expected);
    fs::remove_dir(app).unwrap();
    let plain = ssh(&daemon, "echo $PATH; exit 3");
    assert_eq!((stdout(&plain).as_str(), plain.status.code()), ("/bin:/usr/bin\n", Some(3)));
    let errors = String::from_utf8_lossy(&plain.stderr);
    assert!(errors.contains("there is no app directory"), "{errors}");
}

#[test]
fn more_clients_than_the_soft_limit_has_descriptors_hold_up_no_session() {
    // Programs are started under the soft limit, as they expect it: no number below it was left to start them with.
    let daemon = Daemon::start(
        cleared("sh")
            .args(["-c", "ulimit -Sn 64; exec \"$@\"", "sh"])
            .arg(program())
            .arg("-allowUnauthenticatedClients")
            .env("PATH", "/usr/bin:/bin"),
    );
    let _strangers: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(daemon.address).unwrap()).collect();
    let command = "ulimit -Sn; [ $(ulimit -Hn) -gt 64 ] && echo more";
    for option in ["-T", "-T", "-tt", "-tt", "-T"] {
        let output = ssh_with(&daemon, option, command);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stdout(&output).replace('\r', ""), "64\nmore\n", "{option}: {errors}");
    }
}

// A container's first process is given the orphans of all others.
#[test]
fn as_the_first_process_it_leaves_no_zombies_which_needs_root() {
    let daemon = Daemon::start(
        cleared("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg(program())
            .arg("-allowUnauthenticatedClients")
            .env("PATH", "/usr/bin:/bin"),
    );
    let started = ssh(&daemon, "sleep 0.2 </dev/null >/dev/null 2>&1 & echo $!; exit 7");
    assert_eq!(started.status.code(), Some(7));
    let look = format!("cat /proc/1/comm; test -e /proc/{} || echo gone", stdout(&started).trim());
    // A dead process that nobody has reaped is still there.
    wait_for("the orphan to be reaped", || {
        (stdout(&ssh(&daemon, &look)) == "diego-sshd\ngone\n").then_some(())
    });
}

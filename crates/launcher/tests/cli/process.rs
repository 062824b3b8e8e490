//! The process the app is: pid, signals, descriptors, limits, exit status (contract, section 8.9).

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use assert_cmd::Command;

use crate::{Droplet, app_output, launcher};

/// Both ways to the app: without and with a profile script.
fn droplets() -> [Droplet; 2] {
    [Droplet::new(), Droplet::new().file("profile.d/a", "")]
}

/// The launcher started by `sh` after `script`.
fn after(droplet: &Droplet, script: &str, start_command: &str) -> Command {
    let mut command = droplet.command("sh");
    let script = format!("{script}; exec \"$@\"");
    command.args(["-c", &script, "sh"]).arg(launcher()).args(["app", start_command, ""]);
    command
}

#[test]
fn the_process_becomes_the_app() {
    for droplet in droplets() {
        let mut command = std::process::Command::new(launcher());
        command.args(["app", "echo $$", ""]).current_dir(droplet.path("")).stdout(Stdio::piped());
        let child = command.spawn().unwrap();
        let pid = child.id();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().last(), Some(pid.to_string().as_str()));
    }
}

#[test]
fn the_exit_status_is_the_commands() {
    for droplet in droplets() {
        for (command, status) in [("true", 0), ("exit 7", 7), ("no-such-program", 127), ("/", 126)]
        {
            droplet.start(command).assert().code(status);
        }
        let killed = droplet.start("kill -KILL $$").output().unwrap();
        assert_eq!(killed.status.signal(), Some(9));
    }
}

#[test]
fn broken_pipes_kill_again_and_nothing_is_blocked() {
    for droplet in droplets() {
        let mut command = droplet.command("env");
        command.args(["--ignore-signal=PIPE", "--ignore-signal=HUP", "--block-signal=USR1"]);
        command.arg(launcher()).args(["app", "exec grep -E '^Sig(Blk|Ign)' /proc/self/status", ""]);
        let seen = app_output(&mut command);
        let mask = |name: &str| {
            let line = seen.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        let (hangup, pipe) = (1 << 0, 1 << 12);
        assert_eq!(mask("SigBlk:"), 0);
        assert_eq!(mask("SigIgn:") & (hangup | pipe), hangup);
    }
}

#[test]
fn descriptors_are_those_of_the_caller() {
    for droplet in droplets() {
        let open = "exec 7</dev/null";
        let direct =
            droplet.command("sh").args(["-c", &format!("{open}; exec ls /proc/self/fd")]).output();
        let direct = String::from_utf8(direct.unwrap().stdout).unwrap();
        assert!(direct.lines().any(|descriptor| descriptor == "7"), "{direct}");
        let mut command = after(&droplet, open, "exec ls /proc/self/fd");
        assert_eq!(app_output(&mut command), direct);
    }
}

#[test]
fn umask_and_limits_are_those_of_the_caller() {
    for droplet in droplets() {
        let script = "umask 027; ulimit -n 77; ulimit -c 0";
        let mut command = after(&droplet, script, "umask; ulimit -n; ulimit -Hn; ulimit -c");
        assert_eq!(app_output(&mut command), "0027\n77\n77\n0\n");
    }
}

#[test]
fn a_closed_stdout_does_not_stop_the_launch() {
    let droplet = Droplet::new();
    after(&droplet, "exec >&-", "exit 9").assert().code(9);
}

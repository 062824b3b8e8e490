//! Where the keys can be read, and where not (contract sshd 3.1 and 18.6).

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use tempfile::TempDir;

use crate::daemon::{Daemon, KeyPair, cleared, command, made, program, rsa};

/// Lines of the two keys, none of which may be seen.
fn traces(key: &KeyPair) -> Vec<&str> {
    let base64 = key.public.split(' ').nth(1).unwrap();
    key.private.lines().chain([base64]).filter(|line| line.len() > 30).collect()
}

/// Nobody sees a key in the process or below it, and it is the process that was started.
fn assert_hidden(daemon: &Daemon, key: &KeyPair) {
    let id = daemon.id().to_string();
    let ps = suite::tool("ps", ["-fp", &id]);
    assert!(ps.contains("diego-sshd"), "{ps}");
    let seen = [
        daemon.proc("cmdline"),
        daemon.proc("environ"),
        ps.into_bytes(),
        suite::tool("ps", ["-ww", "-eo", "args"]).into_bytes(),
    ];
    for seen in seen {
        let seen = String::from_utf8_lossy(&seen);
        let lines: Vec<&str> = traces(key).into_iter().filter(|line| seen.contains(line)).collect();
        assert_eq!(lines, [""; 0], "{seen}");
    }
    assert_eq!(daemon.proc(&format!("task/{id}/children")), b"", "no process stands by");
}

/// The host key that clients are shown.
fn shown(daemon: &Daemon, kind: &str) -> String {
    let port = daemon.address.port().to_string();
    let scan = suite::tool("ssh-keyscan", ["-t", kind, "-p", &port, "127.0.0.1"]);
    scan.trim().split_once(' ').unwrap().1.to_owned()
}

#[test]
fn keys_given_by_flag_are_out_of_sight_and_all_flags_kept() {
    let key = made(&["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    let mut start = command();
    start.arg(format!("-hostKey={}", key.private)).args(["--authorizedKey", &key.public]);
    start.args(["-inheritDaemonEnv", "-timeFormat", "1", "-redactPatterns=a", "-redactPatterns=b"]);
    let daemon = Daemon::start(start.env("VCAP_APPLICATION", "{}"));
    assert_hidden(&daemon, &key);
    assert_eq!(shown(&daemon, "rsa"), key.public);
    let mut arguments = daemon.arguments();
    assert_eq!(arguments.remove(0), program());
    let address = format!("--address={}", daemon.address);
    let expected = [
        "--inheritDaemonEnv",
        "--timeFormat=1",
        "--redactPatterns=a",
        "--redactPatterns=b",
        &address,
    ];
    assert_eq!(arguments, expected);
    let environment = String::from_utf8(daemon.proc("environ")).unwrap();
    let variables: Vec<&str> = environment.split_terminator('\0').collect();
    let id = format!("SSHD_KEYS_ON_STDIN={}", daemon.id());
    assert_eq!(variables, [id.as_str(), "VCAP_APPLICATION={}"]);
}

#[test]
fn keys_given_by_the_environment_are_out_of_sight_and_go_before_flags() {
    let (key, other) = (made(&["-t", "rsa", "-b", "1024", "-m", "PEM"]), rsa());
    let mut start = command();
    start.env("SSHD_HOSTKEY", &key.private).env("SSHD_AUTHKEY", &key.public);
    start.args(["-hostKey", &other.private, "-authorizedKey", &other.public]);
    let daemon = Daemon::start(&mut start);
    assert_hidden(&daemon, &key);
    assert_hidden(&daemon, other);
    assert_eq!(shown(&daemon, "rsa"), key.public);
}

#[test]
fn without_a_host_key_one_is_made() {
    let daemon = Daemon::open::<&str>(&[]);
    assert!(shown(&daemon, "ed25519").starts_with("ssh-ed25519 "));
    // An authorized key alone by the environment is none, and hidden too.
    let key = rsa();
    let mut start = command();
    start.env("SSHD_AUTHKEY", &key.public).arg("-allowUnauthenticatedClients");
    assert_hidden(&Daemon::start(&mut start), key);
}

#[test]
fn a_variable_set_by_accident_is_not_taken_for_keys_on_stdin() {
    let mut start = command();
    start.env("SSHD_KEYS_ON_STDIN", "1").args(["-authorizedKey", &rsa().public]);
    let daemon = Daemon::start(&mut start);
    assert_hidden(&daemon, rsa());
}

#[test]
fn keys_are_hidden_where_there_is_no_proc_which_needs_root() {
    let seen_from_outside = "mount -t tmpfs none /proc && exec \"$@\"";
    let mut start = cleared("unshare");
    start.args(["-m", "sh", "-ec", seen_from_outside, "sh"]).arg(program());
    start.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let daemon =
        Daemon::start(start.args(["-hostKey", &rsa().private, "-authorizedKey", &rsa().public]));
    assert_hidden(&daemon, rsa());
    assert_eq!(shown(&daemon, "rsa"), rsa().public);
}

#[test]
fn keys_that_cannot_be_hidden_are_a_warning_and_no_end_which_needs_root() {
    // Without /proc and by a name that is none, the program cannot be executed once more.
    let mut start = cleared("unshare");
    let nameless = "mount -t tmpfs none /proc && exec -a nameless \"$@\"";
    start.args(["-m", "bash", "-ec", nameless, "bash"]).arg(program());
    start.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let daemon = Daemon::start(start.args(["-logLevel=fatal", "-authorizedKey", &rsa().public]));
    assert_eq!(
        daemon.stderr(),
        "diego-sshd: the keys stay where other processes of this user see them: no /proc, and no \
         program of this name in PATH\n"
    );
}

#[test]
fn keys_are_hidden_where_the_programs_file_is_gone() {
    let directory = TempDir::new().unwrap();
    let copy = directory.path().join("diego-sshd");
    fs::copy(program(), &copy).unwrap();
    let mut start = cleared("bash");
    let script = "exec 9<\"$0\"; rm \"$0\"; exec -a diego-sshd /proc/self/fd/9 \"$@\"";
    start.args(["-ec", script]).arg(&copy).env("PATH", "/usr/bin:/bin");
    let daemon = Daemon::start(start.args(["-authorizedKey", &rsa().public]));
    assert!(!copy.exists());
    assert_hidden(&daemon, rsa());
}

#[test]
fn processes_of_the_same_user_see_neither_environment_nor_memory_which_needs_root() {
    let directory = TempDir::new().unwrap();
    let copy = directory.path().join("diego-sshd");
    fs::copy(program(), &copy).unwrap();
    suite::tool("chmod", ["-R".as_ref(), "a+rX".as_ref(), directory.path().as_os_str()]);
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut start = cleared("setpriv");
    start.args(as_nobody).arg(&copy).args(["-authorizedKey", &rsa().public]);
    let daemon = Daemon::start(start.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"));
    for file in ["environ", "mem", "maps", "fd/0"] {
        let path = format!("/proc/{}/{file}", daemon.id());
        let read =
            Command::new("setpriv").args(as_nobody).args(["head", "-c1", &path]).output().unwrap();
        let complaint = String::from_utf8_lossy(&read.stderr).into_owned();
        assert!(complaint.contains("Permission denied"), "{file}: {complaint}");
    }
}

#[test]
fn killed_it_leaves_its_port_free() {
    let daemon = Daemon::start(command().args(["-authorizedKey", &rsa().public]));
    let (address, arguments) = (daemon.address, daemon.arguments());
    assert!(arguments.iter().all(|word| !word.as_bytes().contains(&b' ')), "{arguments:?}");
    drop(daemon);
    std::net::TcpListener::bind(address).unwrap();
}

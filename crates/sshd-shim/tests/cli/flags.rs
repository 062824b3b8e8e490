//! The command line (contract sshd, section 2).

use crate::daemon::{Daemon, cleared, command, end_of, program, rsa, run};

#[test]
fn names_and_values_are_spelled_as_in_go() {
    let key = rsa();
    let word = format!("-authorizedKey={}", key.public);
    let doubled = format!("-{word}");
    for arguments in [
        &[word.as_str()][..],
        &[&doubled],
        &["-authorizedKey", &key.public],
        &["--authorizedKey", &key.public],
        // The last of a repeated flag wins.
        &["-authorizedKey=x", &word],
        &["-allowUnauthenticatedClients", "-allowUnauthenticatedClients=0", &word],
        // The platform's suites.
        &[
            &word,
            "-allowedCiphers=",
            "-allowedMACs=",
            "-allowedKeyExchanges=",
            "-allowedHostKeyAlgorithms=",
        ],
        &[&word, "-allowUnauthenticatedClients=false", "-inheritDaemonEnv=false", "-appEnv=F"],
        &[&word, "-redactSecrets", "-redactPatterns=a", "-redactPatterns", "b", "-timeFormat=0"],
    ] {
        let mut daemon = Daemon::start(command().args(arguments));
        assert_eq!((daemon.stop(), daemon.stderr().as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn what_follows_a_word_that_is_no_flag_is_ignored() {
    for stop in ["word", "-", "--", ""] {
        let ended = run(&[stop, "-allowUnauthenticatedClients", "-nonsense"]);
        assert!(ended.stdout.contains("authorized-key-required"), "{ended:?}");
        assert_eq!((ended.status, ended.stderr.contains("nonsense")), (Some(1), false));
    }
    // A boolean takes no word.
    let ended = run(&["-inheritDaemonEnv", "false", "-allowUnauthenticatedClients"]);
    assert!(ended.stdout.contains("authorized-key-required"), "{ended:?}");
}

#[test]
fn bad_flags_give_one_sentence_the_usage_list_and_status_2() {
    for (arguments, sentence) in [
        (
            &["-inheritDaemonEnv=foo"][..],
            "invalid boolean value \"foo\" for -inheritDaemonEnv: parse error",
        ),
        (&["-address"], "flag needs an argument: -address"),
        (&["--=x"], "bad flag syntax: --=x"),
        (&["-timeFormat=x"], "invalid value \"x\" for flag -timeFormat: invalid TimeFormat: \"x\""),
        // Before anything unknown is told.
        (&["-new=1", "-address"], "flag needs an argument: -address"),
    ] {
        let ended = run(arguments);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        let expected = format!("{sentence}\nUsage of diego-sshd:\n");
        assert!(ended.stderr.starts_with(&expected), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn an_unknown_log_level_or_pattern_gives_one_line_and_status_2() {
    for (flags, sentence) in [
        (&["-logLevel=foo"][..], "unknown log level: foo; it is debug, info, error or fatal\n"),
        (&["-logLevel="], "unknown log level: ; it is debug, info, error or fatal\n"),
        (&["-logLevel=INFO"], "unknown log level: INFO; it is debug, info, error or fatal\n"),
        (
            &["-redactSecrets", "-redactPatterns=("],
            "invalid value for flag -redactPatterns: \"(\" is not a regular expression: ",
        ),
    ] {
        let ended = run(flags);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{flags:?}");
        assert!(ended.stderr.starts_with(sentence), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
}

#[test]
fn help_is_the_usage_list_on_stderr_and_status_0() {
    let expected = "Usage of diego-sshd:
  -address string
    \tlisten address for ssh daemon (default \"127.0.0.1:2222\")
  -allowUnauthenticatedClients
    \tAllow access to unauthenticated clients
  -allowedCiphers string
    \tLimit cipher algorithms to those provided (comma separated)
  -allowedHostKeyAlgorithms string
    \tLimit key host key algorithms to those provided (comma separated)
  -allowedKeyExchanges string
    \tLimit key exchange algorithms to those provided (comma separated)
  -allowedMACs string
    \tLimit MAC algorithms to those provided (comma separated)
  -appEnv
    \tGive sessions the environment that the launcher gives the app
  -authorizedKey string
    \tPublic key in the OpenSSH authorized_keys format
  -debugAddr string
    \thost:port for serving the log level over HTTP
  -hostKey string
    \tPEM encoded RSA host key
  -inheritDaemonEnv
    \tInherit daemon's environment
  -logLevel string
    \tlog level: debug, info, error or fatal (default \"info\")
  -redactPatterns value
    \tregex pattern that is redacted instead of well-known secrets, may be repeated
  -redactSecrets
    \tuse a redacting log sink to scrub sensitive values from data being logged
  -timeFormat value
    \tformat for timestamp in logs: unix-epoch or rfc3339 (default unix-epoch)
";
    for word in ["-h", "-help", "--help"] {
        let ended = run(&[word]);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(0), ""), "{word}");
        assert_eq!(ended.stderr, expected, "{word}");
    }
}

#[test]
fn unknown_flags_are_a_warning_and_no_end() {
    let flags = ["-allowedSomething=a,b", "--new", "value", "-bool"];
    let daemon = Daemon::open(&flags);
    for name in ["allowedSomething", "new", "bool"] {
        let sentence = format!("flag -{name} is unknown to this version and ignored");
        assert!(daemon.stdout().contains(&sentence), "{}", daemon.stdout());
    }
    assert_eq!(daemon.stdout().matches("sshd.unknown-flag").count(), 3);
    // Where the log is silent, stderr is not.
    let daemon = Daemon::open(&["-logLevel=fatal", "-new=1"]);
    let expected = "diego-sshd: flag -new is unknown to this version and ignored\n";
    assert_eq!((daemon.stdout().as_str(), daemon.stderr().as_str()), ("", expected));
}

#[test]
fn it_may_be_started_by_its_bare_name() {
    // The predecessor executed its own name as a path, and ended.
    let directory = program().parent().unwrap().to_owned();
    let mut start = cleared("/bin/sh");
    start.args(["-c", "exec diego-sshd \"$@\"", "sh"]).env("PATH", directory);
    let daemon = Daemon::start(start.args(["-authorizedKey", &rsa().public]));
    assert_eq!(daemon.arguments()[0], "diego-sshd");
}

#[test]
fn flags_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let bytes = std::ffi::OsStr::from_bytes(b"-hostKey=\xff");
    let ended = end_of(command().arg(bytes));
    assert!(ended.stdout.contains("ssh: no key found"), "{ended:?}");
    assert_eq!(ended.status, Some(1));
}

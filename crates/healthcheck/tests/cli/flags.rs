//! The command line (contract, section 2).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::run::{own_address, run};
use crate::server::{ClosedPort, answering, serve};

#[test]
fn names_and_values_are_spelled_as_in_go() {
    let port = serve(drop).to_string();
    let joined = format!("-port={port}");
    let doubled = format!("-{joined}");
    for arguments in [
        &[joined.as_str()][..],
        &[&doubled],
        &["-port", &port],
        &["--port", &port],
        // The last of a repeated flag wins.
        &["-port=1", "-port", &port],
        // What follows a word that is no flag is ignored.
        &[&joined, "x", "-port=1"],
        &[&joined, "-", "-nonsense"],
        &[&joined, "--", "-nonsense"],
        // No interval, no mode.
        &[&joined, "-startup-interval=0", "-liveness-interval=-1s", "-readiness-interval=0s"],
        &[&joined, "-startup-timeout=1ns"],
        // What only the other modes and checks read is accepted.
        &[&joined, "-failure-threshold=3", "-uri="],
    ] {
        run(arguments).passes();
    }
}

#[test]
fn bad_flags_give_one_sentence_the_usage_list_and_status_2() {
    for (arguments, sentence) in [
        (&["-x"][..], "flag provided but not defined: -x"),
        (&["--x=1"], "flag provided but not defined: -x"),
        (&["-Port=1"], "flag provided but not defined: -Port"),
        (&["-port"], "flag needs an argument: -port"),
        (&["-timeout=5"], "invalid value \"5\" for flag -timeout: parse error"),
        (&["-timeout=1s1"], "invalid value \"1s1\" for flag -timeout: parse error"),
        (&["-timeout=1d"], "invalid value \"1d\" for flag -timeout: parse error"),
        (&["-timeout=9999999999h"], "invalid value \"9999999999h\" for flag -timeout: parse error"),
        (&["-startup-interval", ""], "invalid value \"\" for flag -startup-interval: parse error"),
        (&["---port=1"], "bad flag syntax: ---port=1"),
        (&["-=1"], "bad flag syntax: -=1"),
        (
            &["-failure-threshold=0"],
            "invalid value \"0\" for flag -failure-threshold: must be 1 or more",
        ),
    ] {
        let run = run(arguments);
        assert_eq!(run.status, Some(2), "{arguments:?}");
        let expected = format!("{sentence}\nUsage of ");
        assert!(run.line.starts_with(&expected), "{arguments:?}: {}", run.line);
    }
}

#[test]
fn help_is_the_usage_list_on_stderr_and_status_0() {
    for word in ["-h", "-help", "--h", "--help", "-help=x"] {
        let output = crate::run::command(&crate::run::program()).arg(word).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]), "{word}");
        let usage = String::from_utf8(output.stderr).unwrap();
        assert!(usage.starts_with("Usage of healthcheck:\n"), "{usage}");
        let flags: Vec<&str> = usage.lines().filter_map(|line| line.strip_prefix("  -")).collect();
        let expected = [
            "failure-threshold int",
            "liveness-interval duration",
            "network string",
            "port string",
            "readiness-interval duration",
            "startup-interval duration",
            "startup-timeout duration",
            "timeout duration",
            "until-ready-interval duration",
            "uri string",
        ];
        assert_eq!(flags, expected);
        for default in ["(default \"8080\")", "(default \"tcp\")", "(default 1s)", "(default 1m0s)"]
        {
            assert!(usage.contains(default), "{default} in {usage}");
        }
        assert!(!usage.contains("(default 0s)"), "a zero is no default worth a word: {usage}");
    }
}

#[test]
fn the_durations_that_diego_passes_are_understood() {
    let port = format!("-port={}", serve(drop));
    for value in [
        "1000ms",
        "2s",
        "30s",
        "1m0s",
        "1m30s",
        "1h0m0s",
        "427ms",
        "1.5s",
        "0s",
        "100\u{b5}s1s",
        "+2s3s",
        "1.s",
    ] {
        run(&[port.as_str(), &format!("-timeout={value}")]).passes();
    }
}

#[test]
fn everything_after_the_first_equals_sign_is_the_value() {
    let sentence = format!(
        "failed to make TCP connection to {}:=1: dial tcp: lookup tcp/=1: unknown port",
        own_address()
    );
    run(&["-port==1"]).says(4, &sentence);
    run(&["-port", "=1"]).says(4, &sentence);
    let swallowed = format!("failed to make TCP connection to {}:-uri=/x: ", own_address());
    assert!(run(&["-port", "-uri=/x"]).line.starts_with(&swallowed));
}

#[test]
fn values_need_not_be_utf_8() {
    let (address, bytes) = (own_address(), OsStr::from_bytes(b"-port=\xff"));
    let sentence = format!(
        "failed to make TCP connection to {address}:\u{fffd}: dial tcp: lookup tcp/\u{fffd}: unknown port"
    );
    run(&[bytes]).says(4, &sentence);
    let port = format!("-port={}", answering("HTTP/1.1 200 OK\r\n\r\n"));
    run(&[OsStr::new(&port), OsStr::from_bytes(b"-uri=/\xff")]).passes();
    let run = run(&[OsStr::from_bytes(b"-timeout=\xff")]);
    assert_eq!(run.status, Some(2), "{run:?}");
    let expected = "invalid value \"\u{fffd}\" for flag -timeout: parse error\n";
    assert!(run.line.starts_with(expected), "{run:?}");
}

#[test]
fn the_environment_is_not_read() {
    let closed = ClosedPort::new();
    let port = answering("HTTP/1.1 200 OK\r\n\r\n");
    let proxy = format!("http://{}:{}", own_address(), closed.number);
    let mapped = format!("[{{\"internal\":{port},\"external\":{}}}]", closed.number);
    for arguments in
        [vec![format!("-port={port}")], vec![format!("-port={port}"), "-uri=/".to_owned()]]
    {
        let output = crate::run::command(&crate::run::program())
            .args(arguments)
            .envs([("http_proxy", &proxy), ("HTTP_PROXY", &proxy), ("https_proxy", &proxy)])
            .envs([("REQUEST_METHOD", "GET"), ("CF_INSTANCE_PORTS", &mapped)])
            .envs([("PORT", "1"), ("CF_INSTANCE_INTERNAL_IP", "127.0.0.1")])
            .output()
            .unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    }
}

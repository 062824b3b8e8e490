//! What is wrong with keys, lists and addresses, and how it is said (contract sshd 3.4 and section 5).

use std::net::TcpListener;

use crate::daemon::{Daemon, command, end_of, made, rsa, run};

/// `(message, text that its data has)` of each line on stdout.
fn assert_lines(flags: &[&str], expected: &[(&str, &str)]) {
    let ended = run(flags);
    let lines = ended.messages();
    let messages: Vec<&str> = lines.iter().map(|(message, _)| message.as_str()).collect();
    let wanted: Vec<&str> = expected.iter().map(|(message, _)| *message).collect();
    assert_eq!(messages, wanted, "{flags:?}: {ended:?}");
    for ((_, data), (_, text)) in lines.iter().zip(expected) {
        assert!(data.contains(text), "{flags:?}: {text:?} is not in {data}");
    }
    assert_eq!(ended.status, Some(1), "{flags:?}");
}

#[test]
fn what_is_wrong_with_keys_is_logged_in_order_and_ends_with_1() {
    let authorized = format!("-authorizedKey={}", rsa().public);
    let not_found = "{\"error\":\"ssh: no key found\"}";
    let bad_host_key =
        [("failed-to-parse-host-key", not_found), ("failed-to-acquire-host-key", not_found)];
    let required = ("authorized-key-required", "{}");
    let [parse, acquire] = bad_host_key;
    assert_lines(
        &["-hostKey=nonsense", &authorized],
        &[parse, acquire, ("configure-failed", not_found)],
    );
    assert_lines(
        &["-hostKey="],
        &[required, ("configure-failed", "{\"error\":\"Public user key is required\"}")],
    );
    assert_lines(&["-authorizedKey=nonsense"], &[("configure-failed", not_found)]);
    assert_lines(
        &["-authorizedKey=nonsense", "-allowUnauthenticatedClients"],
        &[("configure-failed", not_found)],
    );
    let both = "{\"error\":\"ssh: no key found, Public user key is required\"}";
    assert_lines(&["-hostKey=nonsense"], &[parse, acquire, required, ("configure-failed", both)]);
    let ended = run(&["-hostKey=nonsense", "-logLevel=fatal"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""));
    assert!(
        ended.stderr.starts_with("ssh: no key found, Public user key is required\n"),
        "{ended:?}"
    );
}

#[test]
fn host_key_algorithms_that_are_not_of_the_host_key_end_with_1() {
    let (rsa, ed25519) = (rsa(), made(&["-t", "ed25519"]));
    for (key, list, error) in [
        (
            rsa,
            "invalid",
            "ssh: algorithm \\\"invalid\\\" is not supported for key type \\\"ssh-rsa\\\"",
        ),
        (rsa, "ssh-rsa, rsa-sha2-256", "algorithm \\\" rsa-sha2-256\\\" is not"),
        (
            rsa,
            "ssh-ed25519",
            "algorithm \\\"ssh-ed25519\\\" is not supported for key type \\\"ssh-rsa\\\"",
        ),
        (
            &ed25519,
            "ssh-rsa",
            "algorithm \\\"ssh-rsa\\\" is not supported for key type \\\"ssh-ed25519\\\"",
        ),
    ] {
        assert_lines(
            &[
                "-hostKey",
                &key.private,
                "-authorizedKey",
                &rsa.public,
                "-allowedHostKeyAlgorithms",
                list,
            ],
            &[
                ("failed-to-restrict-host-key-algorithms", error),
                ("failed-to-acquire-host-key", error),
                ("configure-failed", error),
            ],
        );
    }
}

#[test]
fn a_list_of_which_nothing_is_left_ends_with_1() {
    for flag in ["-allowedCiphers", "-allowedMACs", "-allowedKeyExchanges"] {
        for list in ["nope", "nope,none", ",", " aes128-ctr"] {
            let given = format!("{flag}={list}");
            let error = format!("{flag} names no algorithm that this server has: it has ");
            assert_lines(
                &["-allowUnauthenticatedClients", &given],
                &[("configure-failed", &error)],
            );
        }
    }
}

#[test]
fn names_in_lists_that_are_unknown_are_warnings() {
    let daemon = Daemon::open(&[
        "-allowedCiphers=aes128-ctr,arcfour, aes256-ctr",
        "-allowedMACs=hmac-sha1-96,hmac-sha1",
    ]);
    let stdout = daemon.stdout();
    for sentence in [
        "-allowedCiphers names \\\"arcfour\\\", which this server does not have and leaves out\"",
        "-allowedCiphers names \\\" aes256-ctr\\\", which this server does not have and leaves out: \
         blanks count, take them out\"",
        "-allowedMACs names \\\"hmac-sha1-96\\\", which this server does not have and leaves out\"",
    ] {
        assert!(stdout.contains(sentence), "{sentence}: {stdout}");
    }
    assert_eq!(stdout.matches("sshd.unknown-algorithm").count(), 3, "{stdout}");
    let daemon = Daemon::open(&["-logLevel=fatal", "-allowedCiphers=aes128-ctr,arcfour"]);
    assert!(daemon.stderr().contains("\"arcfour\""), "{}", daemon.stderr());
}

#[test]
fn an_address_that_cannot_be_listened_on_ends_with_1_and_is_not_called_started() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let in_use = format!("listen tcp {taken}: bind: address already in use");
    for (address, error) in [
        (taken.as_str(), in_use.as_str()),
        ("24069", "listen tcp: address 24069: missing port in address"),
        ("127.0.0.1:99999", "listen tcp: address 99999: invalid port"),
        ("127.0.0.1:foo", "listen tcp: lookup tcp/foo: unknown port"),
    ] {
        let said = format!("Exit trace for group:\\nsshd exited with error: {error}\\n");
        let flags = ["-allowUnauthenticatedClients", "-address", address];
        assert_lines(&flags, &[("exited-with-failure", &said)]);
        let said = format!("Exit trace for group:\\ndebug-server exited with error: {error}\\n");
        let flags = ["-allowUnauthenticatedClients", "-address=127.0.0.1:0", "-debugAddr", address];
        assert_lines(&flags, &[("exited-with-failure", &said)]);
    }
}

#[test]
fn below_the_sentence_stands_which_setting_is_meant() {
    let one_line = format!("-hostKey={}", rsa().private.replace('\n', " "));
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    for (flags, sentence, explanation) in [
        (
            &[one_line.as_str()][..],
            "ssh: no key found, Public",
            "The host key (-hostKey or SSHD_HOSTKEY) has ",
        ),
        (&[&one_line], "ssh: no key found, Public", " bytes in 1 lines and no PEM block in them"),
        (
            &["-authorizedKey=x"],
            "ssh: no key found\n",
            "The authorized key (-authorizedKey or SSHD_AUTHKEY) has ",
        ),
        (&[], "Public user key is required\n", "Without -authorizedKey nobody could log in."),
        (
            &["-allowUnauthenticatedClients", "-address", &format!("127.0.0.1:{port}")],
            "listen tcp 127.0.0.1:",
            &format!("Another program of this container listens on port {port}: "),
        ),
        (
            &["-allowUnauthenticatedClients", "-address=192.0.2.1:1"],
            "listen tcp 192.0.2.1:1: bind: cannot assign requested address\n",
            "No network interface of this container has the address 192.0.2.1.",
        ),
    ] {
        let ended = run(flags);
        assert!(ended.stderr.starts_with(sentence), "{flags:?}: {ended:?}");
        assert!(ended.stderr.contains(explanation), "{flags:?}: {ended:?}");
        let secret = rsa().private.lines().nth(1).unwrap();
        assert!(!ended.stderr.contains(secret) && !ended.stdout.contains(secret), "{ended:?}");
    }
}

#[test]
fn the_environment_that_does_not_concern_it_changes_nothing() {
    let ended = end_of(command().env("SSHD_AUTHKEY", &rsa().public).env("SSHD_HOSTKEY", ""));
    assert!(ended.stdout.contains("authorized-key-required"), "{ended:?}");
    assert_eq!(ended.status, Some(1));
}

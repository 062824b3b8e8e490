//! The protocol, over streams in memory and with OpenSSH's scp at the other end.

mod openssh;
mod receiving;
mod sending;

use super::*;

/// What a command came to.
#[derive(Debug)]
struct Outcome {
    status: u8,
    output: String,
    errors: String,
}

/// Serves `command` for a client that says `input` whatever happens, and then ends.
fn scp(command: &str, mut input: &[u8]) -> Outcome {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = run(command.as_bytes(), &mut input, &mut output, &mut errors);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Outcome { status, output: text(output), errors: text(errors) }
}

#[test]
fn what_is_scp_is_told_by_the_first_word_as_written() {
    for command in ["scp", " \t\r\n\u{c}scp", "scp -t x", "scp\t-t", "scp\n", "scp ; true"] {
        assert!(is_scp(command.as_bytes()), "{command:?}");
    }
    for command in [
        "",
        "   ",
        "scpx",
        "scp-foo",
        "/usr/bin/scp -t x",
        "env X=1 scp",
        "scp;true",
        "SCP",
        "\u{b}scp",
    ] {
        assert!(!is_scp(command.as_bytes()), "{command:?}");
    }
}

#[test]
fn usage_errors_are_said_on_stderr() {
    // The predecessor said nothing, and users saw "lost connection".
    for (command, text) in [
        ("scp -x", "scp: unknown option: -x\n"),
        ("scp -t a; rm b", "scp: Must specify one target in target mode\n"),
        ("scp -f 'a", "scp: unterminated quote in the command\n"),
        (
            "scp -f {a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}",
            "scp: argument list too long\n",
        ),
    ] {
        let outcome = scp(command, b"");
        assert_eq!(
            (outcome.status, outcome.output.as_str(), outcome.errors.as_str()),
            (1, "", text),
            "{command}"
        );
    }
}

#[test]
fn the_keys_of_the_server_are_no_variables_of_a_command() {
    assert_eq!(variable(b"SSHD_HOSTKEY"), None);
    assert!(variable(b"PATH").is_some());
    assert_eq!(variable(b""), None);
    assert_eq!(variable(b"A=B\0"), None);
}

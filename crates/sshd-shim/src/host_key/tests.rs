//! Keys are made by `openssl` and `ssh-keygen`, as platforms and people make them.

use std::process::Command;

use russh::keys::PublicKeyBase64;
use russh::keys::signature::{Signer, Verifier};
use tempfile::TempDir;

use super::*;

/// What the shell command makes; `$D` is an empty directory.
fn made(command: &str) -> String {
    let directory = TempDir::new().unwrap();
    let output =
        Command::new("sh").args(["-ec", command]).env("D", directory.path()).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn sentence(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

const RSA: &str = "openssl genrsa -traditional 1024";

#[test]
fn every_format_of_every_usable_kind_is_read() {
    for (command, label, algorithm) in [
        // The platform's own, but for its size; 1024 bits is what its suites use.
        (RSA, "RSA PRIVATE KEY", "ssh-rsa"),
        ("openssl genrsa 1024", "PRIVATE KEY", "ssh-rsa"),
        ("ssh-keygen -qt rsa -b 1024 -N '' -f $D/k && cat $D/k", "OPENSSH PRIVATE KEY", "ssh-rsa"),
        ("openssl genpkey -algorithm ed25519", "PRIVATE KEY", "ssh-ed25519"),
        ("ssh-keygen -qt ed25519 -N '' -f $D/k && cat $D/k", "OPENSSH PRIVATE KEY", "ssh-ed25519"),
        (
            "openssl ecparam -genkey -noout -name prime256v1",
            "EC PRIVATE KEY",
            "ecdsa-sha2-nistp256",
        ),
        ("openssl ecparam -genkey -noout -name secp384r1", "EC PRIVATE KEY", "ecdsa-sha2-nistp384"),
        (
            "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp521r1",
            "PRIVATE KEY",
            "ecdsa-sha2-nistp521",
        ),
        (
            "ssh-keygen -qt ecdsa -N '' -f $D/k && cat $D/k",
            "OPENSSH PRIVATE KEY",
            "ecdsa-sha2-nistp256",
        ),
    ] {
        let text = made(command);
        assert!(text.starts_with(&format!("-----BEGIN {label}-----\n")), "{command}: {text}");
        let key = parse(&text).unwrap_or_else(|error| panic!("{command}: {error}"));
        assert_eq!(key.algorithm().as_str(), algorithm, "{command}");
        let signature = key.try_sign(b"a message").unwrap();
        key.public_key().key_data().verify(b"a message", &signature).unwrap();
    }
}

#[test]
fn the_first_block_counts_whatever_stands_around_it() {
    let (first, second) = (made(RSA), made(RSA));
    let public = |text: &str| parse(text).unwrap().public_key_base64();
    let expected = public(&first);
    for text in [
        format!("junk\n-----BEGIN\n{first}junk\n{second}"),
        first.replace('\n', "\r\n"),
        first.replace('\n', " \n"),
        first.trim_end().to_owned(),
        // A block that does not end, or not as it began, or has no base64 in it, is none.
        format!("-----BEGIN RSA PRIVATE KEY-----\n*\n-----END RSA PRIVATE KEY-----\n{first}"),
        format!("-----BEGIN X-----\nAAAA\n-----END Y-----\n{first}"),
    ] {
        assert_eq!(public(&text), expected, "{text}");
    }
}

#[test]
fn texts_without_a_key_are_refused_in_the_predecessors_words() {
    let rsa = made(RSA);
    for text in
        ["", "nonsense", &rsa.replace('\n', ""), &rsa.replace('\n', " "), &rsa[..rsa.len() / 2]]
    {
        assert_eq!(sentence(text), "ssh: no key found", "{text}");
    }
    for command in [
        "openssl genrsa -traditional -aes128 -passout pass:secret 1024",
        "openssl genrsa -aes128 -passout pass:secret 1024",
        "ssh-keygen -qt ed25519 -N secret -f $D/k && cat $D/k",
        "ssh-keygen -qt rsa -b 1024 -m PEM -N secret -f $D/k && cat $D/k",
    ] {
        let expected = "ssh: this private key is passphrase protected";
        assert_eq!(sentence(&made(command)), expected, "{command}");
    }
    let certificate = rsa.replace("RSA PRIVATE KEY", "CERTIFICATE");
    assert_eq!(sentence(&certificate), "ssh: unsupported key type \"CERTIFICATE\"");
    let public = made("openssl genrsa 1024 2>$D/e | openssl rsa -pubout");
    assert_eq!(sentence(&public), "ssh: unsupported key type \"PUBLIC KEY\"");
}

#[test]
fn what_is_no_usable_key_says_what_it_is() {
    let new_form = made("openssl dsaparam -genkey -noout 1024");
    let old_form = made("openssl dsaparam -genkey -noout 1024 2>$D/e | openssl pkey -traditional");
    assert!(old_form.starts_with("-----BEGIN DSA PRIVATE KEY-----"), "{old_form}");
    for dsa in [new_form, old_form] {
        let expected =
            "ssh: host keys of type ssh-dss are not supported: RSA, ECDSA and Ed25519 are";
        assert_eq!(sentence(&dsa), expected);
    }
    let ed448 = made("openssl genpkey -algorithm ed448");
    assert!(sentence(&ed448).starts_with("ssh: the block \"PRIVATE KEY\" has no readable key: "));
    let rsa = made(RSA);
    let cut = format!("{}\n-----END RSA PRIVATE KEY-----\n", &rsa[..rsa.len() / 2]);
    assert!(sentence(&cut).starts_with("ssh: the block \"RSA PRIVATE KEY\" has no readable key: "));
}

#[test]
fn a_key_made_at_start_is_a_new_one() {
    let (one, other) = (generate().unwrap(), generate().unwrap());
    assert_eq!(one.algorithm(), Algorithm::Ed25519);
    assert_ne!(one.public_key_base64(), other.public_key_base64());
}

//! Algorithms and keys, each met by clients that insist on it; and who is let in.
use std::fs;

use suite::ssh::{HOST, Outcome, SshServer, keygen, run};

use super::libraries::{asyncssh, go, paramiko, peer};
use super::{dbclient, noise, putty};

/// `ssh -v` with these words and something to carry: fails, or has used the algorithm `name`.
fn insisting(server: &SshServer, words: &[&str]) -> Outcome {
    let words = ["-v"].iter().chain(words).copied().chain([HOST, "cat"]);
    run(&mut server.openssh("ssh", words), &noise(300_000, 1))
}

fn uses(server: &SshServer, words: &[&str], name: &str) {
    let outcome = insisting(server, words);
    assert_eq!(outcome.status, 0, "{words:?}: {outcome}");
    assert!(outcome.bytes == noise(300_000, 1), "{words:?}");
    let has_it = |line: &str| line.contains("kex: ") && line.contains(name);
    assert!(outcome.stderr.lines().any(has_it), "{name}: {outcome}");
}

fn refuses(server: &SshServer, words: &[&str]) {
    let outcome = insisting(server, words).ends_with(255);
    assert!(outcome.stderr.contains("no matching"), "{outcome}");
}

const CTR: [&str; 3] = ["aes128-ctr", "aes192-ctr", "aes256-ctr"];
const AEAD: [&str; 3] =
    ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"];
const MACS: [&str; 4] = [
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
];

#[test]
fn every_cipher_and_mac_of_the_defaults_works() {
    let server = SshServer::start();
    for cipher in AEAD {
        uses(&server, &["-c", cipher], cipher);
    }
    for cipher in CTR {
        for mac in MACS {
            uses(&server, &["-c", cipher, "-m", mac], &format!("{cipher} MAC: {mac}"));
        }
    }
}

#[test]
fn both_names_of_curve25519_work_and_the_post_quantum_one() {
    let server = SshServer::start();
    for kex in ["curve25519-sha256", "curve25519-sha256@libssh.org"] {
        uses(&server, &["-o", &format!("KexAlgorithms={kex}")], kex);
    }
    // Debian 12's ssh does not know it.
    let _done =
        asyncssh(&server, &["algorithms", "kex:mlkem768x25519-sha256", "kex:curve25519-sha256"]);
}

#[test]
fn asyncssh_finds_the_same_algorithms() {
    let server = SshServer::start();
    let ciphers = AEAD.iter().chain(&CTR).map(|name| format!("cipher:{name}"));
    let macs = MACS.iter().map(|name| format!("mac:{name}"));
    let keys = [
        "host:rsa-sha2-256",
        "host:rsa-sha2-512",
        "signature:rsa-sha2-256",
        "signature:rsa-sha2-512",
    ];
    let words: Vec<String> = ciphers.chain(macs).chain(keys.map(str::to_owned)).collect();
    let words: Vec<&str> =
        ["algorithms"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let _done = asyncssh(&server, &words);
}

/// All that Go's library of Debian 12 knows, of what is offered without flags and with them.
#[test]
fn go_finds_what_it_knows() {
    let defaults = [
        "kex:curve25519-sha256",
        "kex:curve25519-sha256@libssh.org",
        "cipher:aes128-gcm@openssh.com",
        "cipher:chacha20-poly1305@openssh.com",
        "cipher:aes128-ctr",
        "cipher:aes192-ctr",
        "cipher:aes256-ctr",
        "mac:hmac-sha2-256-etm@openssh.com",
        "mac:hmac-sha2-256",
        "host:rsa-sha2-256",
        "host:rsa-sha2-512",
    ];
    let words: Vec<&str> = ["algorithms"].into_iter().chain(defaults).collect();
    let _done = go(&SshServer::start(), &words);
    let server = SshServer::setup()
        .flag(
            "allowedKeyExchanges",
            "ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
             diffie-hellman-group14-sha256,diffie-hellman-group14-sha1",
        )
        .flag("allowedMACs", "hmac-sha1")
        .flag("allowedHostKeyAlgorithms", "ssh-rsa")
        .start();
    let named = [
        "kex:ecdh-sha2-nistp256",
        "kex:ecdh-sha2-nistp384",
        "kex:ecdh-sha2-nistp521",
        "kex:diffie-hellman-group14-sha256",
        "kex:diffie-hellman-group14-sha1",
        "mac:hmac-sha1",
        "host:ssh-rsa",
    ];
    let words: Vec<&str> = ["algorithms"].into_iter().chain(named).collect();
    let _done = go(&server, &words);
}

/// A proxy of then comes in where the flags name its algorithm for RSA keys (contract sshd 18.2), and only there.
#[test]
fn go_of_2018_needs_the_flag_for_sha1() {
    let refused = peer(&SshServer::start(), "go_peer.go", &["of2018"]).ends_with(1);
    assert!(refused.stdout.contains("no common algorithm for host key"), "{refused}");
    let names = "rsa-sha2-256,rsa-sha2-512,ssh-rsa";
    let _done =
        go(&SshServer::setup().flag("allowedHostKeyAlgorithms", names).start(), &["of2018"]);
}

#[test]
fn what_the_flags_name_is_offered_and_nothing_else() {
    let flags = [
        ("allowedCiphers", "aes128-ctr,aes256-ctr"),
        ("allowedMACs", "hmac-sha2-256,hmac-sha1"),
        (
            "allowedKeyExchanges",
            "curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,\
             diffie-hellman-group14-sha256,diffie-hellman-group16-sha512,diffie-hellman-group14-sha1",
        ),
        ("allowedHostKeyAlgorithms", "ssh-rsa,rsa-sha2-512"),
    ];
    let setup =
        flags.iter().fold(SshServer::setup(), |setup, (name, value)| setup.flag(name, value));
    let server = setup.start();
    for kex in flags[2].1.split(',') {
        uses(&server, &["-o", &format!("KexAlgorithms={kex}")], kex);
    }
    for cipher in ["aes128-ctr", "aes256-ctr"] {
        for mac in ["hmac-sha2-256", "hmac-sha1"] {
            uses(&server, &["-c", cipher, "-m", mac], &format!("{cipher} MAC: {mac}"));
        }
    }
    let legacy = ["-o", "HostKeyAlgorithms=ssh-rsa", "-o", "PubkeyAcceptedAlgorithms=ssh-rsa"];
    uses(&server, &legacy, "host key algorithm: ssh-rsa");
    uses(&server, &["-o", "HostKeyAlgorithms=rsa-sha2-512"], "rsa-sha2-512");
    refuses(&server, &["-c", "aes128-gcm@openssh.com"]);
    refuses(&server, &["-c", "aes128-ctr", "-m", "hmac-sha2-512"]);
    refuses(&server, &["-o", "KexAlgorithms=curve25519-sha256"]);
    refuses(&server, &["-o", "HostKeyAlgorithms=rsa-sha2-256"]);
}

#[test]
fn sha1_is_refused_where_no_flag_names_it() {
    let server = SshServer::start();
    refuses(&server, &["-o", "HostKeyAlgorithms=ssh-rsa"]);
    refuses(&server, &["-c", "aes128-ctr", "-m", "hmac-sha1"]);
    refuses(&server, &["-o", "KexAlgorithms=diffie-hellman-group14-sha1"]);
    let outcome = insisting(&server, &["-o", "PubkeyAcceptedAlgorithms=ssh-rsa"]);
    assert_eq!(outcome.status, 255, "{outcome}");
}

#[test]
fn host_and_user_keys_of_every_kind() {
    let kinds = [
        ("rsa -b 1024", "ssh-rsa"),
        ("rsa -b 4096", "ssh-rsa"),
        ("ed25519", "ssh-ed25519"),
        ("ecdsa -b 256", "ecdsa-sha2-nistp256"),
        ("ecdsa -b 384", "ecdsa-sha2-nistp384"),
        ("ecdsa -b 521", "ecdsa-sha2-nistp521"),
    ];
    for (kind, name) in kinds {
        let server = SshServer::setup().host_key(kind).user_key(kind).start();
        let outcome = insisting(&server, &[]);
        assert_eq!(outcome.status, 0, "{kind}: {outcome}");
        assert!(outcome.stderr.contains(&format!("Server host key: {name} ")), "{kind}: {outcome}");
        run(&mut putty(&server, "plink", ["root@127.0.0.1", "echo in"]), b"").prints("in\n");
        if kind != "rsa -b 1024" {
            // Dropbear 2022 takes such a key for too short.
            run(&mut dbclient(&server, ["echo in"]), b"").prints("in\n");
        }
        let _done = asyncssh(&server, &["algorithms", "cipher:aes128-gcm@openssh.com"]);
        let _done = go(&server, &["algorithms", "cipher:aes128-gcm@openssh.com"]);
        if name == "ssh-rsa" {
            let _done = paramiko(&server, &["rekey"]);
        }
    }
}

#[test]
fn other_keys_are_refused_and_too_many_end_the_connection() {
    let server = SshServer::start();
    let names: Vec<String> =
        (0..8).map(|number| server.path(format!("wrong{number}")).display().to_string()).collect();
    for name in &names {
        keygen("ed25519", name.as_ref());
    }
    let with_keys = |keys: &[String]| {
        let mut words = vec![
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=no",
        ];
        let (port, known) = (
            server.port().to_string(),
            format!("UserKnownHostsFile={}", server.path("known_hosts").display()),
        );
        words.extend(["-o", &known, "-p", &port]);
        for key in keys {
            words.extend(["-i", key]);
        }
        words.extend(["root@127.0.0.1", "echo in"]);
        let mut command = std::process::Command::new("ssh");
        run(command.args(words).env("HOME", server.path("home")).env_remove("SSH_AUTH_SOCK"), b"")
    };
    let right = server.path("user").display().to_string();
    let _refused =
        with_keys(&names[..1]).ends_with(255).complains("Permission denied (publickey).");
    let mut some = names[..3].to_vec();
    some.push(right.clone());
    with_keys(&some).prints("in\n");
    let mut all = names.clone();
    all.push(right);
    let outcome = with_keys(&all).ends_with(255);
    assert!(
        outcome.stderr.to_lowercase().contains("too many authentication failures"),
        "{outcome}"
    );
    assert!(fs::exists(server.path("log")).unwrap());
}

#[test]
fn nobody_needs_a_key_where_the_flag_says_so() {
    let server = SshServer::setup().flag("allowUnauthenticatedClients", "true").start();
    let words = ["-o", "PreferredAuthentications=none", "-o", "IdentityFile=none", HOST, "echo in"];
    run(&mut server.openssh("ssh", words), b"").prints("in\n");
    let server = SshServer::start();
    let _refused = run(&mut server.openssh("ssh", words), b"").ends_with(255);
}

#[test]
fn no_common_algorithm_is_told_to_the_client() {
    // The predecessor closed the connection without a word.
    let server = SshServer::start();
    let outcome = insisting(&server, &["-c", "3des-cbc"]).ends_with(255);
    let _told = outcome.complains("no matching cipher found");
}

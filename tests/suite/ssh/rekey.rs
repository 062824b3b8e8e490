//! New keys while data flows. (5 GiB with new keys every 64 MiB and every GiB: `copies`.)
use std::fs;

use suite::ssh::{Client, HOST, SshServer, run};

use super::libraries::{asyncssh, go, paramiko};
use super::{LONG, noise, same};

#[test]
fn new_keys_every_few_packets_harm_no_transfer() {
    let server = SshServer::start();
    let input = noise(8_000_000, 1);
    for cipher in ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"] {
        let words = ["-v", "-c", cipher, "-o", "RekeyLimit=100K", HOST, "cat"];
        let outcome = run(&mut server.openssh("ssh", words), &input).succeeds();
        assert!(outcome.bytes == input, "{cipher}");
        let count = outcome.stderr.matches("SSH2_MSG_NEWKEYS received").count();
        assert!(count > 20, "{cipher}: {count} key exchanges");
    }
}

#[test]
fn new_keys_every_64_mebibytes_that_come() {
    let server = SshServer::start();
    let words = ["-v", "-o", "RekeyLimit=64M", HOST, "head -c 300000000 /dev/zero"];
    let outcome = run(&mut server.openssh("ssh", words), b"").succeeds();
    assert!(outcome.bytes == vec![0; 300_000_000], "{} bytes", outcome.bytes.len());
    let count = outcome.stderr.matches("SSH2_MSG_NEWKEYS received").count();
    assert!((4..=6).contains(&count), "{count} key exchanges");
}

#[test]
fn new_keys_by_the_clock_harm_no_session() {
    let server = SshServer::start();
    let words =
        ["-v", "-o", "RekeyLimit=1G 1", HOST, "for i in 1 2 3 4; do echo $i; sleep 1; done"];
    let outcome = run(&mut server.openssh("ssh", words), b"").succeeds();
    assert_eq!(outcome.stdout, "1\n2\n3\n4\n");
    assert!(outcome.stderr.matches("SSH2_MSG_NEWKEYS received").count() >= 2, "{outcome}");
}

#[test]
fn copies_and_forwards_go_through_new_keys() {
    let server = SshServer::start();
    let (source, there, back) = (server.work("source"), server.work("there"), server.work("back"));
    fs::write(&source, noise(20_000_000, 2)).unwrap();
    for protocol in ["-O", "-s"] {
        let far = format!("box:{}", there.display());
        let limit = "RekeyLimit=300K";
        let words = [protocol, "-o", limit, source.to_str().unwrap(), &far];
        let _copied = run(&mut server.openssh("scp", words), b"").succeeds();
        same(&source, &there);
        let words = [protocol, "-o", limit, &far, back.to_str().unwrap()];
        let _copied = run(&mut server.openssh("scp", words), b"").succeeds();
        same(&source, &back);
    }
}

#[test]
fn asyncssh_changes_keys_every_megabyte() {
    let _done = asyncssh(&SshServer::start(), &["rekey"]);
}

#[test]
fn go_changes_keys_every_megabyte() {
    let _done = go(&SshServer::start(), &["rekey"]);
}

#[test]
fn paramiko_changes_keys_while_both_sides_talk() {
    let _done = paramiko(&SshServer::start(), &["rekey"]);
}

#[test]
fn the_server_asks_for_new_keys_after_a_gibibyte_either_way() {
    let server = SshServer::start();
    let file = server.work("file");
    fs::File::create(&file).unwrap().set_len(1200 << 20).unwrap();
    let name = file.to_str().unwrap();
    let down = format!("cat {name}");
    for (command, input) in [(down.as_str(), "/dev/null"), ("wc -c", name)] {
        // Left to itself this client changes keys with this cipher after 64 GiB only.
        let words = ["-v", "-c", "aes128-gcm@openssh.com", HOST, command];
        let mut client = server.openssh("ssh", words);
        let outcome = Client::reading(&mut client, input.as_ref()).finish_within(LONG).succeeds();
        let count = outcome.stderr.matches("SSH2_MSG_NEWKEYS received").count();
        assert_eq!(count, 2, "{}", outcome.stderr);
        assert!(outcome.bytes.len() == 1200 << 20 || outcome.stdout == "1258291200\n");
    }
}

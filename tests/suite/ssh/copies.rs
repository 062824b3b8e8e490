//! Files by scp, with the legacy protocol and over sftp, and by pscp.
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use suite::ssh::{Client, Outcome, SshServer, run};
use suite::{bytes, tool};

use super::{LONG, noise, putty, same};

/// The fastest of the ciphers, for what is large.
const GCM: &str = "aes128-gcm@openssh.com";

/// The sizes where a packet ends, and beside.
const SIZES: [usize; 7] = [0, 1, 32_767, 32_768, 32_769, 262_145, 10_000_000];

/// One run of scp: paths after `box:` are on the server's side.
fn scp<'a>(server: &SshServer, words: impl IntoIterator<Item = &'a str>) -> Outcome {
    run(&mut server.openssh("scp", words), b"")
}

fn remote(path: &Path) -> String {
    format!("box:{}", path.display())
}

fn local(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn files_of_every_size_arrive_whole_both_ways() {
    let server = SshServer::start();
    let (source, there, back) = (server.work("source"), server.work("there"), server.work("back"));
    let goes_and_comes = |far: &str, copy: &dyn Fn(&str, &str) -> Outcome| {
        let _copied = copy(local(&source), far).succeeds();
        same(&source, &there);
        let _copied = copy(far, local(&back)).succeeds();
        same(&source, &back);
        fs::remove_file(&there).unwrap();
        fs::remove_file(&back).unwrap();
    };
    for size in SIZES {
        fs::write(&source, noise(size, size as u64)).unwrap();
        for protocol in ["-O", "-s"] {
            goes_and_comes(&remote(&there), &|from, to| scp(&server, [protocol, from, to]));
        }
        goes_and_comes(&remote(&there), &|from, to| {
            run(&mut server.openssh("scp1", ["-2", from, to]), b"")
        });
        let far = format!("root@127.0.0.1:{}", there.display());
        for protocol in ["-scp", "-sftp"] {
            goes_and_comes(&far, &|from, to| {
                run(&mut putty(&server, "pscp", [protocol, "-q", from, to]), b"")
            });
        }
    }
}

/// A tree with everything a copy is to keep.
fn make_tree(root: &Path) {
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::create_dir_all(root.join("deep/er")).unwrap();
    fs::write(root.join("deep/er/file"), noise(70_000, 1)).unwrap();
    fs::write(root.join("blank in name"), "1").unwrap();
    fs::write(root.join("quote'\"$HOME"), "2").unwrap();
    fs::write(root.join(bytes(b"not \xff utf-8")), "3").unwrap();
    fs::write(root.join("script"), "4").unwrap();
    fs::set_permissions(root.join("script"), fs::Permissions::from_mode(0o754)).unwrap();
    fs::set_permissions(root.join("deep"), fs::Permissions::from_mode(0o711)).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(250_000);
    for name in ["deep/er/file", "script", "deep/er", "deep", "empty"] {
        let times = fs::FileTimes::new().set_accessed(long_ago).set_modified(long_ago);
        File::open(root.join(name)).unwrap().set_times(times).unwrap();
    }
}

/// Names, modes, times and sums of a tree.
fn described(root: &Path) -> String {
    let script = "find . -printf '%P %y %m %T@\\n' | sort | grep -v '^ '; find . -type f -exec sha256sum {} + | sort";
    let output = Command::new("sh").args(["-c", script]).current_dir(root).output().unwrap();
    assert!(output.status.success());
    let times = ["blank in name", "quote'", "not "];
    // The times of these are of now, with fractions.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter(|line| !times.iter().any(|name| line.starts_with(name)))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn trees_keep_modes_and_times() {
    let server = SshServer::start();
    let source = server.work("source");
    make_tree(&source);
    let expected = described(&source);
    for protocol in ["-O", "-s"] {
        let (there, back) = (server.work("there"), server.work("back"));
        let words = [protocol, "-r", "-p", local(&source), &remote(&there)];
        let _copied = scp(&server, words).succeeds();
        assert_eq!(described(&there), expected, "to the server, {protocol}");
        let words = [protocol, "-r", "-p", &remote(&there), local(&back)];
        let _copied = scp(&server, words).succeeds();
        assert_eq!(described(&back), expected, "from the server, {protocol}");
        for directory in [there, back] {
            fs::remove_dir_all(directory).unwrap();
        }
    }
}

#[test]
fn putty_copies_trees() {
    let server = SshServer::start();
    let source = server.work("source");
    make_tree(&source);
    // pscp takes such names for dangerous.
    fs::remove_file(source.join(bytes(b"not \xff utf-8"))).unwrap();
    for protocol in ["-scp", "-sftp"] {
        let there = server.work("there");
        fs::create_dir(&there).unwrap();
        let far = format!("root@127.0.0.1:{}", there.display());
        let words = [protocol, "-q", "-r", "-p", local(&source), &far];
        let _copied = run(&mut putty(&server, "pscp", words), b"").succeeds();
        tool("diff", ["-r", local(&source), local(&there.join("source"))]);
        let back = server.work("back");
        fs::create_dir(&back).unwrap();
        let far = format!("{far}/source");
        let words = [protocol, "-q", "-r", &far, local(&back)];
        let _copied = run(&mut putty(&server, "pscp", words), b"").succeeds();
        tool("diff", ["-r", local(&source), local(&back.join("source"))]);
        for directory in [there, back] {
            fs::remove_dir_all(directory).unwrap();
        }
    }
}

#[test]
fn several_sources_one_of_them_missing_copy_the_rest() {
    // The predecessor's scp stopped at the first warning.
    let server = SshServer::start();
    for name in ["a", "b c", "d"] {
        fs::write(server.work(name), name).unwrap();
    }
    for protocol in ["-O", "-s"] {
        let target = server.work("target");
        fs::create_dir(&target).unwrap();
        // Over sftp this client itself stops at a missing file.
        let first = if protocol == "-O" { "missing" } else { "a" };
        let words = [protocol, "a", first, "b c", "d", &remote(&target)];
        let outcome = scp(&server, words);
        assert_eq!(outcome.status, i32::from(protocol == "-O"), "{outcome}");
        let names = tool("ls", [&target]);
        assert_eq!(names, "a\nb c\nd\n", "{protocol}");
        fs::remove_dir_all(&target).unwrap();
        fs::create_dir(&target).unwrap();
        let paths = ["a", "missing", "d"].map(|name| remote(&server.work(name)));
        let words = [protocol, &paths[0], &paths[1], &paths[2], local(&target)];
        let outcome = scp(&server, words).ends_with(1).complains("missing");
        assert!(outcome.stderr.to_lowercase().contains("no such file"), "{outcome}");
        assert_eq!(tool("ls", [&target]), "a\nd\n", "{protocol}");
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn patterns_and_directories_are_the_servers() {
    let server = SshServer::start();
    let source = server.work("source");
    fs::create_dir(&source).unwrap();
    for name in ["one.txt", "two.txt", "three.log"] {
        fs::write(source.join(name), name).unwrap();
    }
    for protocol in ["-O", "-s"] {
        let target = server.work("target");
        fs::create_dir(&target).unwrap();
        let pattern = format!("{}/*.txt", remote(&source));
        let _copied = scp(&server, [protocol, &pattern, local(&target)]).succeeds();
        assert_eq!(tool("ls", [&target]), "one.txt\ntwo.txt\n");
        let outcome = scp(&server, [protocol, &remote(&source), local(&target)]).ends_with(1);
        let _refused = outcome.complains("not a regular file");
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn a_copy_that_cannot_be_written_says_why() {
    let server = SshServer::start();
    fs::write(server.work("file"), "1").unwrap();
    for protocol in ["-O", "-s"] {
        let to = remote(&server.work("no/such/directory/file"));
        let outcome = scp(&server, [protocol, "file", &to]);
        assert_eq!(outcome.status, 1, "{outcome}");
        assert!(outcome.stderr.to_lowercase().contains("no such file"), "{protocol}: {outcome}");
    }
    let outcome = scp(&server, ["-O", "file", "box:/dev/full"]);
    assert_eq!(outcome.status, 1, "{outcome}");
    assert!(outcome.stderr.to_lowercase().contains("no space left"), "{outcome}");
}

#[test]
fn files_are_copied_from_server_to_server_through_the_client() {
    let server = SshServer::start();
    let (source, target) = (server.work("source"), server.work("target"));
    fs::write(&source, noise(1_000_000, 4)).unwrap();
    for protocol in ["-O", "-s"] {
        let words = [protocol, "-3", &remote(&source), &remote(&target)];
        let _copied = scp(&server, words).succeeds();
        same(&source, &target);
        fs::remove_file(&target).unwrap();
    }
}

/// A sparse file of 5 GiB with something at its start, across 4 GiB, and at its end.
fn sparse(path: &Path) {
    let file = File::create(path).unwrap();
    let end = 5 << 30;
    let places = [0, (2 << 30) - 7, (4 << 30) - 100_000, end - 200_001];
    for (place, seed) in places.into_iter().zip(1..) {
        file.write_all_at(&noise(200_001, seed), place).unwrap();
    }
    assert_eq!(file.metadata().unwrap().size(), end);
}

/// The clients' key exchanges, as `ssh -v` tells them.
fn exchanges(outcome: &Outcome) -> usize {
    outcome.stderr.matches("SSH2_MSG_KEXINIT sent").count()
}

#[test]
fn five_gigabytes_arrive_whole_both_ways_with_new_keys_on_the_way() {
    let server = SshServer::start();
    let (source, there) = (server.work("source"), server.work("there"));
    sparse(&source);
    // Up by sftp, with new keys every 64 MiB.
    let words = ["-s", "-v", "-c", GCM, "-o", "RekeyLimit=64M", local(&source), &remote(&there)];
    let outcome = Client::start(&mut server.openssh("scp", words)).finish_within(LONG).succeeds();
    let count = exchanges(&outcome);
    assert!((75..=90).contains(&count), "{count} key exchanges");
    same(&source, &there);
    fs::remove_file(&there).unwrap();
    // Down by the legacy protocol, with new keys every GiB.
    let words = ["-O", "-v", "-c", GCM, "-o", "RekeyLimit=1G", &remote(&source), local(&there)];
    let outcome = Client::start(&mut server.openssh("scp", words)).finish_within(LONG).succeeds();
    let count = exchanges(&outcome);
    assert!((5..=7).contains(&count), "{count} key exchanges");
    same(&source, &there);
}

#[test]
fn names_are_bytes() {
    let server = SshServer::start();
    let name = bytes(b"\xfe\xff \xe4");
    fs::write(server.work(name), "contents").unwrap();
    let mut target = b"box:".to_vec();
    target.extend_from_slice(server.work(bytes(b"there\xff")).as_os_str().as_bytes());
    for protocol in ["-O", "-s"] {
        let mut command = server.openssh("scp", [protocol]);
        let _copied = run(command.arg(name).arg(bytes(&target)), b"").succeeds();
        let there = server.work(bytes(b"there\xff"));
        assert_eq!(fs::read(&there).unwrap(), b"contents");
        fs::remove_file(there).unwrap();
    }
}

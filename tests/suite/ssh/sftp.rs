//! The programs sftp and psftp, with every operation they know.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use suite::ssh::{HOST, Outcome, SshServer, run};
use suite::tool;

use super::{noise, putty, same};

fn sftp(server: &SshServer, batch: &str) -> Outcome {
    run(&mut server.openssh("sftp", ["-q", "-b", "-", HOST]), batch.as_bytes())
}

#[test]
fn a_batch_with_every_operation() {
    let server = SshServer::start();
    fs::write(server.work("file"), noise(100_000, 1)).unwrap();
    let there = server.work("there");
    fs::create_dir(&there).unwrap();
    let batch = format!(
        "cd {}\nmkdir dir\nput file dir/a\nput -p file dir/b\nput -f file dir/flushed\nrename dir/a dir/b\n\
         ln dir/b dir/hard\nsymlink b dir/soft\nchmod 640 dir/b\nchown 12 dir/b\nchgrp 34 dir/b\n\
         cp dir/b dir/copy\nget dir/copy got\ndf -h dir\nls -la dir\nls dir\npwd\nmkdir gone\nrmdir gone\nrm dir/flushed\n\
         get -r dir gotdir\nput -r gotdir again\n",
        there.display()
    );
    let outcome = sftp(&server, &batch).succeeds();
    for name in ["dir/b", "dir/hard", "dir/soft", "dir/copy", "again/b"] {
        same(&server.work("file"), &there.join(name));
    }
    same(&server.work("file"), &server.work("got"));
    let file = fs::metadata(there.join("dir/b")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.uid(), file.gid(), file.nlink()), (0o640, 12, 34, 2));
    assert_eq!(fs::read_link(there.join("dir/soft")).unwrap().to_str(), Some("b"));
    assert_eq!(tool("ls", [there.join("dir")]), "b\ncopy\nhard\nsoft\n");
    assert!(!there.join("gone").exists());
    assert!(outcome.stdout.contains(&format!("Remote working directory: {}", there.display())));
    assert!(
        outcome
            .stdout
            .lines()
            .any(|line| line.starts_with("-rw-r-----") && line.contains("100000"))
    );
    assert!(outcome.stdout.contains("lrwxrwxrwx"), "{outcome}");
    assert!(outcome.stdout.contains("%Capacity"), "{outcome}");
}

#[test]
fn errors_are_told_and_the_session_goes_on() {
    let server = SshServer::start();
    fs::write(server.work("file"), "1").unwrap();
    fs::create_dir(server.work("full")).unwrap();
    fs::write(server.work("full/file"), "1").unwrap();
    let path = |name: &str| server.work(name).display().to_string();
    let batch = format!(
        "-get /nope\n-rm {0}/nope\n-mkdir {0}\n-rmdir {0}/full\n-cd {0}/file\n-ls {0}/nope\n-put file /proc/nope\n-put file /dev/full\nput {0}/file {0}/there\n",
        path("").trim_end_matches('/')
    );
    let outcome = sftp(&server, &batch).succeeds();
    let complaints = outcome.stderr.to_lowercase();
    assert!(
        complaints.matches("no such file").count() + complaints.matches("not found").count() >= 3,
        "{outcome}"
    );
    assert!(server.work("there").exists());
    let _failed = sftp(&server, "rm /nope\n").ends_with(1);
}

#[test]
fn broken_transfers_are_resumed() {
    let server = SshServer::start();
    let whole = noise(3_000_000, 2);
    fs::write(server.work("file"), &whole).unwrap();
    fs::write(server.work("part"), &whole[..1_234_567]).unwrap();
    let there = server.work("there");
    fs::write(&there, &whole[..2_000_001]).unwrap();
    let path = there.display();
    let _sent = sftp(&server, &format!("reput file {path}\nreget {path} part\n")).succeeds();
    same(&server.work("file"), &there);
    same(&server.work("file"), &server.work("part"));
}

#[test]
fn buffers_and_requests_of_any_number_and_size() {
    let server = SshServer::start();
    let (source, there, back) = (server.work("file"), server.work("there"), server.work("back"));
    fs::write(&source, noise(5_000_003, 3)).unwrap();
    for (size, requests) in
        [("1000", "1"), ("32768", "64"), ("100000", "200"), ("261120", "1000"), ("4096", "1024")]
    {
        let words = ["-q", "-b", "-", "-B", size, "-R", requests, HOST];
        let batch = format!("put file {0}\nget {0} back\n", there.display());
        let _copied = run(&mut server.openssh("sftp", words), batch.as_bytes()).succeeds();
        same(&source, &there);
        same(&source, &back);
        fs::remove_file(&back).unwrap();
    }
}

#[test]
fn a_directory_of_thousands_is_listed_whole() {
    let server = SshServer::start();
    let directory = server.work("many");
    fs::create_dir(&directory).unwrap();
    for number in 0..3000 {
        fs::write(directory.join(format!("a file with a rather long name, number {number}")), "")
            .unwrap();
    }
    let outcome = sftp(&server, &format!("ls -1 {}\n", directory.display())).succeeds();
    assert_eq!(outcome.stdout.lines().filter(|line| line.contains("number")).count(), 3000);
    let outcome = sftp(&server, &format!("ls -l {}\n", directory.display())).succeeds();
    assert_eq!(outcome.stdout.lines().filter(|line| line.starts_with("-rw")).count(), 3000);
}

#[test]
fn psftp_works_too() {
    let server = SshServer::start();
    fs::write(server.work("file"), noise(1_000_000, 5)).unwrap();
    let there = server.work("there");
    fs::create_dir(&there).unwrap();
    let batch = format!(
        "cd {0}\nput file a\nmkdir sub\nmput file\nmv a sub/b\nchmod 600 sub/b\nget sub/b got\nls\ndel file\n\
         get -r sub subgot\nput -r subgot again\nrmdir again\n",
        there.display()
    );
    fs::write(server.work("batch"), batch).unwrap();
    let batch = server.work("batch");
    let words = ["-b", batch.to_str().unwrap(), "-be", "root@127.0.0.1"];
    let outcome = run(&mut putty(&server, "psftp", words), b"");
    same(&server.work("file"), &there.join("sub/b"));
    same(&server.work("file"), &server.work("got"));
    same(&server.work("file"), &there.join("again/b"));
    assert!(!there.join("file").exists(), "{outcome}");
    let mode = fs::metadata(there.join("sub/b")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn relative_names_start_in_the_daemons_directory() {
    // OpenSSH's own starts in the user's home.
    let server = SshServer::start();
    fs::write(server.work("file"), "1").unwrap();
    let outcome = sftp(&server, "pwd\nget file got\nget ./file got2\n").succeeds();
    let expected = format!("Remote working directory: {}\n", server.path("work").display());
    assert!(outcome.stdout.contains(&expected), "{outcome}");
    assert!(server.work("got").exists() && server.work("got2").exists());
}

#[test]
fn a_silent_end_of_input_ends_the_server_side() {
    let server = SshServer::start();
    let outcome = run(&mut server.openssh("ssh", ["-s", HOST, "sftp"]), b"").succeeds();
    assert_eq!(outcome.bytes, b"");
    let hello = [0, 0, 0, 5, 1, 0, 0, 0, 3];
    let outcome = run(&mut server.openssh("ssh", ["-s", HOST, "sftp"]), &hello).succeeds();
    assert_eq!(outcome.bytes[4..9], [2, 0, 0, 0, 3]);
}

#[test]
fn the_servers_memory_is_no_file_of_its_clients() {
    // Root could read the keys out of it.
    let server = SshServer::start();
    fs::write(server.work("file"), "1").unwrap();
    let batch = "-get /proc/self/mem mem\n-put file /proc/self/mem\n";
    let outcome = sftp(&server, batch).succeeds();
    assert_eq!(outcome.stderr.matches("Permission denied").count(), 2, "{outcome}");
    let copy = run(&mut server.openssh("scp", ["-O", "box:/proc/self/mem", "mem"]), b"");
    let _refused = copy.ends_with(1).complains("permission denied");
}

#[test]
fn a_path_from_a_home_directory_is_expanded() {
    let server = SshServer::start();
    fs::write(server.work("file"), noise(10_000, 1)).unwrap();
    // The client asks the server for users' directories only.
    let far = format!("box:~root/..{}", server.work("file").display());
    let _copied = run(&mut server.openssh("scp", ["-s", &far, "there"]), b"").succeeds();
    same(&server.work("file"), &server.work("there"));
}

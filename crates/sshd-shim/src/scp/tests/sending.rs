//! `scp -f`, for a client that answers as written.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use nix::sys::stat::Mode;
use tempfile::TempDir;

use super::{Outcome, scp};

fn directory_with(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    }
    directory
}

/// Serves `scp OPTIONS DIRECTORY/PATH`.
fn send(options: &str, directory: &TempDir, path: &str, answers: &[u8]) -> Outcome {
    let path = directory.path().join(path);
    scp(&format!("scp {options} {}", path.display()), answers)
}

const YES: &[u8] = &[0; 100];

#[test]
fn a_file_is_its_record_its_bytes_and_a_zero() {
    let directory = directory_with(&[("a b", "hello")]);
    let outcome = send("-f", &directory, "a\\ b", YES);
    assert_eq!((outcome.status, outcome.output.as_str()), (0, "C0640 5 a b\nhello\0"));
    assert_eq!(outcome.errors, "");
}

#[test]
fn an_empty_file_is_sent_too() {
    let directory = directory_with(&[("x", "")]);
    let outcome = send("-f", &directory, "x", YES);
    assert_eq!((outcome.status, outcome.output.as_str()), (0, "C0640 0 x\n\0"));
}

#[test]
fn special_bits_and_times_go_along() {
    // The predecessor lost the setuid and setgid bits.
    let directory = directory_with(&[("x", "1")]);
    let path = directory.path().join("x");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o6751)).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_times(
        fs::FileTimes::new().set_modified(at(1_600_000_000)).set_accessed(at(1_500_000_000)),
    )
    .unwrap();
    let outcome = send("-fp", &directory, "x", YES);
    assert_eq!(outcome.output, "T1600000000 0 1500000000 0\nC6751 1 x\n1\0");
    file.set_modified(SystemTime::UNIX_EPOCH - Duration::from_secs(5)).unwrap();
    let outcome = send("-fp", &directory, "x", YES);
    assert!(outcome.output.starts_with("T0 0 "), "before 1970: {}", outcome.output);
}

#[test]
fn a_tree_is_sent_in_order() {
    let directory = directory_with(&[("d/b", "2"), ("d/a", "1"), ("d/c/e", "3")]);
    for path in ["d", "d/c"] {
        fs::set_permissions(directory.path().join(path), PermissionsExt::from_mode(0o750)).unwrap();
    }
    let outcome = send("-r -f", &directory, "d/", YES);
    let expected = "D0750 0 d\nC0640 1 a\n1\0C0640 1 b\n2\0D0750 0 c\nC0640 1 e\n3\0E\nE\n";
    assert_eq!((outcome.status, outcome.output.as_str()), (0, expected));
}

#[test]
fn what_cannot_be_sent_is_said_and_left_out() {
    let directory = directory_with(&[("d/x", ""), ("good", "1")]);
    let root = directory.path().display();
    let outcome = scp(&format!("scp -f {root}/missing {root}/d /dev/null {root}/good"), YES);
    let said = format!(
        "\x01scp: stat {root}/missing: no such file or directory\n\x01scp: d: not a regular file\n\
         \x01scp: null: not a regular file\nC0640 1 good\n1\0"
    );
    assert_eq!((outcome.status, outcome.output), (1, said));
}

#[test]
fn a_directorys_broken_entry_makes_the_status_1() {
    // The predecessor said so, and ended with 0.
    let directory = directory_with(&[("d/good", "1")]);
    symlink("nowhere", directory.path().join("d/broken")).unwrap();
    symlink("good", directory.path().join("d/link")).unwrap();
    let outcome = send("-rf", &directory, "d", YES);
    assert_eq!(outcome.status, 1);
    let parts: Vec<&str> = outcome.output.split('\n').collect();
    assert!(parts[1].ends_with("/d/broken: no such file or directory"), "{parts:?}");
    assert_eq!(parts[2..], ["C0640 1 good", "1\0C0640 1 link", "1\0E", ""]);
}

#[test]
fn a_pipe_is_refused_at_once() {
    // The predecessor opened it, and waited for ever.
    let directory = directory_with(&[]);
    nix::unistd::mkfifo(&directory.path().join("pipe"), Mode::S_IRWXU).unwrap();
    let outcome = send("-f", &directory, "pipe", YES);
    assert_eq!(
        (outcome.status, outcome.output.as_str()),
        (1, "\x01scp: pipe: not a regular file\n")
    );
}

#[test]
fn links_that_lead_back_up_are_not_followed_for_ever() {
    let directory = directory_with(&[("d/e/x", "1")]);
    for link in ["d/e/up", "d/e/down"] {
        symlink("..", directory.path().join(link)).unwrap();
    }
    let outcome = send("-rf", &directory, "d", YES);
    assert_eq!(outcome.status, 1);
    assert_eq!(outcome.output.matches("a link to a directory it is in").count(), 2);
    assert!(outcome.output.ends_with("C0640 1 x\n1\0E\nE\n"), "{}", outcome.output);
}

#[test]
fn what_the_client_refuses_is_left_out() {
    // The predecessor sent it all the same, which the client took for records.
    let directory = directory_with(&[("d/a", "1"), ("d/e/b", "2"), ("d/f", "3")]);
    // Ready, d, not a, not e, f and its end, d's end.
    let answers = b"\0\0\x01scp: a: no\n\x01scp: e: no\n\0\0\0";
    let outcome = send("-rf", &directory, "d", answers);
    assert_eq!(outcome.status, 1);
    let records: Vec<&str> =
        outcome.output.split('\n').filter(|line| !line.starts_with('D')).collect();
    assert_eq!(records, ["C0640 1 a", "C0640 1 f", "3\0E", ""]);
    assert_eq!(
        outcome.errors, "scp: a: noscp: e: no",
        "the contract's: as it came, without the newline"
    );
}

#[test]
fn times_that_the_client_refuses_leave_the_file_out() {
    let directory = directory_with(&[("a", "1")]);
    let outcome = send("-pf", &directory, "a", b"\0\x01no\n");
    assert_eq!((outcome.status, outcome.output.matches('\n').count()), (1, 1));
}

#[test]
fn a_client_that_gives_up_or_goes_ends_it() {
    let directory = directory_with(&[("a", "1"), ("b", "2")]);
    for (answers, said) in [
        (&b"\0\x02disk full\n"[..], "C0640 1 a\n\x01scp: disk full\n"),
        (b"\0\x07", "C0640 1 a\n\x01scp: invalid acknowledgement identifier: 7\n"),
        (b"\0", "C0640 1 a\n\x01scp: unexpected EOF\n"),
        (b"", "\x01scp: unexpected EOF\n"),
        (b"\0\x01no end", "C0640 1 a\n\x01scp: unexpected EOF\n"),
    ] {
        let outcome = send("-f", &directory, "[ab]", answers);
        assert_eq!((outcome.status, outcome.output.as_str()), (1, said), "{answers:?}");
    }
    let endless = [b"\0\x01".as_slice(), &vec![b'x'; 20_000]].concat();
    let outcome = send("-f", &directory, "a", &endless);
    assert!(outcome.output.ends_with("protocol error: line too long\n"), "{}", outcome.output);
}

#[test]
fn newlines_in_names_are_written_as_openssh_does() {
    let directory = directory_with(&[("d/a\nC0777 0 x", "1")]);
    let outcome = send("-rf", &directory, "d", YES);
    assert!(outcome.output.contains("\nC0640 1 a\\^JC0777 0 x\n1\0"), "{}", outcome.output);
    let outcome = send("-f", &directory, "'x\nC0777 0 x'", YES);
    assert_eq!(outcome.output.matches('\n').count(), 1, "{}", outcome.output);
}

#[test]
fn names_that_are_no_utf8_are_sent_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    fs::write(directory.path().join(name), "1").unwrap();
    let command = [b"scp -f ", directory.path().as_os_str().as_bytes(), b"/*"].concat();
    let mut output = Vec::new();
    assert_eq!(super::run(&command, &mut &YES[..], &mut output, &mut Vec::new()), 0);
    assert!(output.ends_with(b" 1 \xff\xfe\n1\0"));
}

#[test]
fn a_client_that_will_not_answer_any_more_gets_no_more_of_the_file() {
    // Killed, a client leaves behind an ssh that took all of it to nowhere.
    let directory = directory_with(&[("large", &"x".repeat(1_000_000))]);
    let outcome = send("-f", &directory, "large", &[0, 0]);
    assert_eq!(outcome.status, 1);
    assert!(outcome.output.len() < 200_000, "{} bytes", outcome.output.len());
    assert!(outcome.output.ends_with("\x01scp: unexpected EOF\n"));
}

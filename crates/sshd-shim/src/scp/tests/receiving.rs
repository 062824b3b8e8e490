//! `scp -t`, from a client that says what is written.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use nix::sys::stat::Mode;
use tempfile::TempDir;

use super::{Outcome, scp};

/// Serves `scp OPTIONS DIRECTORY/PATH`.
fn receive(options: &str, directory: &TempDir, path: &str, said: &str) -> Outcome {
    let path = directory.path().join(path);
    scp(&format!("scp {options} {}", path.display()), said.as_bytes())
}

fn content(directory: &TempDir, path: &str) -> Option<String> {
    fs::read_to_string(directory.path().join(path)).ok()
}

fn mode(directory: &TempDir, path: &str) -> u32 {
    fs::metadata(directory.path().join(path)).unwrap().mode() & 0o7777
}

#[test]
fn a_file_goes_into_the_target_or_is_the_target() {
    let directory = tempfile::tempdir().unwrap();
    for (target, place) in [("", "x"), ("new", "new"), ("new", "new")] {
        let outcome = receive("-t", &directory, target, "C0600 5 x\nhello\0");
        assert_eq!(
            (outcome.status, outcome.output.as_str(), outcome.errors.as_str()),
            (0, "\0\0\0", "")
        );
        assert_eq!(content(&directory, place).as_deref(), Some("hello"));
        assert_eq!(mode(&directory, place), 0o600);
    }
    let outcome = receive("-t", &directory, "new", "C0644 2 x\nhi\0");
    assert_eq!(
        (outcome.status, content(&directory, "new").as_deref()),
        (0, Some("hi")),
        "what was longer is cut"
    );
    assert_eq!(mode(&directory, "new"), 0o600, "a file keeps its mode");
}

#[test]
fn times_and_modes_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let outcome =
        receive("-pt", &directory, "", "T1600000000 0 1500000000 0\nC4775 1 x\n1\0C0600 0 y\n\0");
    assert_eq!((outcome.status, outcome.output.as_str()), (0, "\0\0\0\0\0\0"));
    let metadata = fs::metadata(directory.path().join("x")).unwrap();
    assert_eq!((metadata.mtime(), metadata.atime()), (1_600_000_000, 1_500_000_000));
    // The predecessor lost the special bits.
    assert_eq!(mode(&directory, "x"), 0o4775);
    let other = fs::metadata(directory.path().join("y")).unwrap();
    assert_ne!(other.mtime(), 1_600_000_000, "times are of one entry");
}

#[test]
fn without_p_times_are_set_and_special_bits_are_not() {
    let directory = tempfile::tempdir().unwrap();
    receive("-t", &directory, "", "T1600000000 0 1500000000 0\nC6755 0 x\n\0");
    assert_eq!(fs::metadata(directory.path().join("x")).unwrap().mtime(), 1_600_000_000);
    assert_eq!(mode(&directory, "x") & 0o7000, 0);
}

#[test]
fn a_tree_is_received() {
    let directory = tempfile::tempdir().unwrap();
    let said = "D0750 0 d\nC0600 1 a\n1\0D0700 0 e\nC0600 1 b\n2\0E\nC0600 1 c\n3\0E\n";
    let outcome = receive("-rt", &directory, "", said);
    assert_eq!((outcome.status, outcome.output.as_str()), (0, "\0".repeat(11).as_str()));
    for (path, text) in [("d/a", "1"), ("d/e/b", "2"), ("d/c", "3")] {
        assert_eq!(content(&directory, path).as_deref(), Some(text), "{path}");
    }
    // A target that is not there becomes the directory, one that is there gets it.
    for path in ["new/a", "new/d/a"] {
        receive("-rt", &directory, "new", said);
        assert_eq!(content(&directory, path).as_deref(), Some("1"), "{path}");
    }
    assert_eq!(
        content(&directory, "new/c").as_deref(),
        Some("3"),
        "after the inner directory's end"
    );
}

#[test]
fn a_directory_called_dot_is_the_target() {
    // `scp -O -r . host:dir`, which OpenSSH refuses.
    let directory = tempfile::tempdir().unwrap();
    let outcome = receive("-rt", &directory, "", "D0755 0 .\nC0600 1 a\n1\0E\nC0600 1 b\n2\0");
    assert_eq!((outcome.status, content(&directory, "a").as_deref()), (0, Some("1")));
    assert_eq!(content(&directory, "b").as_deref(), Some("2"));
}

#[test]
fn a_directory_that_may_not_be_written_is_filled_first() {
    let directory = tempfile::tempdir().unwrap();
    receive("-rpt", &directory, "", "T1600000000 0 1500000000 0\nD2555 0 d\nC0400 1 a\n1\0E\n");
    assert_eq!((mode(&directory, "d"), mode(&directory, "d/a")), (0o2555, 0o400));
    assert_eq!(fs::metadata(directory.path().join("d")).unwrap().mtime(), 1_600_000_000);
    receive("-rt", &directory, "", "D0500 0 e\nC0400 1 a\n1\0E\n");
    assert_eq!((mode(&directory, "e"), content(&directory, "e/a").as_deref()), (0o500, Some("1")));
    receive("-rpt", &directory, "", "D0700 0 e\nE\n");
    assert_eq!(mode(&directory, "e"), 0o500, "one that is there keeps its mode");
}

#[test]
fn what_cannot_be_received_is_said_and_the_rest_is_taken() {
    // The predecessor stopped at the first error.
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("x")).unwrap();
    fs::write(directory.path().join("y"), "").unwrap();
    let root = directory.path().display();
    // The client leaves out what is refused.
    let outcome = receive("-rt", &directory, "", "C0600 5 x\nD0755 0 y\nC0600 1 good\n1\0");
    let said = format!(
        "\0\x01scp: open {root}/x: is a directory\n\
         \x01scp: target exists and is not a directory: \"y\"\n\0\0"
    );
    assert_eq!((outcome.status, outcome.output), (1, said));
    assert_eq!(content(&directory, "good").as_deref(), Some("1"));
}

#[test]
fn a_warning_of_the_client_is_no_end() {
    // `scp -O missing good host:dir` copied nothing.
    let directory = tempfile::tempdir().unwrap();
    let outcome = receive(
        "-t",
        &directory,
        "",
        "\x01scp: missing: No such file or directory\nC0600 1 good\n1\0",
    );
    assert_eq!((outcome.status, outcome.output.as_str()), (1, "\0\0\0"));
    assert_eq!(content(&directory, "good").as_deref(), Some("1"));
    // The client could not read all of it, and padded.
    let outcome = receive(
        "-t",
        &directory,
        "",
        "C0600 1 short\n\0\x01scp: short: I/O error\nC0600 1 good\n2\0",
    );
    assert_eq!((outcome.status, outcome.output.as_str()), (1, "\0\0\0\0\0"));
    assert_eq!(content(&directory, "good").as_deref(), Some("2"));
}

#[test]
fn a_full_disk_is_said_and_the_stream_stays_in_step() {
    let said = format!("C0600 100000 x\n{}\0C0600 0 y\n\0", "x".repeat(100_000));
    let outcome = scp("scp -t /dev/full", said.as_bytes());
    let text = "\0\0\x01scp: write /dev/full: no space left on device\n\0\0";
    assert_eq!((outcome.status, outcome.output.as_str()), (1, text));
}

#[test]
fn names_that_lead_elsewhere_end_it() {
    // The predecessor wrote wherever the client said.
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("d")).unwrap();
    for name in ["../x", "..", "/tmp/x", "", "d/x"] {
        let outcome = receive("-t", &directory, "d", &format!("C0600 1 {name}\n1\0"));
        assert_eq!(
            (outcome.status, outcome.output),
            (1, format!("\0\x01scp: error: unexpected filename: {name}\n"))
        );
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(directory.path().join("d")).unwrap().count(), 0);
}

#[test]
fn what_is_no_record_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    for (said, text) in [
        ("X\n", "unexpected message type: X"),
        ("\n", r"unexpected message type: \^J"),
        ("C0600 five x\n", "strconv.ParseInt: parsing \"five\": invalid syntax"),
        ("C0999 5 x\n", "strconv.ParseUint: parsing \"0999\": invalid syntax"),
        ("\x02No space\n", "No space"),
        ("C0600 5 x", "unexpected EOF"),
        ("C0600 5 x\nhel", "unexpected EOF"),
        ("C0600 5 x\nhello", "unexpected EOF"),
        ("C0600 1 x\n1\x02sorry\n", "sorry"),
        ("D0700 0 d\n", "unexpected EOF"),
    ] {
        let outcome = receive("-t", &directory, "", said);
        assert_eq!(outcome.status, 1, "{said:?}");
        assert!(
            outcome.output.ends_with(&format!("\0\x01scp: {text}\n")),
            "{said:?}: {}",
            outcome.output
        );
    }
}

#[test]
fn d_wants_a_directory_and_says_so() {
    // The predecessor said nothing, and users saw "lost connection".
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().display();
    fs::write(directory.path().join("file"), "").unwrap();
    let outcome = receive("-dt", &directory, "nope", "C0600 0 x\n\0");
    assert_eq!(
        (outcome.status, outcome.output),
        (1, format!("\x01scp: stat {root}/nope: no such file or directory\n"))
    );
    let outcome = receive("-dt", &directory, "file", "");
    assert_eq!(
        (outcome.status, outcome.output),
        (1, format!("\x01scp: open {root}/file: not a directory\n"))
    );
    assert_eq!(receive("-dt", &directory, "", "C0600 0 x\n\0").status, 0);
}

#[test]
fn a_pipe_is_refused_whether_somebody_reads_it_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
    let outcome = receive("-t", &directory, "pipe", "C0600 0 x\n");
    assert!(outcome.output.contains("/pipe: no such device or address\n"), "{}", outcome.output);
    let _reader = fs::File::options().read(true).write(true).open(&path).unwrap();
    let outcome = receive("-t", &directory, "pipe", "C0600 0 x\n");
    assert!(outcome.output.ends_with("/pipe: not a regular file\n"), "{}", outcome.output);
    assert_eq!(scp("scp -t /dev/null", b"C0600 3 x\nabc\0").status, 0);
}

#[test]
fn links_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("real")).unwrap();
    symlink("real", directory.path().join("link")).unwrap();
    receive("-t", &directory, "link", "C0600 1 x\n1\0");
    assert_eq!(content(&directory, "real/x").as_deref(), Some("1"));
}

#[test]
fn directories_nest_until_the_path_is_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let said = format!("D0700 0 {}\n", "d".repeat(250)).repeat(30) + &"E\n".repeat(30);
    let outcome = receive("-rt", &directory, "", &said);
    assert_eq!(outcome.status, 1);
    let refused = outcome.output.matches("file name too long").count();
    // Above 4,095 bytes of path; how many are the temporary directory's decides whether 16 or 15 fit.
    assert!([14, 15].contains(&refused), "{refused}");
    assert_eq!(outcome.output.matches('\0').count(), 61 - refused, "one answer for each");
}

#[test]
fn directories_named_dot_in_each_other_end_somewhere() {
    // Each was remembered until its end, and a client can send any number: memory without a bound.
    let target = tempfile::tempdir().unwrap();
    let input = "D0755 0 .\n".repeat(10_000);
    let outcome = scp(&format!("scp -r -t {}", target.path().display()), input.as_bytes());
    assert_eq!(outcome.status, 1);
    assert_eq!(outcome.output.matches("too many directories in each other").count(), 10_000 - 2048);
}

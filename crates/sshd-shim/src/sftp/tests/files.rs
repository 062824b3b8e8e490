//! OPEN, READ, WRITE, CLOSE; REMOVE, RENAME and links.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;
use crate::sftp::requests::open_flags::{APPEND, EXCLUSIVE, TRUNCATE};

#[test]
fn handles_are_numbers_from_1_and_closed_ones_are_bad() {
    let (_directory, file) = with_file("content");
    let bad = || status(4, "bad file descriptor");
    let found = answers([
        open(&file, READ),
        open(&file, READ),
        ask(CLOSE).string("1"),
        ask(CLOSE).string("1"),
        read("1", 0, 10),
        open(&file, READ),
        read("3", 0, 10),
        ask(FSTAT).string(""),
        ask(READDIR).string("no number"),
        write("18446744073709551616", 0, "x"),
    ]);
    let expected = [
        handle("1"),
        handle("2"),
        DONE,
        bad(),
        bad(),
        handle("3"),
        data("content"),
        bad(),
        bad(),
        bad(),
    ];
    assert_eq!(found, expected);
}

#[test]
fn handles_are_limited_and_can_be_had_again() {
    let (_directory, file) = with_file("");
    let mut asks: Vec<_> = (0..513).map(|_| open(&file, READ)).collect();
    asks.push(ask(CLOSE).string("5"));
    asks.push(open(&file, READ));
    let mut output = Vec::new();
    serve(&mut packets(asks).as_slice(), &mut output).unwrap();
    let answers = parse(&output, 1);
    assert_eq!(
        answers[511..],
        [handle("512"), status(4, "too many open files"), DONE, handle("513")]
    );
}

#[test]
fn reads_end_at_the_end() {
    let (_directory, file) = with_file("0123456789");
    let found = answers([
        open(&file, READ),
        read("1", 0, 4),
        read("1", 8, 4),
        read("1", 10, 4),
        read("1", 99, 4),
    ]);
    assert_eq!(found, [handle("1"), data("0123"), data("89"), end(), end()]);
    assert_eq!(last([open(&file, READ), read("1", 0, 0)]), data(""));
    let far =
        [u64::MAX, u64::MAX / 2 + 1].map(|offset| last([open(&file, READ), read("1", offset, 1)]));
    for answer in far {
        assert_refused(&answer, 4, ": invalid argument");
    }
}

#[test]
fn a_read_gives_up_to_255_kib() {
    let content: Vec<u8> = (0..300_000_u32).map(|index| index.to_be_bytes()[3]).collect();
    let (_directory, file) = with_file(&content);
    let found = last([open(&file, READ), read("1", 1, u32::MAX)]);
    assert_eq!(found, data(&content[1..=255 * 1024]));
}

#[test]
fn a_write_may_fill_a_packet() {
    let (_directory, file) = with_file("");
    let header = 1 + 4 + 4 + 1 + 8 + 4;
    let most = vec![5; 256 * 1024 - header];
    assert_eq!(
        answers([open(&file, WRITE), write("1", 0, &most), write("1", 1, "")]),
        [handle("1"), DONE, DONE]
    );
    assert_eq!(fs::read(&file).unwrap(), most);
}

#[test]
fn offsets_beyond_4_gib_are_what_they_say() {
    let (_directory, file) = with_file("");
    let offset = 5 << 30;
    let found = answers([
        open(&file, READ | WRITE),
        write("1", offset, "far"),
        write("1", 2, "near"),
        read("1", offset - 1, 10),
        read("1", 2, 4),
        ask(FSTAT).string("1"),
    ]);
    assert_eq!(found[..5], [handle("1"), DONE, DONE, data("\0far"), data("near")]);
    assert!(
        matches!(found[5], Answer::Attributes(Attributes { size: Some(size), .. }) if size == offset + 3)
    );
    let mut there = [0; 3];
    fs::File::open(&file).unwrap().read_exact_at(&mut there, offset).unwrap();
    assert_eq!(&there, b"far");
}

#[test]
fn open_does_what_its_flags_say() {
    let (directory, file) = with_file("0123456789");
    let new = directory.path().join("new");
    let text = |path: &Path, words: &str| format!("open {}: {words}", path.display());
    for (path, flags, expected) in [
        (&file, 0, status(4, text(&file, "invalid argument"))),
        (&file, APPEND | CREATE, status(4, text(&file, "invalid argument"))),
        (&new, READ, status(2, text(&new, "no such file or directory"))),
        (&new, WRITE, status(2, text(&new, "no such file or directory"))),
        (&file, WRITE | CREATE | EXCLUSIVE, status(4, text(&file, "file exists"))),
        (&file, WRITE | EXCLUSIVE, handle("1")),
        (&file, READ | TRUNCATE, handle("1")),
        (&new, WRITE | CREATE | EXCLUSIVE, handle("1")),
    ] {
        assert_eq!(answers([open(path, flags)]), [expected], "{} {flags}", path.display());
    }
    // Without WRITE nothing is truncated.
    assert_eq!(fs::read(&file).unwrap(), b"0123456789");
    assert_eq!(answers([open(&file, WRITE | CREATE | TRUNCATE)]), [handle("1")]);
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn append_writes_at_the_end_wherever_the_client_says() {
    // The predecessor ignored the flag (contract sshd, B20).
    let (_directory, file) = with_file("first");
    assert_eq!(
        answers([open(&file, WRITE | APPEND), write("1", 0, " second")]),
        [handle("1"), DONE]
    );
    assert_eq!(fs::read(&file).unwrap(), b"first second");
}

#[test]
fn new_files_have_the_mode_asked_for_else_0644() {
    let directory = tempfile::tempdir().unwrap();
    let (asked, usual) = (directory.path().join("asked"), directory.path().join("usual"));
    let permissions = Attributes { permissions: Some(0o100_700), ..NOTHING };
    let with_mode = ask_of(OPEN, &asked).number(WRITE | CREATE).attributes(&permissions);
    assert_eq!(answers([with_mode, create(&usual)]), [handle("1"), handle("2")]);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&asked), 0o700);
    assert_eq!(mode(&usual) | 0o044, 0o644, "the umask may take from it");
}

#[test]
fn files_are_read_and_written_only_as_they_were_opened() {
    let (_directory, file) = with_file("content");
    let found =
        answers([open(&file, READ), open(&file, WRITE), write("1", 0, "x"), read("2", 0, 1)]);
    assert_eq!(
        found[2..],
        [
            status(4, format!("write {}: bad file descriptor", file.display())),
            status(4, format!("read {}: bad file descriptor", file.display())),
        ]
    );
}

#[test]
fn pipes_and_devices_hold_nothing_up() {
    // Opening a pipe waits for its other end, where nobody forbids it.
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let found = answers([
        open(&pipe, READ),
        open(&pipe, READ | WRITE),
        read("1", 0, 10),
        write("2", 0, "x"),
        ask_of(SETSTAT, &pipe).attributes(&Attributes { size: Some(1), ..NOTHING }),
    ]);
    assert_eq!(found[..2], [handle("1"), handle("2")]);
    assert_refused(&found[2], 4, ": illegal seek");
    assert_refused(&found[3], 4, ": illegal seek");
    assert_refused(&found[4], 4, ": invalid argument");
    // With nobody at the other end.
    assert_refused(&last([open(&pipe, WRITE)]), 4, ": no such device or address");
    assert_eq!(last([open("/dev/zero", READ), read("1", 0, 3)]), data([0; 3]));
}

#[test]
fn a_directory_can_be_opened_to_read_and_not_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let found =
        answers([open(directory.path(), READ), read("1", 0, 10), open(directory.path(), WRITE)]);
    assert_eq!(found[0], handle("1"));
    assert_refused(&found[1], 4, ": is a directory");
    assert_refused(&found[2], 4, ": is a directory");
}

#[test]
fn what_the_system_forbids_is_permission_denied() {
    assert_refused(&last([ask_of(REMOVE, "/proc/version")]), 3, "");
}

#[test]
fn names_need_not_be_utf_8_and_may_not_have_nul() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(OsStr::from_bytes(b"n\xff\xfe\n"));
    assert_eq!(answers([create(&file), write("1", 0, "x")]), [handle("1"), DONE]);
    assert_eq!(fs::read(&file).unwrap(), b"x");
    let Answer::Names(names) = last([ask_of(OPENDIR, directory.path()), ask(READDIR).string("1")])
    else {
        panic!()
    };
    assert_eq!(names[0].file, b"n\xff\xfe\n");
    assert_eq!(last([ask(REALPATH).string(b"/a/\xff")]), path(OsStr::from_bytes(b"/a/\xff")));
    assert_refused(&last([ask(STAT).string(b"/etc/passwd\0x")]), 4, ": invalid argument");
    assert_refused(
        &last([ask(STAT).string(b"/nope/\xff")]),
        2,
        "/\u{fffd}: no such file or directory",
    );
}

#[test]
fn paths_beyond_all_measure_are_refused_with_a_text_that_is_none() {
    let long = "x".repeat(200_000);
    for kind in [STAT, REALPATH, REMOVE, OPENDIR] {
        let answer = last([ask(kind).string(&long)]);
        assert_refused(&answer, 4, ": file name too long");
        assert!(matches!(answer, Answer::Status(_, text) if text.len() < 5000));
    }
    let nobody = last([extended("home-directory").string([0xff; 16_000].repeat(10))]);
    assert!(matches!(nobody, Answer::Status(2, text) if text.len() < 13_000));
}

#[test]
fn rename_does_not_replace_and_posix_rename_does() {
    // The predecessor's RENAME replaced (contract sshd, B20).
    let (directory, from) = with_file("from");
    let [to, new] = ["to", "new"].map(|name| directory.path().join(name));
    fs::write(&to, "to").unwrap();
    let refused = status(4, format!("rename {} {}: file exists", from.display(), to.display()));
    assert_eq!(answers([ask_of(RENAME, &from).path(&to)]), [refused]);
    assert_eq!(fs::read(&to).unwrap(), b"to");
    assert_eq!(answers([ask_of(RENAME, &from).path(&new)]), [DONE]);
    assert_eq!(answers([extended("posix-rename@openssh.com").path(&new).path(&to)]), [DONE]);
    assert_eq!(fs::read(&to).unwrap(), b"from");
    assert!(!new.exists());
    let words = format!("rename {} {}: no such file or directory", new.display(), to.display());
    assert_eq!(
        answers([extended("posix-rename@openssh.com").path(&new).path(&to)]),
        [status(2, words)]
    );
    let words = format!("rename {} {}: no such file or directory", from.display(), new.display());
    assert_eq!(answers([ask_of(RENAME, &from).path(&new)]), [status(2, words)]);
}

#[test]
fn symbolic_links_have_their_target_first() {
    let (directory, file) = with_file("content");
    let link = directory.path().join("link");
    let made = ask_of(SYMLINK, "file").path(&link);
    let found = answers([made, ask_of(READLINK, &link), ask_of(STAT, &link), ask_of(LSTAT, &link)]);
    assert_eq!(found[..2], [DONE, path("file")]);
    assert!(matches!(found[2], Answer::Attributes(Attributes { size: Some(7), .. })));
    assert!(matches!(
        found[3],
        Answer::Attributes(Attributes { permissions: Some(0o120_777), .. })
    ));
    assert_eq!(
        last([ask_of(READLINK, &file)]),
        status(4, format!("readlink {}: invalid argument", file.display()))
    );
    assert_refused(&last([ask_of(SYMLINK, "file").path(&link)]), 4, ": file exists");
}

#[test]
fn both_removals_remove_files_and_empty_directories() {
    for kind in [REMOVE, RMDIR] {
        let (directory, file) = with_file("");
        let full = directory.path();
        let empty = full.join("empty");
        fs::create_dir(&empty).unwrap();
        let missing = status(2, format!("remove {}: no such file or directory", file.display()));
        assert_refused(&last([ask_of(kind, full)]), 4, ": directory not empty");
        let found = answers([ask_of(kind, &file), ask_of(kind, &file), ask_of(kind, &empty)]);
        assert_eq!(found, [DONE, missing, DONE]);
        let beyond = file.join("beyond");
        fs::write(&file, "").unwrap();
        assert_eq!(
            last([ask_of(kind, &beyond)]),
            status(4, format!("remove {}: not a directory", beyond.display()))
        );
    }
}

#[test]
fn a_hard_link_is_another_name_and_of_a_link_the_link() {
    let (directory, file) = with_file("content");
    let [link, to_file, to_link] =
        ["link", "to-file", "to-link"].map(|name| directory.path().join(name));
    std::os::unix::fs::symlink("file", &link).unwrap();
    let hard = |from: &Path, to: &Path| extended("hardlink@openssh.com").path(from).path(to);
    assert_eq!(answers([hard(&file, &to_file), hard(&link, &to_link)]), [DONE, DONE]);
    assert_eq!(fs::metadata(&to_file).unwrap().ino(), fs::metadata(&file).unwrap().ino());
    assert!(fs::symlink_metadata(&to_link).unwrap().is_symlink());
    assert_refused(&last([hard(&file, &link)]), 4, ": file exists");
}

//! STAT and its siblings, SETSTAT and its siblings.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, UNIX_EPOCH};

use super::*;

const TIMES: Times = Times { accessed: 1_000_000_000, modified: 4_000_000_000 };

fn set(path: impl AsRef<Path>, attributes: Attributes) -> Ask {
    ask_of(SETSTAT, path).attributes(&attributes)
}

#[test]
fn a_file_has_both_its_times() {
    // The predecessor gave the time of modification for both (contract sshd, B20).
    let (_directory, file) = with_file("12345");
    let times = fs::FileTimes::new()
        .set_accessed(UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .set_modified(UNIX_EPOCH + Duration::from_secs(2_000_000_000));
    fs::File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
    let metadata = fs::metadata(&file).unwrap();
    let expected = Attributes {
        size: Some(5),
        owner: Some((metadata.uid(), metadata.gid())),
        permissions: Some(metadata.mode()),
        times: Some(Times { accessed: 1_000_000_000, modified: 2_000_000_000 }),
    };
    assert_eq!(attributes_by([ask_of(STAT, &file)]), expected);
    assert_eq!(attributes_by([ask_of(LSTAT, &file)]), expected);
    assert_eq!(attributes_by([open(&file, READ), ask(FSTAT).string("1")]), expected);
}

#[test]
fn directories_can_be_asked_by_their_handle() {
    let directory = tempfile::tempdir().unwrap();
    let found = attributes_by([ask_of(OPENDIR, directory.path()), ask(FSTAT).string("1")]);
    assert_eq!(found.permissions, Some(fs::metadata(directory.path()).unwrap().mode()));
}

#[test]
fn what_is_missing_is_said_with_the_call() {
    for (kind, call) in [(STAT, "stat"), (LSTAT, "lstat"), (READLINK, "readlink")] {
        let refused = status(2, format!("{call} /no/such: no such file or directory"));
        assert_eq!(last([ask_of(kind, "/no/such")]), refused);
    }
    for (attributes, call) in [
        (Attributes { size: Some(1), ..NOTHING }, "truncate"),
        (Attributes { permissions: Some(1), ..NOTHING }, "chmod"),
        (Attributes { owner: Some((1, 1)), ..NOTHING }, "chown"),
        (Attributes { times: Some(TIMES), ..NOTHING }, "chtimes"),
    ] {
        let refused = status(2, format!("{call} /no/such: no such file or directory"));
        assert_eq!(last([set("/no/such", attributes)]), refused);
    }
}

/// Everything that can be changed, to values that a file does not have by itself.
fn everything(metadata: &fs::Metadata) -> Attributes {
    Attributes {
        size: Some(3),
        owner: Some((metadata.uid(), metadata.gid())),
        permissions: Some(0o104_750),
        times: Some(TIMES),
    }
}

#[test]
fn everything_is_changed_by_path_and_by_handle() {
    for by_handle in [false, true] {
        let (_directory, file) = with_file("12345");
        let asked = everything(&fs::metadata(&file).unwrap());
        let change = if by_handle {
            ask(FSETSTAT).string("1").attributes(&asked)
        } else {
            set(&file, asked)
        };
        assert_eq!(answers([open(&file, WRITE), change]), [handle("1"), DONE]);
        // Set-user-id too, which the system clears where the owner is changed after the mode.
        assert_eq!(attributes_by([ask_of(STAT, &file)]), asked);
        assert_eq!(fs::read(&file).unwrap(), b"123");
    }
}

#[test]
fn nothing_asked_for_is_nothing_changed() {
    let (_directory, file) = with_file("12345");
    let before = attributes_by([ask_of(STAT, &file)]);
    assert_eq!(answers([set(&file, NOTHING)]), [DONE]);
    assert_eq!(attributes_by([ask_of(STAT, &file)]), before);
}

#[test]
fn an_owner_of_minus_1_stays() {
    let (_directory, file) = with_file("");
    let before = attributes_by([ask_of(STAT, &file)]).owner;
    assert_eq!(
        answers([set(&file, Attributes { owner: Some((u32::MAX, u32::MAX)), ..NOTHING })]),
        [DONE]
    );
    assert_eq!(attributes_by([ask_of(STAT, &file)]).owner, before);
}

#[test]
fn one_change_that_fails_keeps_none_of_the_others_back() {
    let directory = tempfile::tempdir().unwrap();
    let truncated = Attributes { size: Some(0), permissions: Some(0o700), ..NOTHING };
    assert_refused(&last([set(directory.path(), truncated)]), 4, ": is a directory");
    assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn a_file_can_be_made_larger_than_4_gib() {
    let (_directory, file) = with_file("");
    assert_eq!(answers([set(&file, Attributes { size: Some(6 << 30), ..NOTHING })]), [DONE]);
    assert_eq!(attributes_by([ask_of(STAT, &file)]).size, Some(6 << 30));
    assert_refused(
        &last([set(&file, Attributes { size: Some(u64::MAX), ..NOTHING })]),
        4,
        ": invalid argument",
    );
}

#[test]
fn setstat_follows_links_and_lsetstat_does_not() {
    let (directory, file) = with_file("");
    let link = directory.path().join("link");
    symlink("file", &link).unwrap();
    let later = Attributes { times: Some(Times { accessed: 1, modified: 2 }), ..NOTHING };
    let owner = attributes_by([ask_of(LSTAT, &link)]).owner;
    let first = Attributes { times: Some(TIMES), owner, ..NOTHING };
    let of_link = |attributes| extended("lsetstat@openssh.com").path(&link).attributes(attributes);
    assert_eq!(answers([set(&link, later), of_link(&first)]), [DONE, DONE]);
    assert_eq!(attributes_by([ask_of(LSTAT, &link)]).times, Some(TIMES));
    assert_eq!(attributes_by([ask_of(LSTAT, &file)]).times, later.times);
    let mode = Attributes { permissions: Some(0o600), ..NOTHING };
    assert_refused(&last([of_link(&mode)]), 4, ": operation not supported");
    assert_eq!(answers([extended("lsetstat@openssh.com").path(&file).attributes(&mode)]), [DONE]);
    assert_eq!(attributes_by([ask_of(STAT, &file)]).permissions, Some(0o100_600));
    assert_refused(
        &last([of_link(&Attributes { size: Some(1), ..NOTHING })]),
        4,
        ": invalid argument",
    );
}

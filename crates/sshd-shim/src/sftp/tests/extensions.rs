//! The extensions that ask or copy.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::statvfs::statvfs;

use super::*;
use crate::sftp::accounts::Accounts;
use crate::sftp::requests::open_flags::APPEND;

fn numbers(answer: &Answer) -> Vec<u64> {
    let Answer::Extended(fields) = answer else { panic!("{answer:?}") };
    fields.as_chunks().0.iter().map(|number| u64::from_be_bytes(*number)).collect()
}

#[test]
fn limits_are_told() {
    let limits = numbers(&last([extended("limits@openssh.com")]));
    assert_eq!(limits, [256 * 1024, 255 * 1024, 255 * 1024, 512]);
}

#[test]
fn file_systems_are_described_by_path_and_by_handle() {
    let (directory, file) = with_file("");
    let expected = statvfs(directory.path()).unwrap();
    let by_path = last([extended("statvfs@openssh.com").path(directory.path())]);
    let by_handle = last([open(&file, READ), extended("fstatvfs@openssh.com").string("1")]);
    for found in [numbers(&by_path), numbers(&by_handle)] {
        assert_eq!(found.len(), 11);
        // The numbers' types differ between machines.
        let numbers = [0, 1, 2, 5, 10].map(|index| found[index].to_string());
        let expected = [
            expected.block_size().to_string(),
            expected.fragment_size().to_string(),
            expected.blocks().to_string(),
            expected.files().to_string(),
            expected.name_max().to_string(),
        ];
        assert_eq!(numbers, expected);
        assert_eq!(found[9] & !3, 0, "only read-only and no-set-user-id are known flags");
    }
    let refused = status(2, "statvfs /no/such: no such file or directory");
    assert_eq!(last([extended("statvfs@openssh.com").path("/no/such")]), refused);
}

#[test]
fn files_can_be_synchronised() {
    let (_directory, file) = with_file("");
    let sync = || extended("fsync@openssh.com").string("1");
    assert_eq!(
        answers([open(&file, WRITE), write("1", 0, "x"), sync()]),
        [handle("1"), DONE, DONE]
    );
    assert_eq!(last([sync()]), status(4, "bad file descriptor"));
}

#[test]
fn tildes_become_homes() {
    let expand = |asked: &str| last([extended("expand-path@openssh.com").path(asked)]);
    let own = env::var_os("HOME").expect("tests are run with HOME");
    assert_eq!(expand("~"), path(&own));
    assert_eq!(expand("~/a/../b"), path(Path::new(&own).join("b")));
    assert_eq!(expand("/x/./~"), path("/x/~"));
    assert_eq!(expand("a"), path(env::current_dir().unwrap().join("a")));
    assert_eq!(expand("~no-such-user/x"), status(2, "unknown user no-such-user"));
    let root = Accounts::read().home(b"root").expect("root is in /etc/passwd").to_owned();
    assert_eq!(expand("~root/x"), path(root.join("x")));
    assert_eq!(last([extended("home-directory").string("root")]), path(root));
    assert_eq!(last([extended("home-directory").string("")]), path(own));
}

#[test]
fn ids_are_named() {
    let list = |ids: &[u32]| ids.iter().flat_map(|id| id.to_be_bytes()).collect::<Vec<u8>>();
    let names = |users: &[u32], groups: &[u32]| {
        last([extended("users-groups-by-id@openssh.com").string(list(users)).string(list(groups))])
    };
    let expected =
        ask(0).string(ask(0).string("root").string("").fields).string(ask(0).string("root").fields);
    assert_eq!(names(&[0, 4_123_456_789], &[0]), Answer::Extended(expected.fields));
    assert_eq!(names(&[], &[]), Answer::Extended(vec![0; 8]));
    assert_eq!(names(&[0; 2049], &[]), status(4, "invalid argument"));
}

/// Copies `length` bytes from 2 of a file opened as "1" to 1 of one opened as "2".
fn copy(length: u64) -> Ask {
    extended("copy-data").string("1").long(2).long(length).string("2").long(1)
}

#[test]
fn data_is_copied_between_files() {
    for (length, answer, content) in [
        (3, DONE, &b"\x00234"[..]),
        (0, DONE, b"\x0023456789"),
        (8, DONE, b"\x0023456789"),
        // What is there is copied, and that there was no more is said.
        (9, end(), b"\x0023456789"),
    ] {
        let (directory, file) = with_file("0123456789");
        let to = directory.path().join("to");
        assert_eq!(
            answers([open(&file, READ), create(&to), copy(length)]),
            [handle("1"), handle("2"), answer]
        );
        assert_eq!(fs::read(&to).unwrap(), content);
    }
}

#[test]
fn data_is_copied_where_the_system_cannot_do_it_by_itself() {
    let (_directory, file) = with_file("begun: ");
    // Of files in /proc the system's own call copies nothing, and to appended ones it does not copy.
    let found = last([open("/proc/self/status", READ), open(&file, WRITE | APPEND), copy(0)]);
    assert_eq!(found, DONE);
    let content = fs::read_to_string(&file).unwrap();
    assert!(content.starts_with("begun: me:\t"), "{content}");
    assert!(content.contains("\nPid:"), "{content}");
}

#[test]
fn data_is_copied_beyond_4_gib() {
    let (directory, file) = with_file("");
    let to = directory.path().join("to");
    let far = 5 << 30;
    let copy = extended("copy-data").string("1").long(far).long(4).string("2").long(far + 1);
    let found =
        answers([create(&file), create(&to), write("1", far, "far!"), copy, read("2", far + 1, 9)]);
    assert_eq!(found[3..], [DONE, data("far!")]);
    assert_eq!(fs::metadata(to).unwrap().size(), far + 5);
}

#[test]
fn a_file_is_not_copied_to_itself() {
    // Ranges that did not overlap were: what was copied made the file longer, or was appended to it, and
    // was read and copied again until the disk was full. Found by fuzzing.
    let (_directory, file) = with_file("0123456789");
    for (flags, length, to) in [
        (WRITE, 0, 5),
        (WRITE, 5, 4),
        (WRITE, 1 << 42, 1 << 45),
        (WRITE | APPEND, 1 << 42, 1 << 45),
    ] {
        let copy = extended("copy-data").string("1").long(2).long(length).string("2").long(to);
        let found = last([open(&file, READ), open(&file, flags), copy]);
        assert_eq!(found, status(4, "invalid argument"), "{flags} {length} to {to}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"0123456789");
}

#[test]
fn copies_name_both_files_when_they_fail() {
    let (_directory, file) = with_file("x");
    let found = last([open(&file, READ), open("/dev/full", WRITE), copy(0)]);
    // Beyond the end there is nothing to copy.
    assert_eq!(found, DONE);
    let copy = extended("copy-data").string("1").long(0).long(0).string("2").long(0);
    let found = last([open(&file, READ), open("/dev/full", WRITE), copy]);
    assert_eq!(
        found,
        status(4, format!("copy {} /dev/full: no space left on device", file.display()))
    );
}

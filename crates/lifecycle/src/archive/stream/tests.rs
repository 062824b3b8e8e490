//! Files that change under our hands, and files that need a word of warning.

use std::io::Write;
use std::num::NonZeroUsize;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;

use tempfile::TempDir;

use super::super::blocks::blocks;
use super::super::tree::Tree;
use super::*;

static NEVER: AtomicBool = AtomicBool::new(false);

/// Runs `test` on a stream whose blocks nobody compresses, and gives its warnings.
fn with_stream(output: Inode, test: impl FnOnce(&mut TarStream<'_>)) -> Vec<String> {
    let (blocks, _work, _compressed) = blocks(NonZeroUsize::MIN, &NEVER);
    let mut stream = TarStream::new(blocks, None, vec![output]);
    test(&mut stream);
    stream.finish().unwrap().warnings
}

/// A directory with one file, as a walk finds them.
fn one_file(contents: &[u8]) -> (TempDir, Found) {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("file"), contents).unwrap();
    let found = Tree::new(directory.path()).walk().unwrap().nth(1).unwrap().unwrap();
    (directory, found)
}

#[test]
fn a_file_that_shrinks_is_an_error_that_names_it() {
    let (_directory, found) = one_file(b"1234");
    with_stream((0, 0), |stream| {
        let file = File::open(&found.source).unwrap();
        let error = stream.copy(file, &found.source, 10).unwrap_err();
        let path = found.source.display();
        let sentence = format!("{path} shrank while it was being packed: 4 of 10 bytes were left");
        assert_eq!(error.to_string(), sentence);
    });
}

#[test]
fn of_a_file_that_grows_the_size_it_had_is_taken_with_a_warning() {
    let (_directory, found) = one_file(b"1234567890");
    let warnings = with_stream((0, 0), |stream| {
        let file = File::open(&found.source).unwrap();
        stream.copy(file, &found.source, 4).unwrap();
        assert_eq!(stream.blocks.total(), 512);
    });
    let path = found.source.display();
    let sentence = format!("{path} grew while it was being packed: its first 4 bytes were taken");
    assert_eq!(warnings, [sentence]);
}

#[test]
fn a_file_that_vanishes_is_an_error_that_names_it() {
    let (_directory, found) = one_file(b"1234");
    fs::remove_file(&found.source).unwrap();
    with_stream((0, 0), |stream| {
        let sentence = format!("{} vanished while it was being packed", found.source.display());
        assert_eq!(stream.append(&found).unwrap_err().to_string(), sentence);
    });
}

#[test]
fn a_file_replaced_by_a_fifo_is_not_waited_for() {
    let (_directory, found) = one_file(b"1234");
    fs::remove_file(&found.source).unwrap();
    nix::unistd::mkfifo(&found.source, nix::sys::stat::Mode::S_IRUSR).unwrap();
    with_stream((0, 0), |stream| {
        let sentence = format!("{} vanished while it was being packed", found.source.display());
        assert_eq!(stream.append(&found).unwrap_err().to_string(), sentence);
    });
}

#[test]
fn sockets_and_the_archive_itself_are_left_out_and_whiteouts_are_not() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let _listener = UnixListener::bind(at("socket")).unwrap();
    fs::write(at("x.wh.y"), "").unwrap();
    fs::write(at("droplet"), "").unwrap();
    let droplet = fs::metadata(at("droplet")).unwrap();
    let warnings = with_stream((droplet.dev(), droplet.ino()), |stream| {
        for found in Tree::new(directory.path()).walk().unwrap() {
            stream.append(&found.unwrap()).unwrap();
        }
        assert_eq!(stream.entries, 2, "the directory and the whiteout");
    });
    let of = |name: &str, what: &str| format!("{} {what}", at(name).display());
    let expected = [
        of("droplet", "is an archive being written: not packed"),
        of("socket", "is a socket: not packed"),
        of("x.wh.y", "has .wh. in its name: image layers take it for a deletion"),
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn files_over_8_gib_are_packed_whole() {
    const SIZE: u64 = (8 << 30) + 1;
    // On tmpfs, where reading a hole costs no memory.
    let directory = TempDir::new_in("/dev/shm").unwrap();
    File::create(directory.path().join("large")).unwrap().set_len(SIZE).unwrap();
    let (blocks, work, compressed) = blocks(NonZeroUsize::MIN, &NEVER);
    let mut stream = TarStream::new(blocks, None, Vec::new());
    let (start, tar_bytes) = thread::scope(|scope| {
        // Compressing nothing but zeros would take most of a minute.
        let worker = scope.spawn(|| {
            let mut start = Vec::new();
            for job in work {
                start.extend_from_slice(&job.block.tar[..2048 - start.len()]);
                let _reader_is_done = compressed.free.send(job.block);
            }
            start
        });
        for found in Tree::new(directory.path()).walk().unwrap() {
            stream.append(&found.unwrap()).unwrap();
        }
        let tar_bytes = stream.finish().unwrap().tar_bytes;
        (worker.join().unwrap(), tar_bytes)
    });
    // Two headers and the end, padded to a record.
    assert_eq!(tar_bytes, (SIZE + 511 + 4 * 512).next_multiple_of(10_240));
    let mut tar = Command::new("tar");
    let mut tar = tar
        .arg("-tvf-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    tar.stdin.take().unwrap().write_all(&start).unwrap();
    // tar misses the 8 GiB, but has read the header.
    let listing = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
    assert!(listing.contains(" 8589934593 ") && listing.ends_with(" ./large\n"), "{listing}");
}

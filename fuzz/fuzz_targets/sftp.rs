//! Any bytes as a client's side of an sftp session: the server ends, what it answers is well formed, and
//! it answers the same whether the bytes come at once or in pieces.
//!
//! Needs root: requests are carried out, by a thread whose root directory is a file system of its own,
//! 4 MiB of memory that nobody else sees.
#![no_main]

use std::fs;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::thread;

use libfuzzer_sys::fuzz_target;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{chdir, chroot};
use sshd_shim::blocking::Source;
use sshd_shim::sftp;

fuzz_target!(|data: &[u8]| {
    static CAGE: OnceLock<Mutex<(SyncSender<Vec<u8>>, Receiver<()>)>> = OnceLock::new();
    let cage = CAGE.get_or_init(|| Mutex::new(start_cage()));
    let (input, done) = &*cage.lock().expect("one run at a time");
    input.send(data.to_owned()).expect("the cage lasts");
    done.recv().expect("the cage lasts");
});

fn start_cage() -> (SyncSender<Vec<u8>>, Receiver<()>) {
    let (input, inputs) = sync_channel::<Vec<u8>>(0);
    let (end, done) = sync_channel(0);
    thread::spawn(move || {
        enter_cage();
        for input in inputs {
            run(&input);
            end.send(()).expect("somebody waits");
        }
    });
    (input, done)
}

/// From here on this thread, and it alone, sees nothing but an empty file system.
fn enter_cage() {
    const NONE: Option<&str> = None;
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).expect("it needs root");
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).expect("it needs root");
    mount(Some("cage"), "/mnt", Some("tmpfs"), MsFlags::empty(), Some("size=4m,nr_inodes=1k")).expect("it needs root");
    chroot("/mnt").expect("it needs root");
    chdir("/").expect("it is there");
    assert!(!Path::new("/proc").exists() && !Path::new("/etc").exists());
}

/// The first byte says how long the pieces are, and whether what follows has its packets framed by us:
/// each by its length in one byte.
fn run(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let input = if first & 1 == 0 { rest.to_owned() } else { framed(rest) };
    let at_once = answers(&input, usize::MAX);
    let in_pieces = answers(&input, usize::from(first >> 1) + 1);
    // Times may differ.
    assert_eq!(at_once.len(), in_pieces.len());
    check(&at_once);
}

fn framed(mut data: &[u8]) -> Vec<u8> {
    let mut packets = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        let (packet, rest) = rest.split_at(usize::from(length).min(rest.len()));
        packets.extend(u32::try_from(packet.len()).expect("it is short").to_be_bytes());
        packets.extend(packet);
        data = rest;
    }
    packets
}

/// What the server answers in an empty directory.
fn answers(input: &[u8], piece: usize) -> Vec<u8> {
    for entry in fs::read_dir("/").expect("it is there") {
        let path = entry.expect("it is there").path();
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).expect("nobody else is here");
        } else {
            fs::remove_file(path).expect("nobody else is here");
        }
    }
    let mut output = Vec::new();
    let _malformed = sftp::serve(&mut Pieces { rest: input, piece, left: 0 }, &mut output);
    output
}

/// Every answer has the length it says, which a packet may have, and a type that a server sends.
fn check(mut output: &[u8]) {
    while let Some((length, rest)) = output.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        assert!((5..=256 * 1024).contains(&length), "an answer of {length} bytes");
        let (answer, rest) = rest.split_at(length);
        assert!(matches!(answer[0], 2 | 101..=105 | 201), "an answer of type {}", answer[0]);
        output = rest;
    }
    assert!(output.is_empty());
}

/// A client that sends `piece` bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
    /// Of the piece that was sent last.
    left: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let size = self.fill_buf()?.read(into)?;
        self.consume(size);
        Ok(size)
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            self.left = self.piece.min(self.rest.len());
        }
        Ok(&self.rest[..self.left])
    }

    fn consume(&mut self, amount: usize) {
        self.rest = &self.rest[amount..];
        self.left -= amount;
    }
}

impl Source for Pieces<'_> {
    fn ready(&mut self) -> bool {
        self.left > 0
    }
}

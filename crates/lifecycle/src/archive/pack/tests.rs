//! Archives read back by the tars our consumers have. Needs GNU tar, busybox, bsdtar and Python, and root for owners and devices.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use tempfile::TempDir;

use super::*;

static NEVER: AtomicBool = AtomicBool::new(false);

fn options(threads: usize) -> PackOptions<'static> {
    let threads = NonZeroUsize::new(threads).unwrap();
    PackOptions { threads, source_date_epoch: None, stop: &NEVER }
}

fn pack_to(path: &Path, tree: &Tree, options: &PackOptions<'_>) -> Result<Packed, PackError> {
    pack(tree, &File::create(path).unwrap(), path, options)
}

/// Runs `program` and gives its stdout; what it prints on stderr must be nothing.
fn run(program: &str, arguments: &[&OsStr]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{program}: {errors}");
    output.stdout
}

fn gunzip(path: &Path) -> Vec<u8> {
    run("gzip", &["-dc".as_ref(), path.as_ref()])
}

/// What `tar` makes of the directory: GNU format, sorted, without names of owners.
fn by_gnu_tar(directory: &Path) -> Vec<u8> {
    let flags = ["--format=gnu", "--sort=name", "--numeric-owner", "-c", "-C"];
    let mut arguments: Vec<&OsStr> = flags.iter().map(OsStr::new).collect();
    arguments.extend([directory.as_os_str(), OsStr::new(".")]);
    run("tar", &arguments)
}

fn touch(path: impl AsRef<Path>, contents: &[u8]) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

fn set_mtime(path: &Path, seconds_since_1970: i64) {
    let second = Duration::from_secs(seconds_since_1970.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let time = if seconds_since_1970 < 0 { epoch - second } else { epoch + second };
    File::open(path).unwrap().set_modified(time).unwrap();
}

/// Bytes that nothing compresses, the same on each run.
fn random_bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// One of everything a file system can hold, but sockets.
fn everything() -> TempDir {
    let tree = TempDir::new().unwrap();
    let at = |name: &str| tree.path().join(name);
    touch(at("empty"), b"");
    touch(at("text"), &b"the quick brown fox\n".repeat(100_000));
    touch(at("noise"), &random_bytes(2_500_000));
    // A length that needs no padding, and one byte more and less.
    for length in [511, 512, 513] {
        touch(at(&format!("sizes/{length}")), &vec![b'x'; length]);
    }
    // `./` and the name fill the header's 100 bytes, or are one short or over.
    for length in [97, 98, 99, 300] {
        let name = at(&format!("names/{}", "n".repeat(length - 6)));
        if length < 260 {
            touch(name, b"named");
        }
        symlink("t".repeat(length + 2), at(&format!("names/link{length}"))).unwrap();
    }
    touch(at("deep").join("d".repeat(200)).join("e".repeat(200)).join("file"), b"deep");
    touch(tree.path().join(OsStr::from_bytes(b"not-\xff\xfe-utf8\n")), b"bytes");
    fs::create_dir_all(at("empty-directory/below")).unwrap();
    // The link sorts before and after what was made first.
    fs::hard_link(at("text"), at("names/also-text")).unwrap();
    fs::hard_link(at("text"), at("zzz-also-text")).unwrap();
    let long = at("names").join("n".repeat(93));
    fs::hard_link(long, at("zzz-link-to-long-name")).unwrap();
    for (target, name) in [("nowhere", "dangling"), ("/etc/passwd", "absolute"), ("../../..", "up")]
    {
        symlink(target, at(name)).unwrap();
    }
    fs::hard_link(at("dangling"), at("dangling-too")).unwrap();
    mkfifo(&at("fifo"), Mode::S_IRUSR).unwrap();
    mknod(&at("null"), SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3)).unwrap();
    mknod(&at("loop"), SFlag::S_IFBLK, Mode::S_IRUSR, makedev(7, 300)).unwrap();
    fs::create_dir(at("sticky")).unwrap();
    for (mode, name) in [(0o4755, "setuid"), (0o2711, "setgid"), (0, "closed"), (0o1777, "sticky")]
    {
        if name != "sticky" {
            touch(at(name), b"");
        }
        fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    }
    // The last id that fits octal digits, and the first that does not.
    touch(at("owned"), b"");
    chown(at("owned"), Some(2_097_151), Some(2_097_152)).unwrap();
    lchown(at("absolute"), Some(2000), Some(4_000_000_000)).unwrap();
    for (seconds, name) in [(-86_401, "before-1970"), (0, "in-1970"), (8_589_934_592, "after-2242")]
    {
        touch(at(name), b"");
        set_mtime(&at(name), seconds);
    }
    tree
}

#[test]
fn the_tar_is_bit_for_bit_what_gnu_tar_makes() {
    let tree = everything();
    let out = TempDir::new().unwrap();
    let archive = out.path().join("droplet");
    let packed = pack_to(&archive, &Tree::new(tree.path()), &options(2)).unwrap();
    let (ours, theirs) = (gunzip(&archive), by_gnu_tar(tree.path()));
    assert_eq!(ours.len() as u64, packed.tar_bytes);
    let different = ours.iter().zip(&theirs).position(|(one, other)| one != other);
    assert_eq!((different, ours.len()), (None, theirs.len()));
}

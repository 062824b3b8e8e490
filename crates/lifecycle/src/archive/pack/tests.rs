//! Archives read back by the tars our consumers have. Needs GNU tar, busybox, bsdtar and Python, and root for owners and devices.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::ErrorKind::StorageFull;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Uid, mkfifo, setfsuid};
use tempfile::TempDir;
use walkdir::WalkDir;

use super::*;

static NEVER: AtomicBool = AtomicBool::new(false);

fn options(threads: usize) -> PackOptions<'static> {
    let threads = NonZeroUsize::new(threads).unwrap();
    PackOptions { threads, source_date_epoch: None, outputs: &[], stop: &NEVER }
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

/// How much of an archive a reader brings back.
#[derive(Clone, Copy, PartialEq)]
enum Reader {
    Exact,
    /// busybox and Python: times of directories, owners and times and hard links of symlinks are lost.
    Lossy,
}

/// All that `reader` restores of the files below `directory`; hard links as groups of names.
fn restored(directory: &Path, reader: Reader) -> Vec<String> {
    let mut groups: HashMap<(u64, u64), Vec<String>> = HashMap::new();
    let mut lines = Vec::new();
    for entry in WalkDir::new(directory).sort_by_file_name().min_depth(1) {
        let entry = entry.unwrap();
        let name = format!("{:?}", entry.path().strip_prefix(directory).unwrap());
        let file = entry.metadata().unwrap();
        let target = fs::read_link(entry.path()).ok();
        let exact = reader == Reader::Exact || target.is_none();
        let owner = exact.then(|| (file.uid(), file.gid()));
        let time = (exact && !(reader == Reader::Lossy && file.is_dir())).then(|| file.mtime());
        let size = if file.is_dir() { 0 } else { file.size() };
        let (mode, rdev) = (file.mode(), file.rdev());
        lines.push(format!("{name} {mode:o} {owner:?} {time:?} {size} {rdev} {target:?}"));
        if exact && !file.is_dir() {
            groups.entry((file.dev(), file.ino())).or_default().push(name);
        }
    }
    let mut groups: Vec<_> = groups.into_values().filter(|names| names.len() > 1).collect();
    groups.sort();
    lines.extend(groups.iter().map(|names| names.join(" = ")));
    lines
}

/// Packs everything, unpacks it by `command` in an empty directory, and compares.
fn survives(command: &[&str], reader: Reader) {
    let tree = everything();
    let out = TempDir::new().unwrap();
    let (archive, unpacked) = (out.path().join("droplet"), out.path().join("unpacked"));
    pack_to(&archive, &Tree::new(tree.path()), &options(2)).unwrap();
    fs::create_dir(&unpacked).unwrap();
    let mut tar = Command::new(command[0]);
    let tar = tar.args(&command[1..]).arg(&archive).current_dir(&unpacked).output().unwrap();
    assert!(tar.status.success(), "{}", String::from_utf8_lossy(&tar.stderr));
    // diff does not compare fifos and devices; `restored` does.
    let special = ["-r", "--no-dereference", "--exclude=fifo", "--exclude=null", "--exclude=loop"];
    let mut arguments: Vec<&OsStr> = special.iter().map(OsStr::new).collect();
    arguments.extend([tree.path().as_os_str(), unpacked.as_os_str()]);
    assert_eq!(String::from_utf8_lossy(&run("diff", &arguments)), "");
    let (before, after) = (restored(tree.path(), reader), restored(&unpacked, reader));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
}

#[test]
fn gnu_tar_reads_all_back_as_root() {
    survives(&["tar", "-xpzf"], Reader::Exact);
}

#[test]
fn bsdtar_reads_all_back_as_root() {
    survives(&["bsdtar", "-xpzf"], Reader::Exact);
}

#[test]
fn busybox_tar_reads_all_back_as_root() {
    survives(&["busybox", "tar", "-xpzf"], Reader::Lossy);
}

#[test]
fn python_reads_all_back_as_root() {
    let script = "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(numeric_owner=True)";
    survives(&["python3", "-c", script], Reader::Lossy);
}

#[test]
fn the_tar_is_bit_for_bit_what_gnu_tar_makes_as_root() {
    let tree = everything();
    let out = TempDir::new().unwrap();
    let archive = out.path().join("droplet");
    let packed = pack_to(&archive, &Tree::new(tree.path()), &options(2)).unwrap();
    let (ours, theirs) = (gunzip(&archive), by_gnu_tar(tree.path()));
    assert_eq!(ours.len() as u64, packed.tar_bytes);
    let different = ours.iter().zip(&theirs).position(|(one, other)| one != other);
    assert_eq!((different, ours.len()), (None, theirs.len()));
}

#[test]
fn the_number_of_threads_does_not_show_in_the_bytes() {
    let tree = everything();
    let out = TempDir::new().unwrap();
    let archive = out.path().join("droplet");
    let [one, others @ ..] = [1, 2, 3, 8].map(|threads| {
        pack_to(&archive, &Tree::new(tree.path()), &options(threads)).unwrap();
        fs::read(&archive).unwrap()
    });
    assert!(one.len() > 2 * 1024 * 1024, "several blocks: {}", one.len());
    assert!(others.iter().all(|other| *other == one));
}

#[test]
fn checksums_and_sizes_are_those_of_the_file() {
    let tree = TempDir::new().unwrap();
    touch(tree.path().join("noise"), &random_bytes(3_000_000));
    let out = TempDir::new().unwrap();
    let archive = out.path().join("droplet");
    let packed = pack_to(&archive, &Tree::new(tree.path()), &options(2)).unwrap();
    let sum = |program| {
        let line = run(program, &[archive.as_ref()]);
        String::from_utf8(line).unwrap().split(' ').next().unwrap().to_owned()
    };
    let expected = Packed {
        bytes: fs::metadata(&archive).unwrap().len(),
        // Two headers, the padded file, the end; all padded to a record.
        tar_bytes: 3_010_560,
        entries: 2,
        sha256: sum("sha256sum"),
        sha1: sum("sha1sum"),
        warnings: Vec::new(),
    };
    assert_eq!(packed, expected);
    let start = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    assert_eq!(fs::read(&archive).unwrap()[..10], start);
}

#[test]
fn source_date_epoch_clamps_times() {
    let tree = TempDir::new().unwrap();
    for (seconds, name) in [(1_000, "older"), (3_000, "newer")] {
        touch(tree.path().join(name), b"");
        set_mtime(&tree.path().join(name), seconds);
    }
    let out = TempDir::new().unwrap();
    let archive = out.path().join("droplet");
    let options = PackOptions { source_date_epoch: Some(2_000), ..options(1) };
    pack_to(&archive, &Tree::new(tree.path()), &options).unwrap();
    let list = "import sys, tarfile; print([(f.name, f.mtime) for f in tarfile.open(sys.argv[1])])";
    let listed = run("python3", &["-c".as_ref(), list.as_ref(), archive.as_ref()]);
    let expected = "[('.', 2000), ('./newer', 2000), ('./older', 1000)]\n";
    assert_eq!(String::from_utf8(listed).unwrap(), expected);
}

#[test]
fn a_hard_link_into_the_grafted_directory_stays_one() {
    let (root, app) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    touch(app.path().join("file"), b"contents");
    fs::hard_link(app.path().join("file"), root.path().join("aaa")).unwrap();
    let out = TempDir::new().unwrap();
    let archive = out.path().join("droplet");
    let tree = Tree::new(root.path()).graft("app", app.path());
    pack_to(&archive, &tree, &options(1)).unwrap();
    let listing = run("tar", &["-tvzf".as_ref(), archive.as_ref()]);
    let listing = String::from_utf8(listing).unwrap();
    assert!(listing.ends_with(" ./app/file link to ./aaa\n"), "{listing}");
}

#[test]
fn an_unreadable_file_is_named() {
    let tree = TempDir::new().unwrap();
    fs::set_permissions(tree.path(), Permissions::from_mode(0o755)).unwrap();
    let secret = tree.path().join("secret");
    touch(&secret, b"");
    fs::set_permissions(&secret, Permissions::from_mode(0o200)).unwrap();
    let out = TempDir::new().unwrap();
    let path = out.path().join("droplet");
    let output = File::create(&path).unwrap();
    // Root may read everything, so this thread and those it starts act as somebody else.
    let before = setfsuid(Uid::from_raw(2000));
    let result = pack(&Tree::new(tree.path()), &output, &path, &options(1));
    setfsuid(before);
    let expected = format!("cannot read {}: permission denied", secret.display());
    assert_eq!(result.unwrap_err().to_string(), expected);
}

#[test]
fn a_full_disk_is_told_with_the_path_of_the_archive() {
    let tree = TempDir::new().unwrap();
    // More than the blocks in flight: nobody waits for a block that does not come.
    touch(tree.path().join("noise"), &random_bytes(12 << 20));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let result = pack(&Tree::new(tree.path()), &full, Path::new("/tmp/droplet"), &options(2));
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "cannot write /tmp/droplet: no space left on device");
    assert!(matches!(error, PackError::Write { error, .. } if error.kind() == StorageFull));
}

#[test]
fn the_stop_flag_ends_packing() {
    let tree = TempDir::new().unwrap();
    File::create(tree.path().join("endless")).unwrap().set_len(1 << 42).unwrap();
    let out = TempDir::new().unwrap();
    let stop = AtomicBool::new(false);
    let options = PackOptions { stop: &stop, ..options(2) };
    let result = thread::scope(|scope| {
        let packing =
            scope.spawn(|| pack_to(&out.path().join("droplet"), &Tree::new(tree.path()), &options));
        // Some blocks are written before.
        while fs::metadata(out.path().join("droplet")).map_or(0, |file| file.len()) == 0 {
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        packing.join().unwrap()
    });
    assert!(matches!(result, Err(PackError::Stopped)), "{result:?}");
}

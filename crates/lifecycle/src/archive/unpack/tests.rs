//! Archives by GNU tar and Python, and evil ones made header by header.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use tar::{EntryType, Header};
use tempfile::TempDir;

use super::*;

/// A directory with the archive, the destination, and something outside that is not to be touched.
struct Scene {
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/victim"), "untouched").unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn sh(&self, script: &str) {
        let done = Command::new("sh").args(["-euc", script]).current_dir(self.dir.path()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn unpack(&self, archive: &[u8]) -> Result<Unpacked, UnpackError> {
        fs::write(self.path("archive"), archive).unwrap();
        unpack(&self.path("archive"), &self.path("to"))
    }

    /// The sentence of an archive that is refused, with nothing left behind and nothing touched.
    fn refusal(&self, archive: &[u8]) -> String {
        let sentence = self.unpack(archive).unwrap_err().to_string();
        assert!(!self.path("to").exists(), "half unpacked: {sentence}");
        let outside: Vec<_> = fs::read_dir(self.path("outside")).unwrap().collect();
        assert_eq!(outside.len(), 1, "{sentence}");
        let victim = self.path("outside/victim");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched", "{sentence}");
        assert_eq!(victim.metadata().unwrap().nlink(), 1, "{sentence}");
        sentence
    }
}

/// An entry as it stands in the tar, whatever its name.
fn entry(kind: EntryType, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_mtime(1_000_000_000);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let padding = content.len().next_multiple_of(512) - content.len();
    [header.as_bytes(), content, &vec![0; padding]].concat()
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(EntryType::Regular, name, "", content.as_bytes())
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn every_dialect_of_gnu_tar_comes_out_as_it_went_in() {
    let scene = Scene::new();
    scene.sh("mkdir -p from/bin from/empty && echo hi >from/bin/run && chmod 750 from/bin/run
         ln -s ../bin/run from/empty/link && ln from/bin/run from/again && ln -s /etc/hosts from/far
         touch -d @1234567890 from/bin/run && touch -d @1000000000 from/empty
         chmod 555 from/empty && truncate -s 3M from/hole && echo end >>from/hole");
    for (format, long) in [("v7", false), ("ustar", true), ("gnu", true), ("pax", true)] {
        scene.sh("rm -rf from/long*");
        if long {
            scene.sh("test -p from/pipe || mkfifo from/pipe");
            let name = format!("long{}/{}", "d".repeat(90), "f".repeat(90));
            scene.sh(&format!("mkdir -p $(dirname from/{name}) && echo deep >from/{name}"));
        }
        let sparse = if format == "gnu" { "-S" } else { "" };
        for (flag, archive) in [("", "plain.tar"), ("-z", "packed.tgz")] {
            scene.sh(&format!("tar --format={format} {sparse} {flag} -cf {archive} -C from ."));
            if format == "v7" && flag.is_empty() {
                // No magic: the platform does not know it either.
                assert!(unpack(&scene.path(archive), &scene.path("to")).is_err());
                continue;
            }
            unpack(&scene.path(archive), &scene.path("to")).unwrap();
            // Pipes cannot be compared.
            scene.sh("diff -r --no-dereference -x pipe from to");
            assert_eq!(scene.path("to/pipe").exists(), long, "{format}");
            let found = |name: &str| scene.path(name).symlink_metadata().unwrap();
            assert_eq!(found("to/bin/run").mode() & 0o7777, 0o750, "{format}");
            assert_eq!(found("to/bin/run").mtime(), 1_234_567_890, "{format}");
            assert_eq!(found("to/bin/run").ino(), found("to/again").ino(), "{format}");
            assert_eq!(found("to/empty").mode() & 0o7777, 0o555, "{format}");
            assert_eq!(found("to/empty").mtime(), 1_000_000_000, "{format}");
            scene.sh("chmod u+w to/empty");
        }
    }
}

#[test]
fn formats_are_told_apart_by_content() {
    let scene = Scene::new();
    let plain = tar(&[file("a", "content")]);
    let members = [gzip(&plain[..700]), gzip(&plain[700..])].concat();
    let garbage = [gzip(&plain), b"garbage".to_vec()].concat();
    for archive in [plain.clone(), gzip(&plain), members, garbage] {
        assert_eq!(scene.unpack(&archive).unwrap(), Unpacked { entries: 1, bytes: 7 });
        assert_eq!(fs::read_to_string(scene.path("to/a")).unwrap(), "content");
    }
    scene.sh("cd to && zip -q ../archive.zip a");
    unpack(&scene.path("archive.zip"), &scene.path("to")).unwrap();
    assert_eq!(fs::read_to_string(scene.path("to/a")).unwrap(), "content");
    let xz = scene.unpack(b"\xfd7zXZ\0 and so on").unwrap_err().to_string();
    let sentence = r"unknown archive format: it begins with `\xfd7zXZ\x00 and so on`; tar, tar.gz and zip are known";
    assert_eq!(xz, sentence);
    assert_eq!(scene.unpack(b"").unwrap_err().to_string(), "no archive: it is empty");
}

#[test]
fn no_archive_writes_outside_or_through_its_own_symlinks() {
    let scene = Scene::new();
    let outside = scene.path("outside");
    let outside = outside.to_str().unwrap();
    let link = |name, target: &str| entry(EntryType::Symlink, name, target, b"");
    let hard = |name, target: &str| entry(EntryType::Link, name, target, b"");
    let directory = |name| entry(EntryType::Directory, name, "", b"");
    for (entries, sentence) in [
        (
            vec![file("../outside/new", "x")],
            "entry `../outside/new`: its name leads out of the destination",
        ),
        (
            vec![file("a/../../outside/victim", "x")],
            "entry `a/../../outside/victim`: its name leads",
        ),
        (vec![directory("..")], "entry `..`: its name leads out"),
        (
            vec![link("l", outside), file("l/victim", "x")],
            "entry `l/victim`: it would be written through the symlink `l`",
        ),
        (vec![link("l", "../outside"), directory("l/new")], "through the symlink `l`"),
        (
            vec![directory("d"), link("d/l", "../../outside"), file("d/l/new", "x")],
            "through the symlink `d/l`",
        ),
        // Links to the inside, too: what one entry made, another may have changed.
        (vec![directory("d"), link("l", "d"), file("l/new", "x")], "through the symlink `l`"),
        (
            vec![link("l", outside), hard("h", "l/victim")],
            "entry `h`: its hard link's target `l/victim`: it would",
        ),
        (
            vec![hard("h", "../outside/victim")],
            "its hard link's target `../outside/victim`: its name leads out",
        ),
        (vec![hard("h", &format!("{outside}/victim"))], "victim`: no such file or directory"),
        (vec![hard("h", "missing")], "its hard link's target `missing`: no such file or directory"),
        (vec![file("f", "x"), file("f/g", "x")], "entry `f/g`: `f` is no directory"),
        (
            vec![directory("d"), file("d", "x")],
            "entry `d`: there is already a directory of that name",
        ),
        (vec![file("./", "")], ""),
        (vec![file(".", "x")], "entry `.`: there is already a directory"),
        (
            vec![entry(EntryType::Char, "null", "", b"")],
            "entry `null`: it is a device, which is not made",
        ),
        (vec![entry(EntryType::Block, "disk", "", b"")], "it is a device"),
        (vec![entry(EntryType::new(b'D'), "dump", "", b"")], "it is of the unsupported kind `D`"),
        (vec![file(&"d/".repeat(50), "")], ""),
    ] {
        let archive = gzip(&tar(&entries));
        if sentence.is_empty() {
            scene.unpack(&archive).unwrap();
            fs::remove_dir_all(scene.path("to")).unwrap();
        } else {
            let refusal = scene.refusal(&archive);
            assert!(refusal.starts_with("tar: ") && refusal.contains(sentence), "{refusal}");
        }
    }
}

#[test]
fn symlinks_are_made_as_they_are_and_replaced_never_followed() {
    let scene = Scene::new();
    let victim = scene.path("outside/victim");
    let link = entry(EntryType::Symlink, "l", victim.to_str().unwrap(), b"");
    let absolute = file("/etc/app.conf", "inside");
    let directory = entry(EntryType::Directory, "l", "", b"");
    scene.unpack(&tar(&[link.clone(), file("l", "mine"), absolute])).unwrap();
    assert_eq!(fs::read_to_string(scene.path("to/l")).unwrap(), "mine");
    assert_eq!(fs::read_to_string(scene.path("to/etc/app.conf")).unwrap(), "inside");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    scene.unpack(&tar(&[link.clone(), directory])).unwrap();
    assert!(scene.path("to/l").symlink_metadata().unwrap().is_dir());
    // A second name of the symlink, not of what it points at.
    let hard = entry(EntryType::Link, "h", "l", b"");
    scene.unpack(&tar(&[link, hard])).unwrap();
    assert!(scene.path("to/h").symlink_metadata().unwrap().is_symlink());
    assert_eq!(victim.metadata().unwrap().nlink(), 1);
}

#[test]
fn what_is_at_the_destination_is_replaced_links_included() {
    let scene = Scene::new();
    symlink(scene.path("outside"), scene.path("to")).unwrap();
    scene.unpack(&tar(&[file("victim", "mine")])).unwrap();
    assert!(scene.path("to").symlink_metadata().unwrap().is_dir());
    assert_eq!(fs::read_to_string(scene.path("outside/victim")).unwrap(), "untouched");
    scene.unpack(&tar(&[file("other", "x")])).unwrap();
    assert!(!scene.path("to/victim").exists());
}

#[test]
fn special_bits_are_dropped_and_the_root_has_its_own_mode() {
    let scene = Scene::new();
    let with_mode = |kind, name, mode| {
        let mut bytes = entry(kind, name, "", b"");
        let mut header = Header::from_byte_slice(&bytes[..512]).clone();
        header.set_mode(mode);
        header.set_cksum();
        bytes[..512].copy_from_slice(header.as_bytes());
        bytes
    };
    let root = with_mode(EntryType::Directory, "./", 0o700);
    let sticky = with_mode(EntryType::Directory, "./tmp", 0o1777);
    let setuid = with_mode(EntryType::Regular, "./su", 0o6755);
    scene.unpack(&tar(&[root, sticky, setuid])).unwrap();
    let mode = |name| scene.path(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("to"), 0o700);
    assert_eq!(mode("to/su"), 0o755);
    assert_eq!(mode("to/tmp") & 0o7000, 0);
}

/// Those of a zip were kept, as they are for a buildpack that the builder fetches: a cell that runs as
/// root had setuid programs of its apps' authors on its disk.
#[test]
fn special_bits_of_zips_are_dropped_too() {
    let scene = Scene::new();
    scene.sh("mkdir -p from/tmp && echo x >from/su && chmod 6755 from/su && chmod 1777 from/tmp
         cd from && zip -qr ../archive.zip .");
    unpack(&scene.path("archive.zip"), &scene.path("to")).unwrap();
    let mode = |name| scene.path(name).metadata().unwrap().permissions().mode();
    assert_eq!(mode("to/su") & 0o7777, 0o755);
    assert_eq!(mode("to/tmp") & 0o7000, 0);
}

/// The comment with git's commit id was taken for an archive that ends too early.
#[test]
fn what_git_archive_makes_is_unpacked() {
    let scene = Scene::new();
    scene.sh("git init -q repo && cd repo && echo hi >file && git add file
         git -c user.name=n -c user.email=e commit -qm m && git archive -o ../archive.tgz HEAD");
    unpack(&scene.path("archive.tgz"), &scene.path("to")).unwrap();
    assert_eq!(fs::read_to_string(scene.path("to/file")).unwrap(), "hi\n");
}

/// GNU tar makes a file with two names that it is given twice a link to itself. To make room for that
/// link, the file was removed.
#[test]
fn a_hard_link_to_itself_is_there_already() {
    let scene = Scene::new();
    scene.sh("echo hi >a && ln a b && tar -cf archive a ./a b && tar -tvf archive | grep -q 'a link to a$'");
    unpack(&scene.path("archive"), &scene.path("to")).unwrap();
    assert_eq!(fs::read_to_string(scene.path("to/a")).unwrap(), "hi\n");
    assert_eq!(scene.path("to/b").metadata().unwrap().nlink(), 2);
    let missing = scene.refusal(&tar(&[entry(EntryType::Link, "h", "h", b"")]));
    assert!(missing.ends_with("`h`: no such file or directory"), "{missing}");
}

#[test]
fn damaged_archives_are_refused_whole() {
    let scene = Scene::new();
    let content =
        (0..20_000_u32).map(|it| it.wrapping_mul(2_654_435_761)).flat_map(u32::to_le_bytes);
    let content: Vec<u8> = content.collect();
    let plain = tar(&[entry(EntryType::Regular, "a", "", &content)]);
    let packed = gzip(&plain);
    let mut flipped = packed.clone();
    let middle = packed.len() / 2;
    flipped[middle] ^= 0xff;
    let mut wrong_sum = packed.clone();
    let sum_at = packed.len() - 8;
    wrong_sum[sum_at] ^= 1;
    let mut header = plain.clone();
    header[100] ^= 1;
    for (archive, sentence) in [
        (packed[..middle].to_vec(), "tar: the gzip data ends too early"),
        (packed[..packed.len() - 4].to_vec(), "tar: the gzip data ends too early"),
        (flipped, "tar: the gzip data is damaged: "),
        (wrong_sum, "tar: the gzip data is damaged: "),
        (plain[..plain.len() / 2].to_vec(), "tar: it ends too early"),
        (header, "tar: archive header checksum mismatch"),
    ] {
        let refusal = scene.refusal(&archive);
        assert!(refusal.starts_with(sentence), "{refusal}");
    }
}

#[test]
fn bombs_are_noticed_before_they_fill_memory_or_disk() {
    let scene = Scene::new();
    // A long name of 64 MiB, which a reader would take into memory.
    let name = vec![b'n'; 64 << 20];
    let long = [entry(EntryType::GNULongName, "././@LongLink", "", &name), file("x", "")];
    let refusal = scene.refusal(&gzip(&tar(&long)));
    assert_eq!(refusal, "tar: an entry's headers have more than a megabyte");
    let deep = entry(EntryType::GNULongName, "././@LongLink", "", "d/".repeat(300).as_bytes());
    let refusal = scene.refusal(&tar(&[deep, file("x", "")]));
    assert!(refusal.ends_with("its name is too long"), "{refusal}");
    fs::create_dir(scene.path("to")).unwrap();
    let zeros = tar(&[entry(EntryType::Regular, "zeros", "", &vec![0; 5000])]);
    let bounds = Bounds { packed: 10, allowed: 4096, entries: 60 };
    let refusal = entries::unpack(&zeros[..], bounds, &scene.path("to")).unwrap_err().to_string();
    assert_eq!(refusal, "tar: 10B unpack to more than 4K, so it looks like a bomb");
    fs::remove_dir_all(scene.path("to")).unwrap();
    // Directories that no entry asks for were not counted: each name can have a hundred.
    fs::create_dir(scene.path("to")).unwrap();
    let deep = |first: &str| file(&format!("{first}/{}", "d/".repeat(48)), "");
    let many = tar(&[deep("a"), deep("b"), deep("c")]);
    let refusal = entries::unpack(&many[..], bounds, &scene.path("to")).unwrap_err().to_string();
    assert_eq!(refusal, "tar: it has more than the 500000 entries allowed");
    fs::remove_dir_all(scene.path("to")).unwrap();
    let records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n";
    let sparse = [entry(EntryType::XHeader, "pax", "", records), file("s", "1\n0\n4\n")];
    let refusal = scene.refusal(&tar(&sparse));
    assert!(refusal.ends_with("of the unsupported kind `sparse file in pax form`"), "{refusal}");
}

#[test]
fn a_tree_is_given_away_as_root_with_its_links_and_not_what_they_point_at() {
    let scene = Scene::new();
    let victim = scene.path("outside/victim");
    let link = entry(EntryType::Symlink, "d/l", victim.to_str().unwrap(), b"");
    scene.unpack(&tar(&[file("d/f", "x"), link])).unwrap();
    give_to(&scene.path("to"), 2000, 2001).unwrap();
    for name in ["to", "to/d", "to/d/f", "to/d/l"] {
        let found = scene.path(name).symlink_metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (2000, 2001), "{name}");
    }
    assert_eq!(victim.metadata().unwrap().uid(), nix::unistd::getuid().as_raw());
}

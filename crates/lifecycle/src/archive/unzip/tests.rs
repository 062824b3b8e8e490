//! Zips as every zipper makes them, and as only an attacker does.

use std::os::unix::fs::MetadataExt;

use libdeflater::{CompressionLvl, Compressor};
use tempfile::TempDir;

use super::*;
use crate::report::chain;

mod names;

const UNIX: u8 = 3;
const DOS: u8 = 0;

/// An entry with every field in the test's hands.
#[derive(Clone)]
struct Raw {
    name: Vec<u8>,
    method: u16,
    packed: Vec<u8>,
    size: u32,
    crc32: u32,
    made_by: u8,
    attributes: u32,
    flags: u16,
}

fn file(name: &str, content: &[u8]) -> Raw {
    let mut compressor = Compressor::new(CompressionLvl::default());
    let mut packed = vec![0; compressor.deflate_compress_bound(content.len())];
    let length = compressor.deflate_compress(content, &mut packed).unwrap();
    packed.truncate(length);
    Raw { method: 8, packed, ..stored(name, content) }
}

fn stored(name: &str, content: &[u8]) -> Raw {
    Raw {
        name: name.as_bytes().to_vec(),
        method: 0,
        packed: content.to_vec(),
        size: u32::try_from(content.len()).unwrap(),
        crc32: libdeflater::crc32(content),
        made_by: UNIX,
        attributes: 0o100_644 << 16,
        flags: 0,
    }
}

fn link(name: &str, target: &str) -> Raw {
    Raw { attributes: 0o120_777 << 16, ..stored(name, target.as_bytes()) }
}

fn with_mode(mode: u32, entry: Raw) -> Raw {
    Raw { attributes: mode << 16, ..entry }
}

/// The bytes of a zip with `entries`, behind `prefix`.
fn zip_bytes(prefix: &[u8], entries: &[Raw]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    let mut directory = Vec::new();
    for entry in entries {
        let mut fixed = Vec::new();
        fixed.extend(20_u16.to_le_bytes());
        fixed.extend(entry.flags.to_le_bytes());
        fixed.extend(entry.method.to_le_bytes());
        fixed.extend([0, 0, 0x21, 0]);
        fixed.extend(entry.crc32.to_le_bytes());
        fixed.extend(u32::try_from(entry.packed.len()).unwrap().to_le_bytes());
        fixed.extend(entry.size.to_le_bytes());
        fixed.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
        directory.extend(b"PK\x01\x02");
        directory.extend([30, entry.made_by]);
        directory.extend(&fixed);
        directory.extend([0; 8]);
        directory.extend(entry.attributes.to_le_bytes());
        let offset = u32::try_from(bytes.len() - prefix.len()).unwrap();
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&fixed);
        // An extra field that the directory does not have.
        bytes.extend([6, 0]);
        bytes.extend(&entry.name);
        bytes.extend([0xFE, 0xCA, 2, 0, 7, 7]);
        bytes.extend(&entry.packed);
    }
    let offset = u32::try_from(bytes.len() - prefix.len()).unwrap();
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(count);
    bytes.extend(count);
    bytes.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// A zip on disk and the place to unpack it to.
struct Case {
    dir: TempDir,
    outcome: Result<Unpacked, UnzipError>,
}

impl Case {
    fn of(bytes: &[u8]) -> Self {
        let dir = TempDir::new().unwrap();
        let archive = dir.path().join("bp.zip");
        fs::write(&archive, bytes).unwrap();
        let outcome = unzip(&archive, &dir.path().join("out"));
        Self { dir, outcome }
    }

    fn unpacked(entries: &[Raw]) -> Self {
        let case = Self::of(&zip_bytes(b"", entries));
        assert!(case.outcome.is_ok(), "{:?}", case.outcome);
        case
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("out").join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        self.path(name).symlink_metadata().unwrap().mode() & 0o7777
    }

    /// The sentence of the failure, having checked that it left nothing.
    fn sentence(&self) -> String {
        assert!(!self.path("").exists(), "something is left at the destination");
        let sentence = chain(self.outcome.as_ref().unwrap_err());
        sentence.replace(self.dir.path().to_str().unwrap(), "DIR")
    }
}

fn refusal(entries: &[Raw]) -> String {
    Case::of(&zip_bytes(b"", entries)).sentence()
}

#[test]
fn files_directories_and_symlinks_come_out_with_their_modes() {
    let case = Case::unpacked(&[
        with_mode(0o040_750, stored("lib/", b"")),
        with_mode(0o100_755, file("bin/compile", b"#!/bin/sh\n")),
        with_mode(0o104_711, stored("bin/tool", b"tool")),
        file("lib/a b/data", &vec![b'x'; 100_000]),
        link("lib/current", "a b"),
        link("dangling", "/nowhere/at/all"),
        with_mode(0o100_444, file("read-only", b"1")),
        file("empty", b""),
    ]);
    assert_eq!(case.outcome.as_ref().unwrap(), &Unpacked { entries: 10, bytes: 100_015 });
    assert_eq!(case.read("bin/compile"), "#!/bin/sh\n");
    assert_eq!(case.read("lib/current/data").len(), 100_000);
    assert_eq!(fs::read_link(case.path("dangling")).unwrap(), Path::new("/nowhere/at/all"));
    assert_eq!(case.mode("bin/compile"), 0o755);
    assert_eq!(case.mode("bin/tool"), 0o4711);
    assert_eq!(case.mode("bin"), 0o755);
    assert_eq!(case.mode("lib"), 0o750);
    assert_eq!(case.mode("read-only"), 0o444);
}

#[test]
fn scripts_of_zips_not_made_on_unix_can_be_executed() {
    let dos = |entry| Raw { made_by: DOS, attributes: 0x20, ..entry };
    let case =
        Case::unpacked(&[dos(file("bin/detect", b"#!/bin/sh\n")), dos(file("VERSION", b"1"))]);
    assert_eq!(case.mode("bin/detect"), 0o755);
    assert_eq!(case.mode("VERSION"), 0o644);
}

#[test]
fn a_read_only_directory_is_filled_before_it_is_closed() {
    let case = Case::unpacked(&[
        with_mode(0o040_555, stored("sealed/", b"")),
        with_mode(0o040_500, stored("sealed/inner/", b"")),
        file("sealed/inner/file", b"1"),
    ]);
    assert_eq!(case.mode("sealed"), 0o555);
    assert_eq!(case.mode("sealed/inner"), 0o500);
    assert_eq!(case.read("sealed/inner/file"), "1");
}

#[test]
fn entries_too_large_for_memory_are_streamed_and_checked() {
    // 9 MiB each, the deflated one hardly compressible.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(9 << 20)
    .collect();
    let entries = [file("deflated", &noise), stored("stored", &noise), file("small", b"1")];
    let case = Case::unpacked(&entries);
    assert!(fs::read(case.path("deflated")).unwrap() == noise);
    assert!(fs::read(case.path("stored")).unwrap() == noise);

    for index in [0, 1] {
        let mut damaged = entries.clone();
        damaged[index].crc32 ^= 1;
        let name = String::from_utf8(damaged[index].name.clone()).unwrap();
        let expected = format!("zip: entry `{name}`: its checksum does not match");
        assert_eq!(refusal(&damaged), expected);
    }
    let mut bomb = entries.clone();
    bomb[0].size = 5 << 20;
    let declared = 5 << 20;
    assert_eq!(
        refusal(&bomb),
        format!(
            "zip: entry `deflated`: it is longer than the {declared} bytes declared for it, so it \
             looks like a zip bomb"
        )
    );
}

#[test]
fn names_are_resolved_as_in_a_chroot() {
    let case = Case::unpacked(&[
        file("../../up", b"up"),
        file("/absolute", b"absolute"),
        file("a/./b//../c", b"c"),
        file("../", b""),
        link("lib64", "lib"),
        file("lib64/x", b"through a link"),
        link("deep/er/link", "../../lib/y"),
        file("deep/er/link", b"through a file's link"),
    ]);
    assert_eq!(case.read("up"), "up");
    assert_eq!(case.read("absolute"), "absolute");
    assert_eq!(case.read("a/c"), "c");
    assert!(!case.path("a/b").exists());
    assert_eq!(case.read("lib/x"), "through a link");
    assert!(!case.dir.path().join("up").exists());
}

#[test]
fn nothing_is_written_through_a_symlink_that_leaves_the_buildpack() {
    let dir = TempDir::new().unwrap();
    let outside = dir.path().to_str().unwrap();
    for (target, name) in [(outside, "etc/passwd"), ("../..", "etc/x"), ("a/../../..", "etc/x")] {
        assert_eq!(
            refusal(&[link("etc", target), file(name, b"root")]),
            format!(
                "zip: entry `{name}`: it would be written through the symlink `etc` to \
                 `{target}`, outside the buildpack"
            )
        );
    }
    // Also where a link that stays inside leads to one that does not, and for a file's own name.
    let chained = [link("out", outside), link("in", "out"), file("in/x", b"")];
    assert!(refusal(&chained).contains("through the symlink `out` to"));
    assert!(refusal(&[link("x", "/etc/passwd"), file("./x", b"")]).contains("outside"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn entries_that_exclude_each_other_are_named() {
    for (entries, sentence) in [
        ([link("a", "b"), file("./a/c", b"")], None),
        ([link("a", "a"), file("a/c", b"")], Some("its path goes through too many symlinks")),
        ([file("a", b""), file("a/b", b"")], Some("`a` is a file, not a directory")),
        ([file("a/b", b""), file("a", b"")], Some("there is already a directory of that name")),
        ([file("a", b""), link("./a", "b")], Some("there is already a file of that name")),
        ([link("a", "c"), link("./a", "b")], Some("there is already a symlink of that name")),
        ([file("a", b"old"), file("./a", b"new")], None),
    ] {
        let case = Case::of(&zip_bytes(b"", &entries));
        match sentence {
            Some(sentence) => assert!(case.sentence().ends_with(sentence), "{}", case.sentence()),
            None => assert!(case.outcome.is_ok(), "{:?}", case.outcome),
        }
    }
}

#[test]
fn a_name_given_twice_means_the_later_one() {
    for names in [["a", "a"], ["a", "./a"]] {
        let case = Case::unpacked(&[file(names[0], b"old and long"), file(names[1], b"new")]);
        assert_eq!(case.read("a"), "new");
    }
}

#[test]
fn bombs_are_refused_whether_they_declare_it_or_not() {
    let mut declared = file("zeros", &[0; 1000]);
    declared.size = u32::MAX;
    assert_eq!(refusal(&[declared]), "zip: 124B would unpack to 4G, so it looks like a zip bomb");
    let mut undeclared = file("zeros", &vec![0; 100_000]);
    undeclared.size = 5;
    assert_eq!(
        refusal(&[undeclared]),
        "zip: entry `zeros`: it is longer than the 5 bytes declared for it, so it looks like a \
         zip bomb"
    );
    let mut overlapping = zip_bytes(b"", &[stored("a", &[1; 5000]), stored("b", b"1234")]);
    // Directory record of `b`: let it share the data of `a`.
    let at = overlapping.len() - 22 - 47;
    overlapping[at + 20..at + 24].copy_from_slice(&5000_u32.to_le_bytes());
    assert_eq!(
        Case::of(&overlapping).sentence(),
        "zip: its entries overlap, so it looks like a zip bomb"
    );
}

#[test]
fn damage_is_told_apart() {
    let whole = file("file", b"content of a file, content of a file");
    for (entry, fault) in [
        (Raw { crc32: 1, ..whole.clone() }, "its checksum does not match"),
        (Raw { size: 99, ..whole.clone() }, "it has only 36 of the 99 bytes declared for it"),
        (Raw { packed: vec![0xFF; 20], ..whole.clone() }, "its data is damaged"),
        (Raw { flags: 1, ..whole.clone() }, "it is encrypted"),
        (
            Raw { method: 12, ..whole.clone() },
            "its compression method `Bzip2` is not supported, only stored and deflate are",
        ),
    ] {
        assert_eq!(refusal(&[entry]), format!("zip: entry `file`: {fault}"));
    }
    let bytes = zip_bytes(b"", &[whole]);
    let truncated = Case::of(&bytes[..bytes.len() - 10]).sentence();
    assert!(truncated.starts_with("zip: not a valid zip file: "), "{truncated}");
}

#[test]
fn what_is_no_zip_is_shown() {
    assert_eq!(Case::of(b"").sentence(), "DIR/bp.zip is not a zip archive: it is empty");
    assert_eq!(
        Case::of(b"<!DOCTYPE html>\n<title>Sign in</title>").sentence(),
        "DIR/bp.zip is not a zip archive: it begins with `<!DOCTYPE html>`"
    );
    assert_eq!(
        unzip(Path::new("/nowhere.zip"), Path::new("/nowhere/out")).unwrap_err().to_string(),
        "/nowhere.zip: no such file or directory"
    );
}

#[test]
fn empty_and_self_extracting_zips_are_zips() {
    let empty = Case::unpacked(&[]);
    assert_eq!(fs::read_dir(empty.path("")).unwrap().count(), 0);
    let case = Case::of(&zip_bytes(b"#!/bin/sh\nexec unzip $0\n", &[file("a", b"1")]));
    assert_eq!(case.outcome.as_ref().unwrap().entries, 1);
    assert_eq!(case.read("a"), "1");
}

#[test]
fn what_stood_at_the_destination_is_replaced() {
    let dir = TempDir::new().unwrap();
    let archive = dir.path().join("bp.zip");
    fs::write(&archive, zip_bytes(b"", &[file("new", b"1")])).unwrap();
    let out = dir.path().join("not/there/yet");
    unzip(&archive, &out).unwrap();
    fs::write(out.join("old"), "").unwrap();
    unzip(&archive, &out).unwrap();
    assert!(out.join("new").exists() && !out.join("old").exists());
}

#[test]
fn zip64_with_more_entries_than_fit_the_old_directory_is_read() {
    let dir = TempDir::new().unwrap();
    let archive = dir.path().join("bp.zip");
    let mut writer = zip::ZipWriter::new(File::create(&archive).unwrap());
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .large_file(true);
    for index in 0..66_000 {
        // All of them are one file: this is about the directory, not the disk.
        writer.start_file(format!("{index}/../same"), options).unwrap();
    }
    writer.start_file("last", options).unwrap();
    writer.finish().unwrap();
    let unpacked = unzip(&archive, &dir.path().join("out")).unwrap();
    assert_eq!(unpacked.entries, 2);
    assert!(dir.path().join("out/last").exists());
}

#[test]
fn damaged_bytes_anywhere_neither_panic_nor_leave_anything_half_done() {
    let content = b"content of a file, content of a file";
    let whole = zip_bytes(b"", &[file("a/b", content), link("c", "a/b"), stored("d", content)]);
    for at in 0..whole.len() {
        for value in [0xFF, whole[at] ^ 1] {
            let mut damaged = whole.clone();
            damaged[at] = value;
            let case = Case::of(&damaged);
            if case.outcome.is_err() {
                case.sentence();
            }
        }
    }
}

#[test]
fn a_zip_too_large_for_the_disk_is_not_begun_needs_root_to_mount_one() {
    let dir = TempDir::new().unwrap();
    let archive = dir.path().join("bp.zip");
    fs::write(&archive, zip_bytes(b"", &[file("zeros", &vec![0; 1 << 20])])).unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let done = std::process::Command::new(program).args(arguments).arg(&disk).status();
        assert!(done.unwrap().success(), "{program} {arguments:?}");
    };
    run("mount", &["-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
    let outcome = unzip(&archive, &disk.join("out"));
    let left = disk.join("out").exists();
    run("umount", &[]);
    let place = disk.join("out");
    assert_eq!(
        chain(&outcome.unwrap_err()),
        format!("zip: it unpacks to 1M, but only 64K are free at {}", place.display())
    );
    assert!(!left);
}

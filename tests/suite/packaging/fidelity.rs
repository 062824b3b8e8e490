//! A tree of everything tar can hold, read back by GNU tar, busybox, bsdtar and Python.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use suite::{Stage, Staged, bytes, tool};

use super::plain;

/// Modes, owners, times, links, long and strange names; one line per thing that was ever got wrong.
const TREE: &str = r#"
    set -e; cd "$0"
    printf exec > run.sh; chmod 755 run.sh
    printf secret > private; chmod 600 private
    printf none > nobody-reads; chmod 000 nobody-reads
    printf suid > suid; printf sgid > sgid
    mkdir empty sticky sgid-dir deep read-only
    printf x > read-only/file
    ln -s run.sh link; ln -s gone dangling; ln -s /etc/passwd absolute; ln -s ../../up upward; ln -s . self
    ln -s "$(printf 'l%.0s' $(seq 300))" long-target
    printf linked > z-first; ln z-first a-second; ln z-first deep/third
    mkfifo pipe
    n=$(printf 'n%.0s' $(seq 99)); for l in 0 1 2 100; do m=$(printf 'm%.0s' $(seq $l)); printf $l > "$n$m"; done
    d=$(printf 'd%.0s' $(seq 120)); mkdir -p "$d/$d/$d"; printf far > "$d/$d/$d/file"; ln "$d/$d/$d/file" "$d/hard"
    printf raw > "$(printf 'raw\377\376')"; mkdir "$(printf 'dir\200')"; printf in > "$(printf 'dir\200/in')"
    printf a > "new
line"; printf b > ' blank '; printf c > 'back\slash'; printf d > '-dash'; printf e > '*'
    : > zero; head -c 512 /dev/zero > block; head -c 513 /dev/zero > block-and-one; head -c 3000000 /dev/urandom > random
    truncate -s 5M sparse; printf end >> sparse
    chown 12345:54321 private; chown 3000000:3000000 zero; chown -h 77:78 link; chown 99:98 sticky
    chmod 4755 suid; chmod 2755 sgid; chmod 1777 sticky; chmod 2775 sgid-dir; chmod 555 read-only
    touch -d @1 zero; touch -d @4294967297 block; touch -d @0 private; touch -hd @1234567890 dangling
    find . -mindepth 1 ! -name zero ! -name block ! -name private ! -name dangling -exec touch -hd @1600000000 {} +
    touch -d @1600000001 .
"#;

fn tree() -> Stage {
    let stage = plain();
    tool("sh", ["-c", TREE, stage.path("app").to_str().unwrap()]);
    stage
}

/// What a reader restores of directories and symbolic links, in `find`'s words.
const ALL: [&str; 2] = ["%m %U %G %Ts", "%U %G %Ts"];
/// Python leaves the times of symbolic links alone.
const PYTHON: [&str; 2] = ["%m %U %G %Ts", "%U %G"];
/// busybox their owners too, and it sets a directory's time before it fills the directory.
const BUSYBOX: [&str; 2] = ["%m %U %G", ""];

/// Everything below `tree`: of directories and links as told, of the rest mode, owner, time, size
/// and link count.
fn facts(tree: &Path, [directory, link]: [&str; 2]) -> Vec<String> {
    let mut find = Command::new("find");
    find.arg(tree);
    find.args(["-type", "d", "-printf", &format!("%P\\t%y {directory}\\0"), "-o"]);
    find.args(["-type", "l", "-printf", &format!("%P\\t%y {link} %l\\0"), "-o"]);
    find.args(["-printf", "%P\\t%y %m %U %G %Ts %s %n\\0"]);
    let output = find.output().unwrap();
    assert!(output.status.success());
    let mut lines: Vec<&[u8]> = output.stdout.split(|&byte| byte == 0).collect();
    lines.sort_unstable();
    lines.iter().map(|line| line.escape_ascii().to_string()).collect()
}

/// Unpacks the droplet into `name` with a command that finds archive and directory as `$0` and `$1`.
fn unpack(staged: &Staged, name: &str, command: &str) -> PathBuf {
    let home = staged.path(name);
    fs::create_dir(&home).unwrap();
    let droplet = staged.path("out/droplet");
    tool("sh", [OsStr::new("-c"), OsStr::new(command), droplet.as_ref(), home.as_ref()]);
    home.join("app")
}

fn same(staged: &Staged, reader: &str, unpacked: &Path, kept: [&str; 2]) {
    let app = staged.path("app");
    let (found, expected) = (facts(unpacked, kept), facts(&app, kept));
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{reader}");
    }
    assert_eq!(found.len(), expected.len(), "{reader}: entries");
    // diff cannot read fifos; their kind is compared above.
    let words = ["-r", "--no-dereference", "--exclude=pipe"].map(Path::new);
    tool("diff", words.iter().chain(&[app.as_path(), unpacked]));
}

#[test]
fn root_gets_identical_trees_from_four_readers() {
    let staged = tree().run().succeeds();
    let gnu = unpack(&staged, "gnu", "tar --numeric-owner -xpzf $0 -C $1");
    same(&staged, "GNU tar", &gnu, ALL);
    let bsd = unpack(&staged, "bsd", "bsdtar --numeric-owner -xpzf $0 -C $1");
    same(&staged, "bsdtar", &bsd, ALL);
    let python = "python3 -c \"import sys, tarfile
archive = tarfile.open(sys.argv[1])
archive.extraction_filter = getattr(tarfile, 'fully_trusted_filter', None)
archive.extractall(sys.argv[2], numeric_owner=True)\" $0 $1";
    same(&staged, "Python", &unpack(&staged, "python", python), PYTHON);
    let busybox = unpack(&staged, "busybox", "busybox tar --numeric-owner -xpzf $0 -C $1");
    same(&staged, "busybox", &busybox, BUSYBOX);
}

#[test]
fn the_gnu_archive_of_a_copy_lists_the_same() {
    // What the predecessor does: `cp -a`, then `tar -c`. Order and what the builder adds aside, the
    // two listings are equal, and so is the format.
    let staged = tree().run().succeeds();
    let script =
        "mkdir $1/copy && cp -a $1/app $1/copy/app && tar --numeric-owner -czf $0 -C $1/copy ./app";
    let (reference, root) = (staged.path("reference"), staged.path(""));
    tool("sh", [OsStr::new("-c"), OsStr::new(script), reference.as_ref(), root.as_ref()]);
    let listing = |archive: &Path| {
        let script = "tar --numeric-owner --utc --full-time --quoting-style=escape -tvzf $0 ./app | sed 's/ link to .*/ hard link/; s/^h/-/' | LC_ALL=C sort";
        let words = [OsStr::new("-c"), OsStr::new(script), archive.as_ref()];
        tool("sh", words)
    };
    let hard = |line: &&str| !line.contains("hard link") && !line.contains("linked");
    let (ours, theirs) = (listing(&staged.path("out/droplet")), listing(&reference));
    let strip = |text: &str| -> Vec<String> {
        // Which of several hard links comes first, and so has the contents, depends on the order.
        let links = ["z-first", "a-second", "third", "/file", "/hard"];
        let other = |line: &&str| hard(line) && !links.iter().any(|name| line.contains(name));
        text.lines().filter(other).map(str::to_owned).collect()
    };
    assert_eq!(strip(&ours), strip(&theirs));
}

#[test]
fn link_targets_come_before_links_and_no_entry_is_sparse() {
    let staged = tree().run().succeeds();
    let script = r"
import sys, tarfile
seen = set()
for entry in tarfile.open(sys.argv[1]):
    if entry.islnk():
        assert entry.linkname in seen, (entry.name, entry.linkname)
    assert not entry.issparse(), entry.name
    assert entry.type in (b'0', b'1', b'2', b'5', b'6'), (entry.name, entry.type)
    assert not entry.pax_headers, entry.name
    seen.add(entry.name)
print(len(seen))
";
    let count = tool(
        "python3",
        [OsStr::new("-c"), OsStr::new(script), staged.path("out/droplet").as_ref()],
    );
    assert!(count.trim().parse::<usize>().unwrap() > 40);
}

#[test]
fn hard_links_across_app_and_deps_survive() {
    let link = "ln $1/f $3/$4/linked && ln $1/f $2/linked";
    let staged = plain().script("A", "finalize", link).run().succeeds();
    let app = unpack(&staged, "gnu", "tar -xpzf $0 -C $1");
    let deps = app.parent().unwrap().join("deps/0/linked");
    assert_eq!(fs::read(deps).unwrap(), b"contents");
    assert_eq!(fs::read(app.join("f")).unwrap(), b"contents");
    // The cache is another archive: there the file is whole.
    let cached = tool(
        "tar",
        [OsStr::new("-xzOf"), staged.path("out/cache").as_ref(), OsStr::new("./final/linked")],
    );
    assert_eq!(cached, "contents");
}

#[test]
fn a_symbolic_link_with_two_names_stays_one() {
    let stage = plain().script("A", "finalize", "ln -s f $1/s1 && ln $1/s1 $3/$4/s2");
    let staged = stage.run().succeeds();
    let app = unpack(&staged, "gnu", "tar -xpzf $0 -C $1");
    let inode = |path: PathBuf| path.symlink_metadata().unwrap().ino();
    assert_eq!(inode(app.join("s1")), inode(app.join("../deps/0/s2")));
}

#[test]
fn the_platforms_extraction_as_user_2000_works() {
    let stage = plain().file(bytes(b"raw\xff"), "x").script(
        "A",
        "finalize",
        "ln -s /gone $1/link; mkfifo $1/pipe",
    );
    let staged = stage.as_user_2000().run().succeeds();
    let home = staged.path("home");
    fs::create_dir(&home).unwrap();
    tool("chown", [OsStr::new("2000:2000"), home.as_ref()]);
    let extract = "exec setpriv --reuid=2000 --regid=2000 --clear-groups \
        tar --no-same-permissions --no-same-owner -xf - < $1 -C $0 -z";
    tool(
        "sh",
        [OsStr::new("-c"), OsStr::new(extract), home.as_ref(), staged.path("out/droplet").as_ref()],
    );
    assert!(home.join("app").join(bytes(b"raw\xff")).exists());
}

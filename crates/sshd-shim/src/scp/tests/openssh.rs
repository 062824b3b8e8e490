//! OpenSSH's own scp at the other end, over pipes.

use std::fs;
use std::io::{BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::run;

/// Serves `ours` with `scp theirs` at the other end; both statuses.
fn between(ours: &str, theirs: &[&str]) -> (u8, i32) {
    let mut child = Command::new("scp")
        .args(theirs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = BufReader::new(child.stdout.take().unwrap());
    let status = {
        let mut output = child.stdin.take().unwrap();
        run(ours.as_bytes(), &mut input, &mut output, &mut Vec::new())
    };
    let mut rest = Vec::new();
    input.read_to_end(&mut rest).unwrap();
    (status, child.wait().unwrap().code().unwrap())
}

/// A tree with files of sizes around those of buffers, and what becomes of it.
fn tree() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tree");
    fs::create_dir_all(root.join("a/empty dir")).unwrap();
    for size in [0, 1, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_073, 1_000_000] {
        let content: Vec<u8> = (0..=250).cycle().take(size).collect();
        fs::write(root.join("a").join(size.to_string()), content).unwrap();
    }
    fs::set_permissions(root.join("a/1"), PermissionsExt::from_mode(0o4751)).unwrap();
    fs::set_permissions(root.join("a/empty dir"), PermissionsExt::from_mode(0o555)).unwrap();
    let file = fs::File::options().write(true).open(root.join("a/32768")).unwrap();
    file.set_modified(
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_234_567_890),
    )
    .unwrap();
    directory
}

/// Paths, modes, times and contents.
fn listing(root: &Path) -> Vec<(PathBuf, u32, i64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let metadata = fs::metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_owned();
        let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.push((name, metadata.mode(), metadata.mtime(), content));
        if metadata.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

#[test]
fn openssh_takes_the_tree_that_is_sent() {
    let (from, to) = (tree(), tempfile::tempdir().unwrap());
    let target = to.path().to_str().unwrap();
    let statuses = between(
        &format!("scp -r -p -f {}/tr?e", from.path().display()),
        &["-r", "-p", "-t", target],
    );
    assert_eq!(statuses, (0, 0));
    assert_eq!(listing(&from.path().join("tree")), listing(&to.path().join("tree")));
}

#[test]
fn the_tree_that_openssh_sends_is_taken() {
    let (from, to) = (tree(), tempfile::tempdir().unwrap());
    let source = from.path().join("tree");
    let statuses = between(
        &format!("scp -r -p -t {}", to.path().display()),
        &["-r", "-p", "-f", source.to_str().unwrap()],
    );
    assert_eq!(statuses, (0, 0));
    assert_eq!(listing(&source), listing(&to.path().join("tree")));
}

#[test]
fn openssh_skips_what_it_cannot_take_and_gets_the_rest() {
    // Both ends stay in step over refused files and directories, and both say that it was not all.
    let (from, to) = (tree(), tempfile::tempdir().unwrap());
    fs::create_dir_all(to.path().join("tree/a/32768")).unwrap();
    fs::write(to.path().join("tree/a/empty dir"), "").unwrap();
    let target = to.path().to_str().unwrap();
    let statuses =
        between(&format!("scp -r -f {}/tree", from.path().display()), &["-r", "-t", target]);
    assert_eq!(statuses, (1, 1));
    assert_eq!(fs::metadata(to.path().join("tree/a/1000000")).unwrap().len(), 1_000_000);
}

#[test]
fn what_cannot_be_taken_from_openssh_is_skipped_and_the_rest_is_taken() {
    let (from, to) = (tree(), tempfile::tempdir().unwrap());
    fs::create_dir_all(to.path().join("tree/a/32768")).unwrap();
    fs::write(to.path().join("tree/a/empty dir"), "").unwrap();
    symlink("nowhere", from.path().join("tree/a/0 broken")).unwrap();
    let source = from.path().join("tree");
    let statuses = between(
        &format!("scp -r -t {}", to.path().display()),
        &["-r", "-f", source.to_str().unwrap()],
    );
    assert_eq!(statuses, (1, 1));
    assert_eq!(fs::metadata(to.path().join("tree/a/1000000")).unwrap().len(), 1_000_000);
    assert_eq!(fs::read(to.path().join("tree/a/1")).unwrap(), [0]);
}

#[test]
fn missing_files_are_no_end_for_openssh() {
    let (from, to) = (tree(), tempfile::tempdir().unwrap());
    let root = from.path().display();
    let target = to.path().to_str().unwrap();
    let statuses = between(&format!("scp -f {root}/missing {root}/tree/a/32769"), &["-t", target]);
    assert_eq!((statuses.0, fs::metadata(to.path().join("32769")).unwrap().len()), (1, 32_769));
}

//! Any bytes as an scp command, as what a client sends, as its answers, as a wildcard: parsing ends,
//! grows to no more than it may, and nothing is written outside of the target.
#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sshd_shim::scp::expansion::LONGEST;
use sshd_shim::scp::glob::Pattern;
use sshd_shim::scp::record::{Entry, Record};
use sshd_shim::scp::{is_scp, parse, run};

fuzz_target!(|data: &[u8]| {
    // The first byte says what the rest is.
    let Some((&kind, rest)) = data.split_first() else { return };
    match kind % 5 {
        0 => command(rest),
        1 => record(rest),
        2 => pattern(rest),
        3 => sink(rest),
        _ => source(rest),
    }
});

fn command(text: &[u8]) {
    let variable = |name: &[u8]| name.starts_with(b"H").then(|| b"/home/vcap/{a,b} $H ~".to_vec());
    is_scp(text);
    if let Ok(options) = parse(text, &variable) {
        let size: usize = options.paths.iter().map(|path| path.as_os_str().len()).sum();
        assert!(size <= LONGEST);
    }
}

fn record(line: &[u8]) {
    if let Ok(Record::File(entry) | Record::Directory(entry)) = Record::parse(line) {
        check(&entry);
    }
}

fn check(entry: &Entry) {
    assert!(entry.mode <= 0o7777);
    assert!(i64::try_from(entry.size).is_ok());
    assert!(!entry.name.is_empty() && entry.name != b"..");
    assert!(!entry.name.contains(&b'/') && !entry.name.contains(&0));
}

fn pattern(text: &[u8]) {
    let (pattern, name) = text.split_at(text.len() / 2);
    if let Some(pattern) = Pattern::parse(pattern) {
        pattern.matches(name);
    }
    // Escaped, every text stands for itself and for nothing else.
    let escaped: Vec<u8> = name.iter().flat_map(|&byte| [b'\\', byte]).collect();
    if let Some(pattern) = Pattern::parse(&escaped).filter(|_| name.is_ascii()) {
        assert!(pattern.matches(name));
        assert!(!pattern.matches(&[name, b"x"].concat()));
    }
}

/// What a client sends into a directory.
fn sink(mut said: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    fs::create_dir(&target).unwrap();
    let mut output = Vec::new();
    let command = format!("scp -rpt {}", target.display());
    run(command.as_bytes(), &mut said, &mut output, &mut Vec::new());
    assert_eq!(output.first(), Some(&0));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    open_up(&target);
}

/// Modes come from the client, too: who is not root could not remove what it made.
fn open_up(directory: &Path) {
    fs::set_permissions(directory, PermissionsExt::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            open_up(&entry.path());
        }
    }
}

thread_local! {
    static TREE: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// What a client answers to a tree.
fn source(mut answers: &[u8]) {
    TREE.with(|tree| {
        let tree = tree.get_or_init(|| {
            let tree = tempfile::tempdir().unwrap();
            for path in ["a", "b/c", "b/d/e", "f"] {
                let path = tree.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "content").unwrap();
            }
            tree
        });
        let mut output = Vec::new();
        let command = format!("scp -rpf {}/* /nope", tree.path().display());
        let status = run(command.as_bytes(), &mut answers, &mut output, &mut Vec::new());
        assert_eq!(status, 1);
        assert!(output.len() < 4096);
    });
}

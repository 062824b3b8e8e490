//! MKDIR, OPENDIR, READDIR and REALPATH.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

/// All names that READDIR gives until it says EOF, batch by batch.
fn batches(directory: &Path, most: usize) -> Vec<Vec<Name>> {
    let mut asks = vec![ask_of(OPENDIR, directory)];
    asks.extend((0..most).map(|_| ask(READDIR).string("1")));
    let mut output = Vec::new();
    serve(&mut packets(asks).as_slice(), &mut output).unwrap();
    let mut answers = parse(&output, 1).into_iter().skip(1);
    let batches = answers.by_ref().map_while(|answer| match answer {
        Answer::Names(names) => Some(names),
        other => {
            assert_eq!(other, end());
            None
        }
    });
    let batches: Vec<_> = batches.collect();
    // The end stays the end.
    answers.for_each(|answer| assert_eq!(answer, end()));
    batches
}

#[test]
fn a_listing_has_every_name_once_without_dots() {
    let directory = tempfile::tempdir().unwrap();
    let names: BTreeSet<Vec<u8>> = (0..1000)
        .map(|number| format!("{number}{}", "x".repeat(number % 200)).into_bytes())
        .collect();
    for name in &names {
        fs::write(directory.path().join(str::from_utf8(name).unwrap()), "").unwrap();
    }
    let batches = batches(directory.path(), 200);
    assert!((3..100).contains(&batches.len()), "{} batches", batches.len());
    let found: Vec<Vec<u8>> = batches.into_iter().flatten().map(|name| name.file).collect();
    assert_eq!(found.len(), names.len());
    assert_eq!(BTreeSet::from_iter(found), names);
}

#[test]
fn an_empty_directory_is_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    assert!(batches(directory.path(), 3).is_empty());
}

#[test]
fn an_entry_has_its_own_attributes_and_a_line_as_ls_has_it() {
    let (directory, file) = with_file("12345");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
    let metadata = fs::metadata(&file).unwrap();
    let Answer::Names(names) = last([ask_of(OPENDIR, directory.path()), ask(READDIR).string("1")])
    else {
        panic!()
    };
    let [entry] = &names[..] else { panic!("{names:?}") };
    assert_eq!(entry.attributes.permissions, Some(0o104_755));
    assert_eq!(entry.attributes.size, Some(5));
    assert_eq!(entry.attributes.owner, Some((metadata.uid(), metadata.gid())));
    assert!(entry.line.starts_with("-rwsr-xr-x    1 "), "{}", entry.line);
    assert!(entry.line.ends_with(" file"), "{}", entry.line);
    if metadata.uid() == 0 && metadata.gid() == 0 {
        assert!(entry.line.contains(" root     root            5 "), "{}", entry.line);
    }
}

#[test]
fn a_link_in_a_listing_is_the_link() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/nowhere", directory.path().join("broken")).unwrap();
    let Answer::Names(names) = last([ask_of(OPENDIR, directory.path()), ask(READDIR).string("1")])
    else {
        panic!()
    };
    assert!(names[0].line.starts_with("lrwxrwxrwx"), "{}", names[0].line);
    assert_eq!(names[0].attributes.size, Some(8));
}

#[test]
fn what_is_no_directory_is_not_listed() {
    let (directory, file) = with_file("");
    let refused = status(4, format!("open {}: not a directory", file.display()));
    assert_eq!(last([ask_of(OPENDIR, &file)]), refused);
    let missing = directory.path().join("missing");
    let refused = status(2, format!("open {}: no such file or directory", missing.display()));
    assert_eq!(last([ask_of(OPENDIR, &missing)]), refused);
    assert_refused(&last([open(&file, READ), ask(READDIR).string("1")]), 4, ": not a directory");
}

#[test]
fn new_directories_have_the_mode_asked_for_else_0755() {
    let directory = tempfile::tempdir().unwrap();
    let [asked, usual] = ["asked", "usual"].map(|name| directory.path().join(name));
    let permissions = Attributes { permissions: Some(0o700), ..NOTHING };
    let make = |path: &Path, attributes| ask_of(MKDIR, path).attributes(attributes);
    assert_eq!(answers([make(&asked, &permissions), make(&usual, &NOTHING)]), [DONE, DONE]);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&asked), 0o700);
    assert_eq!(mode(&usual) | 0o055, 0o755, "the umask may take from it");
    let refused = status(4, format!("mkdir {}: file exists", usual.display()));
    assert_eq!(last([make(&usual, &NOTHING)]), refused);
}

#[test]
fn real_paths_are_made_of_the_text_alone() {
    let here = env::current_dir().unwrap();
    for (asked, answered) in [
        ("", here.clone()),
        (".", here.clone()),
        ("a/../b/", here.join("b")),
        ("/", "/".into()),
        ("/../x//y/.", "/x/y".into()),
        ("/proc/self/..", "/proc".into()),
        ("/no/such/thing", "/no/such/thing".into()),
        ("/~", "/~".into()),
    ] {
        assert_eq!(last([ask_of(REALPATH, asked)]), path(answered), "{asked}");
    }
}

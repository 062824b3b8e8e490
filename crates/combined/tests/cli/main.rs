//! The one file from outside, by each of its names. What the programs do then is tested in their crates, by
//! `scripts/test --arch`.
#![allow(clippy::unwrap_used, reason = "what surprises the harness is a failed test")]

use std::os::unix::fs::symlink;
use std::process::Command;

/// What the program prints when called by `name`, without arguments.
fn says(name: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join(name);
    symlink(env!("CARGO_BIN_EXE_combined"), &link).unwrap();
    let output = Command::new(link).env_clear().current_dir(directory.path()).output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_is_the_program_whose_name_it_is_called_by() {
    assert!(says("launcher").contains("received only 0 arguments"));
    assert_eq!(says("shell"), "Could not infer app directory, please provide one\n");
    assert_eq!(says("builder"), "missing flag: -buildpackOrder\n");
}

#[test]
fn by_any_other_name_it_is_the_builder() {
    assert_eq!(says("combined"), "missing flag: -buildpackOrder\n");
}

//! Names that cannot be files, or that nobody should see as they are.

use super::{file, refusal};

#[test]
fn paths_that_linux_does_not_take_are_refused_before_memory_is() {
    // The directories on its way have half a gigabyte of path.
    let deep = "a/".repeat(32_000);
    let sentence = refusal(&[file(&deep, b"")]);
    assert!(sentence.ends_with("…`: its path has more than 4095 bytes"), "{sentence}");
}

#[test]
fn paths_that_take_too_much_memory_together_are_refused() {
    let deep = "a/".repeat(2000);
    let many: Vec<_> = (0..40).map(|n| file(&format!("{n}/{deep}x"), b"")).collect();
    let sentence = refusal(&many);
    assert!(
        sentence.ends_with("all paths together have more than 128M, so it looks like a zip bomb"),
        "{sentence}"
    );
}

#[test]
fn a_name_with_control_characters_is_shown_on_one_line() {
    let sentence = refusal(&[file("a\0b\n\u{1b}[31mé", b"")]);
    assert!(sentence.starts_with("zip: entry `a\\u{0}b\\n\\u{1b}[31mé`: "), "{sentence}");
    assert!(!sentence.contains(char::is_control), "{sentence}");
}

//! Wildcards: one name against one pattern, and patterns against a tree.

use std::fs;

use super::*;

fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    Pattern::parse(pattern).unwrap().matches(name)
}

#[test]
fn names_match_as_the_contract_says() {
    for (pattern, matching, others) in [
        ("*.txt", &["a.txt", ".txt", ".a.txt"][..], &["a.txt.gz", "atxt"][..]),
        ("a?c", &["abc", "aäc", "a.c"], &["ac", "abbc"]),
        ("[a-cx]*", &["a", "bz", "x"], &["d", ""]),
        ("[^a-c]", &["d", "ä"], &["a", "b", ""]),
        ("[!a]", &["b"], &["a"]),
        ("[]a]", &["]", "a"], &["b"]),
        ("[a-]", &["a", "-"], &["b"]),
        (r"[\]-\^]", &["]", "^"], &["\\", "a"]),
        (r"\*\a", &["*a"], &["xa", r"\*a"]),
        ("a*b*c", &["abc", "aXbYbZc"], &["ab", "acb", "abcd"]),
        ("**", &["", "x"], &[]),
        ("*a*a*a*b", &["aaaab", "xaxaxaxb"], &["aab", "aaaa"]),
    ] {
        for name in matching {
            assert!(matches_name(pattern.as_bytes(), name.as_bytes()), "{pattern} is for {name}");
        }
        for name in others {
            assert!(
                !matches_name(pattern.as_bytes(), name.as_bytes()),
                "{pattern} is not for {name}"
            );
        }
    }
    assert!(matches_name(b"?", b"\xff"), "what is no UTF-8 is letters, too");
    assert!(matches_name(b"\xff*", b"\xff\xfe"));
}

#[test]
fn open_brackets_and_trailing_backslashes_are_no_patterns() {
    for pattern in ["[", "[a", "[]", "[a-", r"a\", r"[a\"] {
        assert!(Pattern::parse(pattern.as_bytes()).is_none(), "{pattern}");
    }
}

#[test]
fn a_pattern_with_many_stars_takes_no_time() {
    let pattern = b"*a".repeat(2000);
    assert!(!matches_name(&pattern, &b"a".repeat(255)));
}

#[test]
fn trees_are_searched_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().to_str().unwrap().to_owned();
    for path in ["b/two.txt", "b/one.txt", "a/three.txt", "a/.dot", "c.txt", "[x].txt", "x.txt"] {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let found = |pattern: &str| -> Vec<String> {
        let paths = expand(format!("{root}/{pattern}").as_bytes()).unwrap();
        paths
            .into_iter()
            .map(|path| String::from_utf8(path).unwrap().replacen(&format!("{root}/"), "", 1))
            .collect()
    };
    for (pattern, paths) in [
        ("*/*.txt", vec!["a/three.txt", "b/one.txt", "b/two.txt"]),
        ("a/*", vec!["a/.dot", "a/three.txt"]),
        ("?/", vec!["a", "b"]),
        ("*/one.txt", vec!["b/one.txt"]),
        // What nothing matches, and what is malformed, is asked for as it is.
        ("*.gz", vec!["*.gz"]),
        ("[a", vec!["[a"]),
        ("nope/*", vec!["nope/*"]),
        ("c.txt", vec!["c.txt"]),
        // A file of that very name is meant, even if others match.
        ("[x].txt", vec!["[x].txt"]),
        (r"\[x\].*", vec!["[x].txt"]),
    ] {
        assert_eq!(found(pattern), paths, "{pattern}");
    }
}

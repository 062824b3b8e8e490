//! The builder's command line: every flag, every exit status, every sentence (contract, 2, 3.1, 3.2).
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are test code too")]

mod cli {
    //! Tables by what they pin.
    mod statuses;
}

use std::process::Output;

use assert_cmd::Command;
use suite::program;

/// Name, type word and default note of every flag, sorted as the usage list is.
const FLAGS: [(&str, &str, &str); 12] = [
    ("buildArtifactsCacheDir", " string", r#" (default "/tmp/cache")"#),
    ("buildDir", " string", r#" (default "/tmp/app")"#),
    ("buildpackOrder", " string", ""),
    ("buildpacksDir", " string", r#" (default "/tmp/buildpacks")"#),
    ("buildpacksDownloadDir", " string", r#" (default "/tmp/buildpackdownloads")"#),
    ("credhubConnectAttempts", " int", " (default 3)"),
    ("credhubRetryDelay", " duration", " (default 1s)"),
    ("outputBuildArtifactsCache", " string", r#" (default "/tmp/output-cache")"#),
    ("outputDroplet", " string", r#" (default "/tmp/droplet")"#),
    ("outputMetadata", " string", r#" (default "/tmp/result.json")"#),
    ("skipCertVerify", "", ""),
    ("skipDetect", "", ""),
];

/// Status and stderr of a run that prints nothing on stdout. The builder runs where it can do no
/// harm: one that takes an empty `-buildArtifactsCacheDir` would prune its working directory.
fn run(arguments: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let mut builder = Command::new(program("builder"));
    builder.env_clear().current_dir(&directory).args(arguments);
    let Output { status, stdout, stderr } = builder.output().unwrap();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0, "files were made: {arguments:?}");
    assert!(stdout.is_empty(), "on stdout: {}", String::from_utf8_lossy(&stdout));
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn help_lists_every_flag_sorted_with_its_default_on_stderr() {
    for spelling in ["-h", "--h", "-help", "--help", "-h=3"] {
        let (status, usage) = run(&[spelling]);
        assert_eq!(status, 0, "{spelling}");
        let mut lines = usage.lines();
        assert_eq!(lines.next(), Some("Usage of builder:"), "{spelling}");
        for (name, kind, default) in FLAGS {
            assert_eq!(lines.next(), Some(format!("  -{name}{kind}").as_str()));
            let line = lines.next().unwrap();
            let words = line.strip_prefix("    \t").and_then(|words| words.strip_suffix(default));
            let words =
                words.unwrap_or_else(|| panic!("no description{default} for {name}: {line}"));
            assert!(!words.is_empty() && !words.contains("(default"), "{name}: {words}");
        }
        assert_eq!(lines.next(), None);
    }
}

#[test]
fn bad_flags_are_status_2_with_the_usage_below() {
    let boolean = r#"invalid boolean value "maybe" for -skipDetect: parse error"#;
    let duration = "for flag -credhubRetryDelay: parse error";
    let integer = "for flag -credhubConnectAttempts";
    for (arguments, sentence) in [
        (vec!["-nope"], "flag provided but not defined: -nope".to_owned()),
        (vec!["--nope=1"], "flag provided but not defined: -nope".to_owned()),
        (vec!["-builddir=/x"], "flag provided but not defined: -builddir".to_owned()),
        (vec!["-buildDir"], "flag needs an argument: -buildDir".to_owned()),
        (vec!["---buildDir=/x"], "bad flag syntax: ---buildDir=/x".to_owned()),
        (vec!["-=x"], "bad flag syntax: -=x".to_owned()),
        (vec!["-skipDetect=maybe"], boolean.to_owned()),
        (vec!["-skipDetect="], boolean.replace("maybe", "")),
        (
            vec!["-skipCertVerify=yes"],
            boolean.replace("maybe", "yes").replace("Detect", "CertVerify"),
        ),
        (vec!["-credhubRetryDelay=5"], format!(r#"invalid value "5" {duration}"#)),
        (vec!["-credhubRetryDelay", ""], format!(r#"invalid value "" {duration}"#)),
        (vec!["-credhubConnectAttempts=x"], format!(r#"invalid value "x" {integer}: parse error"#)),
        (
            vec!["-credhubConnectAttempts=9223372036854775808"],
            format!(r#"invalid value "9223372036854775808" {integer}: value out of range"#),
        ),
        // The first problem is the one reported.
        (vec!["-skipDetect=maybe", "-nope"], boolean.to_owned()),
    ] {
        let (status, stderr) = run(&arguments);
        assert_eq!(status, 2, "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().next(), Some(sentence.as_str()), "{arguments:?}");
        assert_eq!(stderr.lines().nth(1), Some("Usage of builder:"), "{arguments:?}");
    }
}

#[test]
fn empty_flags_are_missing_flags_with_status_1() {
    let order = "missing flag: -buildpackOrder";
    for (arguments, sentence) in [
        (vec![], order),
        (vec!["-buildpackOrder=A", "-buildDir="], "missing flag: -buildDir"),
        (vec!["-buildDir", ""], "missing flag: -buildDir, missing flag: -buildpackOrder"),
        // Parsing stops at the first word that is no flag, and after `--`.
        (vec!["word", "-buildpackOrder=A"], order),
        (vec!["--", "-buildpackOrder=A"], order),
        (vec!["-", "-nope"], order),
        (vec!["", "-nope"], order),
        (vec!["-skipDetect", "false", "-nope"], order),
        // The last one wins.
        (vec!["-buildpackOrder=A", "--buildpackOrder="], order),
    ] {
        assert_eq!(run(&arguments), (1, format!("{sentence}\n")), "{arguments:?}");
    }
}

#[test]
fn one_file_for_droplet_and_cache_is_refused_with_status_1() {
    let arguments =
        ["-buildpackOrder=A", "-outputDroplet=/x/y", "-outputBuildArtifactsCache=/x//y"];
    let sentence = "-outputDroplet and -outputBuildArtifactsCache are the same file, /x/y: give each its own\n";
    assert_eq!(run(&arguments), (1, sentence.to_owned()));
}

#[test]
fn all_missing_flags_are_named_in_order() {
    let strings = FLAGS.iter().filter(|(_, kind, _)| *kind == " string");
    let empty: Vec<String> = strings.clone().rev().map(|(name, ..)| format!("-{name}=")).collect();
    let missing: Vec<String> = strings.map(|(name, ..)| format!("missing flag: -{name}")).collect();
    let arguments: Vec<&str> = empty.iter().map(String::as_str).collect();
    assert_eq!(run(&arguments), (1, missing.join(", ") + "\n"));
}

#[test]
fn every_flag_is_accepted_in_every_spelling() {
    for (name, kind, _) in FLAGS {
        let values: &[&str] = match kind {
            " string" => &["", "-x", "a=b"],
            " int" => &["0x_1F", "-1", "0b1", "017", "1_000"],
            " duration" => &["1h15m30.5s", "0", "-1s", "300ms", "1µs"],
            _ => &["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"],
        };
        for value in values {
            let mut spellings =
                vec![vec![format!("-{name}={value}")], vec![format!("--{name}={value}")]];
            if kind.is_empty() {
                spellings.push(vec![format!("-{name}")]);
            } else {
                spellings.push(vec![format!("-{name}"), (*value).to_owned()]);
                spellings.push(vec![format!("--{name}"), (*value).to_owned()]);
            }
            for spelling in spellings {
                // An empty order ends the run before anything is touched.
                let mut arguments: Vec<&str> = spelling.iter().map(String::as_str).collect();
                arguments.push("-buildpackOrder=");
                let (status, stderr) = run(&arguments);
                assert!(
                    status == 1 && stderr.contains("missing flag: -buildpackOrder"),
                    "{spelling:?}: {stderr}"
                );
                let named = stderr.contains(&format!("missing flag: -{name}"));
                assert_eq!(named, value.is_empty() || name == "buildpackOrder", "{spelling:?}");
            }
        }
    }
}

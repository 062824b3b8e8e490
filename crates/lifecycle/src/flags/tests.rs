use super::*;

#[derive(Debug, Parser)]
#[command(name = "builder")]
struct Flags {
    /// The app's files
    #[arg(long = "buildDir", value_name = "string", default_value = "/tmp/app")]
    build_dir: String,
    /// Skip detect
    #[arg(long = "skipDetect", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value = "false", value_parser = boolean)]
    skip_detect: bool,
    /// Pause
    #[arg(long = "delay", value_name = "duration", default_value = "1s", value_parser = duration)]
    delay: Duration,
    /// Tries
    #[arg(long = "attempts", value_name = "int", default_value = "3",
          allow_hyphen_values = true, value_parser = integer)]
    attempts: i64,
}

fn read(words: &[&str]) -> Result<Flags, FlagError> {
    parse(words.iter().map(OsString::from))
}

fn sentence(words: &[&str]) -> String {
    read(words).unwrap_err().to_string().lines().next().unwrap().to_owned()
}

#[test]
fn one_dash_or_two_with_equals_or_blank() {
    for words in [
        &["-buildDir=/x"][..],
        &["--buildDir=/x"],
        &["-buildDir", "/x"],
        &["--buildDir", "/x"],
        &["-buildDir=/y", "-buildDir=/x"],
    ] {
        assert_eq!(read(words).unwrap().build_dir, "/x", "{words:?}");
    }
}

#[test]
fn values_may_begin_with_a_dash_or_be_empty() {
    assert_eq!(read(&["-buildDir", "-x"]).unwrap().build_dir, "-x");
    assert_eq!(read(&["-buildDir", ""]).unwrap().build_dir, "");
    assert_eq!(read(&["-buildDir="]).unwrap().build_dir, "");
    assert_eq!(read(&["-buildDir=a=b"]).unwrap().build_dir, "a=b");
    assert_eq!(read(&["-attempts", "-4"]).unwrap().attempts, -4);
}

#[test]
fn booleans_never_take_the_next_argument() {
    assert!(read(&["-skipDetect"]).unwrap().skip_detect);
    assert!(!read(&["-skipDetect=false"]).unwrap().skip_detect);
    let flags = read(&["-skipDetect", "false", "-buildDir=/x"]).unwrap();
    assert!(flags.skip_detect);
    assert_eq!(flags.build_dir, "/tmp/app", "parsing stopped at `false`");
}

#[test]
fn parsing_stops_at_the_first_word_that_is_no_flag() {
    for stop in ["", "-", "x", "--"] {
        assert_eq!(read(&[stop, "-buildDir=/x"]).unwrap().build_dir, "/tmp/app", "{stop:?}");
    }
}

#[test]
fn problems_are_said_in_go_words() {
    for (words, expected) in [
        (&["-nope"][..], "flag provided but not defined: -nope"),
        (&["-nope=1"], "flag provided but not defined: -nope"),
        (&["-buildDir"], "flag needs an argument: -buildDir"),
        (&["---x"], "bad flag syntax: ---x"),
        (&["-=x"], "bad flag syntax: -=x"),
        (&["-skipDetect=maybe"], "invalid boolean value \"maybe\" for -skipDetect: parse error"),
        (&["-skipDetect="], "invalid boolean value \"\" for -skipDetect: parse error"),
        (&["-delay=5"], "invalid value \"5\" for flag -delay: parse error"),
        (&["-delay="], "invalid value \"\" for flag -delay: parse error"),
        (&["-attempts=x"], "invalid value \"x\" for flag -attempts: parse error"),
        (
            &["-attempts=9223372036854775808"],
            "invalid value \"9223372036854775808\" for flag -attempts: value out of range",
        ),
        (&["-delay=5", "-nope"], "invalid value \"5\" for flag -delay: parse error"),
    ] {
        assert_eq!(sentence(words), expected);
        assert_eq!(read(words).unwrap_err().status(), 2);
    }
}

#[test]
fn unknown_flags_can_be_passed_over() {
    let read = |words: &[&str]| parse_known::<Flags>(words.iter().map(OsString::from));
    for (words, unknown) in [
        (&["-new=1", "-buildDir", "/x"][..], &["new"][..]),
        (&["--new", "1", "-buildDir", "/x"], &["new"]),
        (&["-new", "-newer", "1", "--buildDir=/x"], &["new", "newer"]),
        (&["-buildDir=/x", "-new"], &["new"]),
        // What ends the flags is no value.
        (&["-buildDir=/x", "-new", "--", "-other"], &["new"]),
        (&["-buildDir=/x", "word", "-new"], &[]),
    ] {
        let known = read(words).unwrap();
        assert_eq!(
            (known.flags.build_dir.as_str(), &known.unknown[..]),
            ("/x", &unknown.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
            "{words:?}"
        );
        assert_eq!(known.words, ["--buildDir=/x"], "{words:?}");
    }
    let known = read(&["-skipDetect", "-delay", "2s", "-buildDir="]).unwrap();
    assert_eq!(known.words, ["--skipDetect", "--delay=2s", "--buildDir="]);
    // What is wrong with known flags, and help, is said as ever.
    assert_eq!(read(&["-new=1", "-delay=x"]).unwrap_err().status(), 2);
    assert_eq!(read(&["-new=1", "-h"]).unwrap_err().status(), 0);
}

#[test]
fn a_value_that_is_no_text_is_named() {
    #[derive(Debug, Parser)]
    struct Flags {
        #[arg(long, value_name = "string", value_parser = clap::value_parser!(OsString))]
        path: Option<OsString>,
        #[arg(long, value_name = "duration", value_parser = duration)]
        delay: Option<Duration>,
    }
    let bytes = |text: &[u8]| OsStr::from_bytes(text).to_owned();
    let flags: Flags = parse([bytes(b"-path=\xff")]).unwrap();
    assert_eq!((flags.path, flags.delay), (Some(bytes(b"\xff")), None));
    let error = parse::<Flags>([bytes(b"-path=\xff"), bytes(b"-delay=1\xff")]).unwrap_err();
    let expected = "invalid value \"1\u{fffd}\" for flag -delay: parse error\n";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn help_is_the_usage_list_and_no_error() {
    for word in ["-h", "--h", "-help", "--help", "-h=3"] {
        let help = read(&[word]).unwrap_err();
        assert_eq!(help.status(), 0, "{word}");
        assert_eq!(
            help.to_string(),
            "Usage of builder:\n  -attempts int\n    \tTries (default 3)\n  -buildDir string\n    \t\
             The app's files (default \"/tmp/app\")\n  -delay duration\n    \tPause (default 1s)\n  \
             -skipDetect\n    \tSkip detect\n"
        );
    }
}

#[test]
fn integers_are_read_as_go_reads_them() {
    for (text, value) in [
        ("10", 10),
        ("+10", 10),
        ("-10", -10),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("0b11", 3),
        ("1_000", 1000),
        ("0x_1f", 31),
        ("0", 0),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(integer(text), Ok(value), "{text}");
    }
    for text in ["", "-", "1.5", "1__0", "_1", "1_", "0x", "08", "1e3", "0x-1"] {
        assert!(integer(text).is_err(), "{text}");
    }
}

#[test]
fn durations_are_read_as_go_reads_them() {
    for (text, nanoseconds) in [
        ("0", 0),
        ("300ms", 300_000_000),
        ("1h15m30.5s", 4_530_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("2\u{b5}s", 2_000),
        ("2\u{3bc}s", 2_000),
        ("+1ns", 1),
        ("-1s", -1_000_000_000),
        ("0.000000001h", 3_600),
    ] {
        assert_eq!(signed_nanoseconds(text), Some(nanoseconds), "{text}");
    }
    for text in ["", "5", "s", ".s", "1x", "1..5s", "-", "3000000h", " 1s"] {
        assert_eq!(signed_nanoseconds(text), None, "{text}");
    }
}

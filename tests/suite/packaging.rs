//! Droplet and cache as archives: layout, fidelity in four readers, equal bytes (3.18, issue 2).

mod fidelity;

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use suite::{Stage, Staged, tool, wait_for};

/// A buildpack that only detects and finalizes; the app has one file of a fixed time.
fn plain() -> Stage {
    let stage = Stage::empty().script("A", "detect", "echo D").script("A", "finalize", "");
    let stage = stage.script("A", "release", "echo 'default_process_types: {web: run}'");
    let stage = stage.file("f", "contents");
    tool("touch", ["-d", "@1000000000", stage.path("app/f").to_str().unwrap()]);
    tool("touch", ["-d", "@1100000000", stage.path("app").to_str().unwrap()]);
    stage
}

/// GNU tar's long listing, numeric, with whole dates.
fn long_listing(staged: &Staged, archive: &str) -> String {
    let options = ["--utc", "--full-time", "--numeric-owner", "-tvzf"].map(Path::new);
    tool("tar", options.iter().chain(&[staged.path(archive).as_path()]))
}

/// The SHA-256 and SHA-1 of a file, by coreutils.
fn sums(path: &Path) -> (String, String) {
    let first = |text: String| text.split(' ').next().unwrap().to_owned();
    (first(tool("sha256sum", [path])), first(tool("sha1sum", [path])))
}

#[test]
fn the_droplet_has_the_contracts_entries_and_the_root_first() {
    let mut listed = plain().run().succeeds().droplet();
    assert_eq!(listed[0], "./");
    listed.sort();
    assert_eq!(
        listed,
        [
            "./",
            "./app/",
            "./app/f",
            "./deps/",
            "./deps/0/",
            "./logs/",
            "./profile.d/",
            "./staging_info.yml",
            "./staging_report.json",
            "./tmp/",
        ]
    );
}

#[test]
fn entries_are_sorted_with_parents_before_children() {
    let stage = ["b", "a/z", "a/y", "a-b", "a.c", "B", "é"]
        .iter()
        .fold(plain(), |stage, name| stage.file(name, ""));
    let listed = stage.run().succeeds().droplet();
    for (at, entry) in listed.iter().enumerate() {
        let parent = entry.trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
        let parent_at = listed.iter().position(|other| other.trim_end_matches('/') == parent);
        assert!(
            at == 0 || parent_at.is_some_and(|parent_at| parent_at < at),
            "{entry} before its parent"
        );
    }
    let names = |directory: &str| -> Vec<&str> {
        let inside = listed.iter().filter_map(|entry| entry.strip_prefix(directory));
        inside
            .map(|name| name.trim_end_matches('/'))
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .collect()
    };
    for directory in ["./", "./app/", "./app/a/"] {
        assert!(names(directory).is_sorted(), "{directory}: {:?}", names(directory));
    }
}

#[test]
fn the_root_is_private_and_the_app_has_its_own_mode_and_time() {
    let stage = plain();
    tool("chmod", ["2750", stage.path("app").to_str().unwrap()]);
    let staged = stage.run().succeeds();
    let listing = long_listing(&staged, "out/droplet");
    let line = |name: &str| listing.lines().find(|line| line.ends_with(name)).unwrap();
    assert!(line(" ./").starts_with("drwx------ "), "{listing}");
    assert!(
        line(" ./app/").starts_with("drwxr-s--- ") && line(" ./app/").contains("2004-11-09"),
        "{listing}"
    );
    assert!(line(" ./app/f").contains(" 8 2001-09-09 01:46:40 "), "{listing}");
}

#[test]
fn the_cache_has_its_own_directorys_mode() {
    let stage = plain().seed("cache/final/made", "");
    tool("chmod", ["711", stage.path("cache").to_str().unwrap()]);
    let staged = stage.run().succeeds();
    let listing = long_listing(&staged, "out/cache");
    assert!(listing.lines().next().unwrap().starts_with("drwx--x--x "), "{listing}");
    assert_eq!(staged.cache(), ["./", "./final/", "./final/made"]);
}

#[test]
fn a_contents_app_made_by_a_script_does_not_displace_the_app() {
    let staged = plain()
        .script("A", "finalize", "mkdir ${3%/*}/app && echo > ${3%/*}/app/strange")
        .run()
        .succeeds();
    assert!(
        staged.droplet().contains(&"./app/f".to_owned())
            || staged.droplet().contains(&"./app/app/f".to_owned())
    );
}

#[test]
fn both_archives_are_plain_gzip_without_name_and_time() {
    let staged = plain().run().succeeds();
    for archive in ["out/droplet", "out/cache"] {
        let bytes = fs::read(staged.path(archive)).unwrap();
        assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "{archive}");
        tool("sh", ["-c", "gzip -t < $0", staged.path(archive).to_str().unwrap()]);
    }
}

#[test]
fn sockets_are_skipped_with_a_warning() {
    let stage = plain();
    let _socket = std::os::unix::net::UnixListener::bind(stage.path("app/talk.sock")).unwrap();
    let staged = stage.run().succeeds().explains(&["talk.sock", "socket"]);
    assert!(!staged.droplet().iter().any(|entry| entry.contains("talk")));
}

#[test]
fn names_that_image_layers_take_for_deletions_are_warned_about() {
    let staged = plain().file("dir/.wh.gone", "").run().succeeds().explains(&[".wh.gone"]);
    assert!(staged.droplet().contains(&"./app/dir/.wh.gone".to_owned()));
}

#[test]
fn the_bytes_do_not_depend_on_time_or_cores() {
    let stage = |within: &str| {
        let mut text = String::new();
        for number in 0..200_000 {
            text.push_str(&(number * 7919 % 100_003).to_string());
        }
        let stage = plain().file("big", &text).seed("cache/final/c", &text);
        for name in ["app/big", "app", "cache/final/c", "cache/final", "cache"] {
            tool("touch", ["-d", "@1200000000", stage.path(name).to_str().unwrap()]);
        }
        stage.within(within).run().succeeds()
    };
    let first = stage("exec taskset -c 0 \"$@\"");
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let start = second();
    // Entries of the builder's own would carry the time of day in whole seconds.
    wait_for("the next second", || (second() > start).then_some(()));
    let other = stage("exec \"$@\"");
    assert_eq!(
        sums(&first.path("out/droplet")),
        sums(&other.path("out/droplet")),
        "{}\n{}",
        long_listing(&first, "out/droplet"),
        long_listing(&other, "out/droplet")
    );
    assert_eq!(sums(&first.path("out/cache")), sums(&other.path("out/cache")));
}

#[test]
fn source_date_epoch_caps_all_times() {
    let staged = plain()
        .file("new", "x")
        .script("A", "finalize", "echo > $3/$4/made")
        .env("SOURCE_DATE_EPOCH", "1050000000")
        .run()
        .succeeds();
    let listing = long_listing(&staged, "out/droplet");
    let line = |name: &str| listing.lines().find(|line| line.ends_with(name)).unwrap();
    assert!(line(" ./app/f").contains(" 2001-09-09 01:46:40 "), "{listing}");
    for new in [" ./app/", " ./app/new", " ./deps/0/made"] {
        assert!(line(new).contains(" 2003-04-10 18:40:00 "), "{new}: {listing}");
    }
    for line in listing.lines() {
        let date = line.split_whitespace().nth(3).unwrap();
        assert!(date <= "2003-04-10", "{line}");
    }
}

#[test]
fn the_report_has_the_checksums_of_both_outputs() {
    let staged = plain().run().succeeds();
    let report = staged.report().to_string();
    for archive in ["out/droplet", "out/cache"] {
        let (sha256, sha1) = sums(&staged.path(archive));
        assert!(report.contains(&sha256), "no SHA-256 of {archive} in {report}");
        assert!(report.contains(&sha1), "no SHA-1 of {archive} in {report}");
    }
}

#[test]
fn an_output_is_replaced_whole() {
    let stage =
        plain().seed("out/droplet", "old".repeat(100_000)).seed("out/cache", "old".repeat(100_000));
    let staged = stage.run().succeeds();
    assert_eq!(staged.droplet()[0], "./");
    let left = staged.names("out");
    assert_eq!(
        left,
        ["cache", "droplet", "result.json", "staging_report.json"],
        "temporary files are left"
    );
}

#[test]
fn archives_written_into_the_app_are_not_in_it() {
    // Once each was packed half written into the other.
    let staged = plain()
        .flag("outputDroplet", "app/droplet")
        .flag("outputBuildArtifactsCache", "app/cache")
        .run()
        .succeeds();
    let names = staged.path("names");
    let list =
        format!("tar -tzf '{}' > '{}'", staged.path("app/droplet").display(), names.display());
    tool("sh", ["-c", &list]);
    assert!(!staged.read("names").contains("partial"), "{}", staged.read("names"));
}

#[test]
fn a_large_app_is_packed_in_little_memory() {
    let stage = plain();
    let noise = "head -c 96M /dev/urandom > \"$0\"";
    tool("sh", ["-c".as_ref(), noise.as_ref(), stage.path("app/noise").as_os_str()]);
    let measure = "import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=open('peak', 'w'))
sys.exit(status)";
    let staged = stage.wrapped(["python3", "-c", measure]).run().succeeds();
    let kibibytes: u64 = staged.read("peak").trim().parse().unwrap();
    // The goal is 32 MiB on two cores, of a release build.
    assert!(kibibytes < 64 * 1024, "{kibibytes} KiB");
    assert_eq!(staged.names("out"), ["cache", "droplet", "result.json", "staging_report.json"]);
}

//! The container around the builder: users, paths, umask, names that are not UTF-8 (platform, 7).

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use suite::{Stage, tool};

use super::example;

#[test]
fn stages_as_user_2000_with_read_only_buildpacks_as_root() {
    let stage = Stage::empty()
        .file("index.html", "hello")
        .script("A", "supply", "echo a > $3/$4/a; echo c > $2/c; touch $0 2> /dev/null && exit 9; id -u > $ROOT/app/uid")
        .script("B", "finalize", "echo b > $5/b.sh; test $(stat -c %a ${5%/*}) = 700")
        .script("B", "release", "echo 'default_process_types: {web: run}'")
        .skip_detect();
    let buildpacks = stage.path("buildpacks");
    let stage = stage.as_user_2000();
    tool("chmod", ["-R", "a-w", buildpacks.to_str().unwrap()]);
    let staged = stage.run().succeeds();
    assert_eq!(staged.read("app/uid"), "2000\n");
    let listing =
        tool("tar", ["--numeric-owner", "-tvzf", staged.path("out/droplet").to_str().unwrap()]);
    for line in listing.lines() {
        assert!(line.contains(" 2000/2000 "), "not owned by the user: {line}");
    }
    for output in ["droplet", "cache", "result.json"] {
        let metadata = fs::metadata(staged.path("out").join(output)).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (2000, 0o644), "{output}");
    }
}

#[test]
fn the_umask_is_respected_in_outputs_and_directories() {
    let staged =
        example().flag("outputDroplet", "new/deep/droplet").within("umask 027; exec \"$@\"").run();
    let staged = staged.succeeds();
    let mode = |name: &str| fs::metadata(staged.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("out/result.json"), 0o640);
    assert_eq!(mode("new/deep/droplet"), 0o640);
    assert_eq!(mode("out/cache"), 0o640);
    assert_eq!((mode("new"), mode("new/deep"), mode("cache/final")), (0o750, 0o750, 0o750));
    let listing = tool("tar", ["-tvzf", staged.path("new/deep/droplet").to_str().unwrap()]);
    for (name, mode) in [
        (" ./", "drwx------"),
        (" ./deps/", "drwxr-x---"),
        (" ./profile.d/", "drwxr-x---"),
        (" ./tmp/", "drwxr-x---"),
        (" ./logs/", "drwxr-x---"),
        (" ./staging_info.yml", "-rw-r-----"),
    ] {
        let line = listing.lines().find(|line| line.ends_with(name));
        assert!(
            line.is_some_and(|line| line.starts_with(mode)),
            "{name} is not {mode}:\n{listing}"
        );
    }
}

#[test]
fn relative_paths_stay_relative_and_are_cleaned() {
    let paths = [
        ("buildDir", "./app//"),
        ("outputDroplet", "x/../out/droplet"),
        ("outputMetadata", "out/./result.json"),
        ("outputBuildArtifactsCache", "out/cache"),
        ("buildpacksDir", "buildpacks/"),
        ("buildArtifactsCacheDir", "./cache"),
    ];
    let stage = paths.into_iter().fold(example(), |stage, (flag, path)| stage.flag(flag, path));
    let staged = stage
        .script("A", "finalize", "echo $1 $2 > $ROOT/arguments; echo $0 >> $ROOT/arguments")
        .file("f", "x")
        .run()
        .succeeds();
    let expected = format!("app cache/final\nbuildpacks/{}/bin/finalize\n", suite::xxhash("A"));
    assert_eq!(staged.read("arguments"), expected);
    assert!(staged.droplet().contains(&"./app/f".to_owned()));
}

#[test]
fn names_that_are_not_utf_8_are_carried_through() {
    let name = suite::bytes(b"b\xffd\n name");
    let stage = example().file(name, "inside").flag("buildDir", suite::bytes(b"app\xfe"));
    fs::rename(stage.path("app"), stage.path(suite::bytes(b"app\xfe"))).unwrap();
    let script = "printf '%s' \"$1\" > $ROOT/argument; touch \"$3/$4/$(printf 'd\\376p')\"";
    let staged = stage.script("A", "finalize", script).run().succeeds();
    assert_eq!(fs::read(staged.path("argument")).unwrap(), b"app\xfe");
    let (home, droplet) = (staged.path("unpacked"), staged.path("out/droplet"));
    fs::create_dir(&home).unwrap();
    tool("tar", [Path::new("-xzf"), &droplet, Path::new("-C"), &home]);
    assert_eq!(fs::read(home.join("app").join(name)).unwrap(), b"inside");
    assert!(home.join("deps/0").join(suite::bytes(b"d\xfep")).exists());
}

#[test]
fn a_build_dir_that_is_a_link_is_packed_as_the_app() {
    // The predecessor's droplet then holds a dangling link (section 11, 15).
    for flag in ["link", "link/"] {
        let stage = example().file("f", "x").flag("buildDir", flag);
        symlink("app", stage.path("link")).unwrap();
        let staged = stage.run().succeeds();
        let droplet = staged.droplet();
        assert!(droplet.contains(&"./app/".to_owned()), "{droplet:?}");
        assert!(droplet.contains(&"./app/f".to_owned()), "{droplet:?}");
    }
}

#[test]
fn a_missing_temporary_directory_is_named() {
    let line = "Failed to set up filesystem when generating droplet: stat {root}/gone: no such file or directory";
    let stage = example();
    let gone = stage.path("gone");
    let _failed = stage.env("TMPDIR", gone).run().fails(1, line);
}

#[test]
fn outputs_that_cannot_be_made_are_status_1() {
    let line =
        "Failed to set up filesystem when generating droplet: mkdir {root}/out: not a directory";
    let _failed = example().seed("out", "a file").run().fails(1, line);
    let failed = example().seed("out/result.json/x", "").run();
    let failed = failed.fails(1, "open {root}/out/result.json: is a directory");
    assert!(!failed.has("out/droplet"));
    let failed = example().seed("out/droplet/x", "").run();
    assert_eq!(failed.status, 1, "{failed}");
    let failed = failed.explains(&["out/droplet", "is a directory"]);
    assert!(failed.result_text().ends_with("}\n"), "the result is there when packaging fails");
    let failed = example()
        .seed("blocked", "a file")
        .flag("outputBuildArtifactsCache", "blocked/cache")
        .run();
    let line = "Failed to create output build artifacts cache dir: mkdir blocked: not a directory";
    let _failed = failed.fails(1, line);
}

#[test]
fn an_output_directory_user_2000_may_not_write_to_is_status_1() {
    let stage = example().seed("out/.keep", "");
    let out = stage.path("out");
    let stage = stage.as_user_2000();
    tool("chown", ["0:0", out.to_str().unwrap()]);
    let failed = stage.run();
    assert_eq!(failed.status, 1, "{failed}");
    let failed = failed.explains(&["out/result.json", "permission denied"]);
    assert!(!failed.has("out/droplet"));
}

#[test]
fn tar_and_gzip_options_of_the_app_change_nothing() {
    // The predecessor calls tar and gzip, which the app's own variables reach (section 11, 24).
    let staged = example()
        .file("f", "x")
        .env("TAR_OPTIONS", "--exclude=f")
        .env("GZIP", "-1")
        .run()
        .succeeds();
    assert!(staged.droplet().contains(&"./app/f".to_owned()));
}

#[test]
fn neither_tar_nor_gzip_nor_cp_is_needed() {
    let stage = example().file("f", "x").env("PATH", "/nowhere");
    // Scripts that call no program but the shell's own.
    assert!(stage.run().succeeds().droplet().contains(&"./app/f".to_owned()));
}

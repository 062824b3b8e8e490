//! Where a buildpack lives (3.8), and keys of every kind (3.3).

use suite::{Stage, tool, xxhash};

/// A key and a buildpack under `directory` that notes it was run.
fn at(directory: &str) -> Stage {
    let script = "#!/bin/sh\necho found > $ROOT/found\n";
    let stage = Stage::empty()
        .seed(format!("buildpacks/{directory}/bin/finalize"), script)
        .seed(format!("buildpacks/{directory}/bin/release"), "#!/bin/sh\n");
    tool("chmod", ["-R", "a+rx", stage.path("buildpacks").to_str().unwrap()]);
    stage.skip_detect()
}

const KEY: &str = "0a1b2c3d-ruby_buildpack";

#[test]
fn directory_names_are_the_known_hashes() {
    // The values of the contract (3.3) and of the reference implementation of xxHash.
    assert_eq!(xxhash(""), "ef46db3751d8e999");
    assert_eq!(xxhash("abc"), "44bc2cf5ad770999");
}

#[test]
fn a_buildpack_is_found_by_xxhash_and_by_md5_and_one_level_down() {
    let hash = xxhash(KEY);
    let md5 = md5(KEY);
    for directory in
        [hash.clone(), md5.clone(), format!("{hash}/inner-1.2"), format!("{md5}/inner")]
    {
        let staged = at(&directory).order([KEY]).run().succeeds();
        assert_eq!(staged.read("found"), "found\n", "{directory}");
        assert_eq!(staged.result()["lifecycle_metadata"]["buildpack_key"], KEY);
    }
}

fn md5(key: &str) -> String {
    let sum = Stage::empty().seed("key", key);
    let line = tool("md5sum", [sum.path("key")]);
    line.split(' ').next().unwrap().to_owned()
}

#[test]
fn the_xxhash_directory_goes_before_the_md5_one() {
    let staged = at(&md5(KEY)).order([]).script(KEY, "finalize", "echo xx > $ROOT/found");
    let staged = staged.script(KEY, "release", "").run().succeeds();
    assert_eq!(staged.read("found"), "xx\n");
}

#[test]
fn the_md5_directory_serves_when_the_xxhash_one_is_empty_or_has_no_bin() {
    let stage = at(&md5(KEY)).order([KEY]);
    std::fs::create_dir(stage.path("buildpacks").join(xxhash(KEY))).unwrap();
    assert_eq!(stage.run().succeeds().read("found"), "found\n");
    let stage = at(&md5(KEY)).order([KEY]).seed(format!("buildpacks/{}/other", xxhash(KEY)), "");
    assert_eq!(stage.run().succeeds().read("found"), "found\n");
}

#[test]
fn two_levels_down_or_beside_a_dot_file_is_malformed() {
    let hash = xxhash(KEY);
    let line = format!(
        "Failed to run all supply scripts: malformed buildpack does not contain a /bin dir: {KEY}"
    );
    let deep = at(&format!("{hash}/one/two")).order([KEY, "B"]);
    let deep = deep.script("B", "finalize", "").run().fails(225, &line);
    // The resolve error is printed on its own too (3.11).
    let _twice = deep.warns(&format!("malformed buildpack does not contain a /bin dir: {KEY}"));
    let beside = at(&format!("{hash}/inner")).seed(format!("buildpacks/{hash}/.git"), "");
    let _same = beside.order([KEY, "B"]).script("B", "finalize", "").run().fails(225, &line);
}

#[test]
fn a_link_to_bin_counts() {
    let stage = at("elsewhere").order([KEY]);
    let directory = stage.path("buildpacks").join(xxhash(KEY));
    std::fs::create_dir(&directory).unwrap();
    std::os::unix::fs::symlink("../elsewhere/bin", directory.join("bin")).unwrap();
    assert_eq!(stage.run().succeeds().read("found"), "found\n");
}

#[test]
fn a_trailing_comma_is_an_empty_key() {
    let staged = Stage::empty()
        .script("A", "supply", "")
        .script("", "finalize", "echo empty > $ROOT/found")
        .script("", "release", "")
        .skip_detect()
        .run()
        .succeeds();
    assert_eq!(staged.read("found"), "empty\n");
    let metadata = &staged.result()["lifecycle_metadata"];
    assert!(
        metadata.get("buildpack_key").is_none(),
        "an empty buildpack_key is left out: {metadata}"
    );
    assert_eq!(metadata["buildpacks"][1]["key"], "");
}

#[test]
fn blanks_and_non_ascii_letters_are_part_of_a_key() {
    for key in [" a", "my buildpack", "käse", "a.b-c_d/e", "x%20y"] {
        let staged = Stage::empty().script(key, "finalize", "").script(key, "release", "");
        let staged = staged.skip_detect().run().succeeds();
        assert_eq!(staged.result()["lifecycle_metadata"]["buildpack_key"], key);
    }
}

#[test]
fn keys_that_are_broken_urls_end_the_run_before_any_script() {
    for (key, reason) in [
        ("a%zz", r#"invalid URL escape "%zz""#),
        (":x", "missing protocol scheme"),
        ("my bp:1", "first path segment in URL cannot contain colon"),
        ("git@github.com:org/repo", "first path segment in URL cannot contain colon"),
        ("http://a b/c", r#"invalid character " " in host name"#),
        ("http://[::1/x", "missing ']' in host"),
        ("http://h:abc/x", r#"invalid port ":abc" after host"#),
        ("https://h/a#%zz", r#"invalid URL escape "%zz""#),
        ("a\u{7f}b", "net/url: invalid control character in URL"),
    ] {
        let stage = Stage::empty().script("A", "supply", "echo ran > $ROOT/ran");
        let staged = stage.order(["A", key]).skip_detect().run();
        let quoted = key.replace('\u{7f}', r"\x7f");
        let line = format!("Invalid buildpack url ({key}): parse \"{quoted}\": {reason}");
        let staged = staged.fails(1, &line);
        assert!(!staged.has("ran"), "a script ran before {key} was refused");
        assert!(!staged.has("out/result.json"));
    }
}

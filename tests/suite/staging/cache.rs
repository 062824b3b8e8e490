//! The build artifacts cache: in, pruned, out (3.4, 3.7, 3.18).

use std::fs;
use std::os::unix::fs::symlink;

use suite::{Stage, xxhash};

fn two_buildpacks() -> Stage {
    Stage::empty()
        .script("A", "supply", "cat $2/kept >> $ROOT/seen; echo new > $2/made")
        .script("B", "finalize", "cat $2/kept >> $ROOT/seen; echo new > $2/made")
        .script("B", "release", "")
        .skip_detect()
}

#[test]
fn a_first_staging_makes_the_cache_directories_and_packs_them() {
    let staged = Stage::empty()
        .script("A", "supply", "ls -d $2 && echo a > $2/a")
        .script("B", "finalize", "ls -d $2 && echo b > $2/b")
        .script("B", "release", "")
        .skip_detect()
        .run()
        .succeeds();
    let a = xxhash("A");
    let mut listed = staged.cache();
    assert_eq!(listed[0], "./");
    listed.sort();
    let mut expected = [
        "./".to_owned(),
        format!("./{a}/"),
        format!("./{a}/a"),
        "./final/".into(),
        "./final/b".into(),
    ];
    expected.sort();
    assert_eq!(listed, expected);
}

#[test]
fn a_cache_of_this_order_is_kept_and_all_else_is_pruned() {
    let a = xxhash("A");
    let stage = two_buildpacks()
        .seed(format!("cache/{a}/kept"), "of A\n")
        .seed("cache/final/kept", "of final\n")
        .seed(format!("cache/{}/deep/file", xxhash("other")), "")
        .seed("cache/stray", "")
        .seed("cache/.hidden/file", "")
        // B is the final buildpack: its own hash is no cache of this order.
        .seed(format!("cache/{}/file", xxhash("B")), "");
    symlink("/nowhere", stage.path("cache/link")).unwrap();
    let staged = stage.run().succeeds();
    assert_eq!(staged.read("seen"), "of A\nof final\n");
    let mut expected = [a.clone(), "final".to_owned()];
    expected.sort();
    assert_eq!(staged.names("cache"), expected);
    let packed = staged.cache();
    assert!(packed.contains(&format!("./{a}/made")) && packed.contains(&"./final/kept".to_owned()));
    assert!(
        !packed.iter().any(|name| name.contains("stray") || name.contains("link")),
        "{packed:?}"
    );
}

#[test]
fn detection_keeps_the_final_cache_only() {
    let stage =
        super::example().seed("cache/final/kept", "").seed(format!("cache/{}/x", xxhash("A")), "");
    let staged = stage.run().succeeds();
    assert!(staged.has("cache/final/kept") && !staged.has(&format!("cache/{}", xxhash("A"))));
}

#[test]
fn links_out_of_the_cache_are_removed_and_not_followed() {
    let stage = two_buildpacks().seed("precious/file", "");
    fs::create_dir(stage.path("cache")).unwrap();
    symlink(stage.path("precious"), stage.path("cache/link")).unwrap();
    assert!(stage.run().succeeds().has("precious/file"));
}

#[test]
fn a_key_given_twice_has_one_cache_and_two_deps_directories() {
    let staged = Stage::empty()
        .script("A", "supply", "echo $2 $4 >> $ROOT/seen")
        .script("B", "finalize", "")
        .script("B", "release", "")
        .order(["A", "A", "B"])
        .skip_detect()
        .run()
        .succeeds();
    let cache = staged.path("cache").join(xxhash("A"));
    assert_eq!(staged.read("seen"), format!("{0} 0\n{0} 1\n", cache.display()));
    assert_eq!(staged.result()["lifecycle_metadata"]["buildpacks"].as_array().unwrap().len(), 3);
}

#[test]
fn an_empty_cache_is_packed_too_and_a_second_staging_can_use_it() {
    let staged = super::example().run().succeeds();
    assert_eq!(staged.cache(), ["./", "./final/"]);
    assert!(fs::metadata(staged.path("out/cache")).unwrap().len() > 0);
}

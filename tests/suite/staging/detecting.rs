//! Detection: who is asked, who is chosen, what is printed (3.10).

use suite::Stage;

use super::{example, release};

const NONE: &str = "None of the buildpacks detected a compatible application";

#[test]
fn the_first_buildpack_that_detects_stages_the_app_alone() {
    let staged = Stage::empty()
        .script("no", "detect", "echo asked >> $ROOT/no; exit 1")
        .script("yes", "detect", "echo Yes 1.0")
        .script("yes", "finalize", "echo finalized")
        .script("yes", "release", &release("web: yes"))
        .script("later", "detect", "echo asked >> $ROOT/later")
        .run()
        .succeeds();
    assert_eq!(staged.read("no"), "asked\n");
    assert!(!staged.has("later"), "a buildpack after the match was asked");
    let result = staged.result();
    assert_eq!(result["lifecycle_metadata"]["buildpack_key"], "yes");
    assert_eq!(result["lifecycle_metadata"]["detected_buildpack"], "Yes 1.0");
    assert_eq!(result["lifecycle_metadata"]["buildpacks"].as_array().unwrap().len(), 1);
}

#[test]
fn nothing_detected_is_222_and_leaves_no_output() {
    let staged = Stage::empty().script("A", "detect", "exit 1").run().fails(222, NONE);
    for output in ["out/droplet", "out/cache", "out/result.json", "out/staging_report.json"] {
        assert!(!staged.has(output), "{output} was made");
    }
}

#[test]
fn the_detect_output_is_the_name_without_the_line_ends_after_it() {
    for (printed, name) in [
        (r"Ruby", "Ruby"),
        (r"Ruby\n", "Ruby"),
        (r"Ruby\r\n\n\r\r\n", "Ruby"),
        (r"Ruby\nand more\n", "Ruby\nand more"),
        (r"  Ruby \n", "  Ruby "),
        ("", ""),
    ] {
        let staged =
            example().script("A", "detect", &format!("printf '{printed}'")).run().succeeds();
        let result = staged.result();
        assert_eq!(result["lifecycle_metadata"]["detected_buildpack"], name, "printed {printed:?}");
        assert_eq!(result["lifecycle_metadata"]["buildpacks"][0]["name"], name);
    }
}

#[test]
fn detect_output_is_not_passed_on_and_its_stderr_is() {
    let staged = example().script("A", "detect", "echo CAPTURED; echo seen >&2").run().succeeds();
    assert!(staged.stderr.contains("seen\n"), "{staged}");
    assert!(!staged.stdout.lines().any(|line| line == "CAPTURED"), "{staged}");
}

#[test]
fn a_missing_buildpack_and_a_missing_detect_script_are_passed_over() {
    let staged = example().script("B", "finalize", "").order(["gone", "B", "A"]).run().succeeds();
    let hash = suite::xxhash("gone");
    let path = format!("{{root}}/buildpacks/{hash}");
    let staged = staged
        .warns(&format!("Failed to read buildpack directory '{path}' for buildpack '{path}'"));
    let hash = suite::xxhash("B");
    let staged = staged
        .warns(&format!("stat {{root}}/buildpacks/{hash}/bin/detect: no such file or directory"));
    assert_eq!(staged.result()["lifecycle_metadata"]["buildpack_key"], "A");
}

#[test]
fn a_script_that_is_not_executable_is_warned_about_on_stdout_and_passed_over() {
    let stage = example().script("B", "detect", "").order(["B", "A"]);
    let detect = stage.path("buildpacks").join(suite::xxhash("B")).join("bin/detect");
    suite::tool("chmod", ["0644", detect.to_str().unwrap()]);
    let staged = stage.run().succeeds();
    let warning = "WARNING: buildpack script '/bin/detect' is not executable";
    assert!(staged.stdout.lines().any(|line| line == warning), "{staged}");
    assert_eq!(staged.result()["lifecycle_metadata"]["buildpack_key"], "A");
}

#[test]
fn a_script_executable_for_its_owner_only_is_warned_about_but_tried() {
    let stage = example();
    let detect = stage.path("buildpacks").join(suite::xxhash("A")).join("bin/detect");
    suite::tool("chmod", ["0744", detect.to_str().unwrap()]);
    let staged = stage.run().succeeds();
    assert!(staged.stdout.contains("'/bin/detect' is not executable\n"), "{staged}");
}

#[test]
fn a_detect_script_that_cannot_start_or_dies_is_passed_over() {
    let staged = example()
        .script("B", "detect", "kill -9 $$")
        .seed(format!("buildpacks/{}/bin/detect", suite::xxhash("C")), "no interpreter line")
        .order(["B", "C", "A"])
        .run()
        .succeeds();
    assert_eq!(staged.result()["lifecycle_metadata"]["buildpack_key"], "A");
}

#[test]
fn the_index_is_0_however_many_keys_there_are() {
    let keys: Vec<String> = (0..11).map(|number| format!("no{number}")).collect();
    let stage =
        keys.iter().fold(Stage::empty(), |stage, key| stage.script(key, "detect", "exit 1"));
    let staged = stage
        .script("A", "detect", "echo D")
        .script("A", "finalize", "echo $4 > $ROOT/index; ls $3 >> $ROOT/index")
        .script("A", "release", "")
        .run()
        .succeeds();
    assert_eq!(staged.read("index"), "0\n0\n");
}

#[test]
fn a_background_child_that_keeps_stdout_open_does_not_hold_up_staging() {
    // The predecessor waits for every holder of the pipe (section 11, 17).
    let hold = "sleep 100 & echo $! >> $ROOT/sleepers";
    let staged = example()
        .script("A", "detect", &format!("{hold}; echo D"))
        .script("A", "release", &format!("{hold}; {}", release("web: run")))
        .run()
        .succeeds();
    for pid in staged.read("sleepers").lines() {
        // Whether the builder ends it or leaves it is its own affair; the suite leaves none.
        let _gone = std::process::Command::new("kill").args(["-9", pid]).output();
    }
    assert_eq!(staged.result()["process_types"]["web"], "run");
    assert_eq!(staged.result()["lifecycle_metadata"]["detected_buildpack"], "D");
}

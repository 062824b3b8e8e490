//! How scripts are run: arguments, directory, environment, descriptors, order (3.9 to 3.12).

use suite::{Stage, xxhash};

use super::{example, release};

/// Notes its name and arguments as they came.
const NOTE: &str = r#"printf '%s' "${0##*/}" >> $ROOT/calls; printf ' <%s>' "$@" >> $ROOT/calls; echo >> $ROOT/calls"#;

/// The calls noted, with the staging's directory as `R` and the contents directory as `C`.
fn calls(staged: &suite::Staged) -> Vec<String> {
    let contents = regex_free_contents(&staged.read("calls"));
    let text = staged.read("calls").replace(&contents, "C");
    let root = staged.path("").to_string_lossy().trim_end_matches('/').to_owned();
    text.replace(&root, "R").lines().map(str::to_owned).collect()
}

/// The path of the contents directory: what stands before `/deps` in the first call with deps.
fn regex_free_contents(text: &str) -> String {
    let Some(end) = text.find("/deps>") else { return "(none)".to_owned() };
    let start = text[..end].rfind('<').unwrap() + 1;
    text[start..end].to_owned()
}

fn noting(stage: Stage, key: &str, scripts: &[&str]) -> Stage {
    scripts.iter().fold(stage, |stage, script| stage.script(key, script, NOTE))
}

#[test]
fn detected_buildpacks_get_detect_supply_finalize_release() {
    let stage =
        noting(Stage::empty(), "A", &["detect", "supply", "finalize", "compile", "release"]);
    assert_eq!(
        calls(&stage.run().succeeds()),
        [
            "detect <R/app>",
            "supply <R/app> <R/cache/final> <C/deps> <0>",
            "finalize <R/app> <R/cache/final> <C/deps> <0> <C/profile.d>",
            "release <R/app>",
        ]
    );
}

#[test]
fn finalize_without_supply_is_enough() {
    let stage = noting(Stage::empty(), "A", &["detect", "finalize", "release"]);
    assert_eq!(
        calls(&stage.run().succeeds())[1],
        "finalize <R/app> <R/cache/final> <C/deps> <0> <C/profile.d>"
    );
}

#[test]
fn compile_gets_two_arguments_and_no_deps_directory() {
    let stage = noting(Stage::empty(), "A", &["detect", "supply", "compile", "release"]);
    let staged = stage.run().succeeds();
    assert_eq!(
        calls(&staged),
        ["detect <R/app>", "compile <R/app> <R/cache/final>", "release <R/app>"]
    );
    let droplet = staged.droplet();
    assert!(droplet.contains(&"./deps/".to_owned()), "{droplet:?}");
    assert!(!droplet.iter().any(|entry| entry.starts_with("./deps/0")), "{droplet:?}");
}

#[test]
fn skip_detect_runs_supply_of_all_and_finalize_of_the_last() {
    let scripts = ["detect", "supply", "finalize", "compile", "release"];
    let stage =
        ["A", "B", "C"].iter().fold(Stage::empty(), |stage, key| noting(stage, key, &scripts));
    let (a, b) = (xxhash("A"), xxhash("B"));
    assert_eq!(
        calls(&stage.skip_detect().run().succeeds()),
        [
            format!("supply <R/app> <R/cache/{a}> <C/deps> <0>"),
            format!("supply <R/app> <R/cache/{b}> <C/deps> <1>"),
            "supply <R/app> <R/cache/final> <C/deps> <2>".to_owned(),
            "finalize <R/app> <R/cache/final> <C/deps> <2> <C/profile.d>".to_owned(),
            "release <R/app>".to_owned(),
        ]
    );
}

#[test]
fn deps_indices_are_padded_to_equal_width() {
    for (count, indices) in [(1, "0"), (9, "0 8"), (10, "00 09"), (11, "00 10")] {
        let note = "echo $4 >> $ROOT/indices; test -d $3/$4 || exit 9";
        let keys: Vec<String> = (1..count).map(|number| format!("S{number}")).collect();
        let stage =
            keys.iter().fold(Stage::empty(), |stage, key| stage.script(key, "supply", note));
        let staged = stage
            .script("F", "finalize", &format!("{note}; ls $3 > $ROOT/made"))
            .script("F", "release", "")
            .skip_detect()
            .run()
            .succeeds();
        let noted = staged.read("indices");
        let (first, last) = (noted.lines().next().unwrap(), noted.lines().last().unwrap());
        let ends = if count == 1 { first.to_owned() } else { format!("{first} {last}") };
        assert_eq!(ends, indices, "{count} buildpacks");
        assert_eq!(staged.read("made"), noted, "{count} buildpacks: directories in deps");
    }
}

#[test]
fn scripts_are_run_directly_where_the_builder_runs_with_dev_null_as_stdin() {
    // The mask first: dash clears it when it starts its first program.
    let look = r#"while read line; do case $line in SigBlk:*) echo $line; esac; done < /proc/$$/status >> $ROOT/blocked
        { echo "$0"; pwd; readlink /proc/$$/fd/0; } >> $ROOT/seen
        ls /proc/$$/fd > $ROOT/now; wc -l < $ROOT/now >> $ROOT/descriptors"#;
    let staged = Stage::empty()
        .script("A", "detect", look)
        .script("A", "supply", look)
        .script("A", "finalize", look)
        .script("A", "release", look)
        .within("ls /proc/$$/fd > now; wc -l < now > inherited; exec \"$@\"")
        .run()
        .succeeds();
    let seen = staged.read("seen");
    let root = staged.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let expected: String = ["detect", "supply", "finalize", "release"]
        .map(|name| format!("{root}/buildpacks/{}/bin/{name}\n{root}\n/dev/null\n", xxhash("A")))
        .concat();
    assert_eq!(seen, expected);
    // Whoever runs the tests may leave descriptors open; a shell that runs a file has one more.
    let inherited: u32 = staged.read("inherited").trim().parse().unwrap();
    let descriptors = staged.read("descriptors");
    assert_eq!(
        descriptors,
        format!("{}\n", inherited + 1).repeat(4),
        "descriptors leak into scripts"
    );
    assert_eq!(staged.read("blocked"), "SigBlk: 0000000000000000\n".repeat(4));
}

#[test]
fn scripts_see_the_builders_environment_unchanged() {
    let staged = example()
        .env("PLAIN", "a b=c")
        .env(suite::bytes(b"RAW\xff"), suite::bytes(b"\xfe\n"))
        .env("VCAP_PLATFORM_OPTIONS", "{}")
        .script(
            "A",
            "finalize",
            "tr '\\0' '\\n' < /proc/$$/environ | LC_ALL=C sort | od -An -c > $ROOT/seen",
        )
        .script(
            "A",
            "supply",
            "tr '\\0' '\\n' < /proc/$PPID/environ | LC_ALL=C sort | od -An -c > $ROOT/own",
        )
        .run()
        .succeeds();
    let seen = staged.read("seen");
    assert!(seen.contains("376"), "the raw value is not there: {seen}");
    assert_eq!(seen, staged.read("own"), "a script's environment differs from the builder's");
}

#[test]
fn scripts_see_the_database_url_of_the_bound_services() {
    let services = r#"{"sql":[{"credentials":{"uri":"mysql://u:p@h/db"}}],"pg":[{"credentials":{"uri":"postgres://h"}}]}"#;
    for (variables, url) in [
        (vec![("VCAP_SERVICES", services)], "mysql2://u:p@h/db"),
        (vec![("VCAP_SERVICES", services), ("DATABASE_URL", "old")], "mysql2://u:p@h/db"),
        (vec![("VCAP_SERVICES", "{}"), ("DATABASE_URL", "old")], "old"),
        (vec![("VCAP_SERVICES", "not json")], ""),
        (vec![], ""),
    ] {
        let stage =
            variables.iter().fold(example(), |stage, (name, value)| stage.env(*name, *value));
        let note = "printf '%s' \"$DATABASE_URL\" > $ROOT/url; printf '%s' \"$VCAP_SERVICES\" > $ROOT/services";
        let staged = stage.script("A", "finalize", note).run().succeeds();
        assert_eq!(staged.read("url"), url, "{variables:?}");
        let given =
            variables.iter().find(|(name, _)| *name == "VCAP_SERVICES").map_or("", |found| found.1);
        assert_eq!(staged.read("services"), given);
    }
}

#[test]
fn output_of_scripts_appears_in_the_order_it_was_made() {
    let staged = Stage::empty()
        .script("A", "supply", "echo supplied A")
        .script("B", "supply", "echo supplied B")
        .script("B", "finalize", "echo finalized; echo to stderr >&2")
        .script("B", "release", &format!("echo released >&2; {}", release("web: run")))
        .skip_detect()
        .run()
        .succeeds();
    let own = |line: &&str| line.starts_with("supplied") || line.starts_with("finalized");
    let lines: Vec<&str> = staged.stdout.lines().filter(own).collect();
    assert_eq!(lines, ["supplied A", "supplied B", "finalized"], "{staged}");
    assert!(staged.stderr.find("to stderr") < staged.stderr.find("released"), "{staged}");
    assert!(!staged.stdout.contains("default_process_types"), "{staged}");
}

#[test]
fn a_last_buildpack_without_finalize_is_warned_about_and_compiles() {
    let stage = Stage::empty().script("A", "supply", "echo > $3/$4/supplied");
    let stage = noting(stage, "B", &["supply", "compile", "release"]).skip_detect();
    let staged = stage.run().succeeds().warns(
        "Warning: the last buildpack is not compatible with multi-buildpack apps and cannot make use \
         of any dependencies supplied by the buildpacks specified before it",
    );
    assert_eq!(calls(&staged), ["compile <R/app> <R/cache/final>", "release <R/app>"]);
    let droplet = staged.droplet();
    assert!(droplet.contains(&"./deps/0/supplied".to_owned()), "{droplet:?}");
    assert!(!droplet.contains(&"./deps/1/".to_owned()), "{droplet:?}");
}

#[test]
fn a_single_compile_buildpack_is_not_warned_about() {
    let staged = Stage::empty().script("B", "compile", "").script("B", "release", "").skip_detect();
    assert!(!staged.run().succeeds().stderr.contains("multi-buildpack"));
}

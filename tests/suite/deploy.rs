//! The BOSH release under `deploy/bosh`: its scripts do what they say, and its names are those that
//! `scripts/bundle` makes and `docs/operators.md` tells.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lifecycle::yaml::{Decoder, parse};
use serde_json::Value;
use suite::{tool, workspace};
use tempfile::TempDir;

fn release(name: &str) -> PathBuf {
    workspace().join("deploy/bosh").join(name)
}

fn document(path: &Path) -> Value {
    let text = fs::read(path).unwrap();
    let parsed = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut decoder = Decoder::default();
    let value = decoder.json(&parsed.unwrap()).unwrap();
    decoder.finish().unwrap();
    value
}

fn entries(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(release(directory)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Every operation of a file: its path and value.
fn operations(path: &Path) -> Vec<(String, Value)> {
    let operations = document(path);
    let each = |operation: &Value| {
        assert_eq!(operation["type"], "replace", "{}", path.display());
        (operation["path"].as_str().unwrap().to_owned(), operation["value"].clone())
    };
    operations.as_array().unwrap().iter().map(each).collect()
}

/// What `scripts/bundle` says of all targets: bundles by key, and droplet destinations.
fn configuration() -> Value {
    let script = "import json, runpy, sys
bundle = runpy.run_path(sys.argv[1])
print(json.dumps(bundle['configuration'](bundle['TARGETS'])['diego']))";
    let path = workspace().join("scripts/bundle");
    let words = ["-B".as_ref(), "-c".as_ref(), script.as_ref(), path.as_os_str()];
    serde_json::from_str(&tool("python3", words)).unwrap()
}

fn run(script: &str, vcap: &Path) -> Output {
    let script = release("jobs/piecrust_bundles/templates").join(script);
    Command::new("bash").arg(script).env("VCAP", vcap).output().unwrap()
}

#[test]
fn operations_name_the_stacks_and_bundles_of_scripts_bundle() {
    let expected = configuration();
    let (mut bundles, mut destinations) = (BTreeSet::new(), BTreeSet::new());
    for file in entries("operations") {
        for (path, value) in operations(&file) {
            assert!(path.starts_with('/'), "{path}");
            let job = path.split("/properties/").next().unwrap().to_owned();
            if let Some((_, key)) = path.split_once("/lifecycle_bundles/") {
                let key = key.trim_end_matches('?').replace("~1", "/");
                bundles.insert((key, value.as_str().unwrap().to_owned(), job));
            } else if let Some((_, stack)) = path.split_once("/droplet_destinations/") {
                let stack = stack.trim_end_matches('?').to_owned();
                destinations.insert((stack, value.as_str().unwrap().to_owned(), job));
            }
        }
    }
    let jobs: BTreeSet<&String> = bundles.iter().map(|(_, _, job)| job).collect();
    let names: Vec<&str> = jobs.iter().map(|job| job.rsplit('=').next().unwrap()).collect();
    // The map must be the same on four processes (platform, 1.3).
    assert_eq!(names.len(), 4, "{names:?}");
    for name in [
        "cloud_controller_ng",
        "cloud_controller_worker",
        "cloud_controller_clock",
        "cc_deployment_updater",
    ] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }
    let all = |map: &Value, prefix: &str| -> BTreeSet<(String, String, String)> {
        let entries = map.as_object().unwrap().iter().flat_map(|(key, value)| {
            let value = format!("{prefix}{}", value.as_str().unwrap());
            jobs.iter().map(move |job| (key.clone(), value.clone(), (*job).clone()))
        });
        entries.collect()
    };
    assert_eq!(bundles, all(&expected["lifecycle_bundles"], "piecrust_bundles/"));
    let mut stacks = all(&expected["droplet_destinations"], "");
    stacks.retain(|(stack, ..)| stack != "cflinuxfs4");
    assert_eq!(destinations, stacks);
}

#[test]
fn the_release_is_complete() {
    assert_eq!(document(&release("config/final.yml"))["name"], "piecrust");
    assert!(document(&release("config/blobs.yml")).as_object().unwrap().is_empty());
    let job = document(&release("jobs/piecrust_bundles/spec"));
    assert_eq!(job["name"], "piecrust_bundles");
    let templates: Vec<&String> = job["templates"].as_object().unwrap().keys().collect();
    for name in &templates {
        assert!(release("jobs/piecrust_bundles/templates").join(name).is_file(), "{name}");
    }
    assert_eq!(entries("jobs/piecrust_bundles/templates").len(), templates.len());
    assert!(release("jobs/piecrust_bundles/monit").is_file());
    let package = document(&release("packages/piecrust_bundles/spec"));
    assert_eq!(job["packages"][0], package["name"]);
    let added = operations(&release("operations/piecrust-release.yml"));
    assert_eq!(added[1].1["name"], job["name"]);
}

#[test]
fn the_operators_guide_names_files_and_bundles_that_are_there() {
    let guide = fs::read_to_string(workspace().join("docs/operators.md")).unwrap();
    for file in entries("operations") {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let told = guide.contains(&name) || name == "add-armv7-stack.yml";
        assert!(told, "docs/operators.md does not tell of {name}");
    }
    let words = guide.split(|letter: char| letter.is_whitespace() || letter == '`');
    for path in words
        .clone()
        .filter(|word| word.starts_with("deploy/") && word.strip_suffix(".tgz").is_none())
    {
        assert!(workspace().join(path).exists(), "docs/operators.md names {path}");
    }
    for word in words.filter(|word| {
        word.strip_suffix(".yml").is_some() && !word.starts_with("cf") && !word.contains('/')
    }) {
        let is_there = release("operations").join(word).is_file() || word == "manifest.yml";
        assert!(is_there || word == "arm64-cell-vars.yml", "docs/operators.md names {word}");
    }
    let expected = configuration();
    for (key, bundle) in expected["lifecycle_bundles"].as_object().unwrap() {
        let row = [key.as_str(), bundle.as_str().unwrap()];
        assert!(row.iter().all(|word| guide.contains(&format!("`{word}`"))), "{row:?}");
    }
}

#[test]
fn bundles_are_checked_packaged_linked_and_checked_again() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    let sh = |script: &str| tool("sh", ["-euc", script, dir.path().to_str().unwrap()]);
    sh("mkdir -p $0/source/piecrust_bundles $0/vcap/jobs/file_server/packages $0/vcap/packages/piecrust_bundles
        cd $0/source/piecrust_bundles && echo bundle >b.tgz && echo '{}' >lifecycle.json && sha256sum b.tgz >SHA256SUMS");
    let package = |source: &str| {
        let script = release("packages/piecrust_bundles/packaging");
        let mut command = Command::new("bash");
        command.arg(script).current_dir(path(source));
        command.env("BOSH_INSTALL_TARGET", path("vcap/packages/piecrust_bundles")).output().unwrap()
    };
    assert!(package("source").status.success());
    for script in ["pre-start", "pre-start", "post-start"] {
        let output = run(script, &path("vcap"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let served = path("vcap/jobs/file_server/packages/piecrust_bundles/b.tgz");
    assert_eq!(fs::read_to_string(served).unwrap(), "bundle\n");
    sh(
        "echo other >$0/vcap/packages/piecrust_bundles/b.tgz; echo other >$0/source/piecrust_bundles/b.tgz",
    );
    assert!(!run("post-start", &path("vcap")).status.success());
    assert!(!package("source").status.success());
    fs::remove_dir_all(path("vcap/jobs")).unwrap();
    let output = run("pre-start", &path("vcap"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.ends_with("belongs on the instances that run file_server.\n"), "{said}");
}

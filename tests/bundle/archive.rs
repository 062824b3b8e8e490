//! The archives, their index and their checksums: what a file server offers and an operator reads.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;
use suite::tool;

use crate::{Bundle, LINKS, PROGRAMS, dist, index};

#[test]
fn a_bundle_is_flat_without_hard_links_and_for_everybody_to_run() {
    for bundle in Bundle::all() {
        let listing = Command::new("tar")
            .args(["-tvz", "--full-time", "--numeric-owner", "-f"])
            .arg(&bundle.archive)
            .env("TZ", "UTC")
            .output()
            .unwrap();
        let listing = String::from_utf8(listing.stdout).unwrap();
        let expected: Vec<_> = PROGRAMS
            .iter()
            .map(|name| {
                // A hard link would begin with h and become an empty file on a cell (contract platform 8.1).
                if LINKS.contains(name) {
                    return format!("lrwxr-xr-x 0/0 0 1980-01-01 00:00:00 {name} -> builder");
                }
                let size = fs::metadata(bundle.program(name)).unwrap().len();
                format!("-rwxr-xr-x 0/0 {size} 1980-01-01 00:00:00 {name}")
            })
            .collect();
        let blanks_joined = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let listed: Vec<_> = listing.lines().map(blanks_joined).collect();
        assert_eq!(listed, expected, "{}", bundle.target);
    }
}

#[test]
fn the_bytes_name_no_time_and_no_file_and_are_of_the_dialect_cells_read() {
    for bundle in Bundle::all() {
        let bytes = fs::read(&bundle.archive).unwrap();
        // gzip, deflate, no flags (name, comment), no time.
        assert_eq!(bytes[..8], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "{}", bundle.target);
        let magic = "gunzip -c \"$0\" | head -c 263 | tail -c 6 | od -An -c";
        let magic = tool("sh", ["-c", magic, bundle.archive.to_str().unwrap()]);
        assert_eq!(magic.split_whitespace().collect::<String>(), "ustar\\0", "{}", bundle.target);
    }
}

#[test]
fn the_index_has_the_size_and_checksum_of_every_file() {
    for bundle in Bundle::all() {
        let files = bundle.entry["files"].as_array().unwrap();
        let names: Vec<_> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
        assert_eq!(names, PROGRAMS);
        for file in files {
            if LINKS.contains(&file["name"].as_str().unwrap()) {
                assert_eq!(file["link"], "builder");
                continue;
            }
            let path = bundle.program(file["name"].as_str().unwrap());
            assert_eq!(file["size"], fs::metadata(&path).unwrap().len());
            let sum = tool("sha256sum", [&path]);
            assert_eq!(file["sha256"].as_str(), sum.split(' ').next(), "{}", path.display());
        }
        assert_eq!(bundle.entry["bundle"]["size"], fs::metadata(&bundle.archive).unwrap().len());
        let sums = fs::read_to_string(dist().join("SHA256SUMS")).unwrap();
        let line = format!(
            "{}  {}",
            bundle.entry["bundle"]["sha256"].as_str().unwrap(),
            bundle.entry["bundle"]["name"].as_str().unwrap()
        );
        assert!(sums.lines().any(|known| known == line), "{line}\n{sums}");
    }
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(dist());
    assert!(check.status().unwrap().success());
}

#[test]
fn the_index_has_one_stack_an_architecture_with_its_lines_for_the_cloud_controller() {
    let index = index();
    assert_eq!(index["version"], env!("CARGO_PKG_VERSION"));
    let diego = &index["cloud_controller"]["diego"];
    let keys =
        |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    let targets = index["targets"].as_array().unwrap();
    let stacks: BTreeSet<String> =
        targets.iter().map(|target| target["stack"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys(&diego["droplet_destinations"]), stacks);
    let of_stacks = stacks.iter().map(|stack| format!("buildpack/{stack}")).collect();
    assert_eq!(keys(&diego["lifecycle_bundles"]), of_stacks);
    for path in diego["lifecycle_bundles"].as_object().unwrap().values() {
        assert!(dist().join(path.as_str().unwrap()).is_file(), "{path}");
    }
    for directory in diego["droplet_destinations"].as_object().unwrap().values() {
        assert_eq!(directory, "/home/vcap");
    }
}

#[test]
fn programs_and_bundles_are_as_small_as_was_promised() {
    for bundle in Bundle::all_static() {
        let sizes = PROGRAMS.map(|name| fs::symlink_metadata(bundle.program(name)).unwrap());
        let together: u64 = sizes.iter().filter(|it| it.is_file()).map(fs::Metadata::len).sum();
        let packed = fs::metadata(&bundle.archive).unwrap().len();
        assert!(together <= 8_000_000, "{}: {together} bytes together", bundle.target);
        assert!(packed <= 3_000_000, "{}: {packed} bytes", bundle.target);
    }
}

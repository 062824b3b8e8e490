//! What 32 bits do not hold: a file beyond 4 GiB and a time after 2038, packed by the shipped builders.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use suite::{tool, xxhash};
use tempfile::TempDir;

use crate::Bundle;

/// 1 January 2100.
const LATE: u64 = 4_102_444_800;
/// A hole and two bytes behind it.
const SIZE: u64 = (4 << 30) + 4097;

#[test]
fn a_file_beyond_4_gib_and_a_time_after_2038_are_packed_as_they_are() {
    let directory = TempDir::with_prefix("large-").unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir_all(path("app")).unwrap();
    let file = File::create(path("app/large")).unwrap();
    file.write_all_at(b"!\n", SIZE - 2).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(LATE)).unwrap();
    let bin = path("buildpacks").join(xxhash("A")).join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, body) in [("finalize", "true"), ("release", "echo '{}'")] {
        fs::write(bin.join(name), format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    // One of 64 bits is enough: emulated, it takes minutes.
    let (narrow, wide): (Vec<_>, Vec<_>) =
        Bundle::all_static().into_iter().partition(|bundle| bundle.target.starts_with("armv7"));
    for bundle in narrow.into_iter().chain(wide.into_iter().take(1)) {
        let flag = |name: &str, file: &str| format!("-{name}={}", path(file).display());
        let staged = Command::new(bundle.program("builder"))
            .args(["-buildpackOrder=A", "-skipDetect"])
            .args([flag("buildDir", "app"), flag("buildpacksDir", "buildpacks")])
            .args([flag("outputDroplet", "droplet"), flag("outputMetadata", "result.json")])
            .args([flag("outputBuildArtifactsCache", "cache")])
            .args([flag("buildArtifactsCacheDir", "old-cache")])
            .output()
            .unwrap();
        assert!(staged.status.success(), "{}: {staged:?}", bundle.target);
        let droplet = path("droplet").to_str().unwrap().to_owned();
        let listing = tool("env", ["TZ=UTC", "tar", "-tvzf", &droplet, "./app/large"]);
        assert!(
            listing.contains(&format!(" {SIZE} 2100-01-01 00:00 ")),
            "{}: {listing}",
            bundle.target
        );
        let end = "tar -xOzf \"$0\" ./app/large | tail -c 3 | od -An -c";
        let end = tool("sh", ["-c", end, &droplet]);
        assert_eq!(end.split_whitespace().collect::<String>(), "\\0!\\n", "{}", bundle.target);
    }
}

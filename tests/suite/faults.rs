//! What goes wrong around staging, and the sentence for each (issue 2, shown by 6).

mod hostile;
mod interrupted;

use std::fs;

use suite::{Stage, tool};

use crate::staging::example;

#[test]
fn root_a_full_disk_under_the_droplet_is_explained_and_leaves_nothing() {
    // A file system of 1 MiB, gone with the mount namespace.
    let stage = example().file("small", "x").seed("out/.keep", "").seed("elsewhere/.keep", "");
    noise(&stage, "app/big", 3);
    noise(&stage, "app/dir/inner", 1);
    let staged = stage
        .flag("outputMetadata", "elsewhere/result.json")
        .flag("outputBuildArtifactsCache", "elsewhere/cache")
        .wrapped(["unshare", "-m"])
        .within("mount -t tmpfs -o size=1m none out && \"$@\"; status=$?; ls -A out > left; exit $status")
        .run();
    assert_eq!(staged.status, 1, "{staged}");
    let start = "Failed to compress droplet filesystem: ";
    assert!(staged.stderr.lines().any(|line| line.starts_with(start)), "{staged}");
    let staged = staged.explains(&["no space left on device"]);
    // Which path, how much is free, what is large.
    let staged = staged.explains(&["out", "free"]);
    assert!(staged.stderr.contains("app"), "no large directory named: {staged}");
    assert_eq!(staged.read("left"), "", "half an output is left");
    assert!(!staged.has("elsewhere/cache"), "a cache without its droplet");
}

#[test]
fn root_a_disk_filled_by_a_script_is_explained() {
    let fill = "head -c 4000000 /dev/zero > $1/filling/data";
    let stage =
        example().file("filling/.keep", "").script("A", "finalize", &format!("{fill} || exit 7"));
    let staged = stage
        .wrapped(["unshare", "-m"])
        .within("mount -t tmpfs -o size=1m none app/filling && exec \"$@\"")
        .run()
        .fails(223, "Failed to compile droplet: Failed to run finalize script: exit status 7");
    let _explained = staged.explains(&["finalize", "7"]);
}

#[test]
fn root_a_disk_filled_by_a_buildpack_is_named_with_what_fills_it() {
    for (fixture, status) in [("fills-the-disk", 223), ("fills-the-disk-silently", 1)] {
        // The temporary directory of the builder, where deps are, has 1 MiB.
        let staged = Stage::empty()
            .buildpacks([fixture])
            .wrapped(["unshare", "-m"])
            .within("mount -t tmpfs -o size=1m none tmp && exec \"$@\"")
            .run();
        assert_eq!(staged.status, status, "{fixture}: {staged}");
        // Path, free space, and the directory that holds most of it.
        let staged = staged.explains(&["tmp", "free"]).explains(&["deps/0"]);
        assert!(!staged.has("out/droplet") && !staged.has("out/cache"), "{fixture}");
    }
}

/// A file of that many megabytes which no compressor makes smaller.
fn noise(stage: &Stage, name: &str, megabytes: u32) {
    let path = stage.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let command = format!("head -c {megabytes}M /dev/urandom > \"$0\"");
    tool("sh", ["-c".as_ref(), command.as_ref(), path.as_os_str()]);
}

#[test]
fn an_unreadable_file_of_the_app_is_named() {
    let stage = example().file("dir/locked", "x").as_user_2000();
    tool("chmod", ["000", stage.path("app/dir/locked").to_str().unwrap()]);
    unreadable(stage.run(), "locked");
    let stage = example().file("closed/x", "x").as_user_2000();
    tool("chmod", ["000", stage.path("app/closed").to_str().unwrap()]);
    let staged = stage.run();
    unreadable(staged, "closed");
}

fn unreadable(staged: suite::Staged, name: &str) {
    assert_eq!(staged.status, 1, "{staged}");
    let staged = staged.explains(&[name, "permission denied"]);
    assert!(!staged.has("out/droplet") && !staged.has("out/cache"), "{staged}");
    assert!(
        staged.result_text().contains("\"process_types\":{\"web\":\"run\"}"),
        "the result is there"
    );
}

#[test]
fn root_a_file_that_shrinks_while_read_is_reported() {
    // sysfs says 4096 bytes and gives a few: what a file cut short meanwhile looks like.
    let staged = example()
        .file("shrinks", "")
        .file("zz-after", "intact")
        .wrapped(["unshare", "-m"])
        .within(
            "mount --bind /sys/kernel/mm/transparent_hugepage/enabled app/shrinks && exec \"$@\"",
        )
        .run();
    let staged = staged.explains(&["app/shrinks", "shrank"]);
    if staged.status == 0 {
        // Padded, as GNU tar does: the rest of the archive must not be out of step.
        assert_eq!(staged.droplet_file("./app/zz-after"), "intact");
        assert_eq!(staged.droplet_file("./app/shrinks").len(), 4096);
    } else {
        assert!(!staged.has("out/droplet"));
    }
}

#[test]
fn root_a_file_that_grows_while_read_is_packed_as_it_was_found() {
    // procfs says 0 bytes and gives more.
    let staged = example()
        .file("grows", "")
        .file("zz-after", "intact")
        .wrapped(["unshare", "-m"])
        .within("mount --bind /proc/version app/grows && exec \"$@\"")
        .run()
        .succeeds();
    assert_eq!(staged.droplet_file("./app/zz-after"), "intact");
    assert_eq!(staged.droplet_file("./app/grows"), "");
}

#[test]
fn a_buildpack_that_closes_its_output_is_no_error() {
    let close = "exec 1>&- 2>&-";
    let staged = Stage::empty()
        .script("A", "detect", close)
        .script("A", "supply", close)
        .script("A", "finalize", close)
        .script("A", "release", close)
        .run()
        .succeeds();
    assert_eq!(staged.result()["lifecycle_metadata"]["detected_buildpack"], "");
}

#[test]
fn a_closed_stdout_and_stderr_of_the_builder_do_not_fail_staging() {
    for within in ["exec \"$@\" >&- 2>&-", "exec \"$@\" > /dev/full 2> /dev/full"] {
        let staged = example().within(within).run().succeeds();
        assert_eq!(staged.droplet()[0], "./", "{within}");
    }
    // A reader that went away: SIGPIPE or EPIPE must not end staging.
    let broken = "import os, subprocess, sys
read, write = os.pipe()
os.close(read)
sys.exit(subprocess.call(sys.argv[1:], stdout=write, stderr=write))";
    let staged = example().wrapped(["python3", "-c", broken]).run().succeeds();
    assert_eq!(staged.droplet()[0], "./");
}

/// An ELF header, 64 bits, little endian, of an executable for `machine`.
fn elf(machine: u16) -> Vec<u8> {
    let mut header = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    header.extend(machine.to_le_bytes());
    header.extend([1, 0, 0, 0]);
    header.resize(64, 0);
    header
}

#[test]
fn programs_for_another_machine_are_named_before_they_are_run() {
    let own = suite::machine();
    let (machine, name) = if own == "x86_64" { (183, "aarch64") } else { (62, "x86-64") };
    let hash = suite::xxhash("A");
    // As a tool beside the scripts: staging goes on, and says so.
    let staged = example().seed(format!("buildpacks/{hash}/bin/tool"), elf(machine)).run();
    let staged = staged.succeeds().explains(&["ships", name, "programs", "A"]);
    let _both = staged.explains(&["ships", own]);
    // As the script itself.
    let stage = example().seed(format!("buildpacks/{hash}/bin/finalize"), elf(machine));
    let staged = stage.run().explains(&["ships", name, "programs"]);
    let line = format!(
        "Failed to compile droplet: Failed to run finalize script: fork/exec {{root}}/buildpacks/{hash}/bin/finalize: exec format error"
    );
    let _failed = staged.fails(223, &line);
}

#[test]
fn programs_for_this_machine_are_not_reported() {
    let hash = suite::xxhash("A");
    let own = fs::read(suite::program("healthcheck")).unwrap();
    let staged = example().seed(format!("buildpacks/{hash}/bin/tool"), own).run().succeeds();
    assert!(!staged.stderr.contains("ships"), "{staged}");
}

#[test]
fn root_a_script_killed_for_memory_is_explained_by_the_cgroup() {
    let group =
        std::path::PathBuf::from(format!("/sys/fs/cgroup/memory/suite-{}", std::process::id()));
    fs::create_dir(&group).unwrap();
    fs::write(group.join("memory.limit_in_bytes"), "67108864").unwrap();
    let join = format!("echo 0 > {}/cgroup.procs; exec \"$@\"", group.display());
    let staged = example().script("A", "finalize", "exec tail /dev/zero").within(&join).run();
    fs::remove_dir(&group).unwrap();
    let staged = staged
        .fails(223, "Failed to compile droplet: Failed to run finalize script: signal: killed");
    let explained = staged.explains(&["memory"]);
    let peak = explained.stderr.lines().any(|line| line.contains("64") && line.contains("memory"));
    assert!(peak, "no limit or peak of 64 MiB: {explained}");
}

#[test]
fn a_droplet_is_not_made_of_an_app_that_vanished() {
    let stage = example().script("A", "finalize", "rm -r $1");
    let staged = stage.run();
    assert_eq!(staged.status, 1, "{staged}");
    let staged = staged.explains(&["app", "no such file or directory"]);
    assert!(!staged.has("out/droplet"));
}

//! What unlucky and malicious buildpacks leave behind: none of it makes staging wait for ever, take
//! all memory, write elsewhere, or leave anything itself.

use suite::{Stage, wait_for};

use crate::staging::example;

/// `example()` with this finalize script.
fn finalizing(script: &str) -> Stage {
    example().script("A", "finalize", script)
}

#[test]
fn pipes_in_the_place_of_documents_are_not_waited_for() {
    // Opening them waited for a writer that never came.
    let rows = [
        ("$3/$4/launch.yml", "launch.yml: it is a pipe, not a file"),
        ("$1/Procfile", "Procfile: it is a pipe, not a file"),
    ];
    for (pipe, reason) in rows {
        let staged = finalizing(&format!("mkfifo {pipe}")).run();
        assert_eq!(staged.status, 1, "{staged}");
        let _explained = staged.explains(&[reason]);
    }
    let staged = finalizing("mkfifo $3/$4/config.yml").run().succeeds();
    assert_eq!(staged.result()["lifecycle_metadata"]["detected_buildpack"], "D");
}

#[test]
fn a_pipe_among_the_scripts_is_not_waited_for() {
    let stage = example();
    let directory = stage.path("buildpacks").join(suite::xxhash("A"));
    suite::tool("mkfifo", [directory.join("bin/pipe")]);
    let _staged = stage.run().succeeds();
}

#[test]
fn endless_and_very_long_documents_are_refused() {
    let staged = finalizing("ln -s /dev/zero $3/$4/launch.yml").run();
    assert_eq!(staged.status, 1, "{staged}");
    let _explained = staged.explains(&["launch.yml: file too large"]);
}

#[test]
fn staging_s_own_files_replace_links_and_pipes() {
    let script = "cd $3/.. && ln -s $ROOT/mine staging_info.yml && mkfifo staging_report.json";
    let staged = finalizing(script).seed("mine", "untouched").run().succeeds();
    assert_eq!(staged.read("mine"), "untouched");
    assert!(staged.droplet_file("./staging_info.yml").contains("\"run\""), "{staged}");
}

#[test]
fn deps_that_are_gone_or_a_link_are_packed_as_they_are() {
    let gone = finalizing("rm -r $3").run().succeeds();
    assert!(!gone.droplet().iter().any(|name| name.starts_with("./deps")), "{gone}");
    // The directory that the link leads to was given the date of deps.
    let script =
        "rm -r $3; mkdir -p $ROOT/theirs/0; touch -d @1000 $ROOT/theirs; ln -s $ROOT/theirs $3";
    let link = finalizing(script).run().succeeds();
    let modified = std::fs::metadata(link.path("theirs")).unwrap().modified().unwrap();
    let age = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(age.as_secs(), 1000, "{link}");
}

#[test]
fn a_process_that_prints_for_ever_is_cut_off() {
    // The builder took in what it printed until the memory was full.
    let release = "yes '# nothing' & echo 'default_process_types: {web: run}'; sleep 0.1";
    let staged = example().script("A", "release", release).run();
    let _explained = staged.explains(&["bin/release of buildpack A wrote more than 1 MiB"]);
}

#[test]
fn orphans_do_not_stay_as_zombies() {
    // As a subreaper the builder is their parent: without a wait they fill the container's pids.
    let script = "for i in 1 2 3 4 5 6 7 8; do (sleep 0 &); done
        for i in 1 2 3 4 5 6 7 8 9 10; do
            zombies=$(cat /proc/[0-9]*/stat 2>/dev/null | grep -c \") Z $PPID \")
            test $zombies = 0 && exit 0; sleep 0.2
        done; exit 9";
    let _staged = finalizing(script).run().succeeds();
}

#[test]
fn a_failed_build_ends_what_its_scripts_left_running() {
    let script = "setsid sleep 1000 > /dev/null 2>&1 & echo $! > $ROOT/pid; exit 3";
    let staged = finalizing(script).run();
    assert_eq!(staged.status, 223, "{staged}");
    let pid = staged.read("pid");
    wait_for("the end of the left process", || (!suite::is_alive(pid.trim())).then_some(()));
}

#[test]
fn root_directories_without_permissions_are_removed_all_the_same() {
    let script = "mkdir -p $3/$4/a/b/c && touch $3/$4/a/b/c/f && cd $3/$4
        chmod 000 a/b/c a/b a; exit 5";
    let staged = finalizing(script).as_user_2000().run();
    assert_eq!(staged.status, 223, "{staged}");
    assert!(staged.names("tmp").is_empty(), "{:?}", staged.names("tmp"));

    let stage = example().seed("cache/old/module/file", "x");
    for directory in ["cache/old/module", "cache/old"] {
        suite::tool("chmod", ["555".as_ref(), stage.path(directory).as_os_str()]);
    }
    let staged = stage.as_user_2000().run().succeeds();
    assert_eq!(staged.names("cache"), ["final"]);
}

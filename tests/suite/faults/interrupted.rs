//! SIGTERM and SIGINT: the buildpack's processes end too, nothing half-written stays.

use std::fs::File;
use std::time::Instant;

use nix::sys::signal::Signal;
use suite::{Running, Stage, Staged, is_alive, wait_for};

use crate::staging::example;

const SIGNALS: [(Signal, i32); 2] = [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)];

/// A script with children and grandchildren that live long; notes their pids, the last line last.
const LONG: &str = "sleep 100 & one=$!
    sh -c 'sleep 100 & echo $! > $ROOT/grandchild; wait' & two=$!
    while ! test -s $ROOT/grandchild; do :; done
    echo $$ $one $two $(cat $ROOT/grandchild) > $ROOT/pids.part
    mv $ROOT/pids.part $ROOT/pids
    wait";

fn all_end(pids: &str) {
    for pid in pids.split_whitespace() {
        wait_for(&format!("the end of process {pid}"), || (!is_alive(pid)).then_some(()));
    }
}

fn without_outputs(staged: &Staged, status: i32) {
    assert_eq!(staged.status, status, "{staged}");
    let outputs = |name: &String| !["result.json", "staging_report.json"].contains(&name.as_str());
    let left: Vec<String> = staged.names("out").into_iter().filter(outputs).collect();
    assert!(left.is_empty(), "left of the outputs: {left:?}\n{staged}");
}

fn interrupted(stage: Stage, signal: Signal, status: i32) -> Staged {
    let mut running = stage.start();
    let pids = running.wait_for_line("pids");
    running.signal(signal);
    let staged = running.finish();
    all_end(&pids);
    without_outputs(&staged, status);
    staged
}

#[test]
fn a_signal_during_supply_ends_the_scripts_processes_too() {
    for (signal, status) in SIGNALS {
        let stage =
            Stage::empty().script("A", "supply", LONG).script("B", "finalize", "").skip_detect();
        let staged = interrupted(stage, signal, status).explains(&[signal.as_str()]);
        assert!(!staged.has("out/result.json"), "{staged}");
    }
}

#[test]
fn a_signal_during_detect_finalize_or_release_ends_staging() {
    for script in ["detect", "finalize", "release"] {
        let _staged = interrupted(example().script("A", script, LONG), Signal::SIGTERM, 143);
    }
}

#[test]
fn a_script_that_ignores_sigterm_is_killed() {
    let stage = example().script("A", "finalize", &format!("trap '' TERM INT\n{LONG}"));
    let _staged = interrupted(stage, Signal::SIGTERM, 143);
}

#[test]
fn a_signal_during_packing_leaves_no_droplet_and_no_half_of_one() {
    for (signal, status) in SIGNALS {
        // Too much to pack in the time of this test; the hole costs no disk.
        let stage = example().seed("cache/final/cached", "x");
        File::create(stage.path("app/hole")).unwrap().set_len(1 << 40).unwrap();
        let mut running: Running = stage.start();
        let _result = running.wait_for_line("out/result.json");
        running.signal(signal);
        let staged = running.finish();
        without_outputs(&staged, status);
        let _said = staged.explains(&[signal.as_str()]);
    }
}

#[test]
fn a_signal_at_any_moment_leaves_all_or_nothing() {
    // Outputs were once made just after a signal had cleaned up.
    let mut interrupted = 0;
    for milliseconds in 0..50 {
        let running = example().seed("cache/final/cached", "x").start();
        let start = Instant::now();
        wait_for("the moment", || (start.elapsed().as_millis() >= milliseconds).then_some(()));
        running.signal(Signal::SIGTERM);
        let staged = running.finish();
        if staged.status == 0 {
            assert_eq!(staged.droplet()[0], "./");
            assert_eq!(staged.cache(), ["./", "./final/", "./final/cached"]);
        } else {
            without_outputs(&staged, 143);
            interrupted += 1;
        }
    }
    assert!(interrupted > 0, "no staging was interrupted");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    // As with nohup: who starts the builder decides.
    let stage =
        example().script("A", "finalize", "kill -INT $PPID").within("trap '' INT; exec \"$@\"");
    let staged = stage.run();
    assert_eq!(staged.status, 0, "{staged}");
}

#[test]
fn root_the_first_process_of_a_container_ends_with_the_signals_status_too() {
    // It cannot die of its own signal; it was aborted then, as 139.
    let staged = example()
        .script("A", "finalize", "kill -TERM 1; while :; do :; done")
        .wrapped(["unshare", "--fork", "--pid", "--mount-proc"])
        .run();
    without_outputs(&staged, 143);
}

#[test]
fn a_full_pipe_as_stderr_does_not_hold_up_the_end() {
    // The thread that ends everything first said so, and waited for a reader.
    let mut running = example()
        .script("A", "finalize", LONG)
        .wrapped([
            "bash",
            "-c",
            "exec 2> >(sleep 1000); head -c 65536 /dev/zero >&2; exec \"$@\"",
            "bash",
        ])
        .start();
    let _pids = running.wait_for_line("pids");
    running.signal(Signal::SIGTERM);
    let _staged = running.finish();
}

//! What is killed, and what the next start makes of it.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::{Machine, eventually, get};

#[test]
fn what_a_killed_cell_left_goes_with_the_next_one() {
    let machine = Machine::new();
    let app = machine.app(&[("index.html", "here"), ("Staticfile", "")]);
    machine.push(&app);
    let of_supervisor = |pid: &Pid| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .unwrap_or_default()
            .windows(9)
            .any(|word| word == b"supervise")
    };
    let supervisor = machine.processes().into_iter().find(of_supervisor).unwrap();
    kill(supervisor, Signal::SIGKILL).unwrap();
    eventually("the supervisor is gone", || !machine.processes().contains(&supervisor));
    assert!(!machine.processes().is_empty(), "the app lives on");
    let url = machine.push(&app);
    assert!(get(&url).ends_with("here"));
    machine.cell(&["stop", "shop"]).succeeds();
    eventually("nothing is left to run", || machine.processes().is_empty());
}

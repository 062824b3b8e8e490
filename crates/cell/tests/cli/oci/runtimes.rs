//! Runtimes beside runc, and which is taken.

use std::fs;

use super::{
    lives_like_on_the_platform, loses_its_supervisor, machine, nothing_is_left, recording_runtime,
    takes_too_much_memory, write_program,
};
use crate::machine::{Machine, Said};

/// Debian's crun makes containers where cgroups are of version 1 or 2. Where they are of both, it sees those of version 1.
const CRUN: &str = "exec unshare --mount sh -c '
    umount /sys/fs/cgroup/unified 2>/dev/null
    exec crun \"$@\"' crun \"$@\"";
/// It sees both versions, on whatever machine.
const REFUSING_CRUN: &str = "exec unshare --mount sh -c '
    mount -t tmpfs none /sys/fs/cgroup && mkdir /sys/fs/cgroup/unified &&
        mount -t cgroup2 none /sys/fs/cgroup/unified || exit
    exec crun \"$@\"' crun \"$@\"";

fn crun() -> Machine {
    let mut machine = machine();
    machine.runtime = Some(recording_runtime(&machine, CRUN));
    machine
}

#[test]
fn root_cruns_containers_are_like_the_platforms() {
    lives_like_on_the_platform(&crun());
}

#[test]
fn root_an_app_over_its_memory_is_killed_in_cruns_containers() {
    takes_too_much_memory(&crun());
}

#[test]
fn root_what_a_killed_supervisor_left_of_cruns_containers_goes() {
    loses_its_supervisor(&crun());
}

#[test]
fn root_what_a_runtime_refuses_is_told_in_its_own_words() {
    let mut machine = machine();
    machine.runtime = Some(recording_runtime(&machine, REFUSING_CRUN));
    let app = machine.app(&[("Procfile", "web: sleep 600\n")]);
    let error = machine.cell(&["stage", app.to_str().unwrap(), "--isolation", "oci"]).fails(1);
    let words = "makes no container: cgroups in hybrid mode not supported";
    assert!(
        error.contains("isolation 'oci' is not to be had: ") && error.contains(words),
        "{error}"
    );
    nothing_is_left(&machine);
}

#[test]
fn root_the_first_runtime_that_makes_a_container_is_taken() {
    let mut machine = machine();
    let works = machine.runtime.take().unwrap();
    let programs = machine.state().with_file_name("programs");
    fs::create_dir(&programs).unwrap();
    let path = std::env::var("PATH").unwrap();
    for (name, script) in [
        ("runc", "echo this one is broken >&2; exit 1"),
        ("crun", &format!("PATH={path} exec {} \"$@\"", works.display())),
        ("youki", "echo so is this >&2; exit 1"),
    ] {
        write_program(&programs.join(name), script);
    }
    let app = machine.app(&[("index.html", "here"), ("Staticfile", "")]);
    let cell = |words: &[&str]| {
        let mut command = machine.command(words);
        let places = format!("{}:{path}", programs.display());
        Said(command.env("PATH", places).output().unwrap())
    };
    let said = cell(&["push", app.to_str().unwrap(), "--detach"]).succeeds();
    assert_eq!(said.error(), "");
    let recorded = fs::read_to_string(machine.place("app.json")).unwrap();
    assert!(recorded.contains(programs.join("crun").to_str().unwrap()), "{recorded}");
    cell(&["stop", "shop"]).succeeds();
    nothing_is_left(&machine);
    fs::remove_file(programs.join("crun")).unwrap();
    fs::copy(programs.join("runc"), programs.join("crun")).unwrap();
    let error = cell(&["push", app.to_str().unwrap(), "--isolation", "oci"]).fails(1);
    let programs = programs.display();
    let expected = format!(
        "isolation 'oci' is not to be had: {programs}/runc makes no container: this one is broken; \
         {programs}/crun makes no container: this one is broken; \
         {programs}/youki makes no container: so is this\n"
    );
    assert_eq!(error, expected);
}

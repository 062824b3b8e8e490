//! The same in real containers: runc, and a minimal Debian as the stack.

mod journey;
mod languages;
mod runtimes;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::libc::{self, c_long};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use suite::essential_debian;
use tempfile::TempDir;

use crate::installed::CELL;
use crate::machine::{Machine, Said, eventually, get};
use crate::{health, processes, pushing, recovery};

/// A machine whose only stack has a root file system, which all tests share.
fn machine() -> Machine {
    machine_of(&essential_debian(), &["procfile", "static"])
}

/// The same with this root file system, and buildpacks of these names in this order.
fn machine_of(rootfs: &Path, buildpacks: &[&str]) -> Machine {
    let mut machine = Machine::new();
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cell-roots");
    fs::create_dir_all(&shared).unwrap();
    fs::create_dir(machine.state()).unwrap();
    std::os::unix::fs::symlink(shared, machine.state().join("roots")).unwrap();
    let fixtures = suite::workspace().join("buildpacks-fixtures");
    let release =
        |name: &&str| format!("      {name}: {{directory: {}}}\n", fixtures.join(name).display());
    let stacks = format!(
        "stacks:\n  debian:\n    rootfs: {}\n    install_buildpacks: [{}]\n    releases:\n{}",
        rootfs.display(),
        buildpacks.join(", "),
        buildpacks.iter().map(release).collect::<String>()
    );
    fs::write(machine.state().with_file_name("stacks.yml"), stacks).unwrap();
    machine.runtime = Some(recording_runtime(&machine, "exec runc \"$@\""));
    machine
}

/// What `script` makes of its arguments as a runtime, with a list of what it is asked for.
fn recording_runtime(machine: &Machine, script: &str) -> PathBuf {
    let path = machine.state().with_file_name("runtime");
    write_program(&path, &format!("echo \"$*\" >>\"$0.asked\"\nPATH=$PATH:/usr/sbin\n{script}"));
    path
}

fn write_program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// Names of all containers that a machine ever had, which are those of their cgroups.
fn containers(machine: &Machine) -> BTreeSet<String> {
    let asked = machine.state().with_file_name("runtime.asked");
    let asked = fs::read_to_string(asked).unwrap_or_default();
    let name = |line: &str| Some(line.split(' ').next_back()?.to_owned());
    asked.lines().filter(|line| line.contains(" run ")).filter_map(name).collect()
}

/// Where this machine has a cgroup of that name.
fn has_cgroup(name: &str) -> bool {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap();
    let mut places = hierarchies.map(|it| it.unwrap().path()).chain(["/sys/fs/cgroup".into()]);
    places.any(|place| place.join(name).exists())
}

/// What this machine knows of the container of an instance.
struct Trace {
    cgroup: String,
    processes: Vec<Pid>,
}

impl Trace {
    /// Of the container in `place` (`instances/web-0`).
    fn of(machine: &Machine, place: &str) -> Self {
        let name = machine.state().join("apps/shop").join(place).join("oci/name");
        let cgroup = fs::read_to_string(&name).unwrap();
        let pids = Path::new("/sys/fs/cgroup/pids").join(&cgroup).join("cgroup.procs");
        let unified = Path::new("/sys/fs/cgroup").join(&cgroup).join("cgroup.procs");
        let text = fs::read_to_string(pids).or_else(|_| fs::read_to_string(unified)).unwrap();
        let processes: Vec<Pid> =
            text.lines().map(|line| Pid::from_raw(line.parse().unwrap())).collect();
        assert!(!processes.is_empty());
        Self { cgroup, processes }
    }

    /// Whether process or cgroup is left.
    fn is_left(&self) -> bool {
        has_cgroup(&self.cgroup) || self.processes.iter().any(|&pid| kill(pid, None).is_ok())
    }
}

/// No process, mount, file or control of an app is left.
fn nothing_is_left(machine: &Machine) {
    eventually("nothing is left to run", || machine.processes().is_empty());
    for app in fs::read_dir(machine.state().join("apps")).unwrap() {
        let app = app.unwrap().path();
        assert!(!app.join("instances").exists() && !app.join("staging").exists());
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&machine.state().display().to_string()), "{mounts}");
    let names = containers(machine);
    assert!(!names.is_empty() && !names.iter().any(|name| has_cgroup(name)), "{names:?}");
}

/// What `ssh` says once the server is there: nothing waits for that of an app that is not asked for its health.
fn entered(mut ssh: impl FnMut() -> Said) -> Said {
    let mut said = ssh();
    eventually("the SSH server is there", || {
        let refused = said.error().contains("Connection refused");
        if refused {
            said = ssh();
        }
        !refused
    });
    said
}

fn manifest(keys: &str) -> String {
    format!("applications: [{{name: shop, health-check-type: process, {keys}}}]")
}

/// System calls that the platform refuses. `clone` made a user namespace, in which a program of the app had all rights, and
/// `fsopen` and its kin mounted there.
const REFUSED: [(&str, c_long); 32] = [
    ("add_key", libc::SYS_add_key),
    ("bpf", libc::SYS_bpf),
    ("close_range", libc::SYS_close_range),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fsopen", libc::SYS_fsopen),
    ("fspick", libc::SYS_fspick),
    ("io_uring_enter", libc::SYS_io_uring_enter),
    ("io_uring_register", libc::SYS_io_uring_register),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("kexec_file_load", libc::SYS_kexec_file_load),
    ("kexec_load", libc::SYS_kexec_load),
    ("keyctl", libc::SYS_keyctl),
    ("membarrier", libc::SYS_membarrier),
    ("mount", libc::SYS_mount),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("open_tree", libc::SYS_open_tree),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
    ("pivot_root", libc::SYS_pivot_root),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("request_key", libc::SYS_request_key),
    ("rseq", libc::SYS_rseq),
    ("setns", libc::SYS_setns),
    ("umount2", libc::SYS_umount2),
    ("unshare", libc::SYS_unshare),
    ("userfaultfd", libc::SYS_userfaultfd),
];

/// Makes system calls, and says the number of each one's error: 0 where there is none.
fn calls() -> String {
    let clone = libc::SYS_clone;
    let call = |name, number, first| format!("call(\"{name}\", {number}, {first});");
    let child = libc::SIGCHLD;
    let refused = REFUSED.map(|(name, number)| call(name, number, 0)).concat();
    let others = [
        call("clone3", libc::SYS_clone3, 0),
        call("clone", clone, child),
        call("a user namespace", clone, child | libc::CLONE_NEWUSER),
    ];
    format!(
        "perl -e '$| = 1; sub call {{ my ($name, $number, $first) = @_; $! = 0;
            exit if syscall($number, $first, 0, 0, 0) == 0 && $number == {clone};
            printf \"%s %d\\n\", $name, $!; }} {refused}{}'",
        others.concat()
    )
}

#[test]
fn root_an_app_lives_in_a_container_like_the_platforms() {
    let machine = machine();
    lives_like_on_the_platform(&machine);
    machine.cell(&["run", "shop", "--detach"]).succeeds();
    assert!(machine.state().join("apps/shop/instances/web-0/oci").exists());
    let roots = machine.state().join("roots");
    let shared = fs::read_link(&roots).unwrap();
    fs::remove_file(&roots).unwrap();
    let error = machine.cell(&["run", "shop", "--detach"]).fails(1);
    assert!(error.contains(&format!("open {}/", roots.display())), "{error}");
    assert!(error.contains("no such file or directory"), "{error}");
    fs::remove_dir(&roots).unwrap();
    std::os::unix::fs::symlink(shared, &roots).unwrap();
    let said = machine.cell(&["run", "shop", "--detach", "--isolation", "none"]).succeeds();
    let sentence = "this machine's files, not those of stack debian";
    assert!(said.error().contains(sentence), "{}", said.error());
    assert!(!machine.state().join("apps/shop/instances/web-0/oci").exists());
    // The next one had no walls either, and nobody was told.
    let said = machine.cell(&["run", "shop", "--detach"]).succeeds();
    assert!(!said.error().contains("No isolation"), "{}", said.error());
    assert!(machine.state().join("apps/shop/instances/web-0/oci").exists());
    // What was staged without walls has none, which is said.
    let app = machine.state().with_file_name("shop");
    machine.cell(&["stage", app.to_str().unwrap(), "--isolation", "none"]).succeeds();
    let said = machine.cell(&["run", "shop", "--detach"]).succeeds();
    assert!(said.error().starts_with("No isolation: "), "{}", said.error());
    assert!(!machine.state().join("apps/shop/instances/web-0/oci").exists());
    machine.cell(&["stop", "shop"]).succeeds();
}

/// An app of this machine's; it is stopped in the end.
fn lives_like_on_the_platform(machine: &Machine) {
    let app = machine.app(&[("index.html", "from inside"), ("Staticfile", "")]);
    let said = machine.cell(&["push", app.to_str().unwrap(), "--detach", "--json"]).succeeds();
    assert!(!said.error().contains("No isolation"), "{}", said.error());
    let events = said.events();
    let running = events.iter().find(|it| it["event"] == "running").unwrap();
    assert!(get(running["url"].as_str().unwrap()).ends_with("from inside"));
    let trace = Trace::of(machine, "instances/web-0");
    let script = "id -u; id -g; id -un; pwd; ulimit -n; grep -E '^(CapPrm|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '
        for path in / /etc /usr /tmp/lifecycle; do touch $path/new; done 2>&1 | sed 's/.*: //'
        touch ~/new /tmp/new /var/tmp/new && echo writable
        stat -c %U /etc /tmp; grep -q garden-init /proc/1/cmdline; echo $?
        cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null";
    let said = machine.cell(&["ssh", "shop", "--", script]);
    let expected = "2000\n2000\nvcap\n/home/vcap\n16384\nCapPrm: 0000000000000000\nCapBnd: 0000000000000000\n\
        NoNewPrivs: 1\nSeccomp: 2\n\
        Permission denied\nPermission denied\nPermission denied\nRead-only file system\n\
        writable\nroot\nroot\n0\n1073741824\n";
    assert_eq!(said.out(), expected, "{}", said.error());
    let said = machine.cell(&["ssh", "shop", "--", &calls()]).succeeds();
    let refused = REFUSED.map(|(name, _)| format!("{name} 1\n")).concat();
    assert_eq!(said.out(), format!("{refused}clone3 38\nclone 0\na user namespace 1\n"));
    let script = "/tmp/lifecycle/shell /home/vcap/app 'echo $PWD $DEPS_DIR; grep -c . index.html'";
    let said = machine.cell(&["ssh", "shop", "--", script]).succeeds();
    assert_eq!(said.out(), "/home/vcap/app /home/vcap/deps\n1\n");
    machine.cell(&["stop", "shop"]).succeeds();
    assert!(!trace.is_left());
    nothing_is_left(machine);
}

#[test]
fn root_an_app_over_its_memory_is_killed_reported_and_started_again() {
    takes_too_much_memory(&machine());
}

/// An app of this machine's does.
fn takes_too_much_memory(machine: &Machine) {
    let app = machine.app(&[
        ("Procfile", "web: tail /dev/zero\n"),
        ("manifest.yml", "applications: [{name: shop, memory: 64M}]"),
    ]);
    let error = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).fails(1);
    let reason = "APP/PROC/WEB: Exited with status 137 (out of memory)";
    assert!(error.contains(&format!("'shop' crashed: {reason}")), "{error}");
    eventually("the fourth start is put off", || {
        machine.log().contains("The next start is in 30 s")
    });
    let log = machine.log();
    let crash = format!("Process has crashed with type: \"web\": {reason}");
    assert_eq!(log.matches(&crash).count(), 4, "{log}");
    assert_eq!(log.matches("[APP/PROC/WEB/0] OUT Exit status 137 (out of memory)").count(), 4);
    machine.cell(&["stop", "shop"]).succeeds();
    nothing_is_left(machine);
}

#[test]
fn root_staging_over_its_memory_is_reported() {
    let machine = machine();
    let app = machine.app(&[("Procfile", "web: sleep 600\n")]);
    let buildpack = machine.state().with_file_name("greedy");
    fs::create_dir_all(buildpack.join("bin")).unwrap();
    // The builder says itself what it knows of its container's cgroup.
    for (name, script) in [("detect", ""), ("compile", "tail /dev/zero")] {
        write_program(&buildpack.join("bin").join(name), script);
    }
    let words = ["stage", app.to_str().unwrap(), "-b", buildpack.to_str().unwrap()];
    let error = machine.cell(&words).fails(1);
    let reason = "BuildpackCompileFailed: App staging failed in the buildpack compile phase \
        (STG: Exited with status 223 (out of memory))";
    assert!(error.contains(reason), "{error}");
    assert!(machine.log().contains("out of memory: the kernel ended 1 process(es)"));
    nothing_is_left(&machine);
}

#[test]
fn root_a_container_has_so_many_processes_and_no_more() {
    let machine = machine();
    let app = machine.app(&[
        ("Procfile", "web: timeout 0.2 cat; echo \"stdin $?\"; exec sleep 600\n"),
        ("manifest.yml", &manifest("memory: 1G")),
    ]);
    machine.cell(&["push", app.to_str().unwrap(), "--detach"]).succeeds();
    eventually("standard input stays silent", || machine.log().contains("OUT stdin 124"));
    let script = "perl -e 'while (defined($p = fork)) { exec qw(sleep 600) unless $p; $n++ } print \"$n $!\\n\"'; pkill x";
    let said = entered(|| machine.cell(&["ssh", "shop", "--", script]));
    let (count, error) =
        said.out().trim().split_once(' ').map(|(n, e)| (n.to_owned(), e.to_owned())).unwrap();
    assert_eq!(error, "Resource temporarily unavailable");
    let count: u32 = count.parse().unwrap();
    assert!((900..1024).contains(&count), "{count}");
    let trace = Trace::of(&machine, "instances/web-0");
    machine.cell(&["stop", "shop"]).succeeds();
    assert!(!trace.is_left());
    nothing_is_left(&machine);
}

#[test]
fn root_programs_of_a_container_end_together_and_in_good_order() {
    let machine = machine();
    // What holds its output open holds up nobody.
    let app = machine.app(&[
        ("Procfile", "web: sleep 600 & exit 9\n"),
        ("manifest.yml", "applications: [{name: shop}]"),
    ]);
    let error = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).fails(1);
    assert!(error.contains("APP/PROC/WEB: Exited with status 9"), "{error}");
    machine.cell(&["stop", "shop"]).succeeds();
    nothing_is_left(&machine);
    let polite = "web: trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done\n";
    let sidecar = "sidecars: [{name: friend, process_types: [web], command: 'while ! test -e /tmp/go; do sleep 0.1; done; exit 3'}]";
    let app = machine.app(&[("Procfile", polite), ("manifest.yml", &manifest(sidecar))]);
    machine.cell(&["push", app.to_str().unwrap(), "--detach"]).succeeds();
    eventually("it is up", || machine.log().contains("OUT up"));
    entered(|| machine.cell(&["ssh", "shop", "--", "touch /tmp/go"])).succeeds();
    eventually("the sidecar's end is the instance's", || {
        machine.log().contains("APP/PROC/WEB/SIDECAR/FRIEND: Exited with status 3")
    });
    assert!(machine.log().contains("[APP/PROC/WEB/0] OUT bye"), "{}", machine.log());
    eventually("it is up again", || machine.log().matches("OUT up").count() == 2);
    machine.cell(&["stop", "shop"]).succeeds();
    assert_eq!(machine.log().matches("OUT bye").count(), 2, "{}", machine.log());
    nothing_is_left(&machine);
}

#[test]
fn root_an_app_that_listens_elsewhere_is_explained_in_a_container() {
    let machine = machine();
    health::listens_elsewhere(&machine);
    nothing_is_left(&machine);
}

#[test]
fn root_a_container_that_ends_is_made_again_at_once_three_times() {
    let machine = machine();
    health::ends_again_and_again(&machine);
    assert!(containers(&machine).len() >= 5);
    nothing_is_left(&machine);
}

#[test]
fn root_an_app_that_becomes_unhealthy_gets_a_new_container() {
    let machine = machine();
    health::becomes_unhealthy(&machine);
    nothing_is_left(&machine);
}

#[test]
fn root_readiness_is_asked_in_containers() {
    let machine = machine();
    health::is_not_ready(&machine);
    nothing_is_left(&machine);
}

#[test]
fn root_containers_have_the_platforms_umask_whatever_the_users_is() {
    let machine = machine();
    pushing::has_the_platforms_umask(&machine);
    nothing_is_left(&machine);
}

#[test]
fn root_processes_have_containers_with_their_sidecars() {
    let machine = machine();
    processes::web_beside_workers_and_sidecars(&machine);
    nothing_is_left(&machine);
}

#[test]
fn root_whatever_a_cell_does_when_it_is_killed_no_container_is_left() {
    let machine = machine();
    recovery::killed_in_every_phase(&machine, "oci");
    nothing_is_left(&machine);
}

#[test]
fn root_ctrl_c_ends_a_staging_in_a_container() {
    let machine = machine();
    recovery::is_staged_by_one_cell(&machine);
    nothing_is_left(&machine);
}

/// `PUSHES` says how many.
#[test]
fn root_pushes_and_stops_of_four_apps_at_once_leave_no_container() {
    let count = std::env::var("PUSHES").map_or(20, |count| count.parse().unwrap());
    let mut machine = machine();
    recovery::pushes_and_stops(&mut machine, count);
    assert!(containers(&machine).len() >= 2 * count);
    nothing_is_left(&machine);
}

#[test]
fn root_what_a_killed_supervisor_left_of_containers_goes_with_the_next_start() {
    loses_its_supervisor(&machine());
}

/// An app of this machine's does.
fn loses_its_supervisor(machine: &Machine) {
    let app = machine.app(&[("index.html", "here"), ("Staticfile", "")]);
    machine.push(&app);
    let trace = Trace::of(machine, "instances/web-0");
    let supervises = |pid: &Pid| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|it| it.contains("supervise"))
    };
    let supervisor = machine.processes().into_iter().find(supervises).unwrap();
    kill(supervisor, Signal::SIGKILL).unwrap();
    // Nobody watches over it any more: its first process ends it.
    let lives = |pid: &Pid| kill(*pid, None).is_ok();
    eventually("the app ends", || !trace.processes.iter().any(lives));
    assert!(trace.is_left(), "cgroups");
    let said = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).succeeds();
    let sentence = "What 'shop' left when the process that kept it was killed is removed";
    assert!(said.error().contains(sentence), "{}", said.error());
    assert!(!trace.is_left());
    machine.cell(&["stop", "shop"]).succeeds();
    nothing_is_left(machine);
}

#[test]
fn root_whenever_a_push_is_killed_the_next_one_works() {
    let machine = machine();
    let app = machine.app(&[("index.html", "here"), ("Staticfile", "")]);
    machine.push(&app);
    let mut traces = vec![Trace::of(&machine, "instances/web-0")];
    for milliseconds in (0..1200).step_by(100) {
        let mut push = machine.command(&["push", app.to_str().unwrap(), "--detach"]);
        let mut push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment is what the test is about; whichever it hits, what follows must hold.
        thread::sleep(Duration::from_millis(milliseconds));
        push.kill().unwrap();
        push.wait().unwrap();
        for pid in machine.processes() {
            let _gone = kill(pid, Signal::SIGKILL);
        }
        for place in ["staging", "instances/web-0"] {
            let name = machine.state().join("apps/shop").join(place).join("oci/name");
            let cgroup = fs::read_to_string(name).unwrap_or_default();
            if !cgroup.is_empty() {
                traces.push(Trace { cgroup, processes: Vec::new() });
            }
        }
    }
    assert!(get(&machine.push(&app)).ends_with("here"));
    machine.cell(&["stop", "shop"]).succeeds();
    assert!(traces.len() > 3, "{}", traces.len());
    assert!(!traces.iter().any(Trace::is_left));
    nothing_is_left(&machine);
}

#[test]
fn root_walls_that_are_not_to_be_had_are_named() {
    let machine = machine();
    let app = machine.app(&[("Procfile", "web: sleep 600\n")]);
    let words = ["stage", app.to_str().unwrap(), "--isolation", "oci"];
    machine.cell(&words).succeeds();
    let run = |words: &[&str], runtime: &str| {
        let mut command = machine.command(words);
        Said(command.env("CELL_RUNTIME", runtime).output().unwrap())
    };
    let error = run(&words, "/bin/false").fails(1);
    assert!(
        error.contains("isolation 'oci' is not to be had: /bin/false makes no container"),
        "{error}"
    );
    let error = run(&words, "none-such").fails(1);
    assert!(error.contains("CELL_RUNTIME is none-such, which is no program"), "{error}");
    let said = run(&words[..2], "none-such").succeeds();
    let difference =
        "No isolation (CELL_RUNTIME is none-such, which is no program): processes of yours";
    assert!(said.error().contains(difference), "{}", said.error());
    let error =
        run(&["stage", app.to_str().unwrap(), "-s", "host", "--isolation", "oci"], "").fails(1);
    assert!(
        error.contains("stack 'host' has no root file system, which isolation 'oci' needs"),
        "{error}"
    );
    let foreign = machine.state().with_file_name("foreign.yml");
    let rootfs = essential_debian();
    let text = format!("stacks: {{far: {{architecture: s390x, rootfs: {}}}}}", rootfs.display());
    fs::write(&foreign, text).unwrap();
    let words = ["stage", app.to_str().unwrap(), "--stacks", foreign.to_str().unwrap()];
    let error = run(&words, "").fails(1);
    assert!(
        error.contains("stack 'far': it is for s390x, and this machine has no emulator"),
        "{error}"
    );
    nothing_is_left(&machine);
}

/// A user of this machine, for those who look at it from within: with a home, and ids for containers.
struct User {
    home: TempDir,
}

impl User {
    const ID: &str = "54321";

    fn new() -> Self {
        let home = TempDir::with_prefix("cell-user-").unwrap();
        let user = Self { home };
        let id = Self::ID;
        let line = format!("someone:x:{id}:{id}::/:/bin/sh\n");
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let subordinates = "someone:200000:65536\n".to_owned();
        for (name, text) in [("passwd", passwd + &line), ("ids", subordinates)] {
            fs::write(user.path(name), text).unwrap();
        }
        let installed = CELL.parent().unwrap();
        fs::create_dir(user.path("bin")).unwrap();
        for entry in fs::read_dir(installed).unwrap().map(|it| it.unwrap()) {
            fs::copy(entry.path(), user.path("bin").join(entry.file_name())).unwrap();
        }
        fs::copy(essential_debian(), user.path("debian.tar")).unwrap();
        fs::write(user.path("stacks.yml"), "stacks: {debian: {rootfs: debian.tar, colour: red}}")
            .unwrap();
        let fixture = suite::workspace().join("buildpacks-fixtures/procfile");
        suite::tool("cp", [Path::new("-r"), &fixture, &user.path("procfile")]);
        fs::create_dir(user.path("shop")).unwrap();
        fs::write(user.path("shop/Procfile"), "web: id -u; exec sleep 600\n").unwrap();
        fs::write(user.path("shop/manifest.yml"), manifest("memory: 64M")).unwrap();
        suite::tool("chown", ["-R", &format!("{id}:{id}"), user.home.path().to_str().unwrap()]);
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Runs a script of the user's, where the system knows them.
    fn run(&self, script: &str) -> Said {
        let around = format!(
            "set -e; mount --bind passwd /etc/passwd
            for file in /etc/subuid /etc/subgid; do test -e $file; mount --bind ids $file; done
            exec setpriv --reuid={0} --regid={0} --clear-groups sh -c \"$0\"",
            Self::ID
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &around, script]);
        command.current_dir(self.home.path()).env("HOME", self.home.path());
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("CELL_HOME", self.path("state")).env_remove("CELL_STACKS");
        Said(command.output().unwrap())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _not_there = self.run("cell stop shop");
    }
}

#[test]
fn root_another_user_has_containers_too_without_limits() {
    let user = User::new();
    let said = user.run("cell push shop -b ./procfile --detach").succeeds();
    let limits = "Only root may limit containers: memory and processes have no limits";
    assert!(said.error().contains(limits), "{}", said.error());
    // It was said by the user, and once more by the root that they became.
    assert_eq!(said.error().matches("stacks.debian.colour is not known").count(), 1);
    let log = || fs::read_to_string(user.path("state/apps/shop/log")).unwrap();
    eventually("who it is", || log().contains("[APP/PROC/WEB/0] OUT 2000"));
    let instances = user.path("state/apps/shop/instances");
    assert!(instances.join("web-0/oci").exists());
    entered(|| user.run("cell ssh shop -- 'mkdir -m 0 /tmp/closed'")).succeeds();
    user.run("cell stop shop").succeeds();
    assert!(!instances.exists());
    // What was killed left files of the user's subordinates.
    user.run("cell run shop --detach").succeeds();
    entered(|| user.run("cell ssh shop -- 'mkdir -m 0 /tmp/closed'")).succeeds();
    let running = format!("{}\0supervise\0shop", user.path("bin/cell").display());
    let supervisor = fs::read_dir("/proc").unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let line = fs::read_to_string(path.join("cmdline")).ok()?;
        line.starts_with(&running).then(|| path.file_name().unwrap().to_str()?.parse().ok())?
    });
    kill(Pid::from_raw(supervisor.unwrap()), Signal::SIGKILL).unwrap();
    let said = user.run("cell stop shop").succeeds();
    assert!(said.error().contains("when the process that kept it was killed is removed"));
    assert!(!instances.exists());
}

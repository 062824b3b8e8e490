//! A container like the platform's: staging, launch and task with the platform's own arguments and
//! environment (platform, 3 to 8), and what is said when its limits are met.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use suite::{Container, Running, Stage, Staged, tool, wait_for, workspace};

pub(crate) const READS_STDIN: &str = "0b9b3a5d-6d54-4a35-9d0f-0f6d35a6e0a1_2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
pub(crate) const PROCFILE: &str = "7d0c1a52-93a5-4b7e-8a0e-5fb1d3b7d8c2_fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9";

/// What container, cell and garden set for every process.
const CELL: [(&str, &str); 9] = [
    ("LANG", "en_US.UTF-8"),
    ("CF_INSTANCE_IP", "10.0.16.20"),
    ("CF_INSTANCE_INTERNAL_IP", "10.255.3.7"),
    ("CF_INSTANCE_PORT", ""),
    ("CF_INSTANCE_ADDR", ""),
    ("CF_INSTANCE_PORTS", "[]"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("USER", "vcap"),
    ("HOME", "/home/vcap"),
];

const VCAP_APPLICATION: &str = r#"{"cf_api":"https://api.example.com","limits":{"fds":16384,"mem":1024,"disk":1024},"application_name":"notes","application_uris":["notes.example.com"],"name":"notes","space_name":"s","space_id":"a","organization_id":"b","organization_name":"o","uris":["notes.example.com"],"users":null,"application_id":"c","version":"d","application_version":"d"}"#;

pub(crate) fn environment(
    more: &[(&'static str, &'static str)],
) -> Vec<(&'static str, &'static str)> {
    let app =
        [("VCAP_APPLICATION", VCAP_APPLICATION), ("VCAP_SERVICES", "{}"), ("MEMORY_LIMIT", "64m")];
    CELL.into_iter().chain(app).chain(more.iter().copied()).collect()
}

/// The platform's call of the builder (3.3).
pub(crate) fn start_staging(container: &mut Container, order: &[&str]) -> Running {
    let order = format!("-buildpackOrder={}", order.join(","));
    let words = [
        "/tmp/lifecycle/builder",
        &order,
        "-skipCertVerify=false",
        "-skipDetect=true",
        "-buildDir=/tmp/app",
        "-outputDroplet=/tmp/droplet",
        "-outputMetadata=/tmp/result.json",
        "-outputBuildArtifactsCache=/tmp/output-cache",
        "-buildpacksDir=/tmp/buildpacks",
        "-buildArtifactsCacheDir=/tmp/cache",
    ];
    container.start(&words, &environment(&[("CF_STACK", "cflinuxfs4")]))
}

/// The app's upload.
pub(crate) fn packed(stage: &Stage) -> PathBuf {
    let archive = stage.path("app.tgz");
    let words = [Path::new("-C"), &stage.path("app"), Path::new("-czf"), &archive, Path::new(".")];
    tool("tar", words);
    archive
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    workspace().join("buildpacks-fixtures").join(name)
}

/// In `/tmp`, where outputs and temporary directories are, there is only this beside the inputs.
fn nothing_is_left(container: &mut Container, but: &[&str]) {
    let listed = container.run(&["/bin/ls", "-A", "/tmp"], &CELL).succeeds().stdout;
    let inputs = ["app", "buildpacks", "cache", "lifecycle"];
    let left: Vec<&str> = listed.lines().filter(|name| !inputs.contains(name)).collect();
    assert_eq!(left, but);
}

#[test]
fn root_the_container_is_as_tight_as_the_platforms() {
    let mut container = Container::new(&[("key", &fixture("procfile"))]);
    let script = "id -u; id -g; ulimit -n; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr '\\t' ' '
        for path in /tmp/lifecycle /tmp/buildpacks/*; do touch $path/new; done 2>&1 | sed 's/.*: //'
        timeout 0.2 cat; echo $?
        python3 -c 'import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for number in 434, 436, 424, 425, 435: # pidfd_open, close_range, pidfd_send_signal, io_uring_setup, clone3
    libc.syscall(number, 0, 0, 0, 0)
    print(ctypes.get_errno(), end=\" \")'";
    let said = container.run(&["/bin/sh", "-c", script], &environment(&[])).succeeds();
    let expected = "2000\n2000\n16384\nCapEff: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n\
        Read-only file system\nRead-only file system\n124\n1 1 1 1 38 ";
    assert_eq!(said.stdout, expected, "{said}");
}

#[test]
fn root_an_app_is_staged_launched_and_run_as_a_task() {
    let droplet = {
        let buildpacks = [(READS_STDIN, fixture("reads-stdin")), (PROCFILE, fixture("procfile"))];
        let buildpacks = buildpacks.each_ref().map(|(key, path)| (*key, path.as_path()));
        let mut container = Container::new(&buildpacks);
        container.unpack(&packed(&Stage::app("procfile")), "/tmp/app");
        let staged = start_staging(&mut container, &[READS_STDIN, PROCFILE]).finish().succeeds();
        lines_are_whole(&staged);
        nothing_is_left(
            &mut container,
            &["droplet", "output-cache", "result.json", "staging_report.json"],
        );
        let result = fs::read_to_string(container.take("/tmp/result.json")).unwrap();
        cloud_controller_accepts(&result);
        assert!(fs::metadata(container.take("/tmp/output-cache")).unwrap().len() > 0);
        fs::read(container.take("/tmp/droplet")).unwrap()
    };
    let mut container = Container::new(&[]);
    let archive = container.path("etc/droplet");
    fs::write(&archive, droplet).unwrap();
    layer_is_users(&archive);
    container.unpack(&archive, "/home/vcap");
    let stdin = fs::read_to_string(container.path("/home/vcap/deps/0/stdin")).unwrap();
    assert_eq!(stdin, "", "a script's stdin was not empty");
    answers_and_ends(&mut container);
    runs_a_task(&mut container);
}

/// All output ends with a newline, none of it is too long for the platform (10).
fn lines_are_whole(staged: &Staged) {
    assert!(staged.stdout.ends_with('\n'), "{staged}");
    assert!(staged.stderr.is_empty(), "{staged}");
    assert!(staged.stdout.lines().all(|line| line.len() < 60 * 1024));
}

/// Owners of a droplet that becomes an image layer (8.4); its other rules are tested in `packaging`.
fn layer_is_users(archive: &Path) {
    let words = [Path::new("--numeric-owner"), Path::new("-tvzf"), archive];
    let listing = tool("tar", words);
    assert!(listing.lines().next().is_some_and(|line| line.ends_with(" ./")), "{listing}");
    assert!(listing.lines().all(|line| line.contains(" 2000/2000 ")), "{listing}");
}

/// The launcher with the platform's arguments (5.2): the app answers, and SIGTERM reaches it.
fn answers_and_ends(container: &mut Container) {
    let environment = environment(&[
        ("PORT", "8080"),
        ("VCAP_APP_PORT", "8080"),
        ("VCAP_APP_HOST", "0.0.0.0"),
        ("INSTANCE_GUID", "8a5d7a68"),
        ("INSTANCE_INDEX", "0"),
        ("CF_INSTANCE_GUID", "8a5d7a68"),
        ("CF_INSTANCE_INDEX", "0"),
        ("LC_ALL", "C"),
    ]);
    let words = ["/tmp/lifecycle/launcher", "app", "perl notes.pl", ""];
    let app = container.start(&words, &environment);
    let answer = wait_for("the app's answer", || {
        let curl = ["/usr/bin/curl", "-s", "http://127.0.0.1:8080/"];
        Some(container.run(&curl, &environment)).filter(|curl| curl.status == 0)
    });
    assert_eq!(answer.stdout, "Started with a greeting from .profile\n");
    app.signal(Signal::SIGTERM);
    let ended = app.finish();
    assert_eq!((ended.status, ended.stderr.as_str()), (143, ""), "{ended}");
    assert!(ended.stdout.ends_with("notes: listening on port 8080\n"), "{ended}");
}

/// A task (6): no port, no instance.
fn runs_a_task(container: &mut Container) {
    let command = "echo $PWD $HOME; echo $VCAP_APPLICATION; timeout 0.2 cat; exit 7";
    let words = ["/tmp/lifecycle/launcher", "app", command, ""];
    let task = container.run(&words, &environment(&[]));
    assert_eq!((task.status, task.stderr.as_str()), (7, ""), "{task}");
    assert!(task.stdout.contains("\n/home/vcap/app /home/vcap/app\n"), "{task}");
    let application: Value = serde_json::from_str(task.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&application["host"], &application["limits"]["mem"]),
        (&json!("0.0.0.0"), &json!(1024))
    );
}

/// The platform's validation of a successful result (4.1).
fn cloud_controller_accepts(text: &str) {
    assert!(text.len() <= 51_200);
    let result: Value = serde_json::from_str(text).unwrap();
    assert_eq!(result["lifecycle_type"], "buildpack");
    assert!(result["execution_metadata"].is_string(), "{text}");
    let types = result["process_types"].as_object().unwrap();
    assert_eq!(types["web"], "perl notes.pl");
    assert!(types.values().all(Value::is_string), "{text}");
    let metadata = &result["lifecycle_metadata"];
    assert!(metadata["detected_buildpack"].is_string(), "{text}");
    assert_eq!(metadata["buildpack_key"], PROCFILE);
    let buildpacks = metadata["buildpacks"].as_array().unwrap();
    let keys: Vec<&Value> = buildpacks.iter().map(|buildpack| &buildpack["key"]).collect();
    assert_eq!(keys, [READS_STDIN, PROCFILE]);
    // What is optional must be left out, or be of its type.
    let text_or_none = |value: &Value, key| value.get(key).is_none_or(Value::is_string);
    assert!(buildpacks.iter().all(|it| text_or_none(it, "name") && text_or_none(it, "version")));
    assert!(result.get("sidecars").is_none_or(|it| it.is_null() || it.is_array()), "{text}");
}

/// Stages a file with the buildpacks of `stage`, in a container with some of its limits changed.
fn limited(stage: &Stage, change: impl FnOnce(&mut Value)) -> (Container, Running) {
    let buildpack = stage.path("buildpacks").join(suite::xxhash("A"));
    let mut container = Container::changed(&[("A", &buildpack)], change);
    // From inside: what is mounted there on /tmp is not seen from outside.
    let script = "mkdir /tmp/app && echo hello > /tmp/app/index.html";
    let _made = container.run(&["/bin/sh", "-c", script], &CELL).succeeds();
    let running = start_staging(&mut container, &["A"]);
    (container, running)
}

/// A buildpack `A` that supplies with this script.
fn supplies(script: &str) -> Stage {
    let release = "echo 'default_process_types: {web: run}'";
    Stage::empty()
        .script("A", "supply", script)
        .script("A", "finalize", "")
        .script("A", "release", release)
}

#[test]
fn root_a_memory_kill_is_explained_by_the_containers_own_cgroup() {
    let stage = supplies("tail /dev/zero; exit 3");
    let memory = |config: &mut Value| {
        config["linux"]["resources"]["memory"]["limit"] = json!(64 << 20);
    };
    let (mut container, running) = limited(&stage, memory);
    let _failed = running
        .finish()
        .fails(223, "Failed to compile droplet: Failed to run all supply scripts: exit status 3")
        .explains(&[
            "out of memory: the kernel ended 1 process(es) of this container",
            "64M allowed",
        ]);
    nothing_is_left(&mut container, &["result.json"]);
}

#[test]
fn root_a_full_disk_of_the_container_is_explained() {
    let disk = |config: &mut Value| {
        let options = ["mode=1777", "size=8m"];
        let tmp = json!({ "type": "tmpfs", "source": "tmpfs", "destination": "/tmp", "options": options });
        config["mounts"].as_array_mut().unwrap().insert(0, tmp);
    };
    let stage = supplies("head -c 30M /dev/zero > $3/$4/big");
    let (mut container, running) = limited(&stage, disk);
    let failed = running.finish();
    assert_eq!(failed.status, 223, "{failed}");
    let _explained = failed
        .explains(&["disk full: the file system of /tmp/", "8M used and 0B free"])
        .explains(&["8M  /tmp/", "/deps/0"]);
    // There is not even room for result.json, which the platform does not read then.
    nothing_is_left(&mut container, &[]);

    let stage = supplies("head -c 6M /dev/urandom > $1/noise");
    let (mut container, running) = limited(&stage, disk);
    let _explained = running
        .finish()
        .fails(1, "Failed to compress droplet filesystem: cannot write /tmp/droplet: no space left on device")
        .explains(&["6M  /tmp/app"]);
    nothing_is_left(&mut container, &["result.json"]);
}

#[test]
fn root_a_container_full_of_processes_is_explained_or_enough() {
    // What a buildpack leaves behind may use up the limit: each step wants one process or thread more.
    let mut statuses = Vec::new();
    for limit in [3, 4, 5, 6, 7, 8, 512] {
        let stage = supplies("echo > $1/ready; while ! test -e $1/go; do :; done");
        let (mut container, running) = limited(&stage, |_| {});
        wait_for("the script", || container.path("tmp/app/ready").exists().then_some(()));
        container.limit_processes(limit);
        fs::write(container.path("tmp/app/go"), "").unwrap();
        let mut ended = running.finish();
        container.limit_processes(1024);
        if ended.status == 0 {
            let outputs = ["droplet", "output-cache", "result.json", "staging_report.json"];
            nothing_is_left(&mut container, &outputs);
        } else {
            ended = ended.explains(&["resource temporarily unavailable"]);
            nothing_is_left(&mut container, &["result.json"]);
        }
        statuses.push(ended.status);
    }
    // Finalize does not start; release does not; then packing may have threads enough or not.
    assert!(matches!(statuses[..], [223, 224, .., 0]), "{statuses:?}");
    assert!(statuses[2..].iter().all(|status| [0, 1].contains(status)), "{statuses:?}");
}

#[test]
fn root_sigterm_ends_staging_and_what_it_started() {
    let stage = supplies("setsid tail -f /dev/null & echo > $1/ready; wait");
    let (mut container, running) = limited(&stage, |_| {});
    wait_for("the script", || container.path("tmp/app/ready").exists().then_some(()));
    running.signal(Signal::SIGTERM);
    let line =
        "Staging was stopped by SIGTERM: ending the buildpack's processes, no droplet is kept";
    let _stopped = running.finish().fails(143, line);
    let processes = ["/bin/sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"];
    let processes = container.run(&processes, &CELL);
    assert!(!processes.stdout.contains("tail -f"), "{processes}");
    nothing_is_left(&mut container, &[]);
}

//! Apps of several processes, with sidecars, and manifests of several apps.

use serde_json::Value;

use crate::machine::{Machine, eventually, get};

const MANIFEST: &str = "applications:
- name: shop
  processes:
  - type: worker
    command: while sleep 0.2; do echo working $CF_INSTANCE_INDEX in $HOME; done
    instances: 2
    memory: 64M
  - type: clock
    command: date
  sidecars:
  - name: helper
    process_types: [web, worker]
    command: echo $$ >../sidecar; echo helping a process of $MEMORY_LIMIT; sleep 600 & wait
";

#[test]
fn a_web_process_runs_beside_workers_and_sidecars() {
    web_beside_workers_and_sidecars(&Machine::new());
}

/// The same, wherever its containers are.
pub(crate) fn web_beside_workers_and_sidecars(machine: &Machine) {
    let app = machine.app(&[("index.html", "here"), ("manifest.yml", MANIFEST)]);
    let url = machine.push(&app);
    assert!(get(&url).ends_with("here"));
    // A type without `instances` does not run.
    assert_eq!(instances(machine), ["web/0 running 0", "worker/0 running 0", "worker/1 running 0"]);
    for line in [
        "[APP/PROC/WEB/SIDECAR/HELPER/0] OUT helping a process of 1024m",
        "[APP/PROC/WORKER/SIDECAR/HELPER/0] OUT helping a process of 64m",
        "[APP/PROC/WORKER/SIDECAR/HELPER/1] OUT helping a process of 64m",
        "[APP/PROC/WORKER/1] OUT working 1 in ",
    ] {
        eventually(line, || machine.log().contains(line));
    }
    let said =
        machine.cell(&["ssh", "shop", "--process", "worker", "-i", "1", "--", "env; cat sidecar"]);
    let said = said.succeeds().out();
    assert!(
        said.contains("INSTANCE_INDEX=1\n") && said.contains(r#""process_type":"worker""#),
        "{said}"
    );
    // A sidecar is in the container of its process, which ends with it and is started again.
    machine.cell(&["ssh", "shop", "--", "kill -9 $(cat sidecar)"]);
    eventually("web was started again", || instances(machine)[0] == "web/0 running 1");
    assert_eq!(instances(machine)[1..], ["worker/0 running 0", "worker/1 running 0"]);
    let crash = "Process has crashed with type: \"web\": APP/PROC/WEB/SIDECAR/HELPER: Exited with status 137";
    assert!(machine.log().contains(crash), "{}", machine.log());
    let error = machine.cell(&["ssh", "shop", "-i", "7"]).fails(1);
    assert_eq!(error, "'shop' has no instance 7 of process 'web'\n");
    machine.cell(&["stop", "shop"]).succeeds();
    eventually("nothing is left to run", || machine.processes().is_empty());
}

/// `cell ssh shop` was shown, and the worker's port as the app's URL.
#[test]
fn an_app_without_web_instances_is_entered_where_it_runs() {
    let machine = Machine::new();
    let manifest = "applications:
- name: shop
  instances: 0
  processes: [{type: worker, command: sleep 600, instances: 1}]
";
    let app = machine.app(&[("index.html", ""), ("manifest.yml", manifest)]);
    let said = machine.cell(&["push", app.to_str().unwrap(), "--detach", "--json"]).succeeds();
    let running = said.events().into_iter().find(|it| it["event"] == "running").unwrap();
    assert_eq!(
        (&running["url"], running["ssh"].as_str()),
        (&Value::Null, Some("cell ssh shop --process worker"))
    );
    machine.cell(&["stop", "shop"]).succeeds();
}

/// What `cell ps` says of instances: name, state, crashes.
fn instances(machine: &Machine) -> Vec<String> {
    let events = machine.cell(&["ps", "--json"]).succeeds().events();
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let line = |it: &Value| {
        format!("{}/{} {} {}", text(it, "process"), it["index"], text(it, "state"), it["crashes"])
    };
    events.iter().map(line).collect()
}

#[test]
fn all_apps_of_a_manifest_are_pushed_or_the_one_that_is_named() {
    let machine = Machine::new();
    let manifest = "applications:
- {name: front, path: front, memroy: 1G}
- {name: back, path: back, command: sleep 600, health-check-type: process, buildpacks: [procfile]}
";
    let app = machine.app(&[("manifest.yml", manifest)]);
    let path = app.to_str().unwrap();
    for (name, file) in [("front", "index.html"), ("back", "Procfile")] {
        std::fs::create_dir(app.join(name)).unwrap();
        std::fs::write(app.join(name).join(file), "web: exit 1\n").unwrap();
    }
    let error = machine.cell(&["push", path, "-m", "1G"]).fails(1);
    assert!(error.contains("the manifest has front, back: what flags say of an app"), "{error}");
    let stacks = machine.state().with_file_name("stacks.yml");
    std::fs::write(stacks, "stacks: {}\ncolour: red\n").unwrap();
    let said = machine.cell(&["push", path]).succeeds();
    // What the stacks have was said of each app.
    for words in ["applications[0].memroy is not known", "stacks.yml: colour is not known"] {
        assert_eq!(said.error().matches(words).count(), 1, "{}", said.error());
    }
    assert!(
        said.out().contains("front runs after ") && said.out().contains("back runs after "),
        "{}",
        said.out()
    );
    assert!(said.out().ends_with("Their logs: cell logs APP; to stop one: cell stop APP\n"));
    let guid = |name: &str| {
        let path = machine.state().join("apps").join(name).join("app.json");
        serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap()["version"].clone()
    };
    let before = (guid("front"), guid("back"));
    machine.cell(&["push", path, "--name", "front", "--detach"]).succeeds();
    assert_ne!(guid("front"), before.0);
    assert_eq!(guid("back"), before.1);
    let said = machine.cell(&["ps"]).succeeds().out();
    let lines: Vec<_> = said.lines().map(|line| line.split("  http").next().unwrap()).collect();
    assert_eq!(lines, ["back  web/0  running", "front  web/0  running"]);
    assert!(said.lines().nth(1).unwrap().contains("http://"), "{said}");
    for name in ["front", "back"] {
        machine.cell(&["stop", name]).succeeds();
    }
}

#[test]
fn an_app_without_instances_is_not_said_to_run() {
    // It was, with the command for a shell in it.
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: sleep 600\n")]);
    let said = machine.cell(&["push", app.to_str().unwrap(), "--detach", "-i", "0"]).succeeds();
    assert!(said.out().ends_with("shop has no instances: nothing runs\n"), "{}", said.out());
    machine.cell(&["stop", "shop"]).succeeds();
}

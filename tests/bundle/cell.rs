//! `cell` on stacks for other machines: the shipped programs in its containers, by an emulator.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use lifecycle::architecture::Architecture;
use suite::{program, tool, workspace};
use tempfile::TempDir;

use crate::Bundle;

/// This machine's busybox is fast and does for scripts: it is the bundle that is another machine's.
fn busybox(root: &Path) {
    fs::create_dir_all(root.join("bin")).unwrap();
    let places = ["/bin/busybox", "/usr/bin/busybox"];
    let busybox = places.iter().find(|path| Path::new(path).exists()).expect("busybox");
    fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for name in tool(busybox, ["--list"]).lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(name)).unwrap();
    }
}

struct Machine(TempDir);

impl Machine {
    fn new(architecture: &Architecture) -> Self {
        let machine = Self(TempDir::with_prefix("cell-").unwrap());
        busybox(&machine.path("root"));
        fs::create_dir(machine.path("app")).unwrap();
        let start = "web: trap 'echo bye; exit 0' TERM; uname -m; while :; do sleep 0.1; done\n";
        fs::write(machine.path("app/Procfile"), start).unwrap();
        let manifest = "applications: [{name: app, health-check-type: process}]";
        fs::write(machine.path("app/manifest.yml"), manifest).unwrap();
        let procfile = workspace().join("buildpacks-fixtures/procfile");
        let stacks = format!(
            "stacks: {{far: {{rootfs: root, architecture: {}, install_buildpacks: [procfile], releases: {{procfile: {{directory: {}}}}}}}}}",
            architecture.name(),
            procfile.display()
        );
        fs::write(machine.path("stacks.yml"), stacks).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What it said, all together, where it succeeded.
    fn try_cell(&self, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new(program("cell"));
        command.args(words).current_dir(self.0.path());
        command.env("CELL_HOME", self.path("state")).env_remove("CELL_STACKS");
        let said = command.output().unwrap();
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        if said.status.success() { Ok(text) } else { Err(format!("{words:?}: {text}")) }
    }

    fn cell(&self, words: &[&str]) -> String {
        self.try_cell(words).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if self.path("state/apps/app/instances").exists() {
            self.cell(&["stop", "app"]);
        }
    }
}

#[test]
fn root_an_app_of_any_machine_runs_in_a_container() {
    for bundle in Bundle::all_static() {
        let builder = bundle.program("builder");
        let architecture = Architecture::of_file(&builder).unwrap().unwrap();
        let machine = Machine::new(&architecture);
        let archive = bundle.archive.to_str().unwrap();
        let said =
            machine.cell(&["push", "app", "--detach", "--isolation", "oci", "--bundle", archive]);
        let emulated = "its programs run, slowly, by ";
        let is_own = Architecture::own().runs(&architecture);
        assert_eq!(said.contains(emulated), !is_own, "{said}");
        suite::wait_for("the app's first line", || {
            let log = fs::read_to_string(machine.path("state/apps/app/log")).unwrap();
            log.contains("[APP/PROC/WEB/0] OUT ").then_some(())
        });
        let words = ["ssh", "app", "--", "ls -A /tmp/lifecycle | wc -l; id -u"];
        let said = suite::wait_for("the SSH server", || machine.try_cell(&words).ok());
        assert!(said.ends_with("5\n2000\n"), "{said}");
        machine.cell(&["stop", "app"]);
        let log = fs::read_to_string(machine.path("state/apps/app/log")).unwrap();
        assert!(log.contains("[APP/PROC/WEB/0] OUT bye"), "{log}");
    }
}

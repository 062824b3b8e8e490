//! No room for cell's state: one clear sentence, nothing half-written, and all is well once there is room.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::Machine;

/// A file system of so many MiB in the place of a machine's state.
struct Disk(PathBuf);

impl Disk {
    fn mount(machine: &Machine, megabytes: u32) -> Self {
        let path = machine.state();
        fs::create_dir(&path).unwrap();
        let size = format!("size={megabytes}m,mode=700");
        tool(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "cell-test"]).arg(&path));
        Self(path)
    }

    fn resize(&self, megabytes: u32) {
        let size = format!("remount,size={megabytes}m");
        tool(Command::new("mount").args(["-o", &size]).arg(&self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn tool(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}: needs root");
}

#[test]
fn root_a_disk_without_room_for_the_bundle_is_named_and_nothing_is_left_of_it() {
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: sleep 600\n")]);
    let push = ["stage", app.to_str().unwrap(), "--isolation", "none"];
    for megabytes in [4, 24] {
        let disk = Disk::mount(&machine, megabytes);
        let error = machine.cell(&push).fails(1);
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains("no space left on device"), "{error}");
        assert!(error.contains(machine.state().to_str().unwrap()), "which disk: {error}");
        assert!(used(&disk.0) < 20 << 20, "{megabytes} MiB: half of something is left");
        disk.resize(200);
        machine.cell(&push).succeeds();
        drop(disk);
        fs::remove_dir(machine.state()).unwrap();
    }
}

#[test]
fn root_a_disk_that_an_app_fills_is_named_and_the_droplet_of_before_stays() {
    let machine = Machine::new();
    let app = machine.app(&[("Procfile", "web: cat note; sleep 600\n"), ("note", "before")]);
    let manifest = "applications: [{name: shop, health-check-type: process}]";
    fs::write(app.join("manifest.yml"), manifest).unwrap();
    let disk = Disk::mount(&machine, 100);
    let path = app.to_str().unwrap();
    let push = ["push", path, "--detach"];
    machine.cell(&push).succeeds();
    let droplet = || {
        let own = fs::read(machine.place("app.json")).unwrap();
        let own: serde_json::Value = serde_json::from_slice(&own).unwrap();
        fs::read(machine.place(&format!("droplet-{}.tgz", own["version"].as_str().unwrap())))
            .unwrap()
    };
    let before = droplet();
    fs::write(disk.0.join("filler"), vec![1; 3 << 20]).unwrap();
    fs::write(app.join("note"), "after").unwrap();
    let disk_stat = nix::sys::statvfs::statvfs(&disk.0).unwrap();
    let free = usize::try_from(disk_stat.blocks_available() * disk_stat.fragment_size()).unwrap();
    // More than there is room for, and what does not fit once more, into the droplet.
    for content in [free + (1 << 20), free / 3 * 2] {
        let mut noise = vec![0; content];
        noise.iter_mut().fold(1_u32, |seed, byte| {
            *byte = (seed >> 24).to_le_bytes()[0];
            seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
        });
        fs::write(app.join("noise"), noise).unwrap();
        let error = machine.cell(&push).fails(1);
        assert!(
            error.contains("no space left on device") || error.contains("STG: Exited"),
            "{error}"
        );
        assert_eq!(droplet(), before);
        assert!(!machine.place("staging").exists());
        let log = machine.log();
        assert!(error.contains("no space left") || log.contains("no space left"), "{log}");
    }
    let listed = machine.cell(&["ps", "--json"]).succeeds().events();
    assert_eq!((&listed[0]["state"], &listed[0]["crashes"]), (&"running".into(), &0.into()));
    fs::remove_file(app.join("noise")).unwrap();
    machine.cell(&push).succeeds();
    machine.cell(&["stop", "shop"]).succeeds();
    assert!(machine.log().contains("OUT after"));
}

/// Bytes of all files below `directory`.
fn used(directory: &Path) -> u64 {
    let files = walkdir::WalkDir::new(directory).into_iter().map(|it| it.unwrap());
    files.map(|it| it.metadata().unwrap().len()).sum()
}

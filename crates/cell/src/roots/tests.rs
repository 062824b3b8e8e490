use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A directory with a small root file system, and one for what is made of it.
fn root(files: &[&str]) -> (TempDir, TempDir) {
    let root = TempDir::new().unwrap();
    for name in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, name).unwrap();
    }
    (root, TempDir::new().unwrap())
}

#[test]
fn root_directories_and_archives_are_unpacked_once() {
    let (root, roots) = root(&["etc/passwd", "bin/sh", "dev/null", "proc/1", "usr/dev/x"]);
    fs::set_permissions(root.path().join("bin/sh"), Permissions::from_mode(0o751)).unwrap();
    let archive = TempDir::new().unwrap();
    let archive = archive.path().join("root.tar.gz");
    let mut tar = Command::new("tar");
    tar.args(["-C".as_ref(), root.path().as_os_str(), "-czf".as_ref(), archive.as_os_str()]);
    assert!(tar.arg(".").status().unwrap().success());
    let mut found = Vec::new();
    for source in [root.path(), &archive] {
        let mut begun = false;
        let made = unpacked(source, roots.path(), || begun = true).unwrap().path;
        assert!(begun);
        assert_eq!(unpacked(source, roots.path(), || panic!("again")).unwrap().path, made);
        assert_eq!(fs::read(made.join("etc/passwd")).unwrap(), b"etc/passwd");
        assert_eq!(fs::metadata(made.join("bin/sh")).unwrap().mode() & 0o777, 0o751);
        // What is this machine's is not taken, what is mounted over is there.
        assert!(!made.join("dev/null").exists() && !made.join("proc/1").exists());
        assert!(made.join("usr/dev/x").exists());
        for name in ["etc/hosts", "etc/resolv.conf", "var/tmp", "home", "dev", "proc"] {
            assert!(made.join(name).exists(), "{name}");
        }
        let owners = ["", "etc", "bin/sh"].map(|it| fs::metadata(made.join(it)).unwrap().uid());
        assert_eq!(owners, [Ids::own().unwrap().root; 3]);
        found.push(made);
    }
    assert_ne!(found[0], found[1]);
    fs::write(root.path().join("bin/new"), "").unwrap();
    assert!(!found.contains(&unpacked(root.path(), roots.path(), || ()).unwrap().path));
}

#[test]
fn what_was_half_made_goes_and_what_is_no_root_leaves_nothing() {
    let (trap, roots) = root(&["bin/sh"]);
    symlink("/etc", trap.path().join("etc")).unwrap();
    fs::create_dir_all(roots.path().join("partial/old")).unwrap();
    let error = unpacked(trap.path(), roots.path(), || ()).unwrap_err();
    assert!(error.to_string().ends_with("it is no root file system: etc is no directory in it"));
    let damaged = trap.path().join("damaged.tar.gz");
    fs::write(&damaged, "no archive").unwrap();
    let error = unpacked(&damaged, roots.path(), || ()).unwrap_err();
    assert!(error.to_string().contains("damaged.tar.gz: tar can't unpack it: tar: "), "{error}");
    let missing = unpacked(&trap.path().join("none.tar"), roots.path(), || ()).unwrap_err();
    let missing = lifecycle::report::chain(&missing);
    assert!(missing.contains("none.tar: no such file or directory"), "{missing}");
    let left: Vec<_> =
        fs::read_dir(roots.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn root_a_links_place_is_taken_by_a_file() {
    let (root, roots) = root(&["etc/passwd"]);
    symlink("../run/resolve/stub", root.path().join("etc/resolv.conf")).unwrap();
    let made = unpacked(root.path(), roots.path(), || ()).unwrap().path;
    assert!(fs::symlink_metadata(made.join("etc/resolv.conf")).unwrap().is_file());
}

/// They stayed for ever, one for each change of a stack.
#[test]
fn root_what_has_changed_or_has_no_source_goes_unless_an_app_has_it() {
    let (source, roots) = root(&["etc/passwd"]);
    let sweep = |records: &[PathBuf]| {
        let text = |path: &PathBuf| format!("{{\"root\": {path:?}").into_bytes();
        let records = || Ok::<_, RootError>(records.iter().map(text).collect());
        unused::sweep(roots.path(), records).unwrap()
    };
    let held = unpacked(source.path(), roots.path(), || ()).unwrap();
    fs::write(source.path().join("etc/more"), "").unwrap();
    let new = unpacked(source.path(), roots.path(), || ()).unwrap().path;
    // In use; of an app that does not run; while another cell unpacks.
    assert_eq!(sweep(&[]), 0);
    let old = held.path.clone();
    drop(held);
    // By another path to the same: an app's root was removed where CELL_HOME was once a link.
    assert_eq!(sweep(&[Path::new("link").join(old.file_name().unwrap())]), 0);
    let lock = File::open(roots.path().join("lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    assert_eq!(sweep(&[]), 0);
    drop(lock);
    assert!(old.is_dir());
    assert_eq!(sweep(&[]), 1);
    assert!(!old.exists() && new.join("etc/more").exists());
    // Its stack has it, whether there is an app or not, until there is nothing to unpack it from.
    drop(source);
    fs::create_dir_all(roots.path().join("partial/old")).unwrap();
    assert_eq!(sweep(&[]), 1);
    let left: Vec<_> =
        fs::read_dir(roots.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

/// The apps were read first: one that was recorded before the root was looked at lost it.
#[test]
fn root_what_apps_have_is_asked_when_nobody_can_take_a_root_any_more() {
    let (source, roots) = root(&["etc/passwd"]);
    let old = unpacked(source.path(), roots.path(), || ()).unwrap().path;
    drop(source);
    let is_free = |path: &Path| {
        let file = File::open(path).unwrap();
        Flock::lock(file, FlockArg::LockSharedNonblock).is_ok()
    };
    let records = || {
        assert!(!is_free(&roots.path().join("lock")) && !is_free(&old));
        Ok::<_, RootError>(vec![old.as_os_str().as_encoded_bytes().to_owned()])
    };
    assert_eq!(unused::sweep(roots.path(), records).unwrap(), 0);
    // Where it can't be said what apps have, all of it stays.
    let gone = || RootError::Shape { path: old.clone(), what: "x".to_owned() };
    assert!(unused::sweep(roots.path(), || Err(gone())).is_err());
    assert!(old.is_dir() && is_free(&old));
}

/// Whoever opened a root while it was removed held one that was gone.
#[test]
fn root_what_is_held_is_there() {
    let roots = TempDir::new().unwrap();
    let path = roots.path().join("root");
    fs::create_dir(&path).unwrap();
    let removing = Flock::lock(File::open(&path).unwrap(), FlockArg::LockExclusive).unwrap();
    let holding = std::thread::spawn({
        let path = path.clone();
        move || Root::hold(path)
    });
    let opened = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
        open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|it| it == path)).count()
    };
    while opened() < 2 {
        std::thread::yield_now();
    }
    fs::rename(&path, roots.path().join("partial")).unwrap();
    fs::create_dir(&path).unwrap();
    drop(removing);
    let held = holding.join().unwrap().unwrap();
    let again = Flock::lock(File::open(&held.path).unwrap(), FlockArg::LockExclusiveNonblock);
    assert!(again.is_err(), "the one that is there is held");
}

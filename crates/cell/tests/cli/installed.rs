//! `cell` as it is installed: beside a lifecycle bundle, made once of the programs of this build.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use nix::fcntl::{Flock, FlockArg};

/// The program under test.
pub(crate) static CELL: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = Path::new(env!("CARGO_BIN_EXE_cell"));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cell-installed");
    fs::create_dir_all(&directory).unwrap();
    let lock = File::create(directory.join("lock")).unwrap();
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap();
    make(built.parent().unwrap(), &directory);
    let cell = directory.join("cell");
    let number = |path: &Path| fs::metadata(path).map(|it| it.ino()).ok();
    if number(&cell) != number(built) {
        let _first_time = fs::remove_file(&cell);
        fs::hard_link(built, &cell).unwrap();
    }
    cell
});

/// The bundle beside it.
pub(crate) fn bundle() -> PathBuf {
    CELL.with_file_name(name())
}

fn name() -> String {
    format!("buildpack_app_lifecycle-{}.tgz", std::env::consts::ARCH)
}

/// Without debug information: a tenth of the size, and there is a machine of its own in each test.
fn make(programs: &Path, directory: &Path) {
    let members = ["builder", "launcher", "shell", "healthcheck", "diego-sshd"];
    let bundle = directory.join(name());
    let made = fs::metadata(&bundle).and_then(|it| it.modified()).ok();
    let is_older = |member: &str| {
        let built = fs::metadata(programs.join(member)).and_then(|it| it.modified());
        assert!(built.is_ok(), "{member} is missing: run `cargo test --workspace`");
        built.unwrap() < made.unwrap()
    };
    if made.is_some() && members.into_iter().all(is_older) {
        return;
    }
    for member in members {
        tool(Command::new("strip").arg("-o").args([directory.join(member), programs.join(member)]));
    }
    let partial = directory.join("partial.tgz");
    let mut tar = Command::new("tar");
    tar.args(["--use-compress-program=gzip -1", "-cf"]).arg(&partial).arg("-C").arg(directory);
    tool(tar.args(members));
    for member in members {
        fs::remove_file(directory.join(member)).unwrap();
    }
    fs::rename(partial, bundle).unwrap();
}

fn tool(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

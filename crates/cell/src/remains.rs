//! What is left of a container: its processes, found by what they were told, and its files.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use walkdir::WalkDir;

use crate::container;
use crate::subordinates;

/// How long killed processes may take to be gone.
const DYING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);

/// Kills the processes of the container in `directory` and removes it. One that is not there is no trouble.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    let deadline = Instant::now() + DYING;
    loop {
        let processes = processes_of(directory);
        for &pid in &processes {
            let _gone = kill(pid, Signal::SIGKILL);
        }
        if processes.is_empty() || Instant::now() > deadline {
            break;
        }
        thread::sleep(PAUSE);
    }
    let below = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let containers = below.map(|entry| entry.path()).chain([directory.to_owned()]);
    for cgroup in containers.filter_map(|path| container::cgroup_of(&path)) {
        cgroup.remove()?;
    }
    loop {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open_up(directory);
                return match fs::remove_dir_all(directory) {
                    Err(_) if !subordinates::is_root() => subordinates::remove(directory),
                    outcome => outcome,
                };
            }
            // Those who still write are dying: a container's processes end with its first.
            Err(error)
                if error.kind() == io::ErrorKind::DirectoryNotEmpty
                    && Instant::now() < deadline =>
            {
                thread::sleep(PAUSE);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            outcome => return outcome,
        }
    }
}

/// Processes whose environment names a place in `directory`, or that work there.
fn processes_of(directory: &Path) -> Vec<Pid> {
    let own = nix::unistd::getpid();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pid = |entry: io::Result<fs::DirEntry>| {
        entry.ok()?.file_name().to_str()?.parse().ok().map(Pid::from_raw)
    };
    entries.filter_map(pid).filter(|&pid| pid != own && belongs(pid, directory)).collect()
}

fn belongs(pid: Pid, directory: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let works_there =
        fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    // A zombie has neither.
    works_there
        || fs::read(process.join("environ"))
            .is_ok_and(|text| names(&text, directory.as_os_str().as_bytes()))
}

/// Whether `environment` has a value that is `directory` or a place in it.
fn names(environment: &[u8], directory: &[u8]) -> bool {
    let value_is_there = |variable: &[u8]| {
        let value = variable.splitn(2, |&byte| byte == b'=').nth(1).unwrap_or_default();
        value.strip_prefix(directory).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    };
    environment.split(|&byte| byte == 0).any(value_is_there)
}

/// Apps may leave directories that even their owner can't enter.
fn open_up(directory: &Path) {
    for entry in WalkDir::new(directory).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_dir() {
            let _not_ours = fs::set_permissions(entry.path(), Permissions::from_mode(0o700));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn processes_go_with_their_container() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().join("home/vcap");
        fs::create_dir_all(&home).unwrap();
        let mut told = Command::new("sleep").arg("600").env("HOME", &home).spawn().unwrap();
        let mut there = Command::new("sleep").arg("600").current_dir(&home).spawn().unwrap();
        let mut neighbour = Command::new("sleep")
            .arg("600")
            .env("HOME", directory.path().with_extension("x"))
            .spawn()
            .unwrap();
        remove(directory.path()).unwrap();
        assert_eq!(told.wait().unwrap().signal(), Some(9));
        assert_eq!(there.wait().unwrap().signal(), Some(9));
        assert!(neighbour.try_wait().unwrap().is_none());
        neighbour.kill().unwrap();
        neighbour.wait().unwrap();
        assert!(!directory.path().exists());
        remove(directory.path()).unwrap();
    }

    #[test]
    fn only_values_within_the_directory_count() {
        for (environment, found) in [
            (&b"A=1\0HOME=/d/x\0"[..], true),
            (b"HOME=/d", true),
            (b"HOME=/dx", false),
            (b"/d=/x", false),
            (b"PATH=/bin:/d/x", false),
            (b"", false),
        ] {
            assert_eq!(
                names(environment, b"/d"),
                found,
                "{}",
                String::from_utf8_lossy(environment)
            );
        }
    }
}

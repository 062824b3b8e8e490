//! A container's cgroup, in every hierarchy of this machine: whether memory ran out in it, and its end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{AccessFlags, Pid, access};

/// Where the kernel shows cgroups: version 2 here, those of version 1 below.
const HIERARCHIES: &str = "/sys/fs/cgroup";
/// How long killed processes may take to be gone.
const DYING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// The cgroup of one container, by its name at the top of each hierarchy. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    hierarchies: PathBuf,
    name: String,
}

impl Cgroup {
    /// The cgroup called `name`, which need not be there.
    pub(crate) fn named(name: &str) -> Self {
        Self { hierarchies: HIERARCHIES.into(), name: name.to_owned() }
    }

    /// Whether this process may make any.
    pub(crate) fn can_be_made() -> bool {
        let memory = Path::new(HIERARCHIES).join("memory");
        let place = if memory.is_dir() { memory } else { Path::new(HIERARCHIES).to_owned() };
        access(&place, AccessFlags::W_OK).is_ok()
    }

    /// Whether the kernel has killed a process of it for its memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let files = ["memory.events", "memory.oom_control"];
        let texts = self.directories().into_iter().flat_map(|directory| {
            files.map(|file| fs::read_to_string(directory.join(file)).unwrap_or_default())
        });
        texts.into_iter().any(|text| has_kills(&text))
    }

    /// Kills what is in it and removes it. One that is not there is no trouble.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let deadline = Instant::now() + DYING;
        loop {
            let directories = self.directories();
            let mut outcome = Ok(());
            for directory in &directories {
                for pid in processes(directory) {
                    let _gone = kill(pid, Signal::SIGKILL);
                }
                let removed = fs::remove_dir(directory);
                outcome = outcome.and(removed);
            }
            if directories.is_empty() || outcome.is_err() && Instant::now() > deadline {
                return outcome;
            }
            if outcome.is_err() {
                thread::sleep(PAUSE);
            }
        }
    }

    fn directories(&self) -> Vec<PathBuf> {
        let mut places = vec![self.hierarchies.clone()];
        let below = fs::read_dir(&self.hierarchies).into_iter().flatten().filter_map(Result::ok);
        // Some of version 1 are known by several names, which are links.
        let is_one = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        places.extend(below.filter(is_one).map(|entry| entry.path()));
        places.iter().map(|place| place.join(&self.name)).filter(|path| path.is_dir()).collect()
    }
}

fn processes(directory: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).map(Pid::from_raw).collect()
}

/// Whether `memory.events` or `memory.oom_control` counts a kill.
fn has_kills(text: &str) -> bool {
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.is_some_and(|count| count.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_in_both_versions() {
        for (text, killed) in [
            ("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", false),
            ("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", true),
            ("low 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n", true),
            ("low 0\nmax 9\noom 1\noom_kill 0\noom_group_kill 0\n", false),
            ("", false),
        ] {
            assert_eq!(has_kills(text), killed, "{text}");
        }
    }

    #[test]
    fn it_is_found_in_the_layouts_of_both_versions() {
        for (place, file, kills) in [
            // Version 2 alone, as Debian and Ubuntu have it.
            ("x", "memory.events", "oom 1\noom_kill 1\n"),
            // Version 1, or both.
            ("memory/x", "memory.oom_control", "oom_kill_disable 0\noom_kill 1\n"),
            ("unified/x", "memory.events", "oom_kill 1\n"),
        ] {
            let hierarchies = tempfile::tempdir().unwrap();
            let cgroup = Cgroup { hierarchies: hierarchies.path().into(), name: "x".to_owned() };
            assert!(!cgroup.ran_out_of_memory());
            let directory = hierarchies.path().join(place);
            fs::create_dir_all(&directory).unwrap();
            assert_eq!(cgroup.directories(), [directory.as_path()]);
            fs::write(directory.join(file), "oom_kill 0\n").unwrap();
            assert!(!cgroup.ran_out_of_memory());
            fs::write(directory.join(file), kills).unwrap();
            assert!(cgroup.ran_out_of_memory());
            let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            fs::remove_file(directory.join(file)).unwrap();
            // Its list of processes is a file here, which nobody takes away with its directory.
            let list = directory.join("cgroup.procs");
            fs::write(&list, child.id().to_string()).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| cgroup.remove().unwrap());
                assert!(!child.wait().unwrap().success(), "it is killed");
                fs::remove_file(list).unwrap();
            });
            assert!(!directory.exists());
        }
    }

    #[test]
    fn what_is_not_there_is_removed_at_once() {
        let cgroup = Cgroup::named("piecrust-that-never-was");
        cgroup.remove().unwrap();
        assert!(!cgroup.ran_out_of_memory());
    }
}

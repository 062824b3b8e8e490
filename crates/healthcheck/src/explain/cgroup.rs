//! Whether the container is short of CPU time or memory, by the cgroup of its first process: the
//! check itself may run in a cgroup of its own.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;

/// More of a file is not read, in bytes.
const LENGTH_LIMIT: u64 = 64 << 10;
/// Reported from this share of a limit on, in per cent.
const NEARLY_FULL: u64 = 90;
/// Reported from this share of periods on, in per cent.
const OFTEN: u64 = 10;

/// What is worth saying, at most two facts.
pub(super) fn facts(proc: &Path, sys: &Path) -> Vec<String> {
    let groups = fs::read_to_string(proc.join("1/cgroup")).unwrap_or_default();
    let roots = [proc.join("1/root/sys/fs/cgroup"), sys.to_owned()];
    let cpu = directory(&groups, &roots, "cpu", &["cpu.stat"]);
    let memory = directory(&groups, &roots, "memory", &["memory.max", "memory.limit_in_bytes"]);
    let cpu = cpu.and_then(|directory| throttled(&directory));
    cpu.into_iter().chain(memory.and_then(|directory| full(&directory))).collect()
}

/// The first directory that has one of the files `wanted`.
fn directory(
    groups: &str,
    roots: &[PathBuf],
    controller: &str,
    wanted: &[&str],
) -> Option<PathBuf> {
    let mut candidates = directories(groups, roots, controller).into_iter();
    candidates.find(|directory| wanted.iter().any(|name| directory.join(name).exists()))
}

/// Where the files of `controller` may be, best guess first: version 2 or 1, seen from the
/// container or from here, in a cgroup namespace or not.
fn directories(groups: &str, roots: &[PathBuf], controller: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let is_version_2 = controllers.is_empty();
        if !is_version_2 && !controllers.split(',').any(|one| one == controller) {
            continue;
        }
        for root in roots {
            let root = if is_version_2 { root.clone() } else { root.join(controller) };
            found.push(root.join(path.trim_start_matches('/')));
            found.push(root);
        }
    }
    found
}

/// How often the CPU quota stopped the container.
fn throttled(directory: &Path) -> Option<String> {
    let statistics = text(&directory.join("cpu.stat"))?;
    let periods = value(&statistics, "nr_periods")?;
    let throttled = value(&statistics, "nr_throttled")?;
    let is_often = periods > 0 && throttled.saturating_mul(100) / periods >= OFTEN;
    is_often.then(|| {
        format!("the CPU quota throttled the container in {throttled} of {periods} periods")
    })
}

/// How full the memory is, without the file cache that the kernel drops first.
fn full(directory: &Path) -> Option<String> {
    let number = |name: &str| text(&directory.join(name))?.trim().parse::<u64>().ok();
    // Version 2 says `max`, no number, where there is no limit.
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let all = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
    let statistics = text(&directory.join("memory.stat")).unwrap_or_default();
    let cache =
        value(&statistics, "total_inactive_file").or_else(|| value(&statistics, "inactive_file"));
    let used = all.saturating_sub(cache.unwrap_or_default());
    let is_nearly_full = used / 100 >= limit / 10_000 * NEARLY_FULL;
    is_nearly_full
        .then(|| format!("the container uses {} of its {} MiB of memory", used >> 20, limit >> 20))
}

/// The text of a file. The path may be the container's own: a pipe there is not waited for.
fn text(path: &Path) -> Option<String> {
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path).ok()?;
    let mut text = String::new();
    file.take(LENGTH_LIMIT).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The number after `name` in a file of lines `name number`.
fn value(statistics: &str, name: &str) -> Option<u64> {
    let line = statistics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose first process is in the given groups, with the given files.
    fn machine(groups: &str, files: &[(&str, &str)]) -> Vec<String> {
        let machine = tempfile::tempdir().unwrap();
        let (proc, sys) = (machine.path().join("proc"), machine.path().join("sys"));
        fs::create_dir_all(proc.join("1")).unwrap();
        fs::write(proc.join("1/cgroup"), groups).unwrap();
        for (name, content) in files {
            let path = machine.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        facts(&proc, &sys)
    }

    const THROTTLED: &str = "usage_usec 1\nnr_periods 60\nnr_throttled 45\nthrottled_usec 9\n";
    const CPU_FACT: &str = "the CPU quota throttled the container in 45 of 60 periods";
    const MEMORY_FACT: &str = "the container uses 250 of its 256 MiB of memory";

    #[test]
    fn version_2_is_read_at_the_path_of_the_first_process_or_at_the_root() {
        for directory in
            ["sys/a/b", "sys", "proc/1/root/sys/fs/cgroup", "proc/1/root/sys/fs/cgroup/a/b"]
        {
            let file = |name: &str| format!("{directory}/{name}");
            let facts = machine(
                "0::/a/b\n",
                &[
                    (&file("cpu.stat"), THROTTLED),
                    (&file("memory.max"), "268435456\n"),
                    (&file("memory.current"), "266338304\n"),
                    (&file("memory.stat"), "anon 1\ninactive_file 4194304\n"),
                ],
            );
            assert_eq!(facts, [CPU_FACT, MEMORY_FACT], "{directory}");
        }
    }

    #[test]
    fn version_1_is_read_in_the_directories_of_its_controllers() {
        let facts = machine(
            "5:cpu,cpuacct:/c\n4:memory:/m\n0::/\n",
            &[
                ("sys/cpu/c/cpu.stat", THROTTLED),
                ("sys/memory/m/memory.limit_in_bytes", "268435456\n"),
                ("sys/memory/m/memory.usage_in_bytes", "266338304\n"),
                ("sys/memory/m/memory.stat", "inactive_file 1\ntotal_inactive_file 4194304\n"),
            ],
        );
        assert_eq!(facts, [CPU_FACT, MEMORY_FACT]);
    }

    #[test]
    fn plenty_is_not_worth_a_word() {
        let facts = machine(
            "0::/\n",
            &[
                ("sys/cpu.stat", "nr_periods 1000\nnr_throttled 99\n"),
                ("sys/memory.max", "268435456\n"),
                ("sys/memory.current", "268435456\n"),
                // The cache does not count.
                ("sys/memory.stat", "inactive_file 67108864\n"),
            ],
        );
        assert!(facts.is_empty(), "{facts:?}");
    }

    #[test]
    fn a_pipe_in_place_of_a_file_is_not_waited_for() {
        // The check hung for good in a container whose own files these were.
        let machine = tempfile::tempdir().unwrap();
        let pipe = machine.path().join("cpu.stat");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(throttled(machine.path()), None);
        fs::remove_file(&pipe).unwrap();
        let endless = File::create(&pipe).unwrap();
        endless.set_len(1 << 40).unwrap();
        assert_eq!(throttled(machine.path()), None);
    }

    #[test]
    fn no_limit_and_no_files_are_no_facts() {
        let no_limit = [("sys/memory.max", "max\n"), ("sys/memory.current", "268435456\n")];
        assert!(machine("0::/\n", &no_limit).is_empty());
        assert!(machine("0::/\n", &[]).is_empty());
        assert!(
            machine("garbage", &[("sys/cpu.stat", "nr_periods 0\nnr_throttled 0\n")]).is_empty()
        );
    }
}

//! What the machine looked like when staging failed: full disks and memory kills, in words.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lifecycle::size::Size;
use nix::sys::statvfs::statvfs;
use walkdir::WalkDir;

use crate::error::StagingError;
use crate::staging::Staging;

/// A file system with less than this free is called full.
const FULL_BELOW: u64 = 1024 * 1024;

/// The same once an unfinished download is gone from it; a disk with more free was not the one.
const FULL_BELOW_AFTERWARDS: u64 = 1024 * 1024 * 1024;

/// How many of the largest directories are named.
const LARGEST: usize = 10;

/// How often the kernel killed a process of this cgroup for want of memory, and its peak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    kills: u64,
    peak: Option<u64>,
    limit: Option<u64>,
}

impl Memory {
    /// Reads the cgroup's files: version 2, or version 1. All zero where there are none.
    pub(crate) fn read() -> Self {
        Self::of(
            Path::new("/sys/fs/cgroup"),
            &fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
        )
    }

    fn of(mount: &Path, membership: &str) -> Self {
        // Inside a container the cgroup's own directory is the mount; outside it is a path below.
        directories(mount, membership)
            .iter()
            .find_map(|directory| Self::version_2(directory).or_else(|| Self::version_1(directory)))
            .unwrap_or_default()
    }

    fn version_2(directory: &Path) -> Option<Self> {
        let kills = field(&fs::read_to_string(directory.join("memory.events")).ok()?, "oom_kill")?;
        let (peak, limit) = (number(directory, "memory.peak"), number(directory, "memory.max"));
        Some(Self { kills, peak, limit })
    }

    fn version_1(directory: &Path) -> Option<Self> {
        let control = fs::read_to_string(directory.join("memory.oom_control")).ok()?;
        let peak = number(directory, "memory.max_usage_in_bytes");
        // "No limit" is a number near 2^63 there.
        let limit = number(directory, "memory.limit_in_bytes").filter(|&limit| limit < 1 << 60);
        Some(Self { kills: field(&control, "oom_kill")?, peak, limit })
    }

    /// The sentence about memory kills since `before`, if there were any.
    pub(crate) fn since(self, before: Self) -> Option<String> {
        let kills = self.kills.checked_sub(before.kills).filter(|&kills| kills > 0)?;
        let peak = self.peak.map(|peak| format!(", peak {}", Size(peak)));
        let limit = self.limit.map(|limit| format!(" of {} allowed", Size(limit)));
        Some(format!(
            "out of memory: the kernel ended {kills} process(es) of this container{}{}; \
             give staging more memory",
            peak.unwrap_or_default(),
            limit.unwrap_or_default(),
        ))
    }
}

fn directories(mount: &Path, membership: &str) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let path = path.trim_start_matches('/');
        match controllers {
            "" => directories.push(mount.join(path)),
            _ if controllers.split(',').any(|name| name == "memory") => {
                directories.extend([mount.join("memory").join(path), mount.join("memory")]);
            }
            _ => {}
        }
    }
    directories.push(mount.to_owned());
    directories
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn number(directory: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok()
}

/// What may have made staging fail apart from its own error, while everything is still there.
pub(crate) fn look(staging: &Staging<'_>, error: &StagingError, before: Memory) -> Vec<String> {
    // A download that did not fit is removed before anyone can look: then the fullest disk is named.
    let below = if error.filled_the_disk() { FULL_BELOW_AFTERWARDS } else { FULL_BELOW };
    let mut lines = full_disks(staging, below);
    lines.extend(Memory::read().since(before));
    lines
}

/// Which of the paths that staging writes to lie on a full file system, and what fills it.
fn full_disks(staging: &Staging<'_>, below: u64) -> Vec<String> {
    let config = staging.config;
    let inputs = [
        staging.layout.contents().to_owned(),
        config.build_dir.clone(),
        config.cache_dir.clone(),
        config.buildpacks_download_dir.clone(),
    ];
    let outputs =
        [&config.output_droplet, &config.output_cache].map(|it| crate::layout::parent(it));
    let mut lines = Vec::new();
    let mut seen = Vec::new();
    for path in inputs.iter().chain(&outputs) {
        let Some(disk) = Disk::of(path).filter(|disk| !seen.contains(&disk.id)) else { continue };
        seen.push(disk.id);
        if disk.free < below {
            let (path, used, free) = (path.display(), Size(disk.used), Size(disk.free));
            lines.push(format!("disk full: the file system of {path} has {used} used and {free} free; the largest directories are"));
            lines.extend(largest(&disk.share(&inputs)));
        }
    }
    lines
}

struct Disk {
    id: u64,
    used: u64,
    free: u64,
}

impl Disk {
    #[allow(clippy::useless_conversion, reason = "the fields are 32 bits wide on armv7 glibc")]
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let id = fs::metadata(path).ok()?.dev();
        let status = statvfs(path).ok()?;
        let block = u64::from(status.fragment_size());
        let (all, free) = (u64::from(status.blocks()), u64::from(status.blocks_free()));
        let available = u64::from(status.blocks_available());
        Some(Self { id, used: (all - free) * block, free: available * block })
    }

    /// Those of `inputs` that are on this disk; where none is, all: they are what does not fit.
    fn share<'a>(&self, inputs: &'a [PathBuf]) -> Vec<&'a Path> {
        let is_here = |path: &&PathBuf| Self::of(path).is_some_and(|disk| disk.id == self.id);
        let here: Vec<&Path> = inputs.iter().filter(is_here).map(PathBuf::as_path).collect();
        if here.is_empty() { inputs.iter().map(PathBuf::as_path).collect() } else { here }
    }
}

/// The directories below `roots` with the most bytes directly in them, one line each.
fn largest(roots: &[&Path]) -> Vec<String> {
    let mut sizes: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for root in roots {
        let files = WalkDir::new(root).same_file_system(true).into_iter().flatten();
        for entry in files.filter(|entry| entry.file_type().is_file()) {
            let bytes = entry.metadata().map(|metadata| metadata.len()).unwrap_or_default();
            let parent = entry.path().parent().unwrap_or(root).to_owned();
            *sizes.entry(parent).or_default() += bytes;
        }
    }
    let mut sizes: Vec<_> = sizes.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    sizes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let line = |(path, bytes): (PathBuf, u64)| {
        format!("  {:>8}  {}", Size(bytes).to_string(), path.display())
    };
    sizes.into_iter().take(LARGEST).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_kills_are_counted_since_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\n");
        write("memory.peak", "1073741824\n");
        write("memory.max", "1073741824\n");
        let before = Memory::of(dir.path(), "0::/\n");
        assert_eq!(before.since(before), None);
        write("memory.events", "oom_kill 3\n");
        let sentence = Memory::of(dir.path(), "0::/\n").since(before).unwrap();
        assert_eq!(
            sentence,
            "out of memory: the kernel ended 2 process(es) of this container, peak 1G of 1G allowed; \
             give staging more memory"
        );
    }

    #[test]
    fn version_1_has_other_files() {
        let dir = tempfile::tempdir().unwrap();
        let memory = dir.path().join("memory/garden/x");
        fs::create_dir_all(&memory).unwrap();
        fs::write(
            memory.join("memory.oom_control"),
            "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
        )
        .unwrap();
        fs::write(memory.join("memory.limit_in_bytes"), "9223372036854771712\n").unwrap();
        let read = Memory::of(dir.path(), "3:cpu,cpuacct:/\n7:memory:/garden/x\n");
        assert_eq!(read, Memory { kills: 5, peak: None, limit: None });
    }

    #[test]
    fn the_largest_directories_come_first() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("small", 10), ("large", 5000), ("empty", 0)] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), vec![0; bytes]).unwrap();
        }
        let lines = largest(&[dir.path()]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("/large") && lines[0].contains("4.9K"), "{lines:?}");
    }
}

//! The processes below the builder: buildpack scripts and whatever they started.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often the process table is read while waiting.
const POLL: Duration = Duration::from_millis(20);

/// Ends all descendants of `root`: SIGTERM, and after `grace` SIGKILL. Returns when none is left,
/// or when even SIGKILL did not help for another `grace` (a process stuck in the kernel).
pub(crate) fn end(root: Pid, grace: Duration) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let deadline = Instant::now() + grace;
        let mut told = Vec::new();
        while Instant::now() < deadline {
            let living = living(root);
            if living.is_empty() {
                return;
            }
            for pid in living {
                // Once each: a script's trap must not be run over and over.
                if !told.contains(&pid) {
                    let _gone = kill(pid, signal);
                    told.push(pid);
                }
            }
            thread::sleep(POLL);
        }
    }
}

/// All descendants of `root` that are not zombies.
fn living(root: Pid) -> Vec<Pid> {
    let table = process_table();
    let mut found = vec![root.as_raw()];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(table.iter().filter(|process| process.parent == parent).map(|it| it.pid));
        next += 1;
    }
    let is_living = |pid: &i32| table.iter().any(|it| it.pid == *pid && !it.zombie);
    found.into_iter().skip(1).filter(is_living).map(Pid::from_raw).collect()
}

struct Process {
    pid: i32,
    parent: i32,
    zombie: bool,
}

/// Reads `/proc/*/stat`. Without `/proc` the list is empty.
fn process_table() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid: i32| parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?))
        .collect()
}

/// `pid (name) state parent …`; the name may hold anything, also `)`.
fn parse_stat(pid: i32, stat: &[u8]) -> Option<Process> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Process { pid, parent: fields.next()?.parse().ok()?, zombie: matches!(state, "Z" | "X") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn descendants_are_ended_and_only_they() {
        let stubborn = "trap '' TERM; sleep 1000 & echo ready; wait; sleep 1000";
        let mut root = Command::new("sh")
            .args(["-c", &format!("sh -c \"{stubborn}\"; exit 7")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        root.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        end(Pid::from_raw(root.id().cast_signed()), Duration::from_millis(500));
        assert_eq!(root.wait().unwrap().code(), Some(7));
    }

    #[test]
    fn a_name_with_parentheses_is_no_trap() {
        let process = parse_stat(7, b"7 (a) b) Z 3 7 7").unwrap();
        assert_eq!((process.parent, process.zombie), (3, true));
    }
}

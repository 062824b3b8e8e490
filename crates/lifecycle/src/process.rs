//! The processes of an app: what buildpacks and Procfile say, merged, and how the platform is told
//! (contract, section 3.13).

use std::collections::BTreeMap;

use serde::Serialize;

/// A process as a `launch.yml`, a release or a Procfile describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Its type; for a sidecar its name.
    pub kind: String,
    /// How it is started.
    pub command: String,
    /// The process types it accompanies; with any it is a sidecar.
    pub sidecar_for: Vec<String>,
    /// A sidecar's memory in MiB, 0 for unsaid.
    pub memory: i64,
}

impl Process {
    /// Processes from pairs of type and command: of several for one type the last command, in the
    /// place of the first.
    pub fn from_types(types: impl IntoIterator<Item = (String, String)>) -> Vec<Self> {
        let mut processes: Vec<Self> = Vec::new();
        for (kind, command) in types {
            match processes.iter_mut().find(|process| process.kind == kind) {
                Some(process) => process.command = command,
                None => processes.push(Self { kind, command, ..Self::default() }),
            }
        }
        processes
    }
}

/// Later over earlier: each of `later` takes the place of every earlier process of its type, or
/// goes to the end. Two of `later` with one new type both go to the end.
pub fn merge(mut earlier: Vec<Process>, later: Vec<Process>) -> Vec<Process> {
    let known = earlier.len();
    for process in later {
        let mut is_new = true;
        for same in earlier[..known].iter_mut().filter(|same| same.kind == process.kind) {
            *same = process.clone();
            is_new = false;
        }
        if is_new {
            earlier.push(process);
        }
    }
    earlier
}

/// What an app can be launched as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaunchPlan {
    /// The processes that stand for themselves, in order.
    pub processes: Vec<ProcessEntry>,
    /// Process type to command, sorted; of several processes of one type the last.
    pub process_types: BTreeMap<String, String>,
    /// The processes that accompany others, in order.
    pub sidecars: Vec<Sidecar>,
}

/// A process in result.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessEntry {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How it is started.
    pub command: String,
}

/// A sidecar in result.json.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sidecar {
    /// Its name.
    pub name: String,
    /// The process types it accompanies.
    pub process_types: Vec<String>,
    /// How it is started.
    pub command: String,
    /// MiB; left out when 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub memory: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references to it")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl LaunchPlan {
    /// The command of the `web` process; empty when there is none, which only the platform can
    /// mend.
    pub fn web(&self) -> &str {
        self.process_types.get("web").map_or("", String::as_str)
    }
}

impl From<Vec<Process>> for LaunchPlan {
    fn from(processes: Vec<Process>) -> Self {
        let mut plan = Self::default();
        for Process { kind, command, sidecar_for, memory } in processes {
            if sidecar_for.is_empty() {
                plan.process_types.insert(kind.clone(), command.clone());
                plan.processes.push(ProcessEntry { kind, command });
            } else {
                let process_types = sidecar_for;
                plan.sidecars.push(Sidecar { name: kind, process_types, command, memory });
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(kind: &str, command: &str) -> Process {
        Process { kind: kind.to_owned(), command: command.to_owned(), ..Process::default() }
    }

    fn sidecar(kind: &str, target: &str, memory: i64) -> Process {
        Process { sidecar_for: vec![target.to_owned()], memory, ..process(kind, "side") }
    }

    #[test]
    fn later_processes_take_the_place_of_earlier_ones() {
        let (a, b) = (process("web", "a"), process("worker", "b"));
        let rows = [
            (vec![], vec![a.clone()], vec![a.clone()]),
            (vec![a.clone()], vec![], vec![a.clone()]),
            // In its place, not at the end.
            (
                vec![a.clone(), b.clone()],
                vec![process("web", "c")],
                vec![process("web", "c"), b.clone()],
            ),
            (vec![a.clone()], vec![b.clone()], vec![a.clone(), b.clone()]),
            // Every earlier one of the type.
            (vec![a.clone(), a.clone()], vec![process("web", "c")], vec![process("web", "c"); 2]),
            // Twice in one list: both appended when new, the last in place when known.
            (vec![], vec![a.clone(), a.clone()], vec![a.clone(), a.clone()]),
            (
                vec![b.clone()],
                vec![process("worker", "c"), process("worker", "d")],
                vec![process("worker", "d")],
            ),
            // A sidecar becomes a process and the other way round.
            (vec![sidecar("web", "worker", 5)], vec![a.clone()], vec![a.clone()]),
            (vec![a], vec![sidecar("web", "worker", 5)], vec![sidecar("web", "worker", 5)]),
        ];
        for (earlier, later, merged) in rows {
            assert_eq!(merge(earlier.clone(), later.clone()), merged, "{earlier:?} {later:?}");
        }
    }

    #[test]
    fn pairs_keep_the_first_place_and_the_last_command() {
        let pairs = [("web", "a"), ("worker", "b"), ("web", "c")];
        let pairs = pairs.map(|(kind, command)| (kind.to_owned(), command.to_owned()));
        assert_eq!(Process::from_types(pairs), [process("web", "c"), process("worker", "b")]);
    }

    #[test]
    fn a_plan_sorts_types_and_keeps_the_order_of_processes() {
        let plan = LaunchPlan::from(vec![
            process("worker", "w"),
            sidecar("metrics", "web", 10),
            process("web", "a"),
            process("web", "b"),
        ]);
        let order: Vec<_> = plan.processes.iter().map(|entry| entry.command.as_str()).collect();
        assert_eq!(order, ["w", "a", "b"]);
        assert_eq!(plan.process_types.keys().collect::<Vec<_>>(), ["web", "worker"]);
        assert_eq!(plan.web(), "b");
        assert_eq!(plan.sidecars[0].name, "metrics");
        assert_eq!(LaunchPlan::from(vec![sidecar("web", "x", 0)]).web(), "");
    }
}

//! What an OCI runtime is told of a container: the platform's profile (its contract, 7 and 14), as a value.

use std::path::{Path, PathBuf};

use nix::libc;
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Arch, Linux, LinuxBuilder, LinuxIdMapping, LinuxIdMappingBuilder, LinuxMemoryBuilder,
    LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, LinuxPidsBuilder, LinuxResources,
    LinuxResourcesBuilder, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscallBuilder, Mount, MountBuilder,
    PosixRlimitBuilder, PosixRlimitType, Process, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
    UserBuilder, get_default_maskedpaths, get_default_readonly_paths,
};

use super::ids::{Ids, Range, VCAP};
use crate::recipe::HOME;

/// Processes and threads a container may have (platform contract, 3.1).
const PROCESSES: i64 = 1024;
/// What the platform's filter refuses with EPERM.
const REFUSED: [&str; 32] = [
    "add_key",
    "bpf",
    "close_range",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "membarrier",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "request_key",
    "rseq",
    "setns",
    "umount2",
    "unshare",
    "userfaultfd",
];
/// ... and what it refuses of `clone`: namespaces. Processes and threads need none of these flags.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];
/// ... and what it says it has not: the C library then does without.
const UNKNOWN: [&str; 1] = ["clone3"];

/// A place of this machine that a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Here.
    pub(crate) source: PathBuf,
    /// There.
    pub(crate) inside: String,
    /// Whether it may be changed there.
    pub(crate) is_writable: bool,
}

/// What limits a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits<'a> {
    /// The name of its cgroup.
    pub(crate) cgroup: &'a str,
    /// Memory, in MiB.
    pub(crate) memory: u64,
    /// Whether memory that is swapped out can be limited, too.
    pub(crate) counts_swap: bool,
}

/// What is particular to a container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// What starts its first process.
    pub(crate) init: &'a [String],
    /// Its root file system.
    pub(crate) root: &'a Path,
    /// Whether that must not change.
    pub(crate) is_read_only: bool,
    /// Who is who.
    pub(crate) ids: &'a Ids,
    /// What it sees beside its root, in this order.
    pub(crate) binds: &'a [Bind],
    /// Its limits, if it can have any.
    pub(crate) limits: Option<Limits<'a>>,
}

/// The container's `config.json`.
pub(crate) fn container(shape: Shape<'_>) -> Result<Spec, OciSpecError> {
    let process = ProcessBuilder::default()
        .user(UserBuilder::default().uid(0_u32).gid(0_u32).build()?)
        .args(shape.init)
        .env(Vec::new())
        .cwd("/")
        .no_new_privileges(true);
    let mut process = without_rights(process.build()?);
    process.set_rlimits(None);
    SpecBuilder::default()
        .version("1.0.2")
        .root(RootBuilder::default().path(shape.root).readonly(shape.is_read_only).build()?)
        .mounts(mounts(shape)?)
        .process(process)
        .linux(linux(shape)?)
        .build()
        .map(|mut spec| {
            spec.set_hostname(None).set_annotations(None);
            spec
        })
}

/// A program in it, as the platform's user in its home; `files` is how many it may have open.
pub(crate) fn process(
    words: Vec<String>,
    environment: Vec<String>,
    files: u64,
) -> Result<Process, OciSpecError> {
    let open = PosixRlimitBuilder::default()
        .typ(PosixRlimitType::RlimitNofile)
        .hard(files)
        .soft(files)
        .build()?;
    let process = ProcessBuilder::default()
        .user(UserBuilder::default().uid(VCAP).gid(VCAP).build()?)
        .args(words)
        .env(environment)
        .cwd(HOME)
        .rlimits([open])
        .no_new_privileges(true);
    Ok(without_rights(process.build()?))
}

/// Takes the capabilities that the crate gives by default.
fn without_rights(mut process: Process) -> Process {
    process.set_capabilities(None).set_terminal(None);
    process
}

fn mounts(shape: Shape<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let mut mounts = vec![
        mount("proc", "/proc", &[])?,
        mount("tmpfs", "/dev", &["nosuid", "mode=755"])?,
        mount("devpts", "/dev/pts", &["newinstance", "ptmxmode=0666"])?,
        mount("tmpfs", "/dev/shm", &["nosuid", "nodev", "mode=1777"])?,
        mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"])?,
        // Without a network of its own it can't have a sysfs of its own either.
        bind(Path::new("/sys"), "/sys", &["rbind", "ro", "nosuid", "noexec", "nodev"])?,
    ];
    if shape.limits.is_some() {
        mounts.push(mount("cgroup", "/sys/fs/cgroup", &["ro", "nosuid", "noexec", "nodev"])?);
    }
    for it in shape.binds {
        let access = if it.is_writable { "rw" } else { "ro" };
        mounts.push(bind(&it.source, &it.inside, &["rbind", access, "nosuid", "nodev"])?);
    }
    Ok(mounts)
}

fn mount(kind: &str, inside: &str, options: &[&str]) -> Result<Mount, OciSpecError> {
    let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    MountBuilder::default().typ(kind).source(kind).destination(inside).options(options).build()
}

fn bind(source: &Path, inside: &str, options: &[&str]) -> Result<Mount, OciSpecError> {
    let mut mount = mount("bind", inside, options)?;
    mount.set_source(Some(source.to_owned()));
    Ok(mount)
}

fn linux(shape: Shape<'_>) -> Result<Linux, OciSpecError> {
    let kinds = [
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::User,
    ];
    let namespace = |kind| LinuxNamespaceBuilder::default().typ(kind).build();
    let namespaces =
        kinds.into_iter().map(namespace).collect::<Result<Vec<LinuxNamespace>, _>>()?;
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces)
        .uid_mappings(mappings(&shape.ids.ranges)?)
        .gid_mappings(mappings(&shape.ids.ranges)?)
        .seccomp(seccomp()?)
        .masked_paths(get_default_maskedpaths())
        .readonly_paths(get_default_readonly_paths())
        .build()?;
    linux.set_resources(None).set_devices(None).set_cgroups_path(None);
    if let Some(limits) = shape.limits {
        linux.set_cgroups_path(Some(Path::new("/").join(limits.cgroup)));
        linux.set_resources(Some(resources(limits)?));
    }
    Ok(linux)
}

fn mappings(ranges: &[Range]) -> Result<Vec<LinuxIdMapping>, OciSpecError> {
    let mapping = |range: &Range| {
        LinuxIdMappingBuilder::default()
            .container_id(range.inside)
            .host_id(range.outside)
            .size(range.count)
            .build()
    };
    ranges.iter().map(mapping).collect()
}

fn resources(limits: Limits<'_>) -> Result<LinuxResources, OciSpecError> {
    let bytes = i64::try_from(limits.memory.saturating_mul(1 << 20)).unwrap_or(i64::MAX);
    let mut memory = LinuxMemoryBuilder::default().limit(bytes);
    if limits.counts_swap {
        memory = memory.swap(bytes);
    }
    let pids = LinuxPidsBuilder::default().limit(PROCESSES).build()?;
    LinuxResourcesBuilder::default().memory(memory.build()?).pids(pids).build()
}

/// The platform's list of what is allowed, inverted (its contract, 14).
fn seccomp() -> Result<LinuxSeccomp, OciSpecError> {
    let refuse = |names: &[&str], errno: i32| {
        LinuxSyscallBuilder::default()
            .names(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
            .action(LinuxSeccompAction::ScmpActErrno)
            .errno_ret(errno.cast_unsigned())
    };
    let mut calls =
        vec![refuse(&REFUSED, libc::EPERM).build()?, refuse(&UNKNOWN, libc::ENOSYS).build()?];
    for flag in NAMESPACES {
        let flag = u64::from(flag.cast_unsigned());
        let is_set = LinuxSeccompArgBuilder::default()
            .index(0_usize)
            .op(LinuxSeccompOperator::ScmpCmpMaskedEq)
            .value(flag)
            .value_two(flag)
            .build()?;
        calls.push(refuse(&["clone"], libc::EPERM).args([is_set]).build()?);
    }
    let mut seccomp = LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActAllow)
        .syscalls(calls)
        .build()?;
    // Programs for the smaller machines that the kernel runs as well would otherwise be killed.
    seccomp.set_architectures(match std::env::consts::ARCH {
        "x86_64" => Some(vec![Arch::ScmpArchX86_64, Arch::ScmpArchX86]),
        "aarch64" => Some(vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]),
        _ => None,
    });
    Ok(seccomp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json, to_value};

    fn spec(limits: Option<Limits<'_>>) -> Value {
        let range = Range { inside: 0, outside: 9, count: 1 };
        let bind = |inside: &str, is_writable| Bind {
            source: PathBuf::from("/here"),
            inside: inside.to_owned(),
            is_writable,
        };
        let shape = Shape {
            init: &["/init".to_owned(), "pause".to_owned()],
            root: Path::new("/mnt"),
            is_read_only: true,
            ids: &Ids { root: 9, ranges: [range, range] },
            binds: &[bind("/tmp", true), bind("/tmp/lifecycle", false)],
            limits,
        };
        to_value(container(shape).unwrap()).unwrap()
    }

    #[test]
    fn a_container_has_the_platforms_walls() {
        let spec = spec(Some(Limits { cgroup: "piecrust-1", memory: 64, counts_swap: true }));
        assert_eq!(spec["root"], json!({"path": "/mnt", "readonly": true}));
        let kinds = json!([{"type": "ipc"}, {"type": "mount"}, {"type": "pid"}, {"type": "user"}]);
        assert_eq!(spec["linux"]["namespaces"], kinds);
        assert_eq!(spec["linux"]["cgroupsPath"], "/piecrust-1");
        let memory = json!({"limit": 64 << 20, "swap": 64 << 20});
        assert_eq!(spec["linux"]["resources"], json!({"memory": memory, "pids": {"limit": 1024}}));
        let ids = json!({"containerID": 0, "hostID": 9, "size": 1});
        assert_eq!(spec["linux"]["uidMappings"], json!([ids, ids]));
        let seccomp = &spec["linux"]["seccomp"];
        assert_eq!(seccomp["defaultAction"], "SCMP_ACT_ALLOW");
        let answers = [&seccomp["syscalls"][0], &seccomp["syscalls"][1]];
        assert_eq!(answers.map(|it| it["errnoRet"].as_u64().unwrap()), [1, 38]);
        let of_clone = &seccomp["syscalls"].as_array().unwrap()[2..];
        let flags = of_clone.iter().map(|it| {
            let arg = &it["args"][0];
            assert_eq!((&it["names"], &it["errnoRet"]), (&json!(["clone"]), &json!(1)));
            assert_eq!((&arg["index"], &arg["op"]), (&json!(0), &json!("SCMP_CMP_MASKED_EQ")));
            assert_eq!(arg["value"], arg["valueTwo"]);
            arg["value"].as_u64().unwrap()
        });
        assert_eq!(flags.fold(0, |all, flag| all | flag), 0x7E02_0000);
        // What the crate gives by default would be more.
        let process = &spec["process"];
        assert_eq!(process["noNewPrivileges"], true);
        assert_eq!((process.get("capabilities"), process.get("rlimits")), (None, None));
        assert_eq!((spec.get("hostname"), spec["linux"].get("devices")), (None, None));
        let shown = &spec["mounts"].as_array().unwrap()[7..];
        let options = |access: &str| json!(["rbind", access, "nosuid", "nodev"]);
        assert_eq!(
            shown,
            [
                json!({"type": "bind", "source": "/here", "destination": "/tmp", "options": options("rw")}),
                json!({"type": "bind", "source": "/here", "destination": "/tmp/lifecycle", "options": options("ro")}),
            ]
        );
    }

    #[test]
    fn without_limits_there_is_no_cgroup() {
        let spec = spec(None);
        let linux = &spec["linux"];
        assert_eq!((linux.get("cgroupsPath"), linux.get("resources")), (None, None));
        assert!(!spec["mounts"].to_string().contains("/sys/fs/cgroup"));
    }

    #[test]
    fn programs_are_the_users_in_its_home() {
        let it = process(vec!["/x".to_owned()], vec!["A=b".to_owned()], 1024).unwrap();
        let expected = json!({
            "user": {"uid": 2000, "gid": 2000}, "args": ["/x"], "env": ["A=b"], "cwd": "/home/vcap",
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        });
        assert_eq!(to_value(it).unwrap(), expected);
    }
}

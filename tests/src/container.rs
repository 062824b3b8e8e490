//! A container like the platform's (its contract, 7 and 14), by runc, with this machine's `/usr`:
//! a user namespace, no capabilities, limits, and system calls refused as the platform's cell does.

use std::fs::{self, File, Permissions};
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Running, Staged, program, tool};

/// The container's root, outside of it; all other users are the same inside and outside.
const ROOT_OUTSIDE: u32 = u32::MAX - 2;

/// What the platform's filter refuses with EPERM, not ENOSYS.
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
/// What it refuses of `clone` with EPERM, flag by flag: namespaces (mnt, cgroup, uts, ipc, user, pid, net).
const NAMESPACES: [u64; 7] = [1 << 17, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30];

/// A container that runs, with nothing but a waiting init in it. Gone when dropped, with its
/// processes, mounts and cgroups; should the test be killed, init reads its end and all ends with it.
#[derive(Debug)]
pub struct Container {
    directory: TempDir,
    name: String,
    /// The other ends of what processes have as stdin: never written to, never closed.
    stdins: Vec<PipeWriter>,
}

impl Container {
    /// One with buildpacks, read-only: key and directory of each.
    pub fn new(buildpacks: &[(&str, &Path)]) -> Self {
        Self::changed(buildpacks, |_| {})
    }

    /// The same with something of runc's config.json changed.
    pub fn changed(buildpacks: &[(&str, &Path)], change: impl FnOnce(&mut Value)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = TempDir::with_prefix("container-").unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let name = format!("piecrust-{}-{count}", std::process::id());
        let mut container = Self { directory, name, stdins: Vec::new() };
        container.make_root();
        let mut config = container.config(buildpacks);
        change(&mut config);
        fs::write(container.outside("config.json"), config.to_string()).unwrap();
        container.boot();
        container
    }

    /// Where a path of the container is outside of it.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.outside("root").join(inside.trim_start_matches('/'))
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn runc(&self, command: &str) -> Command {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(self.outside("state")).arg(command);
        runc
    }

    fn make_root(&self) {
        let root = self.outside("root");
        for directory in ["etc", "tmp", "home/vcap/app"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for name in ["bin", "lib", "lib32", "lib64", "sbin"] {
            if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
                symlink(target, root.join(name)).unwrap();
            }
        }
        let user = "root:x:0:0::/:/bin/sh\nvcap:x:2000:2000::/home/vcap:/bin/bash\n";
        fs::write(root.join("etc/passwd"), user).unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nvcap:x:2000:\n").unwrap();
        fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
        let owned = [("", ROOT_OUTSIDE), ("etc", ROOT_OUTSIDE), ("tmp", ROOT_OUTSIDE)];
        for (name, owner) in owned.into_iter().chain([("home/vcap", 2000), ("home/vcap/app", 2000)])
        {
            chown(root.join(name), Some(owner), Some(owner)).unwrap();
        }
    }

    fn config(&self, buildpacks: &[(&str, &Path)]) -> Value {
        let hashed = |key: &str| format!("/tmp/buildpacks/{}", crate::xxhash(key));
        let builder = program("builder");
        let mut mounts = vec![
            mount("proc", "/proc", &[]),
            mount("tmpfs", "/dev", &["nosuid", "mode=755"]),
            mount("devpts", "/dev/pts", &["newinstance", "ptmxmode=0666"]),
            mount("tmpfs", "/dev/shm", &["nosuid", "nodev", "mode=1777"]),
            read_only(Path::new("/sys"), "/sys"),
            mount("cgroup", "/sys/fs/cgroup", &["ro", "nosuid", "noexec", "nodev"]),
            read_only(Path::new("/usr"), "/usr"),
            read_only(builder.parent().unwrap(), "/tmp/lifecycle"),
        ];
        mounts.extend(buildpacks.iter().map(|(key, path)| read_only(path, &hashed(key))));
        if Path::new("/etc/alternatives").exists() {
            mounts.push(read_only(Path::new("/etc/alternatives"), "/etc/alternatives"));
        }
        let ids = json!([
            { "containerID": 0, "hostID": ROOT_OUTSIDE, "size": 1 },
            { "containerID": 1, "hostID": 1, "size": ROOT_OUTSIDE - 1 },
        ]);
        let namespaces = ["ipc", "mount", "network", "pid", "user", "uts"];
        json!({
            "ociVersion": "1.0.2",
            "root": { "path": self.outside("root") },
            "hostname": "cell",
            "mounts": mounts,
            "process": {
                "user": { "uid": 0, "gid": 0 }, "cwd": "/", "noNewPrivileges": true,
                "args": ["/bin/cat"],
            },
            "linux": {
                "uidMappings": ids, "gidMappings": ids,
                "namespaces": namespaces.map(|kind| json!({ "type": kind })),
                "cgroupsPath": format!("/{}", self.name),
                "resources": { "memory": { "limit": 1 << 30 }, "pids": { "limit": 1024 } },
                "seccomp": { "defaultAction": "SCMP_ACT_ALLOW", "syscalls": refused_calls() },
            },
        })
    }

    fn boot(&mut self) {
        // Files: the container's init keeps the output open.
        let log = File::create(self.outside("log")).unwrap();
        let mut run = self.runc("run");
        run.args(["--detach", "--bundle"]).arg(self.directory.path()).arg(&self.name);
        run.stdin(self.silent_stdin()).stdout(log.try_clone().unwrap()).stderr(log);
        let status = run.status().expect("runc is missing: scripts/install-test-tools installs it");
        let log = || fs::read_to_string(self.outside("log")).unwrap();
        assert!(status.success(), "runc made no container: {}", log());
    }

    fn silent_stdin(&mut self) -> PipeReader {
        let (stdin, silent) = pipe().unwrap();
        self.stdins.push(silent);
        stdin
    }

    /// Starts a program as the platform does: user 2000 in its home, with a stdin that stays silent.
    pub fn start(&mut self, words: &[&str], environment: &[(&str, &str)]) -> Running {
        let environment: Vec<String> =
            environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let process = json!({
            "user": { "uid": 2000, "gid": 2000 }, "cwd": "/home/vcap", "noNewPrivileges": true,
            "args": words, "env": environment,
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 16384, "soft": 16384 }],
        });
        let log = TempDir::with_prefix("container-process-").unwrap();
        let description = log.path().join("process.json");
        fs::write(&description, process.to_string()).unwrap();
        let mut exec = self.runc("exec");
        exec.arg("--process").arg(description).arg(&self.name).stdin(self.silent_stdin());
        Running::start(exec, log)
    }

    /// Runs a program to its end.
    pub fn run(&mut self, words: &[&str], environment: &[(&str, &str)]) -> Staged {
        self.start(words, environment).finish()
    }

    /// From now on there may be so many processes and threads in it; those that are may stay.
    pub fn limit_processes(&self, count: u32) {
        let mut update = self.runc("update");
        update.args(["--pids-limit", &count.to_string(), &self.name]);
        assert!(update.status().unwrap().success());
    }

    /// Gives it the IPv4 address that health checks look for, on one end of a cable to nowhere.
    pub fn give_address(&self, address: &str) {
        let script = "ip link add eth0 type veth peer name eth1 && ip link set eth1 up \
            && ip addr add \"$0\" dev eth0 && ip link set eth0 up";
        tool("nsenter", self.in_its_network(&["sh", "-c", script, address]));
    }

    /// A program of this machine, with its files, that sees the container's network: as clients do.
    pub fn client(&self, words: &[&str]) -> Command {
        let mut client = Command::new("nsenter");
        client.args(self.in_its_network(words));
        client
    }

    fn in_its_network(&self, words: &[&str]) -> Vec<String> {
        let state = self.runc("state").arg(&self.name).output().unwrap();
        let state: Value = serde_json::from_slice(&state.stdout).unwrap();
        let pid = state["pid"].to_string();
        let entering = ["-t", &pid, "-n", "--"].into_iter().chain(words.iter().copied());
        entering.map(str::to_owned).collect()
    }

    /// Unpacks an archive into a directory as the platform does (8.2): GNU tar as user 2000.
    pub fn unpack(&self, archive: &Path, inside: &str) {
        let directory = self.path(inside);
        fs::create_dir_all(&directory).unwrap();
        chown(&directory, Some(2000), Some(2000)).unwrap();
        let script = "setpriv --reuid=2000 --regid=2000 --clear-groups tar -C \"$1\" --xattrs \
            '--xattrs-include=*' --no-same-permissions --no-same-owner -xzf - < \"$0\"";
        tool("sh", [Path::new("-c"), Path::new(script), archive, &directory]);
    }

    /// Takes a file out as the platform does (8.3): the first entry's data of a tar made as user
    /// 2000. Gives where it is now.
    pub fn take(&self, inside: &str) -> PathBuf {
        let path = self.path(inside);
        let name = path.file_name().unwrap();
        let taken = self.outside("taken").join(name);
        fs::create_dir_all(taken.parent().unwrap()).unwrap();
        let script = "setpriv --reuid=2000 --regid=2000 --clear-groups tar -C \"$0\" -cf - \"$1\" \
            | tar -xOf - > \"$2\"";
        let words = ["-c".as_ref(), script.as_ref(), path.parent().unwrap().as_os_str(), name];
        tool("sh", words.iter().copied().chain([taken.as_os_str()]));
        taken
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let deleted = self.runc("delete").arg("--force").arg(&self.name).status();
        let done = deleted.is_ok_and(|status| status.success());
        assert!(done || std::thread::panicking(), "{} is still there", self.name);
    }
}

fn refused_calls() -> Vec<Value> {
    let call = |names: &[&str], errno| json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno });
    let with_flag = |flag| {
        let mut call = call(&["clone"], 1);
        call["args"] =
            json!([{ "index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ" }]);
        call
    };
    let of_clone = NAMESPACES.into_iter().map(with_flag);
    [call(&REFUSED, 1), call(&["clone3"], 38)].into_iter().chain(of_clone).collect()
}

fn mount(kind: &str, inside: &str, options: &[&str]) -> Value {
    json!({ "type": kind, "source": kind, "destination": inside, "options": options })
}

fn read_only(source: &Path, inside: &str) -> Value {
    let options = ["rbind", "ro", "nosuid", "nodev"];
    json!({ "type": "bind", "source": source, "destination": inside, "options": options })
}

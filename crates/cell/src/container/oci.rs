//! A container of an OCI runtime: runc, crun or youki.
//!
//! Its first process is [`crate::pause`], which ends with all others when this cell does; programs join by the
//! runtime's `exec`, which leaves them to this process: their input, output, signals and end are not relayed.
//! What it changes of the root file system is its own, and `/tmp`, `/var/tmp` and `/home` are directories of its own.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, pipe};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lifecycle::file::{self, FileError};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::ids::{Ids, VCAP};
use super::init::Init;
use super::spec::{self, Bind, Limits, Shape};
use super::stage::{self, Stage};
use super::{ContainerError, Contents, file as place};
use crate::cgroup::Cgroup;
use crate::pause::READY;
use crate::process::{Process, Said};
use crate::recipe::{Action, FILE_DESCRIPTORS, HOME, LIFECYCLE, USER};

/// Directories of the container's own, and their modes.
const PRIVATE: [(&str, u32); 8] = [
    ("/tmp", 0o1777),
    ("/tmp/lifecycle", 0o755),
    ("/tmp/buildpacks", 0o755),
    ("/var/tmp", 0o1777),
    ("/home", 0o755),
    (HOME, 0o755),
    ("/tmp/app", 0o755),
    ("/etc", 0o755),
];
/// Those that are its user's.
const USERS: [&str; 2] = [HOME, "/tmp/app"];
/// How long killed processes may take to be gone.
const DYING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);
/// What the runtime needs, in the container's directory.
pub(super) const RUNTIMES: &str = "oci";
/// In there, the name of the container.
pub(super) const NAME: &str = "name";

/// A container that runs.
#[derive(Debug)]
pub(super) struct Oci {
    runtime: PathBuf,
    /// The runtime's files.
    directory: PathBuf,
    name: String,
    cgroup: Cgroup,
    /// The first process.
    init: Option<Pid>,
    /// As long as this is open, the first process goes on.
    alive: Option<PipeWriter>,
    /// What programs read, and the end that nobody writes to.
    silence: (PipeReader, PipeWriter),
    started: AtomicU32,
}

impl Oci {
    /// Makes and starts it; its files go to `directory`.
    pub(super) fn make(
        directory: &Path,
        runtime: &Path,
        root: &Path,
        contents: Contents<'_>,
    ) -> Result<Self, ContainerError> {
        fs::read_dir(root).map_err(FileError::on("open", root))?;
        let ids = Ids::own()?;
        make_directories(directory, &ids)?;
        let init = Init::own().map_err(FileError::on("read", "/proc/self"))?;
        let binds = binds(directory, root, &init, contents)?;
        let name = format!("piecrust-{}", Uuid::new_v4());
        let own = directory.join(RUNTIMES);
        DirBuilder::new().mode(0o700).create(&own).map_err(FileError::on("mkdir", &own))?;
        file::create(&own.join(NAME), name.as_bytes()).map_err(FileError::on("write", &own))?;
        let mut oci = Self {
            runtime: runtime.to_owned(),
            directory: own.clone(),
            cgroup: Cgroup::named(&name),
            name: name.clone(),
            init: None,
            alive: None,
            silence: pipe().map_err(FileError::on("pipe", &own))?,
            started: AtomicU32::new(0),
        };
        let place = stage::find(&binds).map_err(FileError::on("mount", root))?;
        let stage = Stage { root, changes: own.join("changes"), work: own.join("work"), place };
        for path in [&stage.changes, &stage.work] {
            // Over the stack's, it is the root directory.
            make_directory(path, 0o755, ids.root)?;
        }
        let shape = Shape {
            init: &init.words,
            root: place,
            is_read_only: false,
            ids: &ids,
            binds: &binds,
            limits: Cgroup::can_be_made().then(|| Limits {
                cgroup: &name,
                memory: contents.memory,
                counts_swap: counts_swap(),
            }),
        };
        oci.boot(&stage, shape)?;
        Ok(oci)
    }

    /// Starts the first process, with the root file system on its stage.
    fn boot(&mut self, stage: &Stage<'_>, shape: Shape<'_>) -> Result<(), ContainerError> {
        // Whatever the runtime starts is this process's to wait for.
        set_child_subreaper(true)
            .map_err(|errno| FileError::on("prctl", &self.directory)(errno.into()))?;
        let (stdin, alive) = pipe().map_err(FileError::on("pipe", &self.directory))?;
        let log = self.directory.join("log");
        let said = fs::File::create(self.directory.join("said"));
        let said = said.map_err(FileError::on("open", &self.directory))?;
        let pid_file = self.directory.join("pid");
        let mut command = self.command("run", &log);
        command.args(["--detach", "--pid-file"]).arg(&pid_file);
        command.arg("--bundle").arg(&self.directory).arg(&self.name);
        let (answer, stdout) = pipe().map_err(FileError::on("pipe", &self.directory))?;
        command.stdin(stdin).stdout(stdout).stderr(said);
        let config = self.directory.join("config.json");
        let status = stage.play(|may_change| {
            let shape = Shape { is_read_only: !may_change, ..shape };
            write(&config, &spec::container(shape).map_err(io::Error::other)?)?;
            command.status()
        });
        drop(command);
        if !status.map_err(FileError::on("start", &self.runtime))?.success() {
            let reason = reason(&log, &self.directory.join("said"));
            return Err(ContainerError::Runtime { runtime: self.runtime.clone(), reason });
        }
        self.init = Some(read_pid(&pid_file).map_err(FileError::on("read", &pid_file))?);
        self.alive = Some(alive);
        let mut line = String::new();
        let _none = BufReader::new(answer).read_line(&mut line);
        if line.trim_end() == READY {
            return Ok(());
        }
        let reason = reason(&log, &self.directory.join("said"));
        self.halt()?;
        Err(ContainerError::Init { reason })
    }

    fn command(&self, subcommand: &str, log: &Path) -> Command {
        let mut command = Command::new(&self.runtime);
        command.arg("--root").arg(self.directory.join("state"));
        command.args(["--log-format", "json", "--log"]).arg(log).arg(subcommand);
        // By this it is found, should this process be killed meanwhile.
        command.env("XDG_RUNTIME_DIR", &self.directory).current_dir(&self.directory);
        command
    }

    /// Starts a program in it.
    pub(super) fn start(&self, action: &Action, source: &str, said: &Said) -> io::Result<Process> {
        let own = |name: &str| self.directory.join(name);
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let (description, pid_file) =
            (own(&format!("process-{number}.json")), own(&format!("pid-{number}")));
        let log = own(&format!("log-{number}"));
        let text = |inside: &str| inside.to_owned();
        let mut words = vec![action.path.clone()];
        words.extend(action.arguments.iter().map(|word| word.resolved(text)));
        let environment = action.environment.iter();
        let environment =
            environment.map(|(name, word)| format!("{name}={}", word.resolved(text))).collect();
        let process = spec::process(words, environment, files()).map_err(io::Error::other)?;
        write(&description, &process)?;
        let mut command = self.command("exec", &log);
        command.args(["--detach", "--process"]).arg(&description);
        command.arg("--pid-file").arg(&pid_file).arg(&self.name);
        command.stdin(self.silence.0.try_clone()?);
        let find = |runtime: Child| found(runtime, &pid_file, &log);
        let process = Process::started_by(command, source, said, find);
        for path in [description, pid_file, log] {
            let _never_written = fs::remove_file(path);
        }
        Ok(process?.within(Some(self.cgroup.clone())))
    }

    /// Ends all that runs in it.
    pub(super) fn halt(&mut self) -> Result<(), ContainerError> {
        drop(self.alive.take());
        if let Some(init) = self.init.take() {
            let _gone = kill(init, Signal::SIGKILL);
            // The kernel lets it go when all others are gone, and those who started them know.
            let deadline = Instant::now() + DYING;
            while waitpid(init, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive)
                && Instant::now() < deadline
            {
                thread::sleep(PAUSE);
            }
        }
        Ok(self.cgroup.remove().map_err(FileError::on("remove cgroup", &self.name))?)
    }
}

/// Waits for the runtime's `exec`; the number of what it started.
fn found(mut runtime: Child, pid_file: &Path, log: &Path) -> io::Result<Pid> {
    if runtime.wait()?.success() {
        read_pid(pid_file)
    } else {
        Err(io::Error::other(reason(log, Path::new("/dev/null"))))
    }
}

fn read_pid(path: &Path) -> io::Result<Pid> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map(Pid::from_raw).map_err(io::Error::other)
}

/// The last error in the runtime's log, or else the last line it said. youki has other names there than runc and crun.
fn reason(log: &Path, said: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let message = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let is_error = line["level"].as_str()?.eq_ignore_ascii_case("error");
        let text = line["msg"].as_str().or_else(|| line["message"].as_str());
        text.filter(|_| is_error).map(str::to_owned)
    };
    let said = || fs::read_to_string(said).unwrap_or_default();
    let last = || said().lines().last().unwrap_or("it does not say why").to_owned();
    log.lines().rev().find_map(message).unwrap_or_else(last)
}

/// Writes what only the runtime may read: environments have secrets.
fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    file::create(path, &serde_json::to_vec(value)?)
}

fn make_directories(directory: &Path, ids: &Ids) -> Result<(), ContainerError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(FileError::on("mkdir", directory))?;
    for (inside, mode) in PRIVATE {
        let owner = if USERS.contains(&inside) { VCAP } else { ids.root };
        make_directory(&place(directory, inside), mode, owner)?;
    }
    Ok(())
}

fn make_directory(path: &Path, mode: u32, owner: u32) -> Result<(), ContainerError> {
    DirBuilder::new().recursive(true).create(path).map_err(FileError::on("mkdir", path))?;
    // Whatever the umask is.
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(FileError::on("chmod", path))?;
    Ok(chown(path, Some(owner), Some(owner)).map_err(FileError::on("chown", path))?)
}

/// What the container sees beside its root.
fn binds(
    directory: &Path,
    root: &Path,
    init: &Init,
    contents: Contents<'_>,
) -> Result<Vec<Bind>, ContainerError> {
    let own = |inside: &str| Bind {
        source: place(directory, inside),
        inside: inside.to_owned(),
        is_writable: true,
    };
    let shown = |source: &Path, inside: &str| Bind {
        source: source.to_owned(),
        inside: inside.to_owned(),
        is_writable: false,
    };
    let mut binds = vec![own("/tmp"), own("/var/tmp"), own("/home")];
    for it in &init.files {
        let point = place(directory, &it.inside);
        let made = DirBuilder::new()
            .recursive(true)
            .create(point.parent().unwrap_or(directory))
            .and_then(|()| file::create(&point, b""));
        made.map_err(FileError::on("write", &point))?;
    }
    binds.extend(init.files.iter().cloned());
    binds.push(shown(contents.lifecycle, LIFECYCLE));
    for (name, path) in contents.buildpacks {
        let inside = format!("/tmp/buildpacks/{name}");
        let point = place(directory, &inside);
        fs::create_dir(&point).map_err(FileError::on("mkdir", &point))?;
        binds.push(shown(path, &inside));
    }
    let user = format!("{USER}:x:{VCAP}:{VCAP}::{HOME}:/bin/bash");
    for (inside, line) in [("/etc/passwd", user), ("/etc/group", format!("{USER}:x:{VCAP}:"))] {
        let path = place(directory, inside);
        let known = fs::read_to_string(place(root, inside)).unwrap_or_default();
        let written = file::create(&path, with_line(&known, &line).as_bytes())
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)));
        written.map_err(FileError::on("write", &path))?;
        binds.push(shown(&path, inside));
    }
    // The network is the machine's own, and so are its names.
    for inside in ["/etc/hosts", "/etc/resolv.conf"] {
        if let Ok(path) = fs::canonicalize(inside) {
            binds.push(shown(&path, inside));
        }
    }
    Ok(binds)
}

/// `text` with `line`, unless it knows a user or group of that name.
fn with_line(text: &str, line: &str) -> String {
    let name = format!("{USER}:");
    if text.lines().any(|known| known.starts_with(&name)) {
        return text.to_owned();
    }
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}{line}\n")
}

/// Whether this kernel counts memory that is swapped out.
fn counts_swap() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
        || Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists()
}

/// How many files a program may have open: the platform's number, or as many as this process may give.
fn files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE)
        .map_or(FILE_DESCRIPTORS, |(_, hard)| hard.min(FILE_DESCRIPTORS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_quoted_by_its_log_or_else_by_what_it_said() {
        let directory = tempfile::tempdir().unwrap();
        let (log, said) = (directory.path().join("log"), directory.path().join("said"));
        assert_eq!(reason(&log, &said), "it does not say why");
        fs::write(&said, "warning\nlast words\n").unwrap();
        for (text, expected) in [
            (r#"{"level":"warning","msg":"odd"}"#, "last words"),
            (r#"{"level":"error","msg":"no cgroup","time":"now"}"#, "no cgroup"),
            // youki 0.7.0's were not found, and what it says of its syslog was taken for the reason.
            (r#"{"timestamp":"now","level":"ERROR","message":"no id","target":"youki"}"#, "no id"),
        ] {
            fs::write(&log, format!("{text}\n{{\"level\":\"INFO\",\"message\":\"x\"}}\n")).unwrap();
            assert_eq!(reason(&log, &said), expected, "{text}");
        }
    }

    #[test]
    fn users_are_added_where_they_are_missing() {
        let line = "vcap:x:2000:";
        assert_eq!(with_line("root:x:0:", line), "root:x:0:\nvcap:x:2000:\n");
        assert_eq!(with_line("", line), "vcap:x:2000:\n");
        assert_eq!(with_line("a:\nvcap:x:7:\n", line), "a:\nvcap:x:7:\n");
    }
}

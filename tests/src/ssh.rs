//! An SSH server under test, with keys and clients' settings in a directory of its own. It is the
//! tree's `diego-sshd`; with `SSH_TESTS_AGAINST=openssh` it is Debian's, to test the tests.

mod client;
mod terminal;

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::running::as_a_shell_sees;
use crate::{free_port, program, tool, wait_for, workspace};

pub use client::{Client, Outcome, run};
pub use terminal::Terminal;

/// The host's name in the clients' settings.
pub const HOST: &str = "box";

/// A server to be: flags, keys and surroundings.
#[derive(Debug)]
pub struct SshSetup {
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    host_key: String,
    user_key: Option<String>,
}

impl SshSetup {
    /// A flag of the daemon; Debian's sshd, which has none of them, ignores it.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.push(format!("-{name}={value}"));
        self
    }

    /// A variable of the daemon's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command that becomes the server: its words come before the server's.
    #[must_use]
    pub fn wrapped<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.wrapper.extend(words.into_iter().map(str::to_owned));
        self
    }

    /// The host key's kind, in ssh-keygen's words: `rsa -b 1024`, `ed25519`.
    #[must_use]
    pub fn host_key(mut self, kind: &str) -> Self {
        kind.clone_into(&mut self.host_key);
        self
    }

    /// A user key that is not the host key, as on no platform; its kind in ssh-keygen's words.
    #[must_use]
    pub fn user_key(mut self, kind: &str) -> Self {
        self.user_key = Some(kind.to_owned());
        self
    }

    /// Starts the server and waits until it listens.
    pub fn start(self) -> SshServer {
        let directory = TempDir::with_prefix("ssh-").unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("home")).unwrap();
        fs::create_dir(path("work")).unwrap();
        keygen(&self.host_key, &path("host"));
        if let Some(kind) = &self.user_key {
            keygen(kind, &path("user"));
        } else {
            // The platform makes one key pair and uses it for both.
            fs::copy(path("host"), path("user")).unwrap();
            fs::copy(path("host.pub"), path("user.pub")).unwrap();
        }
        let command = if is_openssh() {
            openssh(directory.path())
        } else {
            ours(directory.path(), &self.flags)
        };
        // A test run in the background has these ignored, and every program below it inherits that.
        let mut wrapped = Command::new("env");
        wrapped.arg("--default-signal=INT,QUIT").args(self.wrapper);
        wrapped.arg(command.get_program()).args(command.get_args());
        let mut command = wrapped;
        let log = File::create(path("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.current_dir(path("work")).envs(self.environment);
        let mut server = SshServer { process: command.spawn().unwrap(), port: 0, directory };
        server.port = server.wait_until_it_listens();
        server.write_settings();
        server
    }
}

/// A server that runs. It is killed when dropped.
#[derive(Debug)]
pub struct SshServer {
    process: Child,
    port: u16,
    directory: TempDir,
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

impl SshServer {
    /// As the platform starts it, but on a loopback port and with logs.
    pub fn start() -> Self {
        Self::setup().start()
    }

    /// The same, to be changed before it starts.
    pub fn setup() -> SshSetup {
        SshSetup {
            flags: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            host_key: "rsa -b 2048".to_owned(),
            user_key: None,
        }
    }

    /// A path in the server's own directory: keys, `config`, `known_hosts`, `log`, `home`, `work`.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A path in the directory that tests fill with files: the daemon's working directory.
    pub fn work(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("work").join(name)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What the server wrote so far, both streams.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap()).into_owned()
    }

    /// A TCP connection.
    pub fn connect(&self) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap()
    }

    /// An OpenSSH client (`ssh`, `scp`, `sftp`) that knows the server as [`HOST`] and nothing of this machine's user.
    pub fn openssh<'a>(&self, program: &str, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(program);
        command.arg("-F").arg(self.path("config")).args(words).env("HOME", self.path("home"));
        command.env_remove("SSH_AUTH_SOCK").current_dir(self.path("work"));
        command
    }

    /// `ssh box command`, to its end, with this as its whole input.
    pub fn ssh(&self, command: &str, input: &[u8]) -> Outcome {
        run(&mut self.openssh("ssh", ["-T", HOST, command]), input)
    }

    /// A client of `tests/suite/ssh`, made with another library in Python or Go: port, user key, known hosts, the
    /// daemon's process id and a work directory precede the words of the test.
    pub fn peer<'a>(&self, file: &str, words: impl IntoIterator<Item = &'a str>) -> Command {
        let peers = target().join("ssh-peers");
        let in_go = file.strip_suffix(".go");
        let program = peers.join(in_go.unwrap_or("bin/python"));
        assert!(
            program.exists(),
            "{} is missing: run scripts/install-test-tools",
            program.display()
        );
        let mut command = Command::new(program);
        if in_go.is_none() {
            command.arg("-B").arg(workspace().join("tests/suite/ssh").join(file));
        }
        command.arg(self.port.to_string()).arg(self.path("user")).arg(self.path("known_hosts"));
        command.arg(self.pid().to_string()).arg(self.path("work")).args(words);
        command.env("HOME", self.path("home")).current_dir(self.path("work"));
        command
    }

    /// Resident memory of the daemon, in KiB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many descriptors the daemon has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Process ids of the daemon's children, zombies too.
    pub fn children(&self) -> Vec<String> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let mut children: Vec<String> = Vec::new();
        // A child belongs to the thread that started it.
        for task in
            fs::read_dir(path.rsplit_once("/task/").unwrap().0.to_owned() + "/task").unwrap()
        {
            let text =
                fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
            children.extend(text.split_whitespace().map(str::to_owned));
        }
        children
    }

    /// Sends a signal to the daemon.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Whether the daemon still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits for the daemon's end: its exit status as a shell sees it.
    pub fn wait(&mut self) -> i32 {
        as_a_shell_sees(wait_for("the server's end", || self.process.try_wait().unwrap()))
    }

    fn wait_until_it_listens(&mut self) -> u16 {
        wait_for("a server that listens", || {
            assert!(self.is_running(), "the server ended:\n{}", self.log());
            port_of(&self.log())
        })
    }

    fn write_settings(&self) {
        let public = fs::read_to_string(self.path("host.pub")).unwrap();
        let known = format!("[127.0.0.1]:{} {public}", self.port);
        fs::write(self.path("known_hosts"), known).unwrap();
        let settings = format!(
            "Host {HOST}\n HostName 127.0.0.1\n Port {}\n User root\n IdentityFile {}\n IdentitiesOnly yes\n \
             UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n \
             BatchMode yes\n LogLevel ERROR\n",
            self.port,
            self.path("user").display(),
            self.path("known_hosts").display(),
        );
        fs::write(self.path("config"), settings).unwrap();
    }
}

/// Whether the tests run against Debian's sshd, to find out whether they are right themselves.
pub fn is_openssh() -> bool {
    std::env::var_os("SSH_TESTS_AGAINST").is_some_and(|name| name == "openssh")
}

/// A key pair `path` and `path.pub`, in the platform's format where it is RSA.
pub fn keygen(kind: &str, path: &Path) {
    let mut words: Vec<&str> =
        vec!["-q", "-m", "PEM", "-N", "", "-C", "", "-f", path.to_str().unwrap(), "-t"];
    words.extend(kind.split(' '));
    tool("ssh-keygen", words);
}

/// Cargo's target directory, where `scripts/install-test-tools` puts clients that are libraries.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

fn ours(directory: &Path, flags: &[String]) -> Command {
    let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let mut command = Command::new(program("diego-sshd"));
    command.arg("-address=127.0.0.1:0").arg("-inheritDaemonEnv");
    command.arg(format!("-hostKey={}", text("host")));
    command.arg(format!("-authorizedKey={}", text("user.pub").trim_end()));
    command.args(flags);
    command
}

/// Debian's sshd with as few limits as ours has. Needs root.
fn openssh(directory: &Path) -> Command {
    // Where it locks its unprivileged child in; made by Debian's service, which is not started here.
    fs::create_dir_all("/run/sshd").unwrap();
    let port = free_port();
    let path = |name: &str| directory.join(name).display().to_string();
    let settings = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nAcceptEnv *\nGatewayPorts clientspecified\n\
         MaxStartups 2000\nMaxSessions 20000\nRequiredRSASize 1024\nPubkeyAcceptedAlgorithms +ssh-rsa\n\
         HostKeyAlgorithms +ssh-rsa\nSubsystem sftp /usr/lib/openssh/sftp-server\nPrintMotd no\nPrintLastLog no\n",
        path("host"),
        path("user.pub"),
    );
    fs::write(directory.join("sshd_config"), settings).unwrap();
    let mut command = Command::new("/usr/sbin/sshd");
    command.arg("-D").arg("-e").arg("-f").arg(directory.join("sshd_config"));
    command
}

/// The port that a log says its server listens on: its descriptors are root's to see once it has hidden its keys.
fn port_of(log: &str) -> Option<u16> {
    let (started, before) = if is_openssh() {
        ("Server listening on ", " port ")
    } else {
        ("sshd.started", "\"address\":\"127.0.0.1:")
    };
    let (digits, _rest) =
        log.split_once(started)?.1.split_once(before)?.1.split_once(['"', '.'])?;
    digits.parse().ok()
}

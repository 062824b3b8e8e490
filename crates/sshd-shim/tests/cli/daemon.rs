//! The program at work, or at its end.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use suite::wait_for;
use tempfile::TempDir;

/// The two texts of a key pair.
#[derive(Debug)]
pub(crate) struct KeyPair {
    pub(crate) private: String,
    /// Type and base64, as the platform gives it.
    pub(crate) public: String,
}

/// The RSA key pair of these tests, made once: the platform's form, in the size of its suites.
pub(crate) fn rsa() -> &'static KeyPair {
    static RSA: OnceLock<KeyPair> = OnceLock::new();
    RSA.get_or_init(|| made(&["-t", "rsa", "-b", "1024", "-m", "PEM"]))
}

/// What `ssh-keygen` makes.
pub(crate) fn made(options: &[&str]) -> KeyPair {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("key");
    let ends = [OsStr::new("-q"), "-N".as_ref(), "".as_ref(), "-f".as_ref(), file.as_os_str()];
    suite::tool("ssh-keygen", options.iter().map(OsStr::new).chain(ends));
    let public = fs::read_to_string(file.with_extension("pub")).unwrap();
    let public = public.split(' ').take(2).collect::<Vec<_>>().join(" ");
    KeyPair { private: fs::read_to_string(file).unwrap(), public }
}

/// A port of loopback that was free a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, suite::free_port()).into()
}

pub(crate) fn program() -> PathBuf {
    suite::program("diego-sshd")
}

/// The program without environment.
pub(crate) fn command() -> Command {
    cleared(program())
}

/// `program` without environment and stdin.
pub(crate) fn cleared(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
    command
}

/// How a start that was to fail ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The messages on stdout, without `sshd.`, each with its data.
    pub(crate) fn messages(&self) -> Vec<(String, String)> {
        messages(&self.stdout)
    }
}

/// Runs the program until it ends.
pub(crate) fn run<A: AsRef<OsStr>>(arguments: &[A]) -> Ended {
    end_of(command().args(arguments))
}

pub(crate) fn end_of(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The messages of log lines, without `sshd.`, each with its data.
pub(crate) fn messages(stdout: &str) -> Vec<(String, String)> {
    let message = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let message = line["message"].as_str().unwrap().strip_prefix("sshd.").unwrap().to_owned();
        (message, line["data"].to_string())
    };
    stdout.lines().map(message).collect()
}

/// A running server; it ends with its owner.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    output: TempDir,
}

impl Daemon {
    /// One that anybody may use.
    pub(crate) fn open<A: AsRef<OsStr>>(flags: &[A]) -> Self {
        Self::start(command().arg("-allowUnauthenticatedClients").args(flags))
    }

    /// Starts `command` with an address to listen on as its last flag, and waits until it does. Its
    /// output goes to files.
    pub(crate) fn start(command: &mut Command) -> Self {
        let output = TempDir::new().unwrap();
        let file = |name| File::create(output.path().join(name)).unwrap();
        command.stdout(file("stdout")).stderr(file("stderr"));
        Self::start_with(command, output)
    }

    /// [`Daemon::start`] with the output that `command` has.
    pub(crate) fn start_with(command: &mut Command, output: TempDir) -> Self {
        let address = free_address();
        let child = command.arg(format!("-address={address}")).spawn().unwrap();
        let mut daemon = Self { child, address, output };
        wait_for("a server that listens", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("{status}: {}{}", daemon.stdout(), daemon.stderr());
            }
            TcpStream::connect(address).ok()
        });
        daemon
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.output.path().join("stdout")).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.output.path().join("stderr")).unwrap()
    }

    /// A file of `/proc/PID`.
    pub(crate) fn proc(&self, file: &str) -> Vec<u8> {
        fs::read(format!("/proc/{}/{file}", self.id())).unwrap()
    }

    /// The arguments, as `ps` shows them.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        use std::os::unix::ffi::OsStringExt;
        let line = self.proc("cmdline");
        let words = line.strip_suffix(b"\0").unwrap().split(|&byte| byte == 0);
        words.map(|word| OsString::from_vec(word.to_vec())).collect()
    }

    /// Sends SIGTERM; the exit status.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        let id = i32::try_from(self.id()).unwrap();
        kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

//! The keys, out of sight: any process of the same user may read the arguments of another, and often
//! its environment (contract sshd 3.1 and 18.6).
//!
//! A process that was started with keys in either executes its own program once more, without them: same
//! process id, and the keys wait in a socket on stdin, which nobody else can open. Then it asks the kernel
//! to keep its memory from processes of the same user: no `/proc/PID/environ` or `mem`, no ptrace, no
//! core dump. Only root, or what has `CAP_SYS_PTRACE`, can still look.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process;

use lifecycle::environment::Environment;
use lifecycle::exec::{self, ExecError, Program};
use lifecycle::report;
use nix::sys::prctl;

use crate::config;
use crate::log::Log;

/// The host key, if it comes by the environment; the authorized key then does, too.
const SSHD_HOSTKEY: &str = "SSHD_HOSTKEY";
const SSHD_AUTHKEY: &str = "SSHD_AUTHKEY";

/// Tells the process begun anew that the keys are on its stdin: its process id, so that no variable
/// set by accident does.
const SSHD_KEYS_ON_STDIN: &str = "SSHD_KEYS_ON_STDIN";

/// The two keys as texts; empty where there is none. Never printed.
pub(crate) struct Keys {
    pub(crate) host: OsString,
    pub(crate) authorized: OsString,
}

/// How this program was called: its own name, and its flags in the spelling `--name=value`.
pub(crate) struct Call {
    pub(crate) own_name: OsString,
    pub(crate) words: Vec<OsString>,
}

/// Whether the server's keys may have been handed over in the environment variable `name`, which then is nobody
/// else's business.
pub(crate) fn is_secret(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"SSHD_")
}

/// The keys that count, and the environment without them. `given` are those of the flags.
pub(crate) fn hide(
    given: Keys,
    inherited: Environment,
    call: Call,
    log: &Log,
) -> io::Result<(Keys, Environment)> {
    // A kernel that cannot do this leaves the process as it was.
    let _unprotected = prctl::set_dumpable(false);
    let mut environment = inherited;
    let own_id = process::id().to_string();
    let is_begun_anew = environment.get(SSHD_KEYS_ON_STDIN).is_some_and(|id| *id == *own_id);
    environment.remove(SSHD_KEYS_ON_STDIN);
    if is_begun_anew {
        return Ok((receive(io::stdin().lock())?, environment));
    }
    let [host, authorized] = [SSHD_HOSTKEY, SSHD_AUTHKEY].map(|name| {
        let value = environment.get(name).unwrap_or_default().to_owned();
        environment.remove(name);
        value
    });
    let texts = [&host, &authorized, &given.host, &given.authorized];
    let is_exposed = texts.iter().any(|text| !text.is_empty());
    let keys = if host.is_empty() { given } else { Keys { host, authorized } };
    if is_exposed {
        let why = begin_anew(&keys, &environment, call, &own_id);
        config::warn(
            log,
            "failed-exec",
            &format!("the keys stay where other processes of this user see them: {why}"),
        );
    }
    Ok((keys, environment))
}

/// Executes this program once more, without keys in arguments and environment. Returns only if that
/// fails, with the reason.
fn begin_anew(keys: &Keys, environment: &Environment, call: Call, own_id: &str) -> String {
    let mut environment = environment.clone();
    environment.set(SSHD_KEYS_ON_STDIN, own_id);
    let mut program = Program { file: PathBuf::new(), name: call.own_name, arguments: call.words };
    let is_key = |word: &OsString| {
        [&b"--hostKey="[..], b"--authorizedKey="]
            .iter()
            .any(|flag| word.as_bytes().starts_with(flag))
    };
    program.arguments.retain(|word| !is_key(word));
    let files = own_files(&program.name, &environment);
    let mut why = "no /proc, and no program of this name in PATH".to_owned();
    for file in files {
        let input = match sent(keys) {
            Ok(input) => input,
            Err(error) => return report::system_words(&error),
        };
        program.file = file;
        let error = exec::become_program_reading(&program, &environment, input);
        why = error.to_string();
        let ExecError::System { error, .. } = error else { break };
        if error.kind() != ErrorKind::NotFound {
            break;
        }
    }
    why
}

/// Where this program's file may be. A path goes before `/proc/self/exe`, which under an emulator may be
/// the emulator.
fn own_files(own_name: &OsStr, environment: &Environment) -> Vec<PathBuf> {
    match (env::current_exe(), own_name.to_str()) {
        (Ok(file), _) => vec![file, PathBuf::from("/proc/self/exe")],
        // No /proc: what it was called by is all that is known.
        (Err(_), Some(name)) if !name.contains('/') => {
            exec::find(name, environment.get("PATH").unwrap_or_default()).into_iter().collect()
        }
        (Err(_), _) => vec![PathBuf::from(own_name)],
    }
}

/// A socket with the keys in it. Unlike a pipe it cannot be opened through `/proc/PID/fd`.
fn sent(keys: &Keys) -> io::Result<OwnedFd> {
    let (mut sender, receiver) = UnixStream::pair()?;
    // Keys so large that they find no room must not wait for a reader, who is yet to come.
    sender.set_nonblocking(true)?;
    for text in [&keys.host, &keys.authorized] {
        sender.write_all(text.as_bytes())?;
        sender.write_all(b"\0")?;
    }
    Ok(receiver.into())
}

/// Reads what [`sent`] wrote: arguments and variables have no zero bytes.
fn receive(mut input: impl Read) -> io::Result<Keys> {
    // Room for an RSA key: one read.
    let mut bytes = Vec::with_capacity(8192);
    input.read_to_end(&mut bytes)?;
    let texts: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
    let [host, authorized, []] = texts[..] else { return Err(ErrorKind::UnexpectedEof.into()) };
    let [host, authorized] = [host, authorized].map(|text| OsString::from_vec(text.to_vec()));
    Ok(Keys { host, authorized })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_arrive_as_they_were_sent() {
        for (host, authorized) in [("a\nb\n", "ssh-rsa x"), ("", "y"), ("z", ""), ("", "")] {
            let keys = Keys { host: host.into(), authorized: authorized.into() };
            let received = receive(UnixStream::from(sent(&keys).unwrap())).unwrap();
            assert_eq!((received.host, received.authorized), (keys.host, keys.authorized));
        }
    }

    #[test]
    fn keys_that_were_cut_are_an_error() {
        for bytes in [&b""[..], b"a", b"a\0b", b"a\0b\0c"] {
            assert!(receive(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_programs_file_goes_before_proc() {
        let files = own_files(OsStr::new("x"), &Environment::default());
        assert_eq!(files, [env::current_exe().unwrap(), PathBuf::from("/proc/self/exe")]);
    }
}

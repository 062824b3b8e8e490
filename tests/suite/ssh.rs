//! The SSH server met by real clients: OpenSSH of today and of 2017, `PuTTY`, dropbear, `paramiko`, `asyncssh` and Go's
//! (issue 4, "Shown by" 1 and 3).

mod commands;
mod copies;
mod crypto;
mod faults;
mod forwards;
mod libraries;
mod many;
mod rekey;
mod sftp;
mod terminals;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use suite::ssh::{SshServer, run};
use suite::tool;

/// How long the largest transfers may take on a busy machine, or an emulated one.
const LONG: Duration = Duration::from_mins(40);

/// `count` bytes that do not compress and do not repeat, made from `seed`.
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// Asserts that two files are equal, however large they are.
fn same(left: &Path, right: &Path) {
    tool("cmp", [left, right]);
}

/// `plink`, `pscp` or `psftp` with the server's key; `words` come after the options.
fn putty<'a>(
    server: &SshServer,
    program: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Command {
    let key = server.path("user.ppk");
    if !key.exists() {
        let user = server.path("user");
        let arguments = [user.as_ref(), "-o".as_ref(), key.as_os_str()];
        tool("puttygen", arguments);
    }
    let fingerprint = tool("ssh-keygen", ["-lf".as_ref(), server.path("host.pub").as_os_str()]);
    let fingerprint = fingerprint.split(' ').nth(1).unwrap();
    let mut command = Command::new(program);
    command.args(["-batch", "-hostkey", fingerprint, "-P", &server.port().to_string(), "-i"]);
    command.arg(key).args(words).env("HOME", server.path("home")).current_dir(server.work(""));
    command
}

/// Dropbear's client with the server's key; options must come before the command.
fn dbclient<'a>(server: &SshServer, words: impl IntoIterator<Item = &'a str>) -> Command {
    let key = server.path("user.dropbear");
    if !key.exists() {
        let user = server.path("user");
        let mut convert = Command::new("dropbearconvert");
        let _converted =
            run(convert.args(["openssh", "dropbear"]).arg(user).arg(&key), b"").succeeds();
    }
    let mut command = Command::new("dbclient");
    // `-y` learns the host key, in a home of its own.
    command.arg("-y").arg("-i").arg(key).args(["-p", &server.port().to_string()]);
    let words: Vec<&str> = words.into_iter().collect();
    // It takes its options before the host's name only.
    let options = words.iter().position(|word| !word.starts_with('-')).unwrap_or(words.len());
    let options = if words.contains(&"-N") { words.len() } else { options };
    command.args(&words[..options]).arg("root@127.0.0.1").args(&words[options..]);
    command.env("HOME", server.path("home")).current_dir(server.work(""));
    command
}

//! `cell ssh`: OpenSSH's client opens a shell in an instance, or runs a command there.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;

use crate::command_line::Ssh;
use crate::control::{self, Question};
use crate::error::CellError;
use crate::keys;
use crate::push::Context;
use crate::shell_words::quoted;
use crate::state::write_private;

/// With the app's key and no file of the user's.
pub(crate) fn ssh(flags: &Ssh, context: &Context) -> Result<(), CellError> {
    let directory = context.state.app(&flags.name)?;
    let reports = control::ask(&directory.path, &Question::Status)
        .map_err(|_| CellError::NotRunning(flags.name.clone()))?;
    let report =
        reports.iter().find(|it| it.process == flags.process && it.index == flags.instance);
    let report = report.ok_or_else(|| CellError::NoInstance {
        name: flags.name.clone(),
        process: flags.process.clone(),
        index: flags.instance,
    })?;
    let known = directory.place("known_hosts");
    let address = format!("[{}]:{}", Ipv4Addr::LOCALHOST, report.status.ssh_port);
    let line = format!("{address} {}\n", keys::of(&directory).map_err(CellError::from)?.public);
    write_private(&known, line.as_bytes())?;
    let mut command = Command::new("ssh");
    command.args([
        "-F",
        "none",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "LogLevel=ERROR",
        // An app that is not asked for its health is up before its SSH server is.
        "-o",
        "ConnectionAttempts=10",
    ]);
    command.arg("-o").arg(format!("UserKnownHostsFile=\"{}\"", known.display()));
    command.arg("-i").arg(directory.place("key"));
    command.args(["-p", &report.status.ssh_port.to_string(), "vcap@127.0.0.1"]);
    if !flags.command.is_empty() {
        command.arg("--").arg(shell_text(&flags.command));
    }
    let status = command.status().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CellError::NoSsh,
        _ => CellError::on("ssh")(error),
    })?;
    match status.code() {
        Some(0) => Ok(()),
        code => Err(CellError::Ssh(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255))),
    }
}

/// What the shell there reads: one word as it is; several as they are typed here, which `ssh` would join by blanks.
fn shell_text(words: &[OsString]) -> OsString {
    match words {
        [text] => text.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(OsStr::new(" ")),
    }
}

//! `cell ssh`: OpenSSH's client opens a shell in an instance, or runs a command there.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::Command;

use crate::command_line::Ssh;
use crate::control::{self, Question};
use crate::error::CellError;
use crate::keys;
use crate::push::Context;
use crate::shell_words::quoted;
use crate::state::AppDirectory;

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
    command.arg("-o").arg(format!("HostKeyAlias={}", keys::HOST));
    command.arg("-o").arg(format!("UserKnownHostsFile=\"{}\"", literal(&directory, "known_hosts")));
    command.arg("-i").arg(literal(&directory, "key"));
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

/// A file of the app's as `ssh` reads the same path: to it, `%` begins a word of its own.
fn literal(directory: &AppDirectory, name: &str) -> String {
    directory.place(name).display().to_string().replace('%', "%%")
}

/// What the shell there reads: one word as it is; several as they are typed here, which `ssh` would join by blanks.
fn shell_text(words: &[OsString]) -> OsString {
    match words {
        [text] => text.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(OsStr::new(" ")),
    }
}

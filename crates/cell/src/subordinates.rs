//! Containers for another user than root: this program starts again in a user namespace, where it is root, and root's
//! fellows are the user's subordinate ids (`/etc/subuid`). `unshare` and `newuidmap` make it.

use std::env;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use lifecycle::environment::Environment;
use lifecycle::exec::{Program, become_program};
use nix::unistd::geteuid;

use crate::error::CellError;

const UNSHARE: &str = "unshare";
/// Its options: root is the user, all others are subordinates.
const OPTIONS: [&str; 4] = ["--user", "--map-root-user", "--map-auto", "--mount"];

/// Whether this process is root, of the machine or of such a namespace.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// Whether the namespace can be had; else why not.
pub(crate) fn are_there() -> Result<(), String> {
    let tried = Command::new(UNSHARE).args(OPTIONS).arg("true").stdin(Stdio::null()).output();
    let said = match tried {
        Ok(ended) if ended.status.success() => return Ok(()),
        Ok(ended) => String::from_utf8_lossy(&ended.stderr).trim().to_owned(),
        Err(error) => format!("{UNSHARE}: {}", lifecycle::report::system_words(&error)),
    };
    Err(format!(
        "another user than root needs util-linux 2.38, newuidmap (Debian's uidmap) and ids in /etc/subuid and /etc/subgid: {said}"
    ))
}

/// Starts this program again in the namespace, with the same arguments; returns only if that fails.
pub(crate) fn enter(environment: &Environment) -> CellError {
    let own = match env::current_exe() {
        Ok(own) => own,
        Err(error) => return CellError::on("this program's own file")(error),
    };
    let places = environment.get("PATH").unwrap_or_default().to_owned();
    let file = env::split_paths(&places).map(|place| place.join(UNSHARE)).find(|it| it.is_file());
    let mut arguments: Vec<_> = OPTIONS.map(Into::into).into();
    arguments.push(own.into());
    arguments.extend(env::args_os().skip(1));
    let file = file.unwrap_or_else(|| UNSHARE.into());
    let program = Program { file, name: UNSHARE.into(), arguments };
    CellError::Exec(become_program(&program, environment))
}

/// Removes what belongs to subordinates.
pub(crate) fn remove(directory: &Path) -> io::Result<()> {
    let mut command = Command::new(UNSHARE);
    command.args(OPTIONS).args(["rm", "-rf"]).arg(directory).stdin(Stdio::null());
    let ended = command.output()?;
    if ended.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&ended.stderr).trim().to_owned()))
}

//! From the environment to the app: profile scripts, then the start command, by way of the image's
//! shell (contract, sections 8.9 and 9). Shared by launcher and shell.
//!
//! bash runs our script, and that becomes `bash -c <command>`. Where the script would find nothing to
//! do, its few steps are done here and one bash is enough (`shortcut`). Images without bash or without
//! any shell get what is possible, and a line that says what is not.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::environment::Environment;
use crate::exec::{self, ExecError, Program, become_program, find};
use crate::report::{say, warn};

mod no_shell;
mod shortcut;

/// What is to be run, where, and how.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program's own name, its first argument: `$0` of profile scripts.
    pub own_name: OsString,
    /// The working directory of the app.
    pub app_dir: PathBuf,
    /// A line of shell.
    pub command: OsString,
    /// Shell text that takes the place of `bash -c`: a program and its first arguments, which gets
    /// the command as its last one. Empty is the same as none.
    pub entrypoint_prefix: Option<String>,
    /// What happens before the command.
    pub preparation: Preparation,
}

impl Launch {
    fn prefix(&self) -> Option<&str> {
        self.entrypoint_prefix.as_deref().filter(|prefix| !prefix.is_empty())
    }
}

/// The steps between entering the app directory and the command.
#[derive(Clone, Copy, Debug)]
pub struct Preparation {
    /// The steps as a POSIX shell script, but for the `exec` at the end. `$1` is the app
    /// directory, `$2` the command; it ends with the command as `$1`.
    pub script: &'static str,
    /// What the script prints where there is no profile script.
    pub announcements: &'static [&'static str],
    /// Files and directories, seen from the app directory, which the script sources if they exist
    /// and hold something.
    pub profiles: &'static [&'static str],
}

/// Becomes the app. Returns only if that fails.
pub fn launch(launch: &Launch, environment: &Environment) -> ExecError {
    let path = environment.get("PATH").unwrap_or_else(|| OsStr::new(DEFAULT_PATH));
    let shell = |name: &str| {
        let usual = Path::new("/bin").join(name);
        if exec::is_executable(&usual) { Some(usual) } else { find(name, path) }
    };
    if let Some(bash) = shell("bash") {
        shortcut::take(launch, environment)
            .unwrap_or_else(|| become_program(&scripted(launch, bash, "bash"), environment))
    } else if let Some(sh) = shell("sh") {
        warn(NO_BASH);
        become_program(&scripted(launch, sh, "sh"), environment)
    } else {
        warn(NO_SHELL);
        no_shell::launch(launch, environment)
    }
}

/// Where programs are looked for without `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

const NO_BASH: &str = "WARNING: this image has no bash. Profile scripts and the start command are run by sh: \
    what only bash understands (arrays, [[ ]], source) fails. Install bash in the image to change that.";

const NO_SHELL: &str = "WARNING: this image has no shell. The start command is split into words and run as it is: \
    no profile scripts, no variables, pipes, redirections or several commands. Install bash in the image to change that.";

/// The shell called `name` in `file`, about to run the script and then the command.
fn scripted(launch: &Launch, file: PathBuf, name: &str) -> Program {
    let prefix = launch.prefix().map_or_else(|| format!("{name} -c"), str::to_owned);
    let script = format!("{}exec {prefix} \"$1\"\n", launch.preparation.script);
    let own_name = launch.own_name.clone();
    let app_dir = launch.app_dir.clone().into_os_string();
    Program {
        file,
        name: name.into(),
        arguments: vec!["-c".into(), script.into(), own_name, app_dir, launch.command.clone()],
    }
}

/// Enters the app directory and prints the announcements. `None`, and nothing printed, if it cannot
/// be entered.
fn enter(launch: &Launch) -> Option<()> {
    env::set_current_dir(&launch.app_dir).ok()?;
    launch.preparation.announcements.iter().for_each(|line| say(line));
    Some(())
}

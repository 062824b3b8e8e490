//! Which walls an app's containers get: those asked for, or the strongest there are, with the difference in one sentence.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lifecycle::architecture::Architecture;
use lifecycle::environment::Environment;
use lifecycle::report::chain;

use crate::cgroup::Cgroup;
use crate::command_line::IsolationName;
use crate::container::{Container, Contents, Isolation};
use crate::emulator::{self, EmulatorError};
use crate::roots::{self, Root, RootError};
use crate::stacks::Stack;
use crate::state::State;
use crate::subordinates;

/// The runtimes known, the first that works is used.
const RUNTIMES: [&str; 3] = ["runc", "crun", "youki"];
/// Names another one, or its file.
const CHOICE: &str = "CELL_RUNTIME";
/// Where Debian has them, which is not on the PATH of users.
const BESIDES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Why an app can't have the walls it is to have.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// There is nothing to put into a container.
    #[error(
        "stack '{0}' has no root file system, which isolation 'oci' needs: give it one by `rootfs` in stacks.yml"
    )]
    NoRoot(String),
    /// No runtime works.
    #[error("isolation 'oci' is not to be had: {0}")]
    NoRuntime(String),
    /// The stack's root file system can't be used.
    #[error("stack '{stack}'")]
    Root {
        /// Which.
        stack: String,
        /// Why.
        source: RootError,
    },
    /// The stack is for another machine.
    #[error("stack '{stack}'")]
    Emulator {
        /// Which.
        stack: String,
        /// Why.
        source: EmulatorError,
    },
    /// This machine's own programs are not the stack's.
    #[error(
        "stack '{stack}' is for {wanted}: without isolation 'oci' there are only this machine's programs, for {own}"
    )]
    Architecture {
        /// Which.
        stack: String,
        /// Its architecture.
        wanted: Architecture,
        /// This machine's.
        own: Architecture,
    },
}

/// The walls, and what is to be said of them.
#[derive(Debug)]
pub(crate) struct Choice {
    /// They.
    pub(crate) isolation: Isolation,
    /// Sentences for people.
    pub(crate) words: Vec<String>,
    /// What keeps the root file system where it is.
    pub(crate) root: Option<Root>,
}

/// What a choice depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances<'a> {
    /// This program's environment.
    pub(crate) environment: &'a Environment,
    /// This machine's apps.
    pub(crate) state: &'a State,
    /// Where a container may be made to try a runtime: it must not be there.
    pub(crate) trial: &'a Path,
}

/// Chooses for an app on `stack`; `begin` is called before its root file system is unpacked.
pub(crate) fn choose(
    wanted: Option<IsolationName>,
    stack: &Stack,
    circumstances: Circumstances<'_>,
    begin: impl FnOnce(),
) -> Result<Choice, IsolationError> {
    match (wanted, &stack.rootfs) {
        (Some(IsolationName::None), _) => none(stack, None),
        (None, None) => none(stack, Some("")),
        (Some(IsolationName::Oci), None) => Err(IsolationError::NoRoot(stack.name.clone())),
        (wanted, Some(source)) => match oci(stack, source, circumstances, begin) {
            // Only what is not there may be done without: a damaged archive is an error either way.
            Err(IsolationError::NoRuntime(why))
                if wanted.is_none() && Architecture::own().runs(&stack.architecture) =>
            {
                none(stack, Some(&why))
            }
            outcome => outcome,
        },
    }
}

/// What people are told of having no walls.
pub(crate) fn no_isolation(why: &str) -> String {
    let because = if why.is_empty() { String::new() } else { format!(" ({why})") };
    format!(
        "No isolation{because}: processes of yours in a directory of their own, without limits of memory and processes"
    )
}

/// No walls; `why` is to be said where nobody asked for that.
fn none(stack: &Stack, why: Option<&str>) -> Result<Choice, IsolationError> {
    let own = Architecture::own();
    if !own.runs(&stack.architecture) {
        let (stack, wanted) = (stack.name.clone(), stack.architecture.clone());
        return Err(IsolationError::Architecture { stack, wanted, own });
    }
    let mut words = Vec::new();
    if let Some(why) = why {
        words.push(no_isolation(why));
    }
    if stack.rootfs.is_some() {
        let name = &stack.name;
        words.push(format!(
            "Without isolation there are this machine's files, not those of stack {name}"
        ));
    }
    Ok(Choice { isolation: Isolation::None, words, root: None })
}

fn oci(
    stack: &Stack,
    source: &Path,
    circumstances: Circumstances<'_>,
    begin: impl FnOnce(),
) -> Result<Choice, IsolationError> {
    let candidates = candidates(circumstances.environment);
    if candidates.is_empty() {
        let names = RUNTIMES.join(", ");
        let why = circumstances.environment.get(CHOICE).map_or_else(
            || format!("none of {names} is on the PATH"),
            |named| format!("{CHOICE} is {}, which is no program", Path::new(named).display()),
        );
        return Err(IsolationError::NoRuntime(why));
    }
    if !subordinates::is_root() {
        return Err(IsolationError::NoRuntime(subordinates::are_there().err().unwrap_or_default()));
    }
    let mut words = Vec::new();
    if !Architecture::own().runs(&stack.architecture) {
        let emulator = emulator::of(&stack.architecture)
            .map_err(|source| IsolationError::Emulator { stack: stack.name.clone(), source })?;
        let (name, architecture) = (&stack.name, &stack.architecture);
        words.push(format!(
            "Stack {name} is for {architecture}: its programs run, slowly, by {}",
            emulator.display()
        ));
    }
    let root = roots::unpacked(source, &circumstances.state.place("roots"), begin)
        .map_err(|source| IsolationError::Root { stack: stack.name.clone(), source })?;
    if !Cgroup::can_be_made() {
        words
            .push("Only root may limit containers: memory and processes have no limits".to_owned());
    }
    let mut reasons = Vec::new();
    for runtime in candidates {
        let isolation = Isolation::Oci { runtime, root: root.path.clone() };
        match try_out(&isolation, circumstances) {
            Ok(()) => return Ok(Choice { isolation, words, root: Some(root) }),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(IsolationError::NoRuntime(reasons.join("; ")))
}

/// Makes a container and removes it: what a runtime says of itself tells less.
fn try_out(isolation: &Isolation, circumstances: Circumstances<'_>) -> Result<(), String> {
    let lifecycle = circumstances.state.place("served");
    let contents = Contents { lifecycle: &lifecycle, buildpacks: &[], memory: 64 };
    Container::create(circumstances.trial, isolation, contents)
        .and_then(|mut container| container.destroy())
        .map_err(|error| chain(&error))
}

fn candidates(environment: &Environment) -> Vec<PathBuf> {
    let chosen = environment.get(CHOICE).filter(|name| !name.is_empty());
    let names: Vec<OsString> = match chosen {
        Some(name) => vec![name.to_owned()],
        None => RUNTIMES.iter().map(OsString::from).collect(),
    };
    names.iter().filter_map(|name| find(Path::new(name), environment)).collect()
}

/// A file as it is; a name on the PATH.
fn find(name: &Path, environment: &Environment) -> Option<PathBuf> {
    if name.is_absolute() {
        return name.is_file().then(|| name.to_owned());
    }
    let path = environment.get("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(BESIDES.map(PathBuf::from));
    places.map(|place| place.join(name)).find(|file| file.is_file())
}

//! One bash instead of two, where the first would have nothing to source: what it does besides is
//! done here, and whatever else could make a difference leaves the way to the first bash open.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Launch, enter};
use crate::environment::Environment;
use crate::exec::{ExecError, Program, become_program, find};
use crate::paths::working_directory;

/// Becomes `bash -c <command>` in the app directory. `None` if it takes a first bash; nothing was done
/// then.
pub(super) fn take(launch: &Launch, environment: &Environment) -> Option<ExecError> {
    let simple = launch.prefix().is_none()
        && launch.app_dir.is_absolute()
        && !has_profiles(launch)
        && !changes_bash(environment);
    if !simple {
        return None;
    }
    let left = left_by_bash(environment, &launch.app_dir)?;
    // The first bash would look for the second along the path.
    let file = find("bash", environment.get("PATH")?)?;
    let arguments = vec!["-c".into(), launch.command.clone()];
    enter(launch)?;
    Some(become_program(&Program { file, name: "bash".into(), arguments }, &left))
}

/// Whether there is anything to source.
fn has_profiles(launch: &Launch) -> bool {
    launch.preparation.profiles.iter().any(|profile| {
        let path = launch.app_dir.join(profile);
        match fs::read_dir(&path) {
            Ok(entries) => entries.flatten().any(|entry| !is_hidden(&entry.file_name())),
            Err(_) => path.is_file(),
        }
    })
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

/// Whether a variable gives the first bash something to run or another way of running: `BASH_ENV`,
/// functions (`BASH_FUNC_cd%%`), shell options and the like.
fn changes_bash(environment: &Environment) -> bool {
    environment.iter().any(|(name, _)| {
        let name = name.as_bytes();
        name.starts_with(b"BASH")
            || matches!(
                name,
                b"SHELLOPTS"
                    | b"POSIXLY_CORRECT"
                    | b"POSIX_PEDANTIC"
                    | b"EXECIGNORE"
                    | b"GLOBIGNORE"
            )
    })
}

/// The environment that the first bash leaves to the second after `cd <app_dir>`. All else that it does
/// to variables (`IFS`, `PS1`, invalid names) the second does likewise. `None` if this cannot be told.
fn left_by_bash(environment: &Environment, app_dir: &Path) -> Option<Environment> {
    let mut left = environment.clone();
    left.set("SHLVL", level(environment.get("SHLVL"))?);
    left.set("OLDPWD", working_directory(environment.get("PWD"))?);
    left.set("PWD", app_dir);
    left.remove("_");
    Some(left)
}

/// The level as `exec` leaves it: what it was, as a plain number. bash itself judges all else.
fn level(before: Option<&OsStr>) -> Option<String> {
    let text = before.unwrap_or_else(|| OsStr::new("0")).to_str()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let level: u16 = text.parse().ok().filter(|_| plain)?;
    // The next level is the first that bash finds too high.
    (level < 999).then(|| level.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn plain_levels_are_kept_and_others_left_to_bash() {
        for (before, after) in [
            (None, Some("0")),
            (Some("0"), Some("0")),
            (Some("5"), Some("5")),
            (Some("007"), Some("7")),
            (Some("998"), Some("998")),
            (Some("999"), None),
            (Some("-3"), None),
            (Some("+3"), None),
            (Some(""), None),
            (Some("x"), None),
        ] {
            assert_eq!(level(before.map(OsStr::new)).as_deref(), after, "{before:?}");
        }
    }

    #[test]
    fn variables_that_bash_obeys_are_seen() {
        for name in ["BASH_ENV", "BASH_FUNC_cd%%", "SHELLOPTS", "POSIXLY_CORRECT"] {
            assert!(changes_bash(&environment(&[("A", "1"), (name, "")])), "{name}");
        }
        assert!(!changes_bash(&environment(&[("PATH", "/bin"), ("IFS", "x"), ("PS1", "$")])));
    }

    #[test]
    fn directories_are_as_cd_leaves_them() {
        let here = std::env::current_dir().unwrap().into_os_string();
        let left =
            left_by_bash(&environment(&[("PWD", "/no"), ("_", "x")]), Path::new("/app")).unwrap();
        assert_eq!(left.get("PWD"), Some(OsStr::new("/app")));
        assert_eq!(left.get("OLDPWD"), Some(here.as_os_str()));
        assert_eq!(left.get("_"), None);
    }
}

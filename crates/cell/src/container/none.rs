//! A container without walls: a private tree, and plain processes of this machine.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use lifecycle::file::FileError;

use super::{ContainerError, Contents, file};
use crate::recipe::{Action, HOME, LIFECYCLE};

/// Makes the tree.
pub(super) fn make(directory: &Path, contents: Contents<'_>) -> Result<(), ContainerError> {
    // The way to it is closed; in it, modes are the platform's, for they get into the droplet.
    for (inside, mode) in
        [("", 0o700), ("/tmp/buildpacks", 0o755), ("/tmp/app", 0o755), (HOME, 0o755)]
    {
        let path = file(directory, inside);
        let made = DirBuilder::new().recursive(true).mode(mode).create(&path);
        made.map_err(FileError::on("mkdir", &path))?;
    }
    let link = |to: &Path, inside: &str| {
        let path = file(directory, inside);
        symlink(to, &path).map_err(FileError::on("symlink", path))
    };
    link(contents.lifecycle, LIFECYCLE)?;
    for (name, path) in contents.buildpacks {
        link(path, &format!("/tmp/buildpacks/{name}"))?;
    }
    Ok(())
}

/// What starts a program there.
pub(super) fn command(directory: &Path, action: &Action) -> Command {
    let place = |inside: &str| file(directory, inside).to_string_lossy().into_owned();
    let mut command = Command::new(file(directory, &action.path));
    command
        .args(action.arguments.iter().map(|word| word.resolved(place)))
        .env_clear()
        .envs(action.environment.iter().map(|(name, word)| (name, word.resolved(place))))
        // Without walls, `/tmp` is everybody's: what is left there would be found by nobody.
        .env("TMPDIR", place("/tmp"))
        .current_dir(file(directory, HOME))
        .stdin(Stdio::null());
    command
}

//! `cell run`: an app that was staged before, or a droplet that is a file, which becomes an app.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::app::App;
use crate::command_line::Run;
use crate::container::Isolation;
use crate::definition;
use crate::error::CellError;
use crate::inspect;
use crate::isolation;
use crate::push::{self, Context};
use crate::roots::Root;
use crate::run::start;
use crate::screen::Event;
use crate::state::{AppDirectory, StateError, Work};

/// An app runs under its own name.
const NAMED: &str = "error: --name is for a droplet that is a file, and there is no such file";

/// `cell run`: an app that was pushed, or a droplet that is a file, which becomes an app.
pub(crate) fn run(flags: &Run, context: &Context) -> Result<(), CellError> {
    let file = Path::new(&flags.droplet);
    push::become_root(flags.isolation, context, || needs_root(flags, file, context))?;
    let directory = if file.is_file() {
        adopt(file, flags, context)?
    } else if flags.name.is_some() {
        return Err(CellError::CommandLine(NAMED.to_owned()));
    } else {
        change(flags, context)?
    };
    start(&directory, flags.bundle.as_deref(), flags.detach, context)
}

/// The app of that name, where there is no such file.
pub(crate) fn app(droplet: &OsStr, context: &Context) -> Result<AppDirectory, CellError> {
    context.state.app(&droplet.to_string_lossy()).map_err(|error| match error {
        StateError::Unknown(name) | StateError::Name(name) => CellError::Neither(name),
        other => other.into(),
    })
}

/// Makes an app of a droplet that is a file.
fn adopt(file: &Path, flags: &Run, context: &Context) -> Result<AppDirectory, CellError> {
    inspect::read(file)?;
    let name = flags.name.clone().unwrap_or_else(|| definition::name_of_archive(file));
    let directory = context.state.make_app(&name)?;
    let _lock = directory.lock(Work::Staging)?;
    let (target, partial) = (directory.place("droplet.tgz"), directory.place("droplet.partial"));
    let copied = fs::copy(file, &partial).and_then(|_| fs::rename(&partial, &target));
    if copied.is_err() {
        let _gone_anyway = fs::remove_file(&partial);
    }
    copied.map_err(CellError::on(target.display().to_string()))?;
    let mut app = definition::of_droplet(&directory.name, flags.command.clone());
    let _root = rewall(&mut app, flags, &directory, context)?;
    directory.write(&app)?;
    Ok(directory)
}

/// An app that was staged before, with what the flags say otherwise.
fn change(flags: &Run, context: &Context) -> Result<AppDirectory, CellError> {
    let directory = app(&flags.droplet, context)?;
    let has_walls = flags.stack.is_some() || flags.isolation.is_some();
    let Some(mut app) = directory.read()? else { return Ok(directory) };
    if !has_walls && app.isolation == Isolation::None {
        // Another `--isolation` may have been long ago.
        context.screen.tell(&Event::Warning { text: &isolation::no_isolation("") });
    }
    if has_walls || flags.command.is_some() {
        let _lock = directory.lock(Work::Staging)?;
        let _root = if has_walls { rewall(&mut app, flags, &directory, context)? } else { None };
        if let Some(web) = app.processes.first_mut() {
            web.command = flags.command.clone().or_else(|| web.command.take());
        }
        directory.write(&app)?;
    }
    Ok(directory)
}

/// Whether the app's containers are such as only root makes.
fn needs_root(flags: &Run, file: &Path, context: &Context) -> Result<bool, CellError> {
    let is_recorded = flags.stack.is_none() && flags.isolation.is_none() && !file.is_file();
    if is_recorded {
        let app = app(&flags.droplet, context)?.read()?;
        return Ok(app.is_some_and(|app| app.isolation != Isolation::None));
    }
    let Some(name) = &flags.stack else { return Ok(flags.isolation.is_some()) };
    Ok(push::stack(flags.stacks.as_deref(), name, context)?.rootfs.is_some())
}

/// Gives an app the stack and walls that the flags say.
fn rewall(
    app: &mut App,
    flags: &Run,
    directory: &AppDirectory,
    context: &Context,
) -> Result<Option<Root>, CellError> {
    let name = flags.stack.as_ref().unwrap_or(&app.stack);
    let stack = push::stack(flags.stacks.as_deref(), name, context)?;
    push::walls(app, &stack, flags.isolation, directory, context)
}

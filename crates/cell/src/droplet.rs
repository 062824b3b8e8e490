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
use crate::state::{AppDirectory, StateError};

/// An app runs under its own name.
const NAMED: &str = "error: --name is for a droplet that is a file, and there is no such file";

/// `cell run`: an app that was pushed, or a droplet that is a file, which becomes an app.
pub(crate) fn run(flags: &Run, context: &Context) -> Result<(), CellError> {
    let file = Path::new(&flags.droplet);
    push::become_root(flags.isolation, context, || needs_root(flags, file, context))?;
    let Order { app, directory, _root } = if file.is_file() {
        adopt(file, flags, context)?
    } else if flags.name.is_some() {
        return Err(CellError::CommandLine(NAMED.to_owned()));
    } else {
        change(flags, context)?
    };
    start(&app, &directory, flags.bundle.as_deref(), flags.detach, context)
}

/// What is to run.
struct Order {
    app: App,
    directory: AppDirectory,
    /// Its root file system stays until its supervisor has it.
    _root: Option<Root>,
}

/// The app of that name, where there is no such file.
pub(crate) fn app(droplet: &OsStr, context: &Context) -> Result<AppDirectory, CellError> {
    context.state.app(&droplet.to_string_lossy()).map_err(|error| match error {
        StateError::Unknown(name) | StateError::Name(name) => CellError::Neither(name),
        other => other.into(),
    })
}

/// Makes an app of a droplet that is a file; the flags say what it is from now on.
fn adopt(file: &Path, flags: &Run, context: &Context) -> Result<Order, CellError> {
    inspect::read(file)?;
    let name = flags.name.clone().unwrap_or_else(|| definition::name_of_archive(file));
    let directory = context.state.make_app(&name)?;
    let lock = push::lock(&directory, context)?;
    let mut app = definition::of_droplet(&directory.name, flags.command.clone());
    let root = rewall(&mut app, flags, &directory, context)?;
    let target = directory.droplet(&app);
    let copied = fs::copy(file, &target);
    if copied.is_err() {
        let _gone_anyway = fs::remove_file(&target);
    }
    copied.map_err(CellError::on(target.display().to_string()))?;
    directory.write(&app, &lock)?;
    Ok(Order { app, directory, _root: root })
}

/// An app that was staged before; what the flags say otherwise is for this run alone.
fn change(flags: &Run, context: &Context) -> Result<Order, CellError> {
    let directory = app(&flags.droplet, context)?;
    let staged = directory.read()?;
    let mut app = staged.ok_or_else(|| CellError::NotStaged(directory.name.clone()))?;
    let mut root = None;
    if flags.stack.is_some() || flags.isolation.is_some() {
        // A container is made where stagings are, to try the walls.
        let _lock = push::lock(&directory, context)?;
        root = rewall(&mut app, flags, &directory, context)?;
    } else if app.isolation == Isolation::None {
        // Another `--isolation` may have been long ago.
        context.screen.tell(&Event::Warning { text: &isolation::no_isolation("") });
    }
    if let Some(web) = app.processes.first_mut() {
        web.command = flags.command.clone().or_else(|| web.command.take());
    }
    Ok(Order { app, directory, _root: root })
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

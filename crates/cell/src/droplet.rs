//! `cell run`: an app that was staged before, or a droplet that is a file, which becomes an app.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::command_line::Run;
use crate::container::Isolation;
use crate::definition;
use crate::error::CellError;
use crate::inspect;
use crate::isolation;
use crate::push::{self, Context};
use crate::run::{Order, start};
use crate::screen::Event;
use crate::stacks::Stack;
use crate::state::{AppDirectory, StateError, Work};

/// What a staging leaves beside its droplet, and tells an app that was pushed.
const RESULTS: [&str; 2] = ["result.json", "staging_report.json"];
/// An app runs under its own name.
const NAMED: &str = "error: --name is for a droplet that is a file, and there is no such file";

/// `cell run`: an app that was pushed, or a droplet that is a file, which becomes an app.
pub(crate) fn run(flags: &Run, context: &Context) -> Result<(), CellError> {
    let file = Path::new(&flags.droplet);
    let order = if file.is_file() {
        adopt(file, flags, context)?
    } else if flags.name.is_some() {
        return Err(CellError::CommandLine(NAMED.to_owned()));
    } else {
        change(flags, context)?
    };
    start(order, flags.bundle.as_deref(), flags.detach, context)
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
    let report = inspect::read(file)?.staging_report.unwrap_or_default();
    let stack = enter(report["stack"].as_str().unwrap_or_default(), flags, context)?;
    let name = flags.name.clone().unwrap_or_else(|| definition::name_of_archive(file));
    let directory = context.state.make_app(&name)?;
    let lock = push::lock(&directory, context)?;
    let earlier = directory.read()?;
    let results = RESULTS.map(|name| directory.place(name));
    if flags.name.is_none() && earlier.is_some() && results.iter().any(|it| it.exists()) {
        return Err(CellError::Pushed(name));
    }
    let mut app = definition::of_droplet(&name, flags.command.clone());
    app.guid = earlier.map_or(app.guid, |earlier| earlier.guid);
    let root = push::walls(&mut app, &stack, flags.isolation, &directory, context)?;
    let target = directory.droplet(&app);
    let copied = fs::copy(file, &target);
    if copied.is_err() {
        let _gone_anyway = fs::remove_file(&target);
    }
    copied.map_err(CellError::on(target.display().to_string()))?;
    directory.write(&app, &lock)?;
    for of_earlier in results {
        let _there_may_be_none = fs::remove_file(of_earlier);
    }
    Ok(Order { app, directory, lock: Some(lock), _root: root })
}

/// An app that was staged before; what the flags say otherwise is for this run alone.
fn change(flags: &Run, context: &Context) -> Result<Order, CellError> {
    let directory = app(&flags.droplet, context)?;
    // Read while nobody replaces it and its droplet; who becomes root below comes by here again.
    let lock = directory.lock(Work::Staging)?;
    let staged = directory.read()?;
    let mut app = staged.ok_or_else(|| CellError::NotStaged(directory.name.clone()))?;
    let mut root = None;
    if flags.stack.is_some() || flags.isolation.is_some() {
        let stack = enter(&app.stack, flags, context)?;
        // A container is made where stagings are, to try the walls.
        push::clean_up(&directory, &lock, context)?;
        root = push::walls(&mut app, &stack, flags.isolation, &directory, context)?;
    } else if app.isolation == Isolation::None {
        // Another `--isolation` may have been long ago.
        context.screen.tell(&Event::Warning { text: &isolation::no_isolation("") });
    } else {
        push::become_root(None, context, || Ok(true))?;
    }
    if let Some(web) = app.processes.first_mut() {
        web.command = flags.command.clone().or_else(|| web.command.take());
    }
    Ok(Order { app, directory, lock: Some(lock), _root: root })
}

/// The stack that the flags name, else that of `staged_on`; becomes root where its containers need that.
fn enter(staged_on: &str, flags: &Run, context: &Context) -> Result<Stack, CellError> {
    let stacks = push::stacks(flags.stacks.as_deref(), context)?;
    let stack = push::stack(&stacks, flags.stack.as_deref().unwrap_or(staged_on), context)?;
    push::become_root(flags.isolation, context, || Ok(stack.rootfs.is_some()))?;
    push::warn(&stacks.warnings, context);
    Ok(stack)
}

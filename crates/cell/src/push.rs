//! `cell stage` and `cell push`: the story from an app's directory to a running app.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lifecycle::download::Held;
use lifecycle::environment::Environment;

use crate::app::App;
use crate::buildpacks::{self, Buildpack};
use crate::builtin;
use crate::bundle;
use crate::command_line::{IsolationName, Push, Stage};
use crate::definition::{self, Definition, DefinitionError};
use crate::error::CellError;
use crate::follow::Follower;
use crate::interrupt::Interrupt;
use crate::isolation::{self, Circumstances};
use crate::log::Log;
use crate::package::Package;
use crate::progress;
use crate::roots::Root;
use crate::run::{self, Order};
use crate::screen::{Event, Screen};
use crate::stacks::{self, HOST, Stack, Stacks};
use crate::staging::{self, Staged};
use crate::state::{AppDirectory, Lock, State, Work};
use crate::subordinates;
use crate::warehouse::Warehouse;

/// Where everything is, and where it is told.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// This program's environment.
    pub(crate) environment: Environment,
    /// This machine's apps.
    pub(crate) state: State,
    /// The terminal.
    pub(crate) screen: Screen,
    /// Its Ctrl-C.
    pub(crate) interrupt: Interrupt,
}

/// Stages the apps and tells where their droplets are.
pub(crate) fn stage(flags: &Stage, context: &Context) -> Result<(), CellError> {
    let definitions = definition::read(flags)?;
    let stacks = enter(&definitions, flags, context)?;
    for definition in definitions {
        let directory = context.state.make_app(&definition.app.name)?;
        staged(definition, &stacks, flags, &directory, context)?;
    }
    Ok(())
}

/// Stages the apps, runs them in the place of what ran, and follows the log, if there is one app.
pub(crate) fn push(flags: &Push, context: &Context) -> Result<(), CellError> {
    let mut definitions = definition::read(&flags.stage)?;
    let is_one = definitions.len() == 1;
    if !is_one && (flags.command.is_some() || flags.memory.is_some() || flags.instances.is_some()) {
        let names = definitions.into_iter().map(|it| it.app.name).collect();
        return Err(DefinitionError::Several(names).into());
    }
    for definition in &mut definitions {
        if let Some(web) = definition.app.processes.first_mut() {
            web.command = flags.command.clone().or_else(|| web.command.take());
            web.memory = flags.memory.map_or(web.memory, |it| it.0);
            web.instances = flags.instances.unwrap_or(web.instances);
        }
    }
    let stacks = enter(&definitions, &flags.stage, context)?;
    for definition in definitions {
        let directory = context.state.make_app(&definition.app.name)?;
        let (app, lock) = staged(definition, &stacks, &flags.stage, &directory, context)?;
        let order = Order { app, directory, lock: Some(lock), _root: None };
        let detach = flags.detach || !is_one;
        run::start(order, flags.stage.bundle.as_deref(), detach, context)?;
        if context.interrupt.has_happened() {
            return Ok(());
        }
    }
    if !is_one && !flags.detach {
        let text = "Their logs: cell logs APP; to stop one: cell stop APP";
        context.screen.tell(&Event::Step { text });
    }
    Ok(())
}

/// Refuses what no machine can run; where containers are to be made that only root can make, becomes root of a namespace.
/// The stacks there are.
fn enter(
    definitions: &[Definition],
    flags: &Stage,
    context: &Context,
) -> Result<Stacks, CellError> {
    for definition in definitions {
        definition::limit_instances(&definition.app)?;
    }
    let stacks = stacks(flags.stacks.as_deref(), context)?;
    for name in definitions.iter().map(|definition| &definition.app.stack) {
        let needs_root = || Ok(stack(&stacks, name, context)?.rootfs.is_some());
        become_root(flags.isolation, context, needs_root)?;
    }
    // Now that nothing is done once more as root.
    warn(&stacks.warnings, context);
    Ok(stacks)
}

/// Tells what was passed over.
pub(crate) fn warn(warnings: &[String], context: &Context) {
    for text in warnings {
        context.screen.tell(&Event::Warning { text });
    }
}

/// Unless it is not needed, or can't be done: then that is told where walls are chosen.
pub(crate) fn become_root(
    wanted: Option<IsolationName>,
    context: &Context,
    needs_root: impl FnOnce() -> Result<bool, CellError>,
) -> Result<(), CellError> {
    if !subordinates::is_root()
        && wanted != Some(IsolationName::None)
        && needs_root()?
        && subordinates::are_there().is_ok()
    {
        return Err(subordinates::enter(&context.environment));
    }
    Ok(())
}

/// Keeps other cells from changing what is staged, and removes what one left that was killed.
pub(crate) fn lock(directory: &AppDirectory, context: &Context) -> Result<Lock, CellError> {
    let lock = directory.lock(Work::Staging)?;
    clean_up(directory, &lock, context)?;
    Ok(lock)
}

/// Removes what a staging left that was killed.
pub(crate) fn clean_up(
    directory: &AppDirectory,
    lock: &Lock,
    context: &Context,
) -> Result<(), CellError> {
    if directory.clean_up(Work::Staging, lock)? {
        let text =
            format!("What a staging of '{}' left that was killed is removed", directory.name);
        context.screen.tell(&Event::Warning { text: &text });
    }
    Ok(())
}

/// Stages what `definition` says, and keeps the app for its next run; nobody else stages it while the lock is kept.
fn staged(
    definition: Definition,
    stacks: &Stacks,
    flags: &Stage,
    directory: &AppDirectory,
    context: &Context,
) -> Result<(App, Lock), CellError> {
    let began = Instant::now();
    warn(&definition.warnings, context);
    let lock = lock(directory, context)?;
    let stack = stack(stacks, &definition.app.stack, context)?;
    let mut app = definition.app;
    let _root = walls(&mut app, &stack, flags.isolation, directory, context)?;
    if let Some(earlier) = directory.read()? {
        app.guid = earlier.guid;
    }
    let warehouse = Warehouse::open(&context.state, &context.environment)?;
    let bundle = bundle(flags, &stack, &warehouse, context)?;
    let chosen = progress::downloading("buildpacks", context, || {
        buildpacks::choose(&definition.buildpacks, &stack, &definition.base, &warehouse)
    })?;
    let downloaded = began.elapsed();
    let text = format!("Staging {} on stack {} with {}", app.name, stack.name, names(&chosen));
    context.screen.tell(&Event::Step { text: &text });
    let log = Log::open(&directory.place("log"))
        .map_err(CellError::on(directory.place("log").display().to_string()))?;
    let package = Package::new(&definition.files, &context.state.place(""))
        .map_err(staging::StagingError::from)?;
    let order = staging::Order {
        app: &app,
        directory,
        package: &package,
        lifecycle: bundle.path(),
        buildpacks: &chosen,
        chosen: !definition.buildpacks.is_empty(),
        log: &log,
    };
    let mut staged = watched(order, directory, context)?;
    staged.phases.insert("download".to_owned(), milliseconds(downloaded));
    directory.write(&staged.app, &lock)?;
    tell(&staged, directory, began, &context.screen);
    Ok((staged.app, lock))
}

/// The lifecycle bundle.
fn bundle(
    flags: &Stage,
    stack: &Stack,
    warehouse: &Warehouse,
    context: &Context,
) -> Result<Held, CellError> {
    let given = flags.bundle.as_deref();
    let bundle = progress::downloading("the lifecycle bundle", context, || {
        bundle::fetch(given, &stack.architecture, &context.state, warehouse)
    })?;
    if !bundle.was_cached() {
        let text = format!("Downloaded the lifecycle bundle ({})", bundle.size());
        context.screen.tell(&Event::Step { text: &text });
    }
    Ok(bundle)
}

/// Stages while the log of it is printed.
fn watched(
    order: staging::Order<'_>,
    directory: &AppDirectory,
    context: &Context,
) -> Result<Staged, CellError> {
    let log = directory.place("log");
    let interrupt = context.interrupt.attend().map_err(CellError::on("signals"))?;
    let follower = Follower::at_end(&log, &context.screen);
    let mut follower = follower.map_err(CellError::on(log.display().to_string()))?;
    let activity = context.screen.begin("Staging");
    std::thread::scope(|scope| {
        let staging = scope.spawn(|| staging::stage(order, |reach| interrupt.ends(reach)));
        let printed = follower.follow(|last| {
            activity.is(progress::phase(&directory.place(Work::Staging.containers()), last));
            staging.is_finished()
        });
        let staged = match staging.join() {
            Ok(staged) => staged?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        printed.map_err(CellError::on(log.display().to_string()))?;
        Ok(staged)
    })
}

fn tell(staged: &Staged, directory: &AppDirectory, began: Instant, screen: &Screen) {
    screen.tell(&Event::Staged {
        app: &staged.app.name,
        droplet: &directory.droplet(&staged.app).display().to_string(),
        buildpack: &staged.detected,
        used_cache: staged.used_cache,
        milliseconds: milliseconds(began.elapsed()),
        phases: &staged.phases,
    });
}

/// The whole milliseconds of a time.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn names(buildpacks: &[Buildpack]) -> String {
    let names: Vec<_> = buildpacks.iter().map(|it| it.name.as_str()).collect();
    if names.is_empty() { "no buildpacks".to_owned() } else { names.join(", ") }
}

/// Gives an app its stack and walls; what they lack is told. Its root file system stays until the app is recorded, or
/// runs, if what is returned is kept as long.
pub(crate) fn walls(
    app: &mut App,
    stack: &Stack,
    wanted: Option<IsolationName>,
    directory: &AppDirectory,
    context: &Context,
) -> Result<Option<Root>, CellError> {
    let circumstances = Circumstances {
        environment: &context.environment,
        state: &context.state,
        trial: &directory.place(Work::Staging.containers()),
    };
    let text = format!("Unpacking the root file system of stack {}", stack.name);
    let mut unpacking = None;
    let begin = || {
        context.screen.tell(&Event::Step { text: &text });
        unpacking = Some(context.screen.begin(text.as_str()));
    };
    let choice = isolation::choose(wanted, stack, circumstances, begin)?;
    drop(unpacking);
    warn(&choice.words, context);
    app.stack.clone_from(&stack.name);
    app.architecture = Some(stack.architecture.name().to_owned());
    app.isolation = choice.isolation;
    Ok(choice.root)
}

/// The stack `name`, without a name the first.
pub(crate) fn stack(stacks: &Stacks, name: &str, context: &Context) -> Result<Stack, CellError> {
    let found = stacks.stacks.iter().find(|stack| name.is_empty() || stack.name == name);
    let names = || stacks.stacks.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = found.ok_or_else(|| CellError::Stack { name: name.to_owned(), known: names() })?;
    let mut stack = found.clone();
    builtin::complete(&mut stack, &context.state)?;
    Ok(stack)
}

/// The stacks there are: the file's, and the machine's own.
pub(crate) fn stacks(file: Option<&Path>, context: &Context) -> Result<Stacks, CellError> {
    let mut read = read_stacks(file, context)?;
    if !read.stacks.iter().any(|stack| stack.name == HOST) {
        read.stacks.push(builtin::stack(&context.state)?);
    }
    Ok(read)
}

/// `--stacks`, else `CELL_STACKS`, else `stacks.yml` here; without any there is the machine's own.
fn read_stacks(file: Option<&Path>, context: &Context) -> Result<Stacks, CellError> {
    let named = file
        .map(Path::to_owned)
        .or_else(|| context.environment.get("CELL_STACKS").map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| PathBuf::from("stacks.yml"));
    let Some(text) = lifecycle::file::read(&path)? else {
        return match named {
            Some(path) => Err(DefinitionError::Missing(path).into()),
            None => Ok(Stacks::default()),
        };
    };
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    stacks::read(&text, directory).map_err(|source| CellError::Stacks { path, source })
}

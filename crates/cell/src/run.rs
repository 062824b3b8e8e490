//! Running apps: the supervisor that is left behind, and the commands that ask it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lifecycle::architecture::Architecture;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::app::{App, CheckKind};
use crate::bundle;
use crate::command_line::{Logs, Run, Ssh};
use crate::container::Isolation;
use crate::control::{self, Question, Report};
use crate::definition;
use crate::error::CellError;
use crate::follow::Follower;
use crate::inspect;
use crate::instance::State as InstanceState;
use crate::interrupt::Attended;
use crate::keys;
use crate::log::Log;
use crate::push::{self, Context, milliseconds};
use crate::screen::Event;
use crate::state::{AppDirectory, Work};
use crate::supervisor::{self, Common};
use crate::warehouse::Warehouse;

/// An app runs under its own name.
const NAMED: &str = "error: --name is for a droplet that is a file, and there is no such file";
/// Where a supervisor says why it ends.
const LAST_WORDS: &str = "last-words";
/// How often a supervisor is asked how it goes.
const PAUSE: Duration = Duration::from_millis(25);
/// How long a supervisor may take to answer for the first time.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the app as it was last staged, in the place of what runs of it; tells where it is and follows its log.
pub fn run(
    directory: &AppDirectory,
    bundle: Option<&str>,
    detach: bool,
    context: &Context,
) -> Result<(), CellError> {
    let app = directory.read()?.ok_or_else(|| CellError::NotStaged(directory.name.clone()))?;
    stop_if_running(directory, context)?;
    let began = Instant::now();
    let log = directory.place("log");
    let follower = Follower::at_end(&log, &context.screen);
    let mut follower = follower.map_err(CellError::on(log.display().to_string()))?;
    let interrupt = context.interrupt.attend().map_err(CellError::on("signals"))?;
    let mut supervisor = start_supervisor(directory, bundle)?;
    let activity = context.screen.begin(format!("Starting {}", app.name));
    await_health(&app, directory, &mut supervisor, &mut follower, &interrupt)?;
    drop(activity);
    if !interrupt.has_happened() {
        tell_running(&app, directory, milliseconds(began.elapsed()), context)?;
    }
    if !detach || interrupt.has_happened() {
        follower
            .follow(|_| interrupt.ends_reading())
            .map_err(CellError::on(log.display().to_string()))?;
        let text =
            format!("\n{0} goes on. Its log: cell logs {0}; to stop it: cell stop {0}", app.name);
        context.screen.tell(&Event::Step { text: &text });
    }
    Ok(())
}

/// `cell run`: an app that was pushed, or a droplet that is a file, which becomes an app.
pub fn run_droplet(flags: &Run, context: &Context) -> Result<(), CellError> {
    let file = Path::new(&flags.droplet);
    push::become_root(flags.isolation, context, || needs_root(flags, file, context))?;
    let directory = if file.is_file() {
        inspect::read(file)?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let directory = context.state.make_app(&flags.name.clone().unwrap_or(stem))?;
        let _lock = directory.lock(Work::Staging)?;
        let (target, partial) =
            (directory.place("droplet.tgz"), directory.place("droplet.partial"));
        let copied = fs::copy(file, &partial).and_then(|_| fs::rename(&partial, &target));
        if copied.is_err() {
            let _gone_anyway = fs::remove_file(&partial);
        }
        copied.map_err(CellError::on(target.display().to_string()))?;
        let mut app = definition::of_droplet(&directory.name, flags.command.clone());
        rewall(&mut app, flags, &directory, context)?;
        directory.write(&app)?;
        directory
    } else if flags.name.is_some() {
        return Err(CellError::CommandLine(NAMED.to_owned()));
    } else {
        let directory = context.state.app(&flags.droplet.to_string_lossy())?;
        if let Some(mut app) = directory.read()?
            && (flags.stack.is_some() || flags.isolation.is_some() || flags.command.is_some())
        {
            let _lock = directory.lock(Work::Staging)?;
            if flags.stack.is_some() || flags.isolation.is_some() {
                rewall(&mut app, flags, &directory, context)?;
            }
            if let Some(web) = app.processes.first_mut() {
                web.command = flags.command.clone().or_else(|| web.command.take());
            }
            directory.write(&app)?;
        }
        directory
    };
    run(&directory, flags.bundle.as_deref(), flags.detach, context)
}

/// Whether the app's containers are such as only root makes.
fn needs_root(flags: &Run, file: &Path, context: &Context) -> Result<bool, CellError> {
    let is_recorded = flags.stack.is_none() && flags.isolation.is_none() && !file.is_file();
    if is_recorded {
        let app = context.state.app(&file.to_string_lossy())?.read()?;
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
) -> Result<(), CellError> {
    let name = flags.stack.as_ref().unwrap_or(&app.stack);
    let stack = push::stack(flags.stacks.as_deref(), name, context)?;
    push::walls(app, &stack, flags.isolation, directory, context)
}

/// Starts `cell supervise` in a session of its own.
fn start_supervisor(directory: &AppDirectory, bundle: Option<&str>) -> Result<Child, CellError> {
    let own = env::current_exe().map_err(CellError::on("this program's own file"))?;
    let mut command = Command::new(own);
    command.arg("supervise").arg(&directory.name);
    command.args(bundle.iter().flat_map(|bundle| ["--bundle", bundle]));
    let path = directory.place(LAST_WORDS);
    let words = File::create(&path).map_err(CellError::on(path.display().to_string()))?;
    // The user's Ctrl-C is for what is in front of them, and whoever reads our output is not to wait for it.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(words);
    command.spawn().map_err(CellError::on("cell supervise"))
}

/// Prints the log until all instances run; an error when one crashed before.
fn await_health(
    app: &App,
    directory: &AppDirectory,
    supervisor: &mut Child,
    follower: &mut Follower,
    interrupt: &Attended<'_>,
) -> Result<(), CellError> {
    let began = Instant::now();
    let mut outcome = Ok(());
    let log = directory.place("log").display().to_string();
    let printed = follower.follow(|_| {
        let ended = supervisor.try_wait().map_or(true, |status| status.is_some());
        match control::ask(&directory.path, &Question::Status) {
            Ok(reports) => match crashed(&reports) {
                Some(reason) => {
                    outcome = Err(CellError::Crashed { name: app.name.clone(), reason });
                }
                None => {
                    return reports.iter().all(|it| it.status.state == InstanceState::Running)
                        || interrupt.has_happened();
                }
            },
            Err(_) if !ended && began.elapsed() < PATIENCE => return interrupt.has_happened(),
            Err(error) => outcome = Err(failure(directory, error)),
        }
        true
    });
    printed.map_err(CellError::on(log))?;
    outcome
}

/// Why there is no supervisor: its last words, or `error` from asking it.
fn failure(directory: &AppDirectory, error: io::Error) -> CellError {
    match fs::read_to_string(directory.place(LAST_WORDS)) {
        Ok(words) if !words.trim().is_empty() => CellError::Supervisor(words.trim().to_owned()),
        _ => CellError::on("the app's supervisor")(error),
    }
}

/// Why an instance crashed, if one did.
fn crashed(reports: &[Report]) -> Option<String> {
    let report = reports.iter().find(|report| report.status.crashes > 0)?;
    report.status.reason.clone()
}

fn tell_running(
    app: &App,
    directory: &AppDirectory,
    milliseconds: u64,
    context: &Context,
) -> Result<(), CellError> {
    let reports = control::ask(&directory.path, &Question::Status);
    let reports = reports.map_err(|_| CellError::NotRunning(app.name.clone()))?;
    let listens = app.processes.first().is_some_and(|web| web.health.kind != CheckKind::Process);
    let url = reports.first().filter(|_| listens).map(url);
    let ssh = format!("cell ssh {}", app.name);
    let (app, url) = (app.name.as_str(), url.as_deref());
    context.screen.tell(&Event::Running { app, url, ssh: &ssh, milliseconds });
    Ok(())
}

fn url(report: &Report) -> String {
    format!("http://{}:{}", Ipv4Addr::LOCALHOST, report.status.port)
}

/// `cell supervise`: keeps the app running until it is stopped.
pub fn supervise(name: &str, bundle: Option<&str>, context: &Context) -> Result<(), CellError> {
    let directory = context.state.app(name)?;
    let app = directory.read()?.ok_or_else(|| CellError::NotStaged(name.to_owned()))?;
    let lock = directory.lock(Work::Running)?;
    directory.clean_up(Work::Running, &lock)?;
    let warehouse = Warehouse::open(&context.state, &context.environment)?;
    let architecture = app.architecture.as_deref();
    let architecture = architecture.map_or_else(Architecture::own, Architecture::named);
    let held = bundle::fetch(bundle, &architecture, &context.state, &warehouse)?;
    drop(warehouse);
    let common = Common {
        app,
        directory: directory.path.clone(),
        lifecycle: held.path().to_owned(),
        keys: keys::of(&directory)?,
        log: Log::open(&directory.place("log")).map_err(CellError::on("the app's log"))?,
    };
    let listener =
        control::listen(&directory.path).map_err(CellError::on("the app's control socket"))?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(CellError::on("signals"))?;
    let path = directory.path.clone();
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _stopped_already = control::ask(&path, &Question::Stop);
        }
    });
    supervisor::keep(&common, &listener);
    Ok(())
}

/// `cell stop`.
pub fn stop(name: &str, context: &Context) -> Result<(), CellError> {
    let directory = context.state.app(name)?;
    if stop_if_running(&directory, context)? {
        context.screen.tell(&Event::Stopped { app: name });
        Ok(())
    } else {
        Err(CellError::NotRunning(name.to_owned()))
    }
}

/// Stops what runs of the app, and removes what a killed supervisor left; whether there was something.
fn stop_if_running(directory: &AppDirectory, context: &Context) -> Result<bool, CellError> {
    let stopped = control::ask(&directory.path, &Question::Stop).is_ok();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match directory.lock(Work::Running) {
            Ok(lock) => {
                let cleaned = directory.clean_up(Work::Running, &lock)?;
                if cleaned && !stopped {
                    tell_remains(&directory.name, "is removed", context);
                }
                return Ok(cleaned || stopped);
            }
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn tell_remains(name: &str, fate: &str, context: &Context) {
    let text = format!("What '{name}' left when the process that kept it was killed {fate}");
    context.screen.tell(&Event::Warning { text: &text });
}

/// `cell ps`.
pub fn list(context: &Context) -> Result<(), CellError> {
    let was_staged = |it: &AppDirectory| it.place("app.json").exists();
    for directory in context.state.apps()?.into_iter().filter(was_staged) {
        let reports = control::ask(&directory.path, &Question::Status).unwrap_or_default();
        if reports.is_empty() {
            let left = directory.place(Work::Running.containers()).exists();
            if left && !directory.is_at(Work::Running) {
                let fate = format!("is still there; to remove it: cell stop {}", directory.name);
                tell_remains(&directory.name, &fate, context);
            }
            tell_instance(&directory.name, None, &[], context);
        }
        let silent = if reports.is_empty() { Vec::new() } else { silent(&directory)? };
        for report in &reports {
            tell_instance(&directory.name, Some(report), &silent, context);
        }
    }
    Ok(())
}

/// The process types of an app that listen to nothing.
fn silent(directory: &AppDirectory) -> Result<Vec<String>, CellError> {
    let processes = directory.read()?.map(|app| app.processes).unwrap_or_default();
    let silent = processes.into_iter().filter(|it| it.health.kind == CheckKind::Process);
    Ok(silent.map(|it| it.kind).collect())
}

fn tell_instance(app: &str, report: Option<&Report>, silent: &[String], context: &Context) {
    let url = report.filter(|it| !silent.contains(&it.process)).map(url);
    let state = report.map_or(InstanceState::Down, |report| report.status.state);
    context.screen.tell(&Event::Instance {
        app,
        process: report.map_or("web", |report| report.process.as_str()),
        index: report.map_or(0, |report| report.index),
        state: state.name(),
        ready: report.is_some_and(|report| report.status.ready),
        url: url.as_deref(),
        crashes: report.map_or(0, |report| report.status.crashes),
    });
}

/// `cell logs`.
pub fn logs(flags: &Logs, context: &Context) -> Result<(), CellError> {
    let path = context.state.app(&flags.name)?.place("log");
    let interrupt = context.interrupt.attend().map_err(CellError::on("signals"))?;
    let mut follower = Follower::at_start(&path, &context.screen);
    let printed = follower.follow(|_| flags.recent || interrupt.ends_reading());
    printed.map_err(CellError::on(path.display().to_string()))
}

/// What the shell there reads: one word as it is; several as they are typed here, which `ssh` would join by blanks.
fn shell_text(words: &[OsString]) -> OsString {
    let quoted = |word: &OsString| {
        let pieces: Vec<_> = word.as_bytes().split(|&byte| byte == b'\'').collect();
        [b"'", pieces.join(&br"'\''"[..]).as_slice(), b"'"].concat()
    };
    match words {
        [text] => text.clone(),
        words => OsString::from_vec(words.iter().map(quoted).collect::<Vec<_>>().join(&b' ')),
    }
}

/// `cell ssh`: OpenSSH's client does it, with the app's key and no file of the user's.
pub fn ssh(flags: &Ssh, context: &Context) -> Result<(), CellError> {
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
    let known = directory.place("known_hosts");
    let address = format!("[{}]:{}", Ipv4Addr::LOCALHOST, report.status.ssh_port);
    let line = format!("{address} {}\n", keys::of(&directory).map_err(CellError::from)?.public);
    crate::state::write_private(&known, line.as_bytes())?;
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
    command.arg("-o").arg(format!("UserKnownHostsFile=\"{}\"", known.display()));
    command.arg("-i").arg(directory.place("key"));
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

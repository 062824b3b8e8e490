//! Running an app that was staged: leaves its supervisor behind, tells where it answers, and follows its log.

use std::env;
use std::fs::{self, File};
use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lifecycle::report::chain;
use lifecycle::sys::in_own_session;

use crate::app::App;
use crate::control::{self, Question, Report};
use crate::error::CellError;
use crate::follow::Follower;
use crate::instance::status::State;
use crate::interrupt::Attended;
use crate::push::{Context, milliseconds};
use crate::roots::{Root, unused};
use crate::screen::Event;
use crate::shell_words::typed;
use crate::state::{AppDirectory, Lock};
use crate::stop::stop_if_running;
use crate::subordinates;
use crate::supervisor;

/// The process that `cell ssh` enters unless told otherwise.
const WEB: &str = "web";
/// Where a supervisor says why it ends.
const LAST_WORDS: &str = "last-words";
/// How long a supervisor may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is to run.
#[derive(Debug)]
pub(crate) struct Order {
    /// The app, which was staged.
    pub(crate) app: App,
    /// Its directory.
    pub(crate) directory: AppDirectory,
    /// Keeps other cells from staging it until its supervisor has its droplet: they would remove that.
    pub(crate) lock: Option<Lock>,
    /// Its root file system stays until its supervisor has it.
    pub(crate) _root: Option<Root>,
}

/// Runs the app in the place of what runs of it; tells where it is and follows its log.
pub(crate) fn start(
    mut order: Order,
    bundle: Option<&str>,
    detach: bool,
    context: &Context,
) -> Result<(), CellError> {
    stop_if_running(&order.directory, context)?;
    let began = Instant::now();
    let log = order.directory.place("log");
    let follower = Follower::at_end(&log, &context.screen);
    let mut follower = follower.map_err(CellError::on(log.display().to_string()))?;
    let interrupt = context.interrupt.attend().map_err(CellError::on("signals"))?;
    let mut supervisor = start_supervisor(&order.app, &order.directory, bundle)?;
    let activity = context.screen.begin(format!("Starting {}", order.app.name));
    await_health(&mut order, &mut supervisor, &mut follower, &interrupt)?;
    drop(activity);
    let Order { app, directory, .. } = &order;
    if !interrupt.has_happened() {
        tell_running(app, directory, milliseconds(began.elapsed()), context)?;
    }
    if let Err(error) = remove_roots(context) {
        let text = format!("Root file systems that may be unused stay: {}", chain(&error));
        context.screen.tell(&Event::Warning { text: &text });
    }
    if !detach || interrupt.has_happened() {
        follower
            .follow(|_| interrupt.ends_reading())
            .map_err(CellError::on(log.display().to_string()))?;
        let text = whether_it_goes_on(&order, &mut supervisor);
        context.screen.tell(&Event::Step { text: &text });
    }
    Ok(())
}

/// What is said of the app once its log is not followed any more.
fn whether_it_goes_on(order: &Order, supervisor: &mut Child) -> String {
    let (name, typed) = (&order.app.name, typed(&order.app.name));
    let answers = control::ask(&order.directory.path, &Question::Status).is_ok();
    match supervisor.try_wait() {
        Ok(Some(ended)) if !answers && ended.success() => {
            format!("\n{name} was stopped meanwhile")
        }
        // It was killed, or never could run the app.
        Ok(Some(_)) | Err(_) if !answers => format!("\n{name} does not run any more"),
        _ => format!("\n{name} goes on. Its log: cell logs {typed}; to stop it: cell stop {typed}"),
    }
}

/// Removes the root file systems whose archive or directory is gone or has changed, and with which no app was staged.
fn remove_roots(context: &Context) -> Result<(), CellError> {
    if !subordinates::is_root() {
        return Ok(());
    }
    let records = || context.state.records().map_err(CellError::from);
    let removed = unused::sweep(&context.state.place("roots"), records)?;
    if removed > 0 {
        let text = format!(
            "Root file systems that no app uses and whose archive or directory is gone or has changed are removed: {removed}"
        );
        context.screen.tell(&Event::Step { text: &text });
    }
    Ok(())
}

/// Starts `cell supervise` in a session of its own.
fn start_supervisor(
    app: &App,
    directory: &AppDirectory,
    bundle: Option<&str>,
) -> Result<Child, CellError> {
    let own = env::current_exe().map_err(CellError::on("this program's own file"))?;
    let mut command = Command::new(own);
    command.arg("supervise").arg(&directory.name);
    command.args(bundle.iter().flat_map(|bundle| ["--bundle", bundle]));
    let path = directory.place(LAST_WORDS);
    let words = File::create(&path).map_err(CellError::on(path.display().to_string()))?;
    // The user's Ctrl-C is for what is in front of them, and whoever reads our output is not to wait for it.
    in_own_session(&mut command).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(words);
    let mut supervisor = command.spawn().map_err(CellError::on("cell supervise"))?;
    // What runs may differ from what was staged: it is told, not recorded.
    if let Some(told) = supervisor.stdin.take() {
        let _its_last_words_say_why = serde_json::to_writer(told, app);
    }
    Ok(supervisor)
}

/// Prints the log until all instances run; an error when one crashed before. Others may stage the app once its
/// supervisor has its droplet.
fn await_health(
    order: &mut Order,
    supervisor: &mut Child,
    follower: &mut Follower,
    interrupt: &Attended<'_>,
) -> Result<(), CellError> {
    let Order { app, directory, lock, .. } = order;
    let mut heard = Instant::now();
    let mut outcome = Ok(());
    let log = directory.place("log").display().to_string();
    let printed = follower.follow(|_| {
        let ended = supervisor.try_wait().ok().flatten();
        lock.take_if(|_| supervisor::has_droplet(directory));
        match control::ask(&directory.path, &Question::Status) {
            Ok(reports) => {
                heard = Instant::now();
                let Some(reason) = crashed(&reports) else {
                    return reports.iter().all(|it| it.status.state == State::Running)
                        || interrupt.has_happened();
                };
                outcome = Err(CellError::Crashed { name: app.name.clone(), reason });
            }
            Err(_) if ended.is_none() && heard.elapsed() < PATIENCE => {
                return interrupt.has_happened() && lock.is_none();
            }
            Err(_) if ended.is_some_and(|status| status.success()) => {
                outcome = Err(CellError::Stopped(app.name.clone()));
            }
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
    let reports = reports.map_err(|_| CellError::Stopped(app.name.clone()))?;
    // Of an app without instances of `web`, that of another process.
    let Some(first) = reports.first() else {
        let text = format!("{} has no instances: nothing runs", app.name);
        context.screen.tell(&Event::Step { text: &text });
        return Ok(());
    };
    let kind = first.process.as_str();
    let url = first.url();
    let process = if kind == WEB { String::new() } else { format!(" --process {}", typed(kind)) };
    let ssh = format!("cell ssh {}{process}", typed(&app.name));
    let (app, url) = (app.name.as_str(), url.as_deref());
    context.screen.tell(&Event::Running { app, url, ssh: &ssh, milliseconds });
    Ok(())
}

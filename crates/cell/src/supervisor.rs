//! Keeps an app's instances running: starts them, starts them again, tells how they are, and stops them.
//!
//! It is a process of its own, so that an app outlives the `cell push` that began it.

use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lifecycle::architecture::Architecture;
use lifecycle::file::FileError;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::app::{App, CheckKind, Process};
use crate::bundle;
use crate::control::{self, Question, Report};
use crate::error::CellError;
use crate::instance::status::{Shared, State, Status, change};
use crate::instance::{self, Ending, Plan};
use crate::keys;
use crate::log::{Log, Stream};
use crate::push::Context;
use crate::recipe::KeyPair;
use crate::restart::Crashes;
use crate::roots::Root;
use crate::state::{self, AppDirectory, Work};
use crate::stopper::Stopper;
use crate::warehouse::Warehouse;

/// How long nobody is heard after a question that could not be taken.
const PAUSE: Duration = Duration::from_millis(25);
/// An app's droplet beside its instances.
const OWN_DROPLET: &str = "droplet.tgz";

/// What all instances of an app have in common.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// The app.
    pub(crate) app: App,
    /// Its directory; containers are made in `instances` below it.
    pub(crate) directory: PathBuf,
    /// The unpacked lifecycle bundle.
    pub(crate) lifecycle: PathBuf,
    /// The app's droplet.
    pub(crate) droplet: PathBuf,
    /// The keys of its SSH servers.
    pub(crate) keys: KeyPair,
    /// Its log.
    pub(crate) log: Log,
}

/// One instance, and how it is.
#[derive(Debug, Clone)]
struct Seen {
    process: String,
    index: u32,
    listens: bool,
    status: Shared,
}

/// One instance, and the thread that keeps it.
#[derive(Debug)]
struct Kept {
    seen: Seen,
    stopper: Arc<Stopper>,
    thread: JoinHandle<()>,
}

/// `cell supervise`: keeps the app that standard input tells running until it is stopped.
pub(crate) fn supervise(
    name: &str,
    bundle: Option<&str>,
    context: &Context,
) -> Result<(), CellError> {
    let directory = context.state.app(name)?;
    let app: App = serde_json::from_reader(io::stdin())
        .map_err(|error| CellError::on("the app on standard input")(error.into()))?;
    let lock = directory.lock(Work::Running)?;
    directory.clean_up(Work::Running, &lock)?;
    let asked = run(app, &directory, bundle, context);
    directory.clean_up(Work::Running, &lock)?;
    for stream in &asked? {
        let _gone = control::answer(stream, &[]);
    }
    Ok(())
}

/// Keeps the app running with all that it needs; who asked to stop it is to be answered.
fn run(
    app: App,
    directory: &AppDirectory,
    bundle: Option<&str>,
    context: &Context,
) -> Result<Vec<UnixStream>, CellError> {
    let droplet = own_droplet(directory, &app)?;
    let warehouse = Warehouse::open(&context.state, &context.environment)?;
    let architecture = app.architecture.as_deref();
    let architecture = architecture.map_or_else(Architecture::own, Architecture::named);
    let held = bundle::fetch(bundle, &architecture, &context.state, &warehouse)?;
    drop(warehouse);
    let _root = app.isolation.root().cloned().map(Root::hold).transpose()?;
    let common = Common {
        app,
        directory: directory.path.clone(),
        lifecycle: held.path().to_owned(),
        droplet,
        keys: keys::of(directory)?,
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
    Ok(keep(&common, listener))
}

/// The app's droplet beside its instances, where it stays whatever is staged meanwhile, and goes with them.
fn own_droplet(directory: &AppDirectory, app: &App) -> Result<PathBuf, CellError> {
    let instances = directory.place(Work::Running.containers());
    state::make_directory(&instances)?;
    let (staged, own) = (directory.droplet(app), instances.join(OWN_DROPLET));
    fs::hard_link(&staged, &own).map_err(FileError::on("link", staged))?;
    Ok(own)
}

/// Whether a supervisor has the droplet that its app is made of: another staging may replace it.
pub(crate) fn has_droplet(directory: &AppDirectory) -> bool {
    directory.place(Work::Running.containers()).join(OWN_DROPLET).exists()
}

/// Keeps the app running until someone asks `listener` to stop it; those who did are to be answered.
fn keep(common: &Common, listener: UnixListener) -> Vec<UnixStream> {
    let mut kept = Vec::new();
    for process in &common.app.processes {
        for index in 0..process.instances {
            kept.push(Kept::start(common, process.clone(), index));
        }
    }
    let seen: Vec<_> = kept.iter().map(|it| it.seen.clone()).collect();
    let (asks, asked) = mpsc::channel();
    thread::spawn(move || answer(&listener, &seen, &asks));
    let first = asked.recv();
    end(kept);
    first.into_iter().chain(asked.try_iter()).collect()
}

/// Answers how the instances are, also while they are stopped; who wants that is passed on.
fn answer(listener: &UnixListener, seen: &[Seen], asks: &Sender<UnixStream>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Such as too many open files: the next one may come as well.
            thread::sleep(PAUSE);
            continue;
        };
        match control::question(&stream) {
            Ok(Question::Status) => {
                let reports: Vec<_> = seen.iter().map(Seen::report).collect();
                let _gone = control::answer(&stream, &reports);
            }
            Ok(Question::Stop) => {
                let _stopped_already = asks.send(stream);
            }
            Err(_) => {}
        }
    }
}

/// Stops all at once and waits for them.
fn end(kept: Vec<Kept>) {
    for instance in &kept {
        instance.stopper.stop();
    }
    for instance in kept {
        let _panicked = instance.thread.join();
    }
}

impl Kept {
    fn start(common: &Common, process: Process, index: u32) -> Self {
        let status = Shared::new(Mutex::new(Status::starting()));
        let stopper = Arc::<Stopper>::default();
        let name = format!("{}-{index}", process.kind);
        let seen = Seen {
            process: process.kind.clone(),
            index,
            listens: process.health.kind != CheckKind::Process,
            status: Shared::clone(&status),
        };
        let plan = Plan {
            app: common.app.clone(),
            process,
            index,
            directory: common.directory.join("instances").join(name),
            lifecycle: common.lifecycle.clone(),
            droplet: common.droplet.clone(),
            keys: common.keys.clone(),
            log: common.log.clone(),
        };
        let told = Arc::clone(&stopper);
        let thread = thread::spawn(move || live(&plan, &status, &told));
        Self { seen, stopper, thread }
    }
}

impl Seen {
    fn report(&self) -> Report {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Self { process, index, listens, .. } = self.clone();
        Report { process, index, listens, status }
    }
}

/// One instance after the other, until it is to stop or has crashed too often.
fn live(plan: &Plan, status: &Shared, stopper: &Stopper) {
    let mut crashes = Crashes::default();
    loop {
        change(status, |it| {
            (it.state, it.ready, it.healthy_since) = (State::Starting, false, None);
        });
        let Ending::Crashed(reason) = instance::run(plan, status, stopper) else { break };
        let source = format!("CELL/{}", plan.index);
        let line = format!("Process has crashed with type: \"{}\": {reason}", plan.process.kind);
        plan.log.line(&source, Stream::Error, line.as_bytes());
        let mut lived = Duration::ZERO;
        change(status, |it| {
            lived = it.lived();
            (it.state, it.ready) = (State::Crashed, false);
            it.crashes += 1;
            it.reason = Some(reason);
        });
        let Some(wait) = crashes.add(lived) else { break };
        if !wait.is_zero() {
            let line = format!("The next start is in {} s", wait.as_secs());
            plan.log.line(&source, Stream::Out, line.as_bytes());
        }
        if stopper.wait(wait) {
            break;
        }
    }
    change(status, |it| (it.state, it.ready) = (State::Down, false));
}

//! Keeps an app's instances running: starts them, starts them again, tells how they are, and stops them.
//!
//! It is a process of its own, so that an app outlives the `cell push` that began it.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::app::{App, Process};
use crate::control::{self, Question, Report};
use crate::instance::{self, Ending, Plan, Shared, State, Status, change};
use crate::log::{Log, Stream};
use crate::recipe::KeyPair;
use crate::restart::Crashes;
use crate::stopper::Stopper;

/// What all instances of an app have in common.
#[derive(Debug, Clone)]
pub struct Common {
    /// The app.
    pub app: App,
    /// Its directory; containers are made in `instances` below it.
    pub directory: PathBuf,
    /// The unpacked lifecycle bundle.
    pub lifecycle: PathBuf,
    /// The keys of its SSH servers.
    pub keys: KeyPair,
    /// Its log.
    pub log: Log,
}

/// One instance, and the thread that keeps it.
#[derive(Debug)]
struct Kept {
    process: String,
    index: u32,
    status: Shared,
    stopper: Arc<Stopper>,
    thread: JoinHandle<()>,
}

/// Keeps the app running until someone asks `listener` to stop it.
pub fn keep(common: &Common, listener: &UnixListener) {
    let mut kept = Vec::new();
    for process in &common.app.processes {
        for index in 0..process.instances {
            kept.push(Kept::start(common, process.clone(), index));
        }
    }
    for stream in listener.incoming().filter_map(Result::ok) {
        match control::question(&stream) {
            Ok(Question::Status) => {
                let reports: Vec<_> = kept.iter().map(Kept::report).collect();
                let _gone = control::answer(&stream, &reports);
            }
            Ok(Question::Stop) => {
                end(kept);
                let _gone = control::answer(&stream, &[]);
                return;
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
        let status = Status {
            state: State::Starting,
            ready: false,
            port: 0,
            ssh_port: 0,
            crashes: 0,
            reason: None,
        };
        let status = Shared::new(Mutex::new(status));
        let stopper = Arc::<Stopper>::default();
        let name = format!("{}-{index}", process.kind);
        let kind = process.kind.clone();
        let plan = Plan {
            app: common.app.clone(),
            process,
            index,
            directory: common.directory.join("instances").join(name),
            lifecycle: common.lifecycle.clone(),
            droplet: common.directory.join("droplet.tgz"),
            keys: common.keys.clone(),
            log: common.log.clone(),
        };
        let (told, shared) = (Arc::clone(&stopper), Shared::clone(&status));
        let thread = thread::spawn(move || live(&plan, &shared, &told));
        Self { process: kind, index, status, stopper, thread }
    }

    fn report(&self) -> Report {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report { process: self.process.clone(), index: self.index, status }
    }
}

/// One instance after the other, until it is to stop or has crashed too often.
fn live(plan: &Plan, status: &Shared, stopper: &Stopper) {
    let mut crashes = Crashes::default();
    loop {
        change(status, |it| (it.state, it.ready) = (State::Starting, false));
        let began = Instant::now();
        let Ending::Crashed(reason) = instance::run(plan, status, stopper) else { break };
        let source = format!("CELL/{}", plan.index);
        let line = format!("Process has crashed with type: \"{}\": {reason}", plan.process.kind);
        plan.log.line(&source, Stream::Error, line.as_bytes());
        change(status, |it| {
            (it.state, it.ready) = (State::Crashed, false);
            it.crashes += 1;
            it.reason = Some(reason);
        });
        let Some(wait) = crashes.add(began.elapsed()) else { break };
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

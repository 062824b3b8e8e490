//! One instance of a process, from its container to its end, as the platform's executor runs it
//! (platform contract, 5): launcher, sidecars and SSH server live and die together, checks decide on its state.

mod checks;
pub(crate) mod status;

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use lifecycle::archive::unpack::UnpackError;
use lifecycle::report::{chain, system_words};
use uuid::Uuid;

use self::status::{Shared, change};
use crate::app::{App, Process};
use crate::container::{Container, ContainerError, Contents};
use crate::health::Verdict;
use crate::log::{Log, Stream};
use crate::port;
use crate::process::{Exit, Reach};
use crate::recipe::{self, Action, HOME, Instance, KeyPair, Phase};
use crate::stopper::Stopper;

/// How long programs have between SIGTERM and SIGKILL.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// How long what was killed may take to be gone, and to have that logged.
const DYING: Duration = Duration::from_secs(2);

/// What an instance is made of.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The app.
    pub(crate) app: App,
    /// Which of its processes.
    pub(crate) process: Process,
    /// Which of the process's instances.
    pub(crate) index: u32,
    /// Where its container is made.
    pub(crate) directory: PathBuf,
    /// The unpacked lifecycle bundle.
    pub(crate) lifecycle: PathBuf,
    /// The droplet.
    pub(crate) droplet: PathBuf,
    /// The keys of its SSH server.
    pub(crate) keys: KeyPair,
    /// Where all that is said goes.
    pub(crate) log: Log,
}

/// What happens to an instance.
#[derive(Debug)]
pub(crate) enum Event {
    /// One of its programs ended.
    Ended {
        /// Which: the source of its lines.
        source: String,
        /// How.
        exit: Exit,
    },
    /// A check ended.
    Checked(Phase, Verdict),
    /// It is to stop.
    Stop,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was told to.
    Stopped,
    /// By itself, or by its checks: why.
    Crashed(String),
}

/// Why an instance could not be started.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("no free port: {}", system_words(.0))]
    Port(#[source] io::Error),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error("the droplet can't be unpacked")]
    Droplet(#[from] UnpackError),
    #[error("failed-creating-process: {path}")]
    Process { path: String, source: io::Error },
}

/// Runs the instance until it ends. Nothing of it is left afterwards.
pub(crate) fn run(plan: &Plan, status: &Shared, stopper: &Stopper) -> Ending {
    let (sender, events) = mpsc::channel();
    stopper.attach(sender.clone());
    match Life::begin(plan, status, sender) {
        Ok(mut life) => {
            let ending = life.live(&events);
            life.end(&events);
            ending
        }
        Err(error) => {
            plan.cell(&chain(&error));
            Ending::Crashed(chain(&error))
        }
    }
}

/// An instance that runs.
struct Life<'a> {
    plan: &'a Plan,
    status: &'a Shared,
    sender: Sender<Event>,
    instance: Instance,
    container: Container,
    programs: Vec<(String, Reach)>,
    checks: Vec<Reach>,
    began: Instant,
}

impl<'a> Life<'a> {
    fn begin(
        plan: &'a Plan,
        status: &'a Shared,
        sender: Sender<Event>,
    ) -> Result<Self, StartError> {
        let instance = place(plan.index).map_err(StartError::Port)?;
        change(status, |it| (it.port, it.ssh_port) = (instance.port, instance.ssh_port));
        plan.cell(&format!("Creating container for instance {}", instance.guid));
        let memory = plan.process.memory;
        let contents = Contents { lifecycle: &plan.lifecycle, buildpacks: &[], memory };
        let container = Container::create(&plan.directory, &plan.app.isolation, contents)?;
        let began = Instant::now();
        let mut life = Self {
            plan,
            status,
            sender,
            instance,
            container,
            programs: Vec::new(),
            checks: Vec::new(),
            began,
        };
        match life.start() {
            Ok(()) => Ok(life),
            Err(error) => {
                life.clear();
                Err(error)
            }
        }
    }

    fn start(&mut self) -> Result<(), StartError> {
        let Plan { app, process, droplet, keys, .. } = self.plan;
        self.container.unpack(droplet, HOME)?;
        self.plan
            .cell(&format!("Successfully created container for instance {}", self.instance.guid));
        let mut actions = vec![recipe::launch(app, process, &self.instance)];
        let beside = app.sidecars.iter().filter(|it| it.process_types.contains(&process.kind));
        actions.extend(beside.map(|it| recipe::sidecar(app, process, it, &self.instance)));
        actions.push(recipe::sshd(app, process, &self.instance, keys));
        for action in &actions {
            self.launch(action)?;
        }
        self.plan.cell("Starting health monitoring of container");
        if !self.check(&process.health, Phase::Startup) {
            self.is_healthy();
        }
        Ok(())
    }

    /// Starts a program of the instance.
    fn launch(&mut self, action: &Action) -> Result<(), StartError> {
        let started = self.container.start(action, self.plan.index, &self.plan.log);
        let process =
            started.map_err(|source| StartError::Process { path: action.path.clone(), source })?;
        let (source, sender) = (action.source.clone(), self.sender.clone());
        self.programs.push((source.clone(), process.reach()));
        thread::spawn(move || {
            let lost = Exit { status: 1, out_of_memory: false };
            let exit = process.wait().unwrap_or(lost);
            let _nobody_waits = sender.send(Event::Ended { source, exit });
        });
        Ok(())
    }

    fn live(&mut self, events: &Receiver<Event>) -> Ending {
        loop {
            let ending = match events.recv() {
                Ok(Event::Ended { source, exit }) => Some(self.ended(&source, exit)),
                Ok(Event::Checked(phase, verdict)) => self.checked(phase, &verdict),
                Ok(Event::Stop) | Err(_) => Some(Ending::Stopped),
            };
            if let Some(ending) = ending {
                return ending;
            }
        }
    }

    /// Any program's end is the instance's.
    fn ended(&mut self, source: &str, exit: Exit) -> Ending {
        self.programs.retain(|(name, _)| name != source);
        Ending::Crashed(match exit.status {
            0 => "Codependent step exited".to_owned(),
            _ => format!("{source}: Exited with status {exit}"),
        })
    }

    /// SIGTERM, time, SIGKILL; then the container goes.
    fn end(&mut self, events: &Receiver<Event>) {
        self.plan.cell(&format!("Stopping instance {}", self.instance.guid));
        for (_, reach) in &self.programs {
            reach.terminate();
        }
        self.await_ends(events, GRACE);
        for (_, reach) in &self.programs {
            reach.kill_late(GRACE);
        }
        self.await_ends(events, DYING);
        self.clear();
    }

    /// Waits until all programs have ended, no longer than `limit`.
    fn await_ends(&mut self, events: &Receiver<Event>, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.programs.is_empty() {
            match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Ended { source, .. }) => {
                    self.programs.retain(|(name, _)| *name != source);
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
    }

    fn clear(&mut self) {
        let guid = &self.instance.guid;
        self.plan.cell(&format!("Destroying container for instance {guid}"));
        for reach in self.checks.drain(..).chain(self.programs.drain(..).map(|(_, reach)| reach)) {
            reach.kill();
        }
        match self.container.destroy() {
            Ok(()) => {
                self.plan.cell(&format!("Successfully destroyed container for instance {guid}"));
            }
            Err(error) => self
                .plan
                .cell(&format!("The container of instance {guid} is not gone: {}", chain(&error))),
        }
    }
}

impl Plan {
    /// A line of the cell itself.
    fn cell(&self, text: &str) {
        self.log.line(&format!("CELL/{}", self.index), Stream::Out, text.as_bytes());
    }

    fn health(&self, text: &str) {
        self.log.line(&format!("HEALTH/{}", self.index), Stream::Error, text.as_bytes());
    }
}

/// An identity and two ports that are free now.
fn place(index: u32) -> io::Result<Instance> {
    let [port, ssh_port] = port::two_free()?;
    Ok(Instance {
        guid: Uuid::new_v4().to_string(),
        index,
        address: "127.0.0.1".to_owned(),
        port,
        ssh_port,
    })
}

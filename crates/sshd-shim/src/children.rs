//! The programs this server has started: their ends, and the end of those whose client is gone.
//!
//! One task waits for SIGCHLD and asks for each program; it alone reaps, so no status is lost or
//! taken from anybody. As a container's first process it also reaps orphans it never started.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{self, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use lifecycle::sys::{keep_descriptors, reap};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::descriptors::DescriptorLimit;
use crate::pty;

/// How long a program may take to end after SIGHUP (contract sshd 18.4).
const HANG_UP_GRACE: Duration = Duration::from_secs(10);

/// How long a program that is hung up on keeps its terminal: bash that finds it closed ends without passing
/// SIGHUP on to its jobs. But what ignores SIGHUP and waits for a key is to learn that none comes.
const TERMINAL_GRACE: Duration = Duration::from_secs(5);

/// How often is looked whether such a terminal, which nobody has open, is opened again.
const READ_PAUSE: Duration = Duration::from_millis(10);

/// How often a program on a terminal is woken that has not ended. Bash acts on a SIGHUP that comes just before
/// it begins to wait for a key with the next signal only.
const WAKE_PAUSE: Duration = Duration::from_secs(1);

/// How often is looked whether process groups still exist that may end unheard of: their numbers are free for
/// others then.
const GROUP_CHECK: Duration = Duration::from_secs(1);

/// How long killed programs may take to be gone.
const KILL_GRACE: Duration = Duration::from_millis(500);

/// All programs this server has started.
#[derive(Debug, Default)]
pub struct Children {
    state: Mutex<State>,
    abandoned: Notify,
    descriptors: OnceLock<DescriptorLimit>,
}

#[derive(Debug, Default)]
struct State {
    /// Somebody waits for these.
    running: BTreeMap<Pid, oneshot::Sender<ExitStatus>>,
    /// Groups of programs that have ended before their sessions, with somebody still in them.
    left: BTreeSet<Pid>,
    /// These have to end.
    abandoned: Vec<Abandoned>,
    /// When all have to have ended.
    last_end: Option<Instant>,
}

/// A program that was hung up on.
#[derive(Debug)]
struct Abandoned {
    /// Unless it has ended.
    leader: Option<Pid>,
    /// The process groups to be ended with it.
    groups: Vec<Pid>,
    kill_at: Instant,
    is_killed: bool,
    /// While the leader may still need it.
    terminal: Option<Terminal>,
}

/// The terminal of a program that was hung up on.
#[derive(Debug)]
struct Terminal {
    /// The task that reads from it; with that it ends.
    _reader: JoinSet<()>,
    wake_at: Instant,
    close_at: Instant,
}

impl Children {
    /// Starts the task that waits for their ends, raises the limit of descriptors, and sees to it that
    /// programs get none of ours. To be done once, before a program is started.
    pub fn watch(self: &Arc<Self>) -> io::Result<()> {
        let mut ends = signal(SignalKind::child())?;
        let _kernel_is_too_old = keep_descriptors();
        self.descriptors.get_or_init(DescriptorLimit::raise);
        let children = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let next = children.state().sweep();
                let due = async {
                    match next {
                        Some(time) => sleep_until(time).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = ends.recv() => {}
                    () = children.abandoned.notified() => {}
                    () = due => {}
                }
            }
        });
        Ok(())
    }

    /// Starts a program by `spawn`, which gives its number, the one of its process group too.
    pub fn start(self: &Arc<Self>, spawn: impl FnOnce() -> nix::Result<Pid>) -> nix::Result<Child> {
        let (report, status) = oneshot::channel();
        // Locked until it is entered: its end may not be looked for before.
        let mut state = self.state();
        let pid = match self.descriptors.get() {
            Some(limit) => limit.original(spawn)?,
            None => spawn()?,
        };
        state.running.insert(pid, report);
        if state.last_end.is_some() {
            // All others have been told.
            hang_up(pid);
        }
        Ok(Child { pid, status, terminal: None, children: Arc::clone(self) })
    }

    /// Hangs up on all programs; those that have not ended `grace` later are killed. Returns once
    /// all are gone.
    pub async fn end_all(&self, grace: Duration) {
        self.state().hang_up_all(Instant::now() + grace);
        self.abandoned.notify_one();
        if timeout(grace, self.gone()).await.is_err() {
            self.state().kill_all();
            let _unkillable = timeout(KILL_GRACE, self.gone()).await;
        }
    }

    /// How many programs have not ended, or left somebody in their groups.
    pub fn count(&self) -> usize {
        let mut state = self.state();
        state.left.retain(|group| exists(*group));
        state.running.len() + state.left.len() + state.abandoned.len()
    }

    async fn gone(&self) {
        while self.count() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn hang_up(&self, leader: Pid, terminal: Option<Arc<Receiver>>) {
        if self.state().abandon(leader, terminal) {
            self.abandoned.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reaps what has ended, kills what is overdue. The time at which this is to be done again, even
    /// if nothing ends.
    fn sweep(&mut self) -> Option<Instant> {
        if process::id() == 1 {
            while let Ok(Some((pid, status))) = reap(None) {
                self.ended(pid, status);
            }
        } else {
            let leaders = self.abandoned.iter().filter_map(|one| one.leader);
            let all: Vec<Pid> = self.running.keys().copied().chain(leaders).collect();
            for pid in all {
                self.look_for_end(pid);
            }
        }
        let now = Instant::now();
        self.left.retain(|group| exists(*group));
        self.abandoned.retain_mut(|one| one.is_there(now));
        let next = (!self.left.is_empty()).then(|| now + GROUP_CHECK);
        self.abandoned.iter().map(|one| one.check_at(now)).chain(next).min()
    }

    fn look_for_end(&mut self, pid: Pid) {
        match reap(Some(pid)) {
            Ok(None) => {}
            Ok(Some((_, status))) => self.ended(pid, status),
            // It is no child any more, though only this task reaps.
            Err(_) => self.ended(pid, unknown()),
        }
    }

    fn ended(&mut self, pid: Pid, status: ExitStatus) {
        if let Some(report) = self.running.remove(&pid) {
            let _nobody_waits = report.send(status);
            // All were killed at the end; they may wait for whoever reaps them.
            let is_over = self.last_end.is_some_and(|end| Instant::now() >= end);
            if !is_over && exists(pid) {
                self.left.insert(pid);
            }
        }
        for one in &mut self.abandoned {
            one.leader = one.leader.filter(|leader| *leader != pid);
        }
    }

    /// `false` if it has ended already, and its group with it.
    fn abandon(&mut self, leader: Pid, terminal: Option<Arc<Receiver>>) -> bool {
        let running = self.running.remove(&leader).map(|_report| leader);
        if running.is_none() && !self.left.remove(&leader) {
            return false;
        }
        let groups: Vec<Pid> = groups(leader, terminal.as_ref()).collect();
        // At the server's end the first of them has been told with all others.
        let told = usize::from(self.last_end.is_some());
        groups.iter().skip(told).copied().for_each(hang_up);
        let now = Instant::now();
        let kill_at = now + HANG_UP_GRACE;
        self.abandoned.push(Abandoned {
            leader: running,
            groups,
            kill_at: self.last_end.map_or(kill_at, |end| end.min(kill_at)),
            is_killed: false,
            terminal: terminal.map(|open| Terminal::new(open, now)),
        });
        true
    }

    fn hang_up_all(&mut self, kill_at: Instant) {
        self.last_end = Some(kill_at);
        self.running.keys().chain(&self.left).for_each(|group| hang_up(*group));
        for one in &mut self.abandoned {
            one.kill_at = one.kill_at.min(kill_at);
        }
    }

    fn kill_all(&mut self) {
        for group in self.running.keys().chain(&self.left) {
            let _ended = killpg(*group, Signal::SIGKILL);
        }
        self.left.clear();
        self.abandoned.iter_mut().for_each(Abandoned::kill);
    }
}

impl Abandoned {
    /// Whether anything of it is left, after killing it if that is due.
    fn is_there(&mut self, now: Instant) -> bool {
        if now >= self.kill_at && !self.is_killed {
            self.kill();
        }
        self.terminal = self.leader.and_then(|leader| self.terminal.take()?.kept(leader, now));
        self.groups.retain(|group| self.leader == Some(*group) || exists(*group));
        self.leader.is_some() || (!self.groups.is_empty() && !self.is_killed)
    }

    fn kill(&mut self) {
        for group in &self.groups {
            let _ended = killpg(*group, Signal::SIGKILL);
        }
        self.is_killed = true;
    }

    /// When it is to be looked at again, even if nothing ends.
    fn check_at(&self, now: Instant) -> Instant {
        let wake_at = self.terminal.as_ref().map(|terminal| terminal.wake_at);
        let kill_at = (!self.is_killed).then_some(self.kill_at);
        wake_at.into_iter().chain(kill_at).fold(now + GROUP_CHECK, Instant::min)
    }
}

impl Terminal {
    fn new(open: Arc<Receiver>, now: Instant) -> Self {
        let mut reader = JoinSet::new();
        reader.spawn(throw_away(open));
        Self { _reader: reader, wake_at: now + WAKE_PAUSE, close_at: now + TERMINAL_GRACE }
    }

    /// Itself while it is to stay open for `leader`, who is woken if that is due: by a signal that who does not
    /// wait for it ignores.
    fn kept(mut self, leader: Pid, now: Instant) -> Option<Self> {
        if now >= self.close_at {
            return None;
        }
        if now >= self.wake_at {
            let _ended = kill(leader, Signal::SIGWINCH);
            self.wake_at = now + WAKE_PAUSE;
        }
        Some(self)
    }
}

/// Reads what comes, so that who writes need not wait, until it is dropped.
async fn throw_away(terminal: Arc<Receiver>) {
    let mut buffer = [0; 4096];
    loop {
        match terminal.try_read(&mut buffer) {
            Ok(1..) => yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _there_is = terminal.readable().await;
            }
            // Nobody has it open, which may change.
            _ => sleep(READ_PAUSE).await,
        }
    }
}

/// The group of `leader`, and the one in the foreground of its terminal if that is another: bash that is told
/// twice at a time does not always pass it on.
fn groups(leader: Pid, terminal: Option<impl AsFd>) -> impl Iterator<Item = Pid> {
    let foreground = terminal.and_then(pty::foreground).filter(|group| *group != leader);
    std::iter::once(leader).chain(foreground)
}

/// Whether anybody is in the group.
fn exists(group: Pid) -> bool {
    killpg(group, None).is_ok()
}

/// What a terminal's end does to its processes: the stopped ones have to run to see it.
fn hang_up(group: Pid) {
    for signal in [Signal::SIGHUP, Signal::SIGCONT] {
        let _ended = killpg(group, signal);
    }
}

/// The status where none could be found out.
fn unknown() -> ExitStatus {
    ExitStatus::from_raw(255 << 8)
}

/// A program, first process of its group. When this is dropped, what is left of the group is hung up on, and what
/// is in the foreground of its terminal: it gets SIGHUP, and 10 s later SIGKILL. The terminal is closed once the
/// program has ended, and 5 s later in any case.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    status: oneshot::Receiver<ExitStatus>,
    terminal: Option<Arc<Receiver>>,
    children: Arc<Children>,
}

impl Child {
    /// Keeps its terminal open for it, should it be dropped.
    pub fn keep(&mut self, terminal: Arc<Receiver>) {
        self.terminal = Some(terminal);
    }

    /// Waits for its end; to be called until it gives a status, and not again.
    pub async fn wait(&mut self) -> ExitStatus {
        (&mut self.status).await.unwrap_or_else(|_| unknown())
    }

    /// Its process group.
    pub fn group(&self) -> Group {
        Group { leader: self.pid, children: Arc::clone(&self.children) }
    }

    /// Leaves alone what is still in its group.
    pub fn leave(self) {
        self.children.state().left.remove(&self.pid);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.children.hang_up(self.pid, self.terminal.take());
    }
}

/// The process group of a program.
#[derive(Debug)]
pub struct Group {
    leader: Pid,
    children: Arc<Children>,
}

impl Group {
    /// Sends `signal` to the group, and to what is in the foreground of its `terminal`; not once the
    /// program has ended, for its number may be another's then.
    pub fn signal(&self, signal: Signal, terminal: Option<impl AsFd>) {
        if self.children.state().running.contains_key(&self.leader) {
            for group in groups(self.leader, terminal) {
                let _ended = killpg(group, signal);
            }
        }
    }

    /// The number of the program and of its group.
    pub fn leader(&self) -> Pid {
        self.leader
    }
}

#[cfg(test)]
pub(crate) mod tests;

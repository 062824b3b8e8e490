//! Why a check failed, as far as `/proc` and the cgroups tell: one parenthesis for the end of the
//! failure's line. Never longer than 300 bytes, never slower than 20 ms, silent where nothing can
//! be read (contract, section 13).

mod cgroup;
mod listeners;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::connection::{Connection, Deadline};
use crate::error::{DialError, HealthError, HttpError, Progress};
use listeners::{Listener, Owner, Owners};

/// Time to find out.
const TIME_LIMIT: Duration = Duration::from_millis(20);
/// Length of the whole parenthesis with the blank before it, in bytes.
const LENGTH_LIMIT: usize = 300;
/// So many listeners on other ports are named.
const NAMED_LISTENERS: usize = 3;

/// The explanation of `error` in parentheses, a blank before it; empty if there is none.
/// `answered` holds how long the last checks took that the app answered.
pub fn parenthesis(error: &HealthError, answered: &[Duration]) -> String {
    let until = Instant::now() + TIME_LIMIT;
    let (proc, sys) = (Path::new("/proc"), Path::new("/sys/fs/cgroup"));
    let machine = Machine { proc, sys, is_open, until };
    enclosed(machine.facts(error, answered))
}

/// Joins `facts`, the most important first, as far as there is room.
fn enclosed(facts: Vec<String>) -> String {
    let mut text = String::new();
    for fact in facts {
        let fact = fact.replace(char::is_control, "?");
        let separator = if text.is_empty() { " (" } else { "; " };
        if text.len() + separator.len() + fact.len() < LENGTH_LIMIT {
            text = text + separator + &fact;
        }
    }
    if text.is_empty() { text } else { text + ")" }
}

/// Where to look, and until when.
#[derive(Clone, Copy, Debug)]
struct Machine<'a> {
    proc: &'a Path,
    sys: &'a Path,
    /// Whether a connection there succeeds by now.
    is_open: fn(SocketAddr) -> bool,
    until: Instant,
}

/// Asks the kernel of this very machine, which answers at once or, with a full queue, not at all.
fn is_open(to: SocketAddr) -> bool {
    Connection::open(to, Deadline::after(Some(TIME_LIMIT / 4))).is_ok()
}

impl Machine<'_> {
    fn facts(&self, error: &HealthError, answered: &[Duration]) -> Vec<String> {
        use nix::libc::ECONNREFUSED;
        let mut facts = match error {
            HealthError::Tcp {
                reason: DialError::System { to, errno: ECONNREFUSED, .. }, ..
            }
            | HealthError::Http { cause: HttpError::Refused { to }, .. } => self.refused(*to),
            HealthError::Http { cause, .. } => vec![clipped(&cause.to_string())],
            HealthError::TcpTimeout { to, .. } => {
                self.too_slow(*to, Progress::Connecting, answered)
            }
            HealthError::HttpTimeout { to, progress, .. } => {
                self.too_slow(*to, *progress, answered)
            }
            HealthError::Status { .. } | HealthError::Tcp { .. } => Vec::new(),
            HealthError::Interfaces(_) | HealthError::NoAddress | HealthError::Request { .. } => {
                return Vec::new();
            }
        };
        facts.extend(cgroup::facts(self.proc, self.sys));
        facts
    }

    /// Nothing listens at `to`: who listens where instead?
    fn refused(&self, to: SocketAddr) -> Vec<String> {
        let Some(all) = listeners::all(self.proc, self.until) else { return Vec::new() };
        if let Some(listener) = all
            .iter()
            .find(|listener| listener.serves(to) || listener.may_serve(to) && (self.is_open)(to))
        {
            let who = self.owners([listener]).name(listener);
            return vec![format!("{who} began to listen on port {} after this check", to.port())];
        }
        let mut facts = vec![format!("nothing listens on port {}", to.port())];
        let same_port: Vec<&Listener> =
            all.iter().filter(|other| other.port == to.port()).collect();
        if !same_port.is_empty() {
            let owners = self.owners(same_port.iter().copied());
            facts.extend(same_port.iter().map(|listener| elsewhere(listener, &owners, to)));
        } else if !is_platform_port(to.port()) {
            facts.extend(self.on_other_ports(&all, to));
        }
        facts
    }

    fn on_other_ports(&self, all: &[Listener], to: SocketAddr) -> Vec<String> {
        // An app that only missed its port is named before what is bound to loopback on purpose.
        let (inner, outer): (Vec<&Listener>, Vec<&Listener>) = all
            .iter()
            .filter(|other| !is_platform_port(other.port))
            .partition(|other| other.address.is_loopback());
        let others: Vec<&Listener> = outer.into_iter().chain(inner).take(NAMED_LISTENERS).collect();
        if others.is_empty() {
            return vec!["nor does the app on any other port".to_owned()];
        }
        let owners = self.owners(others.iter().copied());
        let sentence = |listener: &&Listener| {
            let place = listener.place();
            let who = owners.name(listener);
            let told = owners.get(listener).and_then(|owner| self.port_variable(owner));
            let though = match told {
                Some(port) if port == to.port() => format!(", though its $PORT is {port}"),
                _ => String::new(),
            };
            format!("{who} listens on {place}{though}")
        };
        others.iter().map(sentence).collect()
    }

    /// The port the platform told the process.
    fn port_variable(&self, owner: &Owner) -> Option<u16> {
        let environment = std::fs::read(self.proc.join(&owner.pid).join("environ")).ok()?;
        let value =
            environment.split(|&byte| byte == 0).find_map(|one| one.strip_prefix(b"PORT="))?;
        str::from_utf8(value).ok()?.parse().ok()
    }

    /// No answer in time: where does it hang?
    fn too_slow(&self, to: SocketAddr, progress: Progress, answered: &[Duration]) -> Vec<String> {
        let all = listeners::all(self.proc, self.until).unwrap_or_default();
        let serving: Vec<&Listener> = all.iter().filter(|other| other.may_serve(to)).collect();
        let mut facts = Vec::new();
        if let Some(first) = serving.first() {
            let who = self.owners([*first]).name(first);
            let queued: u64 = serving.iter().map(|listener| listener.queued).sum();
            facts.extend(stage(&who, progress, queued));
        } else if progress == Progress::Connecting && !all.is_empty() {
            facts.push(format!("nothing listens on port {}", to.port()));
        }
        facts.extend(history(answered));
        facts
    }

    fn owners<'l>(&self, listeners: impl IntoIterator<Item = &'l Listener>) -> Owners {
        let inodes = listeners.into_iter().map(|listener| listener.inode).collect();
        Owners::find(self.proc, inodes, self.until)
    }
}

/// A listener on the right port at an address that the check does not reach.
fn elsewhere(listener: &Listener, owners: &Owners, to: SocketAddr) -> String {
    let (who, place) = (owners.name(listener), listener.place());
    let any = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
    let only = match listener.address {
        address if !address.is_unspecified() => "only",
        IpAddr::V4(_) => "for IPv4 only",
        IpAddr::V6(_) => "for IPv6 only",
    };
    format!("{who} listens on {place} {only}: bind {any}:$PORT")
}

/// The ports of the platform's own processes in the container: ssh and the proxy.
fn is_platform_port(port: u16) -> bool {
    port == 2222 || (61_000..61_500).contains(&port)
}

/// What the listening process makes of the connection. `queued` counts those not accepted yet.
fn stage(who: &str, progress: Progress, queued: u64) -> Option<String> {
    Some(match (progress, queued) {
        (Progress::Connecting, 0) => return None,
        (Progress::Connecting, _) => {
            format!("{who} listens, but its accept queue is full: {queued} connections wait")
        }
        (Progress::Waiting, 0) => format!("{who} accepted the connection, but sent nothing"),
        (Progress::Waiting, _) => {
            format!("{who} listens, but has not accepted the connection: {queued} wait")
        }
        (Progress::Answering, _) => format!("{who} began to answer, but too slowly"),
    })
}

/// How the app did before.
fn history(answered: &[Duration]) -> Option<String> {
    let last = answered.last()?.as_millis();
    let mut sorted: Vec<u128> = answered.iter().map(Duration::as_millis).collect();
    sorted.sort_unstable();
    let (median, maximum) = (sorted[sorted.len() / 2], sorted[sorted.len() - 1]);
    let count = sorted.len();
    Some(format!(
        "before, the last of {count} answers took {last} ms, their median {median} ms, the slowest {maximum} ms"
    ))
}

/// At most 200 bytes of `text`.
fn clipped(text: &str) -> String {
    const LIMIT: usize = 200;
    if text.len() <= LIMIT {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(LIMIT - 3)])
}

#[cfg(test)]
mod tests;

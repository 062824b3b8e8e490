//! Who listens where: `/proc/self/net/tcp` and `tcp6`, and the processes that hold the sockets.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use crate::url;

/// A listening socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// Connections that wait to be accepted.
    pub(super) queued: u64,
    pub(super) inode: u64,
}

impl Listener {
    /// Whether a connection to `to` reaches it for sure.
    pub(super) fn serves(&self, to: SocketAddr) -> bool {
        let is_any = self.address.is_unspecified() && self.address.is_ipv4() == to.is_ipv4();
        self.port == to.port() && (is_any || self.address == to.ip())
    }

    /// Whether a connection to `to` may reach it: `[::]` serves IPv4 too, unless the app forbade it,
    /// which cannot be seen here.
    pub(super) fn may_serve(&self, to: SocketAddr) -> bool {
        let is_any_six = self.address == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        self.serves(to) || self.port == to.port() && is_any_six
    }

    /// `IP:PORT`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", url::host(self.address), self.port)
    }
}

/// All listening sockets of the network namespace; `None` where they cannot be read by `until`: a
/// part of them would tell of sockets that are missing.
pub(super) fn all(proc: &Path, until: Instant) -> Option<Vec<Listener>> {
    let mut found = table(&proc.join("self/net/tcp"), until)?;
    found.extend(table(&proc.join("self/net/tcp6"), until).unwrap_or_default());
    (Instant::now() < until).then_some(found)
}

/// Reads one table. Listening sockets come first: the connections, thousands maybe, are not read.
fn table(path: &Path, until: Instant) -> Option<Vec<Listener>> {
    let mut file = File::open(path).ok()?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    let mut found = Vec::new();
    loop {
        let count = file.read(&mut buffer).ok().filter(|&count| count > 0);
        text.extend_from_slice(&buffer[..count.unwrap_or_default()]);
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            match parse(&String::from_utf8_lossy(&line)) {
                Line::Heading => {}
                Line::Listening(listener) => found.push(listener),
                Line::Other => return Some(found),
            }
        }
        if count.is_none() || Instant::now() >= until {
            return Some(found);
        }
    }
}

enum Line {
    Heading,
    Listening(Listener),
    Other,
}

/// A line of the table: `0: 0100007F:1F90 00000000:0000 0A 00000000:00000001 ... inode ...`.
fn parse(line: &str) -> Line {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    match fields.as_slice() {
        ["sl", ..] => Line::Heading,
        [_, local, _, LISTEN, queues, _, _, _, _, inode, ..] => {
            listener(local, queues, inode).map_or(Line::Other, Line::Listening)
        }
        _ => Line::Other,
    }
}

fn listener(local: &str, queues: &str, inode: &str) -> Option<Listener> {
    let (address, port) = local.split_once(':')?;
    let (_, waiting) = queues.split_once(':')?;
    Some(Listener {
        address: parse_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        queued: u64::from_str_radix(waiting, 16).ok()?,
        inode: inode.parse().ok()?,
    })
}

/// The kernel prints each four bytes of an address as one number of the machine's byte order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = text.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    if text.len() == 8 {
        return word(0).map(IpAddr::from);
    }
    let mut bytes = [0; 16];
    for (at, four) in bytes.chunks_exact_mut(4).enumerate() {
        four.copy_from_slice(&word(at)?);
    }
    Some(Ipv6Addr::from(bytes).to_canonical())
}

/// A process that holds a socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Owner {
    inode: u64,
    pub(super) pid: String,
    command: String,
}

/// The processes that hold certain sockets, as far as they were found.
#[derive(Debug)]
pub(super) struct Owners(Vec<Owner>);

impl Owners {
    /// Looks for the holders of `inodes` among all processes, no longer than `until`.
    pub(super) fn find(proc: &Path, mut inodes: Vec<u64>, until: Instant) -> Self {
        let mut found = Vec::new();
        for process in fs::read_dir(proc).into_iter().flatten().flatten() {
            if inodes.is_empty() || Instant::now() >= until {
                break;
            }
            let name = process.file_name();
            let Some(pid) = name.to_str().filter(|name| name.as_bytes()[0].is_ascii_digit()) else {
                continue;
            };
            for inode in held(&process.path().join("fd"), &inodes, until) {
                inodes.retain(|&wanted| wanted != inode);
                let command = fs::read(process.path().join("comm")).unwrap_or_default();
                let command = String::from_utf8_lossy(command.trim_ascii_end()).into_owned();
                found.push(Owner { inode, pid: pid.to_owned(), command });
            }
        }
        Self(found)
    }

    pub(super) fn get(&self, listener: &Listener) -> Option<&Owner> {
        self.0.iter().find(|owner| owner.inode == listener.inode)
    }

    /// `node, pid 17,` or, where that cannot be seen, `a process`.
    pub(super) fn name(&self, listener: &Listener) -> String {
        match self.get(listener) {
            Some(Owner { pid, command, .. }) => format!("{command}, pid {pid},"),
            None => "a process".to_owned(),
        }
    }
}

/// Those of `inodes` that a process has open, each once.
fn held(descriptors: &Path, inodes: &[u64], until: Instant) -> Vec<u64> {
    let mut found = Vec::new();
    for descriptor in fs::read_dir(descriptors).into_iter().flatten().flatten() {
        if found.len() == inodes.len() || Instant::now() >= until {
            break;
        }
        let target = match fs::read_link(descriptor.path()) {
            Ok(target) => target,
            // Another user's process: the other descriptors are as closed.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => break,
            Err(_) => continue,
        };
        let inode =
            target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'));
        let inode = inode.and_then(|digits| digits.parse().ok());
        found.extend(inode.filter(|inode| inodes.contains(inode) && !found.contains(inode)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_both_tables_are_read() {
        let four = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000081 00:00000000 00000000     0        0 12345 1 0000 100 0 0 10 0";
        let six = "   1: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0000";
        let mapped = "   1: 0000000000000000FFFF00000100000A:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0000";
        for (line, place, queued, inode) in [
            (four, "127.0.0.1:8080", 129, 12345),
            (six, "[::1]:3000", 0, 77),
            (mapped, "10.0.0.1:3000", 0, 77),
        ] {
            let Line::Listening(listener) = parse(line) else { panic!("{line}") };
            assert_eq!(
                (listener.place().as_str(), listener.queued, listener.inode),
                (place, queued, inode)
            );
        }
        assert!(matches!(parse(&four.replace(" 0A ", " 01 ")), Line::Other));
        assert!(matches!(parse("  sl  local_address rem_address   st"), Line::Heading));
        assert!(matches!(parse("garbage"), Line::Other));
    }

    #[test]
    fn a_listener_serves_its_own_address_or_all_of_its_family() {
        for (address, to, serves) in [
            ("0.0.0.0", "10.0.0.5:80", true),
            ("10.0.0.5", "10.0.0.5:80", true),
            ("127.0.0.1", "10.0.0.5:80", false),
            ("10.0.0.5", "10.0.0.5:81", false),
            ("0.0.0.0", "[fd00::2]:80", false),
            ("::", "[fd00::2]:80", true),
            ("::", "10.0.0.5:80", false),
        ] {
            let listener =
                Listener { address: address.parse().unwrap(), port: 80, queued: 0, inode: 1 };
            let to = to.parse().unwrap();
            assert_eq!(listener.serves(to), serves, "{address} {to}");
            assert_eq!(listener.may_serve(to), serves || address == "::", "{address} {to}");
        }
    }

    #[test]
    fn an_own_listener_is_found_with_its_process() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let here = socket.local_addr().unwrap();
        let until = Instant::now() + std::time::Duration::from_secs(10);
        let all = all(Path::new("/proc"), until).unwrap();
        let listener = all.iter().find(|listener| listener.serves(here)).unwrap();
        let owners = Owners::find(Path::new("/proc"), vec![listener.inode], until);
        assert_eq!(owners.get(listener).unwrap().pid, std::process::id().to_string());
        let late = Owners::find(Path::new("/proc"), vec![listener.inode], Instant::now());
        assert_eq!(late.name(listener), "a process");
        // Twenty thousand listeners took a tenth of a second.
        assert_eq!(super::all(Path::new("/proc"), Instant::now()), None);
    }
}

//! One check: the address is looked up, the port is connected to or asked, the verdict given.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lifecycle::report;
use nix::libc;

use crate::address;
use crate::config::Check;
use crate::connection::{Connection, Deadline};
use crate::error::{DialError, HealthError};
use crate::explain;
use crate::http::{self, NoAnswer};
use crate::url::{self, Url};

/// How many checks the explanation looks back on.
const HISTORY: usize = 20;

/// Makes checks and remembers how long the app took.
#[derive(Debug)]
pub struct Prober {
    check: Check,
    /// Read at the start of the program, for the first check.
    first_addresses: Option<Vec<IpAddr>>,
    /// Length of the last checks that the app answered, oldest first.
    answered: VecDeque<Duration>,
}

impl Prober {
    /// Reads the addresses once: without them no mode can start.
    pub fn new(check: Check) -> Result<Self, HealthError> {
        let first_addresses = Some(addresses()?);
        Ok(Self { check, first_addresses, answered: VecDeque::new() })
    }

    /// Makes one check, within `budget` if there is one, and within the check's own limit.
    pub fn check(&mut self, budget: Option<Duration>) -> Result<(), HealthError> {
        let addresses = self.first_addresses.take().map_or_else(addresses, Ok)?;
        let address = address::choose(&addresses).ok_or(HealthError::NoAddress)?;
        let limit = self.check.timeout.into_iter().chain(budget).min();
        let started = Instant::now();
        let outcome = match &self.check.uri {
            Some(uri) => self.http(address, uri, limit),
            None => self.tcp(address, limit),
        };
        if matches!(outcome, Ok(()) | Err(HealthError::Status { .. })) {
            if self.answered.len() == HISTORY {
                self.answered.pop_front();
            }
            self.answered.push_back(started.elapsed());
        }
        outcome
    }

    /// Why a check failed with `error`: in parentheses after a blank, or nothing.
    pub fn explain(&mut self, error: &HealthError) -> String {
        explain::parenthesis(error, self.answered.make_contiguous())
    }

    fn tcp(&self, address: IpAddr, limit: Option<Duration>) -> Result<(), HealthError> {
        let endpoint = format!("{}:{}", url::host(address), self.check.port);
        let to = match self.tcp_target(address) {
            Ok(to) => to,
            Err(reason) => return Err(HealthError::Tcp { endpoint, reason }),
        };
        match Connection::open(to, Deadline::after(limit)) {
            Ok(_connection) => Ok(()),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                Err(HealthError::TcpTimeout { endpoint, to, after: limit.unwrap_or_default() })
            }
            Err(error) => {
                let reason = self.system_error(to, &error);
                Err(HealthError::Tcp { endpoint, reason })
            }
        }
    }

    /// Where a TCP check connects to, by the predecessor's rules for `-network` and `-port`.
    fn tcp_target(&self, address: IpAddr) -> Result<SocketAddr, DialError> {
        let Check { network, port, .. } = &self.check;
        let (network, port) = (network.clone(), port.clone());
        let is_suitable = match network.as_str() {
            "tcp" => true,
            "tcp4" => address.is_ipv4(),
            "tcp6" => address.is_ipv6(),
            _ => return Err(DialError::UnknownNetwork { network }),
        };
        let Some(number) = decimal(&port) else {
            return Err(DialError::UnknownPort { network, port });
        };
        let Ok(number) = u16::try_from(number) else {
            return Err(DialError::InvalidPort { network, port });
        };
        if !is_suitable {
            return Err(DialError::NoSuitableAddress { network, address });
        }
        Ok(SocketAddr::new(address, number))
    }

    fn system_error(&self, to: SocketAddr, error: &io::Error) -> DialError {
        let errno = error.raw_os_error().unwrap_or(libc::EIO);
        let call = match errno {
            libc::EMFILE | libc::ENFILE => "socket",
            _ => "connect",
        };
        DialError::System { network: self.check.network.clone(), to, call, errno }
    }

    fn http(
        &self,
        address: IpAddr,
        uri: &[u8],
        limit: Option<Duration>,
    ) -> Result<(), HealthError> {
        let port = self.check.port.clone();
        let shown = || String::from_utf8_lossy(uri).into_owned();
        let Some(url) = Url::new(address, &port, uri) else {
            return Err(HealthError::Request { uri: shown(), port });
        };
        let answer = match http::get(url, Deadline::after(limit)) {
            Ok(answer) if answer.status == 200 => return Ok(()),
            answer => answer,
        };
        let uri = shown();
        Err(match answer {
            Ok(answer) => {
                let milliseconds = answer.after.as_millis();
                HealthError::Status { uri, port, status: answer.status, milliseconds }
            }
            Err(NoAnswer::TimedOut { to, progress }) => {
                let after = limit.unwrap_or_default();
                HealthError::HttpTimeout { uri, port, to, after, progress }
            }
            Err(NoAnswer::Failed(cause)) => HealthError::Http { uri, port, cause },
        })
    }
}

fn addresses() -> Result<Vec<IpAddr>, HealthError> {
    address::all().map_err(|error| HealthError::Interfaces(report::system_words(&error)))
}

/// A number with optional sign and leading zeros, as large as it likes; empty is 0.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.is_empty() && !text.is_empty() {
        return None;
    }
    let number = digits.bytes().fold(0_i64, |number, digit| {
        number.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some(if text.starts_with('-') { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dial(network: &str, port: &str, address: &str) -> String {
        let check =
            Check { network: network.to_owned(), uri: None, port: port.to_owned(), timeout: None };
        let prober = Prober { check, first_addresses: None, answered: VecDeque::new() };
        match prober.tcp_target(address.parse().unwrap()) {
            Ok(to) => to.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn networks_and_ports_are_judged_as_the_predecessor_does() {
        for (network, port, address, expected) in [
            ("tcp", "8080", "10.0.0.5", "10.0.0.5:8080"),
            ("tcp4", "080", "10.0.0.5", "10.0.0.5:80"),
            ("tcp", "+80", "10.0.0.5", "10.0.0.5:80"),
            ("tcp", "", "10.0.0.5", "10.0.0.5:0"),
            ("tcp6", "80", "fd00::2", "[fd00::2]:80"),
            ("tcp", "-1", "10.0.0.5", "dial tcp: address -1: invalid port"),
            ("tcp", "65536", "10.0.0.5", "dial tcp: address 65536: invalid port"),
            (
                "tcp4",
                "99999999999999999999",
                "10.0.0.5",
                "dial tcp4: address 99999999999999999999: invalid port",
            ),
            ("tcp", "nope", "10.0.0.5", "dial tcp: lookup tcp/nope: unknown port"),
            ("tcp", "+", "10.0.0.5", "dial tcp: lookup tcp/+: unknown port"),
            ("bogus", "80", "10.0.0.5", "dial bogus: unknown network bogus"),
            ("udp", "80", "10.0.0.5", "dial udp: unknown network udp"),
            ("", "80", "10.0.0.5", "dial: unknown network "),
            ("tcp6", "80", "10.0.0.5", "dial tcp6: address 10.0.0.5: no suitable address found"),
            ("tcp4", "80", "fd00::2", "dial tcp4: address fd00::2: no suitable address found"),
        ] {
            assert_eq!(dial(network, port, address), expected, "{network} {port:?}");
        }
    }

    #[test]
    fn system_errors_name_the_call_and_use_the_predecessors_words() {
        let check =
            Check { network: "tcp".to_owned(), uri: None, port: String::new(), timeout: None };
        let prober = Prober { check, first_addresses: None, answered: VecDeque::new() };
        for (errno, words) in [
            (libc::ECONNREFUSED, "connect: connection refused"),
            (libc::EHOSTUNREACH, "connect: no route to host"),
            (libc::ENETUNREACH, "connect: network is unreachable"),
            (libc::EACCES, "connect: permission denied"),
            (libc::EPERM, "connect: operation not permitted"),
            (libc::EADDRNOTAVAIL, "connect: cannot assign requested address"),
            (libc::ECONNRESET, "connect: connection reset by peer"),
            (libc::ENETDOWN, "connect: network is down"),
            (libc::EHOSTDOWN, "connect: host is down"),
            (libc::EMFILE, "socket: too many open files"),
            (libc::ENFILE, "socket: too many open files in system"),
            (libc::ENOBUFS, "connect: no buffer space available"),
            (libc::ENOMEM, "connect: cannot allocate memory"),
            (libc::EINVAL, "connect: invalid argument"),
            (libc::EAFNOSUPPORT, "connect: address family not supported by protocol"),
            (libc::EPROTONOSUPPORT, "connect: protocol not supported"),
            (libc::ECONNABORTED, "connect: software caused connection abort"),
        ] {
            let to = "10.0.0.5:80".parse().unwrap();
            let error = prober.system_error(to, &io::Error::from_raw_os_error(errno));
            assert_eq!(error.to_string(), format!("dial tcp 10.0.0.5:80: {words}"));
        }
    }
}

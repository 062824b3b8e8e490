//! Signals by the names RFC 4254 gives them (6.9, 6.10), both ways.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// The signal a client asks for by `name`, if it is one of the protocol's thirteen.
pub fn by_name(name: &str) -> Option<Signal> {
    NAMED.iter().find(|(known, _)| *known == name).map(|&(_, signal)| signal)
}

/// The protocol's names, which need no prefix (RFC 4254, 6.10).
const NAMED: [(&str, Signal); 13] = [
    ("ABRT", Signal::SIGABRT),
    ("ALRM", Signal::SIGALRM),
    ("FPE", Signal::SIGFPE),
    ("HUP", Signal::SIGHUP),
    ("ILL", Signal::SIGILL),
    ("INT", Signal::SIGINT),
    ("KILL", Signal::SIGKILL),
    ("PIPE", Signal::SIGPIPE),
    ("QUIT", Signal::SIGQUIT),
    ("SEGV", Signal::SIGSEGV),
    ("TERM", Signal::SIGTERM),
    ("USR1", Signal::SIGUSR1),
    ("USR2", Signal::SIGUSR2),
];

/// How a program ended, in the protocol's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `exit-status` with this number.
    Status(u32),
    /// `exit-signal`.
    Signal {
        /// The name without `SIG`.
        name: &'static str,
        /// Whether memory was written to a core file.
        core_dumped: bool,
    },
}

impl From<ExitStatus> for End {
    /// A signal without a name (real-time ones) is told as a shell would: 128 and its number.
    fn from(status: ExitStatus) -> Self {
        let Some(number) = status.signal() else {
            return Self::Status(
                status.code().and_then(|code| code.try_into().ok()).unwrap_or(255),
            );
        };
        match Signal::try_from(number) {
            Ok(signal) => Self::Signal {
                name: signal.as_str().trim_start_matches("SIG"),
                core_dumped: status.core_dumped(),
            },
            Err(_) => Self::Status(128 + number.unsigned_abs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thirteen_names_go_both_ways_and_no_others_come_in() {
        for (name, signal) in NAMED {
            assert_eq!(by_name(name), Some(signal));
            let end = End::from(ExitStatus::from_raw(signal as i32));
            assert_eq!(end, End::Signal { name, core_dumped: false });
        }
        for name in ["", "SIGTERM", "term", "STOP", "WINCH", "TERM\0"] {
            assert_eq!(by_name(name), None, "{name:?}");
        }
    }

    // The predecessor sent an empty name for all but the thirteen.
    #[test]
    fn no_end_by_a_signal_is_without_a_name_or_number() {
        let bus = ExitStatus::from_raw(Signal::SIGBUS as i32 | 0x80);
        assert_eq!(End::from(bus), End::Signal { name: "BUS", core_dumped: true });
        assert_eq!(End::from(ExitStatus::from_raw(40)), End::Status(168));
        assert_eq!(End::from(ExitStatus::from_raw(3 << 8)), End::Status(3));
    }
}

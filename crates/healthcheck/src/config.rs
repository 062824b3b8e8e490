//! The flags, and what they ask for: which port is checked how, and how often.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::{Parser, value_parser};
use lifecycle::flags::{self, FlagError};

use crate::schedule::Schedule;

/// The flags as they stand on the command line. The four intervals that give a mode its name select
/// it; one that is zero or negative counts as not given.
#[derive(Debug, Parser)]
#[command(name = "healthcheck")]
struct Flags {
    /// Network of the connection when there is no -uri: tcp, tcp4 or tcp6
    #[arg(long, value_name = "string", default_value = "tcp", value_parser = value_parser!(OsString))]
    network: OsString,
    /// Path to request over HTTP; without it the check is a TCP connection
    #[arg(long, value_name = "string", default_value = "", value_parser = value_parser!(OsString))]
    uri: OsString,
    /// Port to check
    #[arg(long, value_name = "string", default_value = "8080", value_parser = value_parser!(OsString))]
    port: OsString,
    /// Limit of one check; 0 for none
    #[arg(long, value_name = "duration", default_value = "1s", value_parser = flags::duration)]
    timeout: Duration,
    /// Startup mode: check at this interval until one check passes
    #[arg(long = "startup-interval", value_name = "duration", default_value = "0s",
          value_parser = flags::duration)]
    startup_interval: Duration,
    /// Limit of startup mode as a whole; 0 for none
    #[arg(long = "startup-timeout", value_name = "duration", default_value = "1m0s",
          value_parser = flags::duration)]
    startup_timeout: Duration,
    /// Liveness mode: check at this interval until checks fail
    #[arg(long = "liveness-interval", value_name = "duration", default_value = "0s",
          value_parser = flags::duration)]
    liveness_interval: Duration,
    /// Liveness mode: report after this many failures in a row
    #[arg(long = "failure-threshold", value_name = "int", default_value = "1",
          value_parser = threshold)]
    failure_threshold: u64,
    /// Readiness mode: check at this interval until one check fails
    #[arg(long = "readiness-interval", value_name = "duration", default_value = "0s",
          value_parser = flags::duration)]
    readiness_interval: Duration,
    /// Until-ready mode: check at this interval until one check passes, without limit
    #[arg(long = "until-ready-interval", value_name = "duration", default_value = "0s",
          value_parser = flags::duration)]
    until_ready_interval: Duration,
}

/// What a run does.
#[derive(Debug)]
pub struct Config {
    /// What one check looks at.
    pub check: Check,
    /// When checks happen, and which outcome ends the program.
    pub schedule: Schedule,
}

/// What one check looks at.
#[derive(Debug)]
pub struct Check {
    /// `-network`: read in TCP mode only.
    pub network: String,
    /// `-uri`, byte for byte: present in HTTP mode only.
    pub uri: Option<Vec<u8>>,
    /// `-port` as given: every message repeats it unchanged.
    pub port: String,
    /// `-timeout`; `None` for no limit.
    pub timeout: Option<Duration>,
}

/// Reads the command line, program name included.
pub fn read(arguments: impl Iterator<Item = OsString>) -> Result<Config, FlagError> {
    let flags: Flags = flags::parse(arguments.skip(1))?;
    Ok(Config { schedule: schedule(&flags), check: check(flags) })
}

fn check(flags: Flags) -> Check {
    Check {
        network: flags.network.to_string_lossy().into_owned(),
        uri: Some(flags.uri.into_vec()).filter(|uri| !uri.is_empty()),
        port: flags.port.to_string_lossy().into_owned(),
        timeout: positive(flags.timeout),
    }
}

/// The mode, by the contract's precedence where several intervals are given.
fn schedule(flags: &Flags) -> Schedule {
    if let Some(interval) = positive(flags.startup_interval) {
        Schedule::Startup { interval, limit: positive(flags.startup_timeout) }
    } else if let Some(interval) = positive(flags.liveness_interval) {
        Schedule::Liveness { interval, threshold: flags.failure_threshold }
    } else if let Some(interval) = positive(flags.readiness_interval) {
        Schedule::Readiness { interval }
    } else if let Some(interval) = positive(flags.until_ready_interval) {
        Schedule::UntilReady { interval }
    } else {
        Schedule::Once
    }
}

fn positive(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

fn threshold(text: &str) -> Result<u64, String> {
    let number = flags::integer(text)?;
    u64::try_from(number).ok().filter(|&n| n > 0).ok_or_else(|| "must be 1 or more".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(words: &[&str]) -> Config {
        let words = ["healthcheck"].iter().chain(words).map(OsString::from);
        read(words).unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn defaults_are_one_tcp_check_of_port_8080_within_a_second() {
        let Config { check, schedule } = config(&[]);
        assert_eq!((check.network.as_str(), check.port.as_str()), ("tcp", "8080"));
        assert_eq!((check.uri, check.timeout), (None, Some(SECOND)));
        assert_eq!(schedule, Schedule::Once);
    }

    #[test]
    fn an_empty_uri_is_tcp_mode_and_a_zero_or_negative_timeout_is_none() {
        assert_eq!(config(&["-uri="]).check.uri, None);
        assert_eq!(config(&["-uri=/x?y=1"]).check.uri, Some(b"/x?y=1".to_vec()));
        assert_eq!(config(&["-timeout=0"]).check.timeout, None);
        assert_eq!(config(&["-timeout=-1s"]).check.timeout, None);
    }

    #[test]
    fn intervals_select_the_mode_in_a_fixed_order() {
        let all = [
            "-until-ready-interval=1s",
            "-readiness-interval=1s",
            "-liveness-interval=1s",
            "-startup-interval=1s",
        ];
        let expected = [
            Schedule::UntilReady { interval: SECOND },
            Schedule::Readiness { interval: SECOND },
            Schedule::Liveness { interval: SECOND, threshold: 1 },
            Schedule::Startup { interval: SECOND, limit: Some(60 * SECOND) },
        ];
        for (count, expected) in expected.into_iter().enumerate() {
            assert_eq!(config(&all[..=count]).schedule, expected);
        }
    }

    #[test]
    fn intervals_of_zero_or_less_count_as_not_given() {
        let words = ["-startup-interval=0s", "-liveness-interval=-1s", "-readiness-interval=1s"];
        assert_eq!(config(&words).schedule, Schedule::Readiness { interval: SECOND });
    }

    #[test]
    fn a_startup_timeout_of_zero_or_less_is_no_limit() {
        for limit in ["-startup-timeout=0s", "-startup-timeout=-5s"] {
            let expected = Schedule::Startup { interval: SECOND, limit: None };
            assert_eq!(config(&["-startup-interval=1s", limit]).schedule, expected);
        }
    }

    #[test]
    fn the_failure_threshold_is_a_positive_integer() {
        let liveness = ["-liveness-interval=1s", "-failure-threshold=3"];
        let expected = Schedule::Liveness { interval: SECOND, threshold: 3 };
        assert_eq!(config(&liveness).schedule, expected);
        for (value, reason) in
            [("0", "must be 1 or more"), ("-1", "must be 1 or more"), ("x", "parse error")]
        {
            let words = ["healthcheck".to_owned(), format!("-failure-threshold={value}")];
            let error = read(words.into_iter().map(OsString::from)).unwrap_err().to_string();
            let expected =
                format!("invalid value \"{value}\" for flag -failure-threshold: {reason}\n");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_port_that_is_not_utf_8_is_no_reason_to_stop() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let words = [
            OsStr::new("healthcheck"),
            OsStr::from_bytes(b"-port=\xff"),
            OsStr::from_bytes(b"-uri=/\xff"),
        ];
        let check = read(words.into_iter().map(OsString::from)).unwrap().check;
        assert_eq!(check.port, "\u{fffd}");
        assert_eq!(check.uri, Some(b"/\xff".to_vec()));
    }
}

//! The log: one JSON object per line on stdout, in the form of the predecessor's logger (contract
//! sshd, section 13). Writing never waits: what a full pipe does not take is kept for the next line,
//! and beyond a bound dropped and counted.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::calendar::civil;

mod json;
mod redaction;
mod stdout;

pub use redaction::{Redaction, RedactionError};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Every request.
    Debug = 0,
    /// Connections, sessions, start and end.
    Info = 1,
    /// Something failed.
    Error = 2,
    /// Production's choice: silence.
    Fatal = 3,
}

impl Level {
    /// From the name that `-logLevel` takes: exact and in lower case.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Error, Self::Fatal]
            .into_iter()
            .find(|level| level.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// How a line says when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// `"1795246650.883822918"`, and the level as a number.
    #[default]
    UnixEpoch,
    /// `"2026-11-21T07:44:53.150016334Z"`, and the level by its name.
    Rfc3339,
}

/// A value in a line's `data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A number.
    Number(i64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// The `data` of a line, in any order.
pub type Data<'d> = [(&'d str, Value<'d>)];

/// A logger with a place of its own: `sshd.server`, session `1`. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Log {
    sink: Arc<Sink>,
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    /// `sshd.handle-connection`.
    path: String,
    /// `2.1`; empty for the root.
    session: String,
    /// How many places are below this one so far.
    below: AtomicU32,
}

#[derive(Debug)]
struct Sink {
    level: AtomicU8,
    time_format: TimeFormat,
    redaction: Option<Redaction>,
    output: stdout::Output,
}

/// `source` of every line, and the first word of each message.
const SOURCE: &str = "sshd";

impl Log {
    /// The root logger. With `redaction` every line's data is searched for secrets.
    pub fn new(level: Level, time_format: TimeFormat, redaction: Option<Redaction>) -> Self {
        let output = stdout::Output::default();
        let sink = Sink { level: AtomicU8::new(level as u8), time_format, redaction, output };
        Self { sink: Arc::new(sink), place: Arc::new(Place::new(SOURCE.to_owned(), String::new())) }
    }

    /// The next place below this one: its `name` is added to the messages, a number to the session.
    #[must_use]
    pub fn session(&self, name: &str) -> Self {
        let above = &self.place;
        let number = above.below.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let dot = if above.session.is_empty() { "" } else { "." };
        let session = format!("{}{dot}{number}", above.session);
        let place = Place::new(format!("{}.{name}", above.path), session);
        Self { sink: Arc::clone(&self.sink), place: Arc::new(place) }
    }

    /// Whether lines of `level` are printed: ask before preparing data that costs something.
    pub fn prints(&self, level: Level) -> bool {
        level as u8 >= self.sink.level.load(Ordering::Relaxed)
    }

    /// Prints lines from `level` on, everywhere and at once.
    pub fn set_level(&self, level: Level) {
        self.sink.level.store(level as u8, Ordering::Relaxed);
    }

    /// A line about every request.
    pub fn debug(&self, message: &str, data: &Data<'_>) {
        self.line(Level::Debug, message, data);
    }

    /// A line about the course of things.
    pub fn info(&self, message: &str, data: &Data<'_>) {
        self.line(Level::Info, message, data);
    }

    /// A line about a failure; its cause goes under the key `error`.
    pub fn error(&self, message: &str, data: &Data<'_>) {
        self.line(Level::Error, message, data);
    }

    /// Waits up to `patience` until a slow reader has taken what is left: for the program's end.
    pub fn flush(&self, patience: Duration) {
        self.sink.output.flush(patience);
    }

    fn line(&self, level: Level, message: &str, data: &Data<'_>) {
        if self.prints(level) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let line = self.text(now, level, message, data);
            self.sink.output.write(&line, |count| self.dropped(now, count));
        }
    }

    /// The line about `count` lines that nobody read in time.
    fn dropped(&self, now: Duration, count: u64) -> String {
        let place = Arc::new(Place::new(SOURCE.to_owned(), String::new()));
        let root = Self { sink: Arc::clone(&self.sink), place };
        root.text(now, Level::Error, "log-lines-dropped", &[("count", count.into())])
    }

    /// The line and its newline.
    fn text(&self, now: Duration, level: Level, message: &str, data: &Data<'_>) -> String {
        let mut line = String::with_capacity(160);
        let format = self.sink.time_format;
        let level_key = match format {
            TimeFormat::UnixEpoch => String::new(),
            TimeFormat::Rfc3339 => format!("\"level\":\"{}\",", level.name()),
        };
        let _infallible =
            write!(line, "{{\"timestamp\":\"{}\",{level_key}\"source\":", Stamp(now, format));
        json::text(&mut line, SOURCE);
        line.push_str(",\"message\":");
        json::text(&mut line, &format!("{}.{message}", self.place.path));
        if format == TimeFormat::UnixEpoch {
            let _infallible = write!(line, ",\"log_level\":{}", level as u8);
        }
        line.push_str(",\"data\":");
        self.data(&mut line, data);
        line.push_str("}\n");
        line
    }

    fn data(&self, line: &mut String, data: &Data<'_>) {
        let mut fields: Vec<(&str, Value<'_>)> = data.to_vec();
        if !self.place.session.is_empty() {
            fields.push(("session", Value::from(self.place.session.as_str())));
        }
        fields.sort_by_key(|(key, _)| *key);
        if let Some(redaction) = &self.sink.redaction {
            for (key, value) in &mut fields {
                redaction.apply(key, value);
            }
        }
        json::object(line, &fields);
    }
}

impl Place {
    fn new(path: String, session: String) -> Self {
        Self { path, session, below: AtomicU32::new(0) }
    }
}

/// A time since 1970 in one of the two formats, to the nanosecond.
struct Stamp(Duration, TimeFormat);

impl fmt::Display for Stamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0.as_secs(), self.0.subsec_nanos());
        match self.1 {
            TimeFormat::UnixEpoch => write!(out, "{seconds}.{nanoseconds:09}"),
            TimeFormat::Rfc3339 => {
                let (year, month, day) = civil(i64::try_from(seconds / 86_400).unwrap_or(i64::MAX));
                let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
                write!(out, "{year:04}-{month:02}-{day:02}T")?;
                write!(out, "{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::new(1_795_246_650, 883_822_918);

    fn log(time_format: TimeFormat) -> Log {
        Log::new(Level::Info, time_format, None)
    }

    #[test]
    fn lines_have_the_predecessors_form_to_the_byte() {
        let root = log(TimeFormat::UnixEpoch);
        assert_eq!(
            root.text(NOW, Level::Info, "started", &[]),
            "{\"timestamp\":\"1795246650.883822918\",\"source\":\"sshd\",\"message\":\"sshd.started\",\
             \"log_level\":1,\"data\":{}}\n"
        );
        let data = [("type", Value::from("a<b>&\"\\\n\u{1}\u{2028}")), ("error", "no".into())];
        let line = root.session("server").text(NOW, Level::Error, "x", &data);
        let expected = "\"data\":{\"error\":\"no\",\"session\":\"1\",\
                        \"type\":\"a\\u003cb\\u003e\\u0026\\\"\\\\\\n\\u0001\\u2028\"}}\n";
        assert!(line.ends_with(expected), "{line}");
        assert_eq!(
            log(TimeFormat::Rfc3339).text(NOW, Level::Fatal, "x", &[("a", 1_u32.into())]),
            "{\"timestamp\":\"2026-11-21T07:37:30.883822918Z\",\"level\":\"fatal\",\"source\":\"sshd\",\
             \"message\":\"sshd.x\",\"data\":{\"a\":1}}\n"
        );
    }

    #[test]
    fn lines_that_were_dropped_are_told_of_in_a_line_like_any_other() {
        // It was no JSON.
        let line = log(TimeFormat::UnixEpoch).session("server").dropped(NOW, 3);
        assert_eq!(
            line,
            "{\"timestamp\":\"1795246650.883822918\",\"source\":\"sshd\",\
             \"message\":\"sshd.log-lines-dropped\",\"log_level\":2,\"data\":{\"count\":3}}\n"
        );
    }

    #[test]
    fn sessions_are_numbered_below_each_other() {
        let root = log(TimeFormat::UnixEpoch);
        let server = root.session("server");
        let connection = root.session("handle-connection");
        let _first_channel = connection.session("global");
        let request = connection.session("session").session("exec");
        let ids = [&server, &connection, &request].map(|log| log.place.session.as_str());
        assert_eq!(ids, ["1", "2", "2.2.1"]);
        assert_eq!(request.place.path, "sshd.handle-connection.session.exec");
    }

    #[test]
    fn lines_below_the_level_are_not_printed_and_the_level_can_change() {
        let log = log(TimeFormat::UnixEpoch).session("server");
        let printed = |log: &Log| {
            [Level::Debug, Level::Info, Level::Error, Level::Fatal].map(|level| log.prints(level))
        };
        assert_eq!(printed(&log), [false, true, true, true]);
        log.clone().set_level(Level::Fatal);
        assert_eq!(printed(&log), [false, false, false, true]);
    }

    #[test]
    fn level_names_are_exact() {
        assert_eq!(Level::named("error"), Some(Level::Error));
        for name in ["", "INFO", "warn", "info ", "0"] {
            assert_eq!(Level::named(name), None, "{name}");
        }
    }

    #[test]
    fn dates_are_right_at_the_edges_of_months_and_leap_years() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000000Z"),
        ] {
            let stamp = Stamp(Duration::from_secs(seconds), TimeFormat::Rfc3339);
            assert_eq!(stamp.to_string(), expected);
        }
    }
}

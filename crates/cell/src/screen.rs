//! What is told on the terminal: sentences for people, or with `--json` one object a line for programs
//! (`docs/cell.md` lists them). What takes long shows itself below them, where there is a terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lifecycle::environment::Environment;
use lifecycle::report::{say, warn};
use serde::Serialize;

use crate::log::{Line, Stream};

/// From one picture of what goes on to the next.
const TICK: Duration = Duration::from_millis(100);
/// What begins the lines of apps, what those of the platform, what those of errors, as `cf logs` has them; and what
/// ends them.
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const RED: &str = "\x1b[31m";
const PLAIN: &str = "\x1b[0m";

/// One thing that is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    /// Something to know that stops nothing.
    Warning {
        /// The sentence.
        text: &'a str,
    },
    /// A step begins.
    Step {
        /// The sentence.
        text: &'a str,
    },
    /// An app was staged.
    Staged {
        /// The app.
        app: &'a str,
        /// Where its droplet is.
        droplet: &'a str,
        /// What the last buildpack called itself.
        buildpack: &'a str,
        /// Whether a cache of an earlier staging was used.
        used_cache: bool,
        /// How long it took.
        milliseconds: u64,
        /// ... of which in its phases: `download`, `package`, `cache`, and the builder's own.
        phases: &'a BTreeMap<String, u64>,
    },
    /// An app runs.
    Running {
        /// The app.
        app: &'a str,
        /// Where it answers; `None` for one that listens to nothing.
        url: Option<&'a str>,
        /// What opens a shell in it.
        ssh: &'a str,
        /// From its start to its health.
        milliseconds: u64,
    },
    /// A line of an app's log.
    Log {
        /// The line.
        #[serde(flatten)]
        line: Line<'a>,
    },
    /// An app was stopped.
    Stopped {
        /// The app.
        app: &'a str,
    },
    /// A directory is served.
    Serving {
        /// Where.
        url: &'a str,
    },
    /// An instance, of a list.
    Instance {
        /// The app.
        app: &'a str,
        /// The process type.
        process: &'a str,
        /// From 0.
        index: u32,
        /// `running`.
        state: &'a str,
        /// Whether it takes requests.
        ready: bool,
        /// Where it answers; `None` for one that listens to nothing.
        url: Option<&'a str>,
        /// How often it crashed.
        crashes: u32,
    },
}

/// Where it is told. Clones are the same terminal.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    form: Form,
    /// What goes on, below all lines.
    bars: MultiProgress,
}

/// What lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Plain,
    Coloured,
}

/// Something that takes long, shown until this is dropped.
#[derive(Debug)]
pub(crate) struct Activity(ProgressBar);

impl Drop for Activity {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Activity {
    /// What is going on now.
    pub(crate) fn is(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Screen {
    /// This program's streams: colours and what goes on only on terminals that can show them, and not with
    /// `NO_COLOR` and `TERM=dumb`.
    pub(crate) fn new(json: bool, environment: &Environment) -> Self {
        let is_set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        let can_draw = is_set("TERM") && environment.get("TERM").is_none_or(|term| term != "dumb");
        let form = match json {
            true => Form::Json,
            false if can_draw && !is_set("NO_COLOR") && io::stdout().is_terminal() => {
                Form::Coloured
            }
            false => Form::Plain,
        };
        let is_drawn = can_draw && !json && io::stderr().is_terminal();
        let target =
            if is_drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { form, bars: MultiProgress::with_draw_target(target) }
    }

    /// Whether it is read by programs.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Whether what goes on is shown.
    pub(crate) fn is_drawn(&self) -> bool {
        !self.bars.is_hidden()
    }

    /// Shows that something goes on.
    pub(crate) fn begin(&self, text: impl Into<String>) -> Activity {
        let bar = self.bars.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_message(text.into());
        if self.is_drawn() {
            bar.enable_steady_tick(TICK);
        }
        Activity(bar)
    }

    /// Tells it.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.bars.suspend(|| match self.form {
            Form::Json => say(&serde_json::to_string(event).unwrap_or_default()),
            Form::Plain | Form::Coloured => tell_people(event),
        });
    }

    /// Shows a line of a log.
    pub(crate) fn log(&self, text: &str) {
        match (self.form, Line::parse(text)) {
            (Form::Json, Some(line)) => self.tell(&Event::Log { line }),
            (Form::Coloured, Some(line)) => self.bars.suspend(|| say(&coloured(&line))),
            _ => self.bars.suspend(|| say(text)),
        }
    }
}

fn tell_people(event: &Event<'_>) {
    match event {
        Event::Warning { text } => warn(text),
        Event::Step { text } => say(text),
        Event::Staged { droplet, buildpack, used_cache, milliseconds, .. } => {
            let cache = if *used_cache { ", with the cache of the last staging" } else { "" };
            let took = seconds(*milliseconds);
            say(&format!("Staged in {took} s{cache}, by {buildpack}: {droplet}"));
        }
        Event::Running { app, url, ssh, milliseconds } => {
            let took = seconds(*milliseconds);
            say(&match url {
                Some(url) => format!("{app} runs after {took} s: {url}"),
                None => format!("{app} runs after {took} s"),
            });
            say(&format!("A shell in it: {ssh}"));
        }
        Event::Serving { url } => say(url),
        Event::Stopped { app } => say(&format!("{app} is stopped")),
        Event::Instance { app, process, index, state, ready, url, crashes } => {
            let ready = if *ready || *state != "running" { "" } else { ", not ready" };
            let crashed =
                if *crashes > 0 { format!(", crashed {crashes} times") } else { String::new() };
            let url = url.unwrap_or_default();
            say(format!("{app}  {process}/{index}  {state}{ready}{crashed}  {url}").trim_end());
        }
        Event::Log { line } => say(&line.to_string()),
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}

fn coloured(line: &Line<'_>) -> String {
    let colour = if line.source.starts_with("APP/") { YELLOW } else { CYAN };
    let head = line.head();
    match line.stream {
        Stream::Out => format!("{colour}{head}{PLAIN}{}", line.text),
        Stream::Error => format!("{colour}{head}{RED}{}{PLAIN}", line.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_by_colour_whose_line_it_is_and_errors_are_red() {
        let line = |text| coloured(&Line::parse(text).unwrap());
        assert_eq!(
            line("   2026-11-21T14:00:00.12+0000 [APP/PROC/WEB/0] ERR oh [no]"),
            "\x1b[33m   2026-11-21T14:00:00.12+0000 [APP/PROC/WEB/0] ERR \x1b[31moh [no]\x1b[0m"
        );
        assert_eq!(
            line("   2026-11-21T14:00:00.12+0000 [STG/0] OUT "),
            "\x1b[36m   2026-11-21T14:00:00.12+0000 [STG/0] OUT \x1b[0m"
        );
    }

    #[test]
    fn lines_of_logs_are_objects_for_programs() {
        let line = Line::parse("   2026-11-21T14:00:00.12+0000 [CELL/1] OUT up").unwrap();
        assert_eq!(
            serde_json::to_string(&Event::Log { line }).unwrap(),
            r#"{"event":"log","time":"2026-11-21T14:00:00.12+0000","source":"CELL/1","stream":"out","text":"up"}"#
        );
    }
}

//! What is told on the terminal: sentences for people, or with `--json` one object a line for programs.

use lifecycle::report::{say, warn};
use serde::Serialize;

/// One thing that is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
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
    },
    /// An app runs.
    Running {
        /// The app.
        app: &'a str,
        /// Where it answers; `None` for one that listens to nothing.
        url: Option<&'a str>,
        /// What opens a shell in it.
        ssh: &'a str,
    },
    /// An app was stopped.
    Stopped {
        /// The app.
        app: &'a str,
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
        /// Where it answers.
        url: &'a str,
        /// How often it crashed.
        crashes: u32,
    },
}

/// Where it is told.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// As JSON.
    pub json: bool,
}

impl Screen {
    /// Tells it.
    pub fn tell(self, event: &Event<'_>) {
        if self.json {
            say(&serde_json::to_string(event).unwrap_or_default());
            return;
        }
        match event {
            Event::Warning { text } => warn(text),
            Event::Step { text } => say(text),
            Event::Staged { droplet, buildpack, used_cache, milliseconds, .. } => {
                let cache = if *used_cache { ", with the cache of the last staging" } else { "" };
                let seconds = f64::from(u32::try_from(*milliseconds).unwrap_or(u32::MAX)) / 1000.0;
                say(&format!("Staged in {seconds:.1} s{cache} by {buildpack}: {droplet}"));
            }
            Event::Running { app, url, ssh } => {
                say(&match url {
                    Some(url) => format!("{app} runs: {url}"),
                    None => format!("{app} runs"),
                });
                say(&format!("A shell in it: {ssh}"));
            }
            Event::Stopped { app } => say(&format!("{app} is stopped")),
            Event::Instance { app, process, index, state, ready, url, crashes } => {
                let ready = if *ready || *state != "running" { "" } else { ", not ready" };
                let crashed =
                    if *crashes > 0 { format!(", crashed {crashes} times") } else { String::new() };
                say(&format!("{app}  {process}/{index}  {state}{ready}{crashed}  {url}"));
            }
        }
    }
}

//! What the steps of staging cost: kept while they run, printed as a table and written to
//! `staging_report.json` at the end.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use lifecycle::report::say;
use lifecycle::size::Size;
use lifecycle::staging_report::{BuildpackShare, Origin, Output, Phase, StagingReport};
use walkdir::WalkDir;

use crate::buildpack::Key;
use crate::staging::{Selected, Staging};

/// The steps so far.
#[derive(Debug)]
pub(crate) struct Account {
    started: Instant,
    phases: RefCell<Vec<Phase>>,
}

impl Account {
    /// Staging begins now.
    pub(crate) fn open() -> Self {
        Self { started: Instant::now(), phases: RefCell::default() }
    }

    /// A buildpack's script has ended.
    pub(crate) fn scripted(&self, script: &str, buildpack: &str, elapsed: Duration) {
        self.add(script, Some(buildpack), elapsed, None);
    }

    /// A buildpack was fetched.
    pub(crate) fn fetched(&self, buildpack: &str, elapsed: Duration, bytes: u64) {
        self.add("fetch", Some(buildpack), elapsed, Some(bytes));
    }

    /// Droplet and cache were packed.
    pub(crate) fn packed(&self, elapsed: Duration, bytes: u64) {
        self.add("pack", None, elapsed, Some(bytes));
    }

    fn add(&self, name: &str, buildpack: Option<&str>, elapsed: Duration, bytes: Option<u64>) {
        self.phases.borrow_mut().push(Phase {
            name: name.to_owned(),
            buildpack: buildpack.map(ToOwned::to_owned),
            seconds: to_milliseconds(elapsed.as_secs_f64()),
            bytes,
        });
    }

    /// The whole report of a staging that succeeded.
    pub(crate) fn report(
        &self,
        (staging, selected): (&Staging<'_>, &Selected),
        origin: Origin,
        droplet: Output,
        cache: Output,
    ) -> StagingReport {
        let phases = self.phases.borrow().clone();
        StagingReport {
            origin,
            seconds: to_milliseconds(self.started.elapsed().as_secs_f64()),
            droplet,
            cache,
            buildpacks: shares(staging, selected, &phases),
            phases,
        }
    }
}

/// What each buildpack cost. Those that were never asked are left out.
fn shares(staging: &Staging<'_>, selected: &Selected, phases: &[Phase]) -> Vec<BuildpackShare> {
    let share = |(position, key): (usize, &Key)| {
        let shown = key.shown();
        let own = phases.iter().filter(|phase| phase.buildpack.as_deref() == Some(&shown));
        let seconds: Vec<f64> = own.map(|phase| phase.seconds).collect();
        let deps = staging.deps(position, selected);
        (!seconds.is_empty()).then(|| BuildpackShare {
            key: shown,
            seconds: to_milliseconds(seconds.iter().sum()),
            deps_bytes: deps.map(|deps| size(&deps)).unwrap_or_default(),
        })
    };
    staging.order.keys.iter().enumerate().filter_map(share).collect()
}

/// The bytes of all files below `directory`.
fn size(directory: &Path) -> u64 {
    WalkDir::new(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len())
        .sum()
}

/// Seconds with three digits: finer is noise.
fn to_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Prints the report as a short table.
pub(crate) fn print(report: &StagingReport) {
    say(&format!("Staged in {:.1} s on {}:", report.seconds, place(&report.origin)));
    for phase in &report.phases {
        let buildpack = phase.buildpack.as_deref().unwrap_or_default();
        row(&phase.name, Some(phase.seconds), phase.bytes, buildpack);
    }
    for buildpack in report.buildpacks.iter().filter(|buildpack| buildpack.deps_bytes > 0) {
        row("deps", None, Some(buildpack.deps_bytes), &buildpack.key);
    }
    for (name, output) in [("droplet", &report.droplet), ("cache", &report.cache)] {
        row(name, None, Some(output.bytes), &format!("sha256 {}", output.sha256));
    }
}

/// One line of the table; what is not known stays blank.
fn row(name: &str, seconds: Option<f64>, bytes: Option<u64>, what: &str) {
    let seconds = seconds.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
    let bytes = bytes.map(|bytes| Size(bytes).to_string()).unwrap_or_default();
    say(format!("  {name:<8} {seconds:>8} {bytes:>8}  {what}").trim_end());
}

fn place(origin: &Origin) -> String {
    match origin.stack.as_str() {
        "" => origin.architecture.clone(),
        stack => format!("{stack}, {}", origin.architecture),
    }
}

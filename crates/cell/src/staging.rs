//! Staging: app bits and buildpacks become a droplet, in a container like the platform's, with the log lines it has.

mod limit;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lifecycle::archive::unpack::UnpackError;
use lifecycle::file::{self, FileError};
use lifecycle::size::Size;
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::app::{App, SIDECAR_NAMES, Sidecar, sidecar_source};
use crate::buildpacks::{Buildpack, Place};
use crate::container::{Container, ContainerError, Contents};
use crate::instance::GRACE;
use crate::log::{Log, Stream};
use crate::package::{Package, PackageError};
use crate::process::{Exit, Reach};
use crate::push::milliseconds;
use crate::recipe;
use crate::state::{AppDirectory, Work};

/// What a result holds at most, in bytes (platform contract, 3.3).
const LARGEST_RESULT: u64 = 51_200;

/// How long a builder may take (platform contract, 3.1).
const LONGEST: Duration = Duration::from_mins(15);

/// What our builder leaves beside its result.
const REPORT: &str = "/tmp/staging_report.json";

/// Why an app could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// The app's files can't be taken.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The container can't be made.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The cache of the last staging can't be unpacked.
    #[error("the build artifacts cache can't be unpacked; remove it to stage without")]
    Cache(#[source] UnpackError),
    /// The builder can't be started, or a file of its not taken.
    #[error(transparent)]
    File(#[from] FileError),
    /// The builder failed.
    #[error("{}", meaning(*.0))]
    Failed(Exit),
    /// The builder took too long, and was ended.
    #[error(
        "StagingError: staging failed (STG: exceeded {} timeout)",
        recipe::go_duration(milliseconds(LONGEST))
    )]
    TooLong,
    /// The builder left no result the platform would take.
    #[error("the builder's result.json is not what the platform reads: {0}")]
    Result(String),
    /// Nothing says how to start the app.
    #[error("Start command not specified: give the app a Procfile, or the manifest a command")]
    NoCommand,
    /// A sidecar of the user's has the name of one of a buildpack's.
    #[error("the sidecar '{0}' is also one of a buildpack's; give yours another name")]
    Sidecar(String),
}

/// The Cloud Controller's words for the builder's status (platform contract, 4.2).
fn meaning(exit: Exit) -> String {
    let words = match exit.status {
        222 => {
            "NoAppDetectedError: An app was not successfully detected by any available buildpack"
        }
        223 => "BuildpackCompileFailed: App staging failed in the buildpack compile phase",
        224 => "BuildpackReleaseFailed: App staging failed in the buildpack release phase",
        _ => "StagingError: staging failed",
    };
    format!("{words} (STG: Exited with status {exit})")
}

/// What one staging takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// The app.
    pub(crate) app: &'a App,
    /// Its directory; outputs go there.
    pub(crate) directory: &'a AppDirectory,
    /// Its files.
    pub(crate) package: &'a Package,
    /// The unpacked lifecycle bundle.
    pub(crate) lifecycle: &'a Path,
    /// The buildpacks, in order.
    pub(crate) buildpacks: &'a [Buildpack],
    /// Whether the user chose them.
    pub(crate) chosen: bool,
    /// Where all that is said goes.
    pub(crate) log: &'a Log,
}

/// What Cloud Controller reads of `result.json` (platform contract, 4.1).
#[derive(Debug, Deserialize)]
struct Outcome {
    lifecycle_type: String,
    execution_metadata: String,
    #[serde(default)]
    process_types: Option<BTreeMap<String, String>>,
    lifecycle_metadata: Metadata,
    #[serde(default)]
    sidecars: Option<Vec<StagedSidecar>>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    detected_buildpack: String,
}

#[derive(Debug, Deserialize)]
struct StagedSidecar {
    name: String,
    command: String,
    process_types: Vec<String>,
    #[serde(default)]
    memory: Option<u64>,
}

/// What is read of `staging_report.json`.
#[derive(Debug, Default, Deserialize)]
struct Report {
    phases: Vec<ReportedPhase>,
}

#[derive(Debug, Deserialize)]
struct ReportedPhase {
    name: String,
    seconds: f64,
}

/// What came of a staging.
#[derive(Debug)]
pub(crate) struct Staged {
    /// The app, with what staging found.
    pub(crate) app: App,
    /// What the last buildpack called itself.
    pub(crate) detected: String,
    /// How large the droplet is.
    pub(crate) droplet: Size,
    /// Whether a cache of an earlier staging was used.
    pub(crate) used_cache: bool,
    /// What took how long, in milliseconds.
    pub(crate) phases: BTreeMap<String, u64>,
}

/// Stages. `reached` is given what ends the builder early. The old droplet stays until the app is recorded.
pub(crate) fn stage(order: Order<'_>, reached: impl FnOnce(Reach)) -> Result<Staged, StagingError> {
    let say = |line: &str| order.log.line("STG/0", Stream::Out, line.as_bytes());
    announce_buildpacks(order.buildpacks, say);
    let mounted: Vec<(String, PathBuf)> = order.buildpacks.iter().filter_map(mount).collect();
    say(&format!("Cell creating container for instance {}", order.app.version));
    let memory = recipe::staging_memory(order.app);
    let contents = Contents { lifecycle: order.lifecycle, buildpacks: &mounted, memory };
    let place = order.directory.place(Work::Staging.containers());
    let mut container = Container::create(&place, &order.app.isolation, contents)?;
    let staged = stage_in(&mut container, order, reached);
    say(&format!("Cell stopping instance {}", order.app.version));
    say(&format!("Cell destroying container for instance {}", order.app.version));
    container.destroy()?;
    say(&format!("Cell successfully destroyed container for instance {}", order.app.version));
    staged
}

fn stage_in(
    container: &mut Container,
    order: Order<'_>,
    reached: impl FnOnce(Reach),
) -> Result<Staged, StagingError> {
    let say = |line: &str| order.log.line("STG/0", Stream::Out, line.as_bytes());
    say(&format!("Cell successfully created container for instance {}", order.app.version));
    say("Downloading app package...");
    let began = Instant::now();
    let copied = order.package.copy(&container.file("/tmp/app"))?;
    container.hand_over("/tmp/app")?;
    say(&format!("Downloaded app package ({})", Size(copied.bytes)));
    let mut phases = BTreeMap::from([("package".to_owned(), milliseconds(began.elapsed()))]);
    let cache = order.directory.place(&cache_name(&order.app.stack));
    let used_cache = cache.exists();
    if used_cache {
        say("Downloading build artifacts cache...");
        let began = Instant::now();
        container.unpack(&cache, "/tmp/cache").map_err(StagingError::Cache)?;
        phases.insert("cache".to_owned(), milliseconds(began.elapsed()));
        let size = fs::metadata(&cache).map_or(0, |metadata| metadata.len());
        say(&format!("Downloaded build artifacts cache ({})", Size(size)));
    }
    build(container, order, reached)?;
    // What is taken out must not change meanwhile.
    container.halt()?;
    say("Uploading droplet, build artifacts cache...");
    let mut staged = read_result(container, order.app)?;
    staged.used_cache = used_cache;
    add_builders_phases(container.regular_file(REPORT), &mut phases);
    staged.phases = phases;
    say("Uploading droplet...");
    let droplet = keep(container, "/tmp/droplet", &order.directory.droplet(order.app))?;
    say("Uploading build artifacts cache...");
    let cache = keep(container, "/tmp/output-cache", &cache)?;
    say(&format!("Uploaded build artifacts cache ({})", Size(cache)));
    keep(container, "/tmp/result.json", &order.directory.place("result.json"))?;
    // Not every builder leaves one.
    if container.regular_file(REPORT).is_some() {
        keep(container, REPORT, &order.directory.place("staging_report.json"))?;
    }
    staged.droplet = Size(droplet);
    say(&format!("Uploaded droplet ({})", staged.droplet));
    say("Uploading complete");
    Ok(staged)
}

/// The cache of a stack: they never mix (platform contract, 3.3).
fn cache_name(stack: &str) -> String {
    format!("cache-{stack}.tgz")
}

fn announce_buildpacks(buildpacks: &[Buildpack], say: impl Fn(&str)) {
    for buildpack in buildpacks {
        if let Some(size) = buildpack.place.as_ref().and_then(Place::size) {
            say(&format!("Downloading {}...", buildpack.name));
            say(&format!("Downloaded {} ({size})", buildpack.name));
        }
    }
}

fn mount(buildpack: &Buildpack) -> Option<(String, PathBuf)> {
    let place = buildpack.place.as_ref()?;
    Some((buildpack.directory_name(), place.path().to_owned()))
}

fn build(
    container: &Container,
    order: Order<'_>,
    reached: impl FnOnce(Reach),
) -> Result<(), StagingError> {
    let keys: Vec<_> = order.buildpacks.iter().map(|it| it.key.clone()).collect();
    let action = recipe::staging(order.app, &keys, order.chosen, "127.0.0.1");
    let process = container.start(&action, 0, order.log);
    let process = process.map_err(FileError::on("start", &action.path))?;
    reached(process.reach());
    match limit::wait(process, LONGEST, GRACE).map_err(FileError::on("start", &action.path))? {
        Some(Exit { status: 0, .. }) => Ok(()),
        Some(exit) => Err(StagingError::Failed(exit)),
        None => Err(StagingError::TooLong),
    }
}

/// What the builder found, checked as the Cloud Controller checks it.
fn read_result(container: &Container, app: &App) -> Result<Staged, StagingError> {
    let wrong = |what: String| StagingError::Result(what);
    let path = container.regular_file("/tmp/result.json");
    let path = path.ok_or_else(|| wrong("it is missing".to_owned()))?;
    let text = file::read(&path).map_err(|error| wrong(error.to_string()))?.unwrap_or_default();
    if text.len() as u64 > LARGEST_RESULT {
        return Err(wrong(format!(
            "it has {} bytes, of which {LARGEST_RESULT} are read",
            text.len()
        )));
    }
    let outcome: Outcome =
        serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if outcome.lifecycle_type != "buildpack" {
        return Err(wrong(format!("its lifecycle_type is '{}'", outcome.lifecycle_type)));
    }
    let mut app = app.clone();
    app.staged_commands = outcome.process_types.unwrap_or_default();
    app.execution_metadata = outcome.execution_metadata;
    add_sidecars(&mut app, outcome.sidecars.unwrap_or_default())?;
    let web_starts = |app: &App| app.processes.first().is_some_and(|web| web.command.is_some());
    if app.staged_commands.is_empty() && !web_starts(&app) {
        return Err(StagingError::NoCommand);
    }
    Ok(Staged {
        app,
        detected: outcome.lifecycle_metadata.detected_buildpack,
        droplet: Size(0),
        used_cache: false,
        phases: BTreeMap::new(),
    })
}

/// What the report of a builder that leaves one says of its phases, those of one name together.
fn add_builders_phases(report: Option<PathBuf>, phases: &mut BTreeMap<String, u64>) {
    let text = report.and_then(|path| file::read(&path).ok().flatten());
    let Some(text) = text else { return };
    for phase in serde_json::from_slice::<Report>(&text).unwrap_or_default().phases {
        let took = Duration::try_from_secs_f64(phase.seconds).unwrap_or_default();
        *phases.entry(phase.name).or_default() += milliseconds(took);
    }
}

fn add_sidecars(app: &mut App, staged: Vec<StagedSidecar>) -> Result<(), StagingError> {
    for StagedSidecar { name, command, process_types, memory } in staged {
        let source = sidecar_source(&name);
        if source.is_none() {
            return Err(StagingError::Result(format!("{name:?} {SIDECAR_NAMES}")));
        }
        if app.sidecars.iter().any(|own| sidecar_source(&own.name) == source) {
            return Err(StagingError::Sidecar(name));
        }
        app.sidecars.push(Sidecar { name, process_types, command, memory });
    }
    Ok(())
}

/// Moves an output of the container to `target`, in the place of an older one; its size in bytes.
fn keep(container: &Container, inside: &str, target: &Path) -> Result<u64, StagingError> {
    let path = container.file(inside);
    let size = fs::symlink_metadata(&path).map_err(FileError::on("stat", &path))?.len();
    if container.regular_file(inside).is_none() {
        let error = io::Error::other("it is not a regular file");
        return Err(FileError::on("take", path)(error).into());
    }
    container.take_over(inside)?;
    fs::rename(&path, target).map_err(FileError::on("rename", &path))?;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They made log lines that could not be taken apart, and two sidecars that were called the same.
    #[test]
    fn a_buildpacks_sidecars_have_names_as_a_manifests_have() {
        let add = |names: &[&str]| {
            let staged = |name: &&str| StagedSidecar {
                name: (*name).to_owned(),
                command: "c".to_owned(),
                process_types: Vec::new(),
                memory: None,
            };
            let added = add_sidecars(&mut App::default(), names.iter().map(staged).collect());
            added.map_err(|error| error.to_string()).err().unwrap_or_default()
        };
        assert_eq!(add(&["helper", "a b"]), "");
        let same = "the sidecar 'HELPER' is also one of a buildpack's; give yours another name";
        assert_eq!(add(&["helper", "HELPER"]), same);
        for wrong in ["", "a]", "a\nb"] {
            let error = add(&[wrong]);
            assert!(error.ends_with(&format!("{wrong:?} {SIDECAR_NAMES}")), "{error}");
        }
    }
}

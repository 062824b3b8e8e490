//! What an app is to be: the manifest, the flags over it, and the platform's defaults below.

use std::fs;
use std::path::{Path, PathBuf};

use lifecycle::file::{self, FileError};
use lifecycle::paths;
use lifecycle::yaml::YamlError;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::app::{App, Check, CheckKind, Process, Sidecar};
use crate::command_line::Stage;
use crate::manifest::variables::{VariableError, Variables};
use crate::manifest::{self, HealthCheck, HealthCheckKind, ManifestError};
use crate::push::milliseconds;

/// Memory of an instance unless said otherwise, in MiB.
const MEMORY: u64 = 1024;
/// Disk of an instance unless said otherwise, in MiB.
const DISK: u64 = 1024;
/// How long an instance may take to become healthy, in milliseconds.
const START_TIMEOUT: u64 = 60_000;

/// Instances that an app may have, of all its processes. The process that keeps them has about nine files open for each,
/// and two more for each sidecar, of 1024 that it usually may.
const MOST_INSTANCES: u64 = 64;

/// Why it can't be said what the app is to be.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The app's directory is neither one nor an archive.
    #[error("{}: there is no such directory or archive; give the app's: cell push APP_DIR", .0.display())]
    Directory(PathBuf),
    /// A file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that was named is not there.
    #[error("{}: no such file", .0.display())]
    Missing(PathBuf),
    /// The manifest can't be used.
    #[error("{}", path.display())]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// A file of variables can't be used.
    #[error("{}", path.display())]
    Variables {
        /// Which.
        path: PathBuf,
        /// Why.
        source: YamlError,
    },
    /// A `--var` is none.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// The manifest has several apps, but not the one that was chosen.
    #[error("the manifest has {}; choose one of them by --name", .0.join(", "))]
    Choice(Vec<String>),
    /// One of several apps has no name.
    #[error("the manifest has an app without name; of several, each needs one")]
    Nameless,
    /// Flags that are for one app are given for several.
    #[error("the manifest has {}: what flags say of an app can't be for all of them; choose one by --name", .0.join(", "))]
    Several(Vec<String>),
    /// Nobody means so many instances, and they would take all of the machine.
    #[error(
        "'{name}' is to have {count} instances: one machine runs at most {MOST_INSTANCES} of an app; give fewer by -i, or as instances in the manifest"
    )]
    Instances {
        /// The app.
        name: String,
        /// How many, of all its processes.
        count: u64,
    },
    /// The services file is not `VCAP_SERVICES`.
    #[error("{}: expected an object of lists, as VCAP_SERVICES is: {problem}", path.display())]
    Services {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The manifest binds services that the services file lacks.
    #[error("the manifest has services {}: give a file that has them, too, by --services", .0.join(", "))]
    Unbound(Vec<String>),
}

/// What an app is to be, and where it comes from.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The app, not staged yet.
    pub(crate) app: App,
    /// Its files.
    pub(crate) files: PathBuf,
    /// The buildpacks asked for.
    pub(crate) buildpacks: Vec<String>,
    /// What paths of buildpacks are relative to.
    pub(crate) base: PathBuf,
    /// What was passed over.
    pub(crate) warnings: Vec<String>,
}

/// Reads manifest, variables and services, and puts the flags over them: all apps of the manifest, or the one named.
pub(crate) fn read(flags: &Stage) -> Result<Vec<Definition>, DefinitionError> {
    if !is_app(&flags.directory) {
        return Err(DefinitionError::Directory(flags.directory.clone()));
    }
    let (path, text) = manifest_text(flags)?;
    let read = manifest::read(&text, &variables(flags)?);
    let read = read.map_err(|source| DefinitionError::Manifest { path: path.clone(), source })?;
    let wanted = choose(read.apps, flags.name.as_deref())?;
    let is_for_one =
        flags.stack.is_some() || !flags.buildpacks.is_empty() || flags.directory.is_file();
    if wanted.len() > 1 && is_for_one {
        return Err(DefinitionError::Several(names(&wanted)));
    }
    let mut warnings = read.warnings;
    // Said once, not for each app.
    let one = |app| define(app, flags, &path, std::mem::take(&mut warnings));
    wanted.into_iter().map(one).collect()
}

/// A directory, or an archive.
fn is_app(path: &Path) -> bool {
    path.is_dir() || path.is_file()
}

fn define(
    wanted: manifest::App,
    flags: &Stage,
    manifest: &Path,
    warnings: Vec<String>,
) -> Result<Definition, DefinitionError> {
    // A manifest's paths are relative to it; without one, the directory is the app.
    let base = manifest.parent().map_or_else(|| flags.directory.clone(), Path::to_owned);
    // An archive that is named is the app, whatever a manifest beside it says.
    let path = wanted.path.as_ref().filter(|_| flags.directory.is_dir());
    let files = path.map_or_else(|| flags.directory.clone(), |it| base.join(it));
    let files: PathBuf = files.components().collect();
    if !is_app(&files) {
        return Err(DefinitionError::Directory(files));
    }
    let services = services(flags.services.as_deref(), wanted.services.as_deref())?;
    let name =
        flags.name.clone().or_else(|| wanted.name.clone()).unwrap_or_else(|| name_of(&files));
    let own_buildpacks = flags.buildpacks.is_empty();
    Ok(Definition {
        buildpacks: if own_buildpacks {
            wanted.buildpacks.clone()
        } else {
            flags.buildpacks.clone()
        },
        base: if own_buildpacks { base } else { PathBuf::from(".") },
        app: app(name, flags.stack.clone(), services, wanted),
        files,
        warnings,
    })
}

fn manifest_text(flags: &Stage) -> Result<(PathBuf, Vec<u8>), DefinitionError> {
    let (path, is_named) = match &flags.manifest {
        Some(path) => (path.clone(), true),
        None if flags.directory.is_file() => {
            (flags.directory.with_file_name("manifest.yml"), false)
        }
        None => (flags.directory.join("manifest.yml"), false),
    };
    match file::read(&path)? {
        Some(text) => Ok((path, text)),
        None if is_named => Err(DefinitionError::Missing(path)),
        None => Ok((path, Vec::new())),
    }
}

fn variables(flags: &Stage) -> Result<Variables, DefinitionError> {
    let mut variables = Variables::default();
    for assignment in &flags.variables {
        variables.add(assignment)?;
    }
    // Of several files the last wins.
    for path in flags.variable_files.iter().rev() {
        let text = file::read(path)?.ok_or_else(|| DefinitionError::Missing(path.clone()))?;
        let added = variables.add_file(path, &text);
        added.map_err(|source| DefinitionError::Variables { path: path.clone(), source })?;
    }
    Ok(variables)
}

/// The manifest's apps, or the one of that name; an app of its own where the manifest has none.
fn choose(
    mut apps: Vec<manifest::App>,
    name: Option<&str>,
) -> Result<Vec<manifest::App>, DefinitionError> {
    let found = apps.iter().position(|app| name.is_some() && app.name.as_deref() == name);
    match (found, apps.len()) {
        (Some(index), _) => Ok(vec![apps.swap_remove(index)]),
        (None, 0) => Ok(vec![manifest::App { processes: vec![web()], ..manifest::App::default() }]),
        // `--name` renames the only app there is, as `cf push NAME` does.
        (None, 1) => Ok(apps),
        (None, _) if name.is_some() => Err(DefinitionError::Choice(names(&apps))),
        (None, _) if apps.iter().any(|app| app.name.is_none()) => Err(DefinitionError::Nameless),
        (None, _) => Ok(apps),
    }
}

fn names(apps: &[manifest::App]) -> Vec<String> {
    apps.iter().filter_map(|app| app.name.clone()).collect()
}

fn web() -> manifest::Process {
    manifest::Process { kind: "web".to_owned(), ..manifest::Process::default() }
}

fn name_of(files: &Path) -> String {
    let whole = fs::canonicalize(files).unwrap_or_else(|_| paths::absolute(files, None));
    if files.is_file() {
        return name_of_archive(&whole);
    }
    whole.file_name().map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The name of an archive's file without what says its kind: `my.app` of `my.app.tar.gz`.
pub(crate) fn name_of_archive(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_suffix(".tar").unwrap_or(&stem).to_owned()
}

fn app(name: String, stack: Option<String>, services: Value, wanted: manifest::App) -> App {
    App {
        name,
        guid: Uuid::new_v4().to_string(),
        version: Uuid::new_v4().to_string(),
        stack: stack.or(wanted.stack).unwrap_or_default(),
        environment: wanted.environment,
        services,
        processes: wanted.processes.into_iter().map(process).collect(),
        sidecars: wanted.sidecars.into_iter().map(sidecar).collect(),
        ..App::default()
    }
}

/// An app of which there is only a droplet: one web process, started as the droplet says, or by `command`. It has no stack
/// yet.
pub(crate) fn of_droplet(name: &str, command: Option<String>) -> App {
    let web = manifest::Process { command, ..web() };
    let wanted = manifest::App { processes: vec![web], ..manifest::App::default() };
    app(name.to_owned(), None, json!({}), wanted)
}

/// Refuses more instances than a machine can run.
pub(crate) fn limit_instances(app: &App) -> Result<(), DefinitionError> {
    match app.processes.iter().map(|it| u64::from(it.instances)).sum() {
        ..=MOST_INSTANCES => Ok(()),
        count => Err(DefinitionError::Instances { name: app.name.clone(), count }),
    }
}

/// A process with the platform's defaults: one instance of `web`, none of others.
fn process(wanted: manifest::Process) -> Process {
    let default_instances = u32::from(wanted.kind == "web");
    let kind = if wanted.kind == "web" { CheckKind::Port } else { CheckKind::Process };
    Process {
        kind: wanted.kind,
        command: wanted.command,
        memory: wanted.memory.map_or(MEMORY, |it| it.0),
        disk: wanted.disk.map_or(DISK, |it| it.0),
        instances: wanted.instances.unwrap_or(default_instances),
        start_timeout_ms: wanted.start_timeout.map_or(START_TIMEOUT, milliseconds),
        health: check(wanted.health, kind),
        readiness: wanted.readiness.kind.map(|_| check(wanted.readiness, CheckKind::Process)),
    }
}

fn check(wanted: HealthCheck, default: CheckKind) -> Check {
    let kind = wanted.kind.map_or(default, |kind| match kind {
        HealthCheckKind::Port => CheckKind::Port,
        HealthCheckKind::Http => CheckKind::Http,
        HealthCheckKind::Process => CheckKind::Process,
    });
    let platforms = Check::new(kind);
    Check {
        kind,
        endpoint: wanted.endpoint.unwrap_or(platforms.endpoint),
        timeout_ms: wanted.invocation_timeout.map_or(platforms.timeout_ms, milliseconds),
        interval_ms: wanted.interval.map_or(platforms.interval_ms, milliseconds),
    }
}

fn sidecar(wanted: manifest::Sidecar) -> Sidecar {
    Sidecar {
        name: wanted.name,
        process_types: wanted.process_types,
        command: wanted.command,
        memory: wanted.memory.map(|it| it.0),
    }
}

/// `VCAP_SERVICES`: all of the file's instances, or those the manifest names.
fn services(path: Option<&Path>, names: Option<&[String]>) -> Result<Value, DefinitionError> {
    let mut all: Map<String, Value> = Map::new();
    if let Some(path) = path {
        let text = file::read(path)?.ok_or_else(|| DefinitionError::Missing(path.to_owned()))?;
        let wrong = |problem| DefinitionError::Services { path: path.to_owned(), problem };
        all = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if let Some((label, _)) = all.iter().find(|(_, instances)| !instances.is_array()) {
            return Err(wrong(format!("'{label}' is no list")));
        }
    }
    let Some(names) = names else { return Ok(Value::Object(all)) };
    let mut missing: Vec<String> = names.to_vec();
    for instances in all.values_mut().filter_map(Value::as_array_mut) {
        instances.retain(|instance| {
            let name = instance.get("name").and_then(Value::as_str).unwrap_or_default();
            missing.retain(|wanted| wanted != name);
            names.iter().any(|wanted| wanted == name)
        });
    }
    all.retain(|_, instances| *instances != json!([]));
    if missing.is_empty() { Ok(Value::Object(all)) } else { Err(DefinitionError::Unbound(missing)) }
}

#[cfg(test)]
mod tests;

//! `manifest.yml`: what an app is to be, as `cf push` reads it.
//!
//! [`read`] gives the apps of a manifest with defaults filled in, and a warning for each key that
//! this cell has no use for. Variables `((name))` are [`variables`]; sizes are [`quantity`]; what YAML takes for
//! another value than was written is found by [`respelled()`].

pub(crate) mod quantity;
mod respelled;
pub(crate) mod variables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use lifecycle::yaml::{self, Decoder, YamlError};
use serde_json::Value;

use crate::app::{SIDECAR_NAMES, sidecar_source};
use crate::fields::{Document, FieldError, Fields, below};
use crate::manifest::respelled::respelled;
use crate::state::{NAMES, is_name};
use quantity::Megabytes;
use variables::{VariableError, Variables};

/// Why a manifest can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not YAML, or not of the shape of a manifest.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// `((name))` stands for nothing.
    #[error(transparent)]
    Variables(#[from] VariableError),
    /// A value does not fit.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Two apps have one name.
    #[error("applications: '{0}' stands twice; give each app a name of its own")]
    Twice(String),
}

/// A manifest's apps, in its order, and what was passed over.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Manifest {
    /// The apps.
    pub(crate) apps: Vec<App>,
    /// One sentence for each key without effect here.
    pub(crate) warnings: Vec<String>,
}

/// One entry of `applications`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct App {
    /// `name`.
    pub(crate) name: Option<String>,
    /// `path`: the app's files, relative to the manifest.
    pub(crate) path: Option<PathBuf>,
    /// `buildpacks` (or the older `buildpack`): names or URLs; empty means detect.
    pub(crate) buildpacks: Vec<String>,
    /// `stack`.
    pub(crate) stack: Option<String>,
    /// `env`, values as text.
    pub(crate) environment: BTreeMap<String, String>,
    /// `services`: names of the instances to bind; `None` where the manifest does not say.
    pub(crate) services: Option<Vec<String>>,
    /// `processes`, with the app's own process, of type `web`, first.
    pub(crate) processes: Vec<Process>,
    /// `sidecars`.
    pub(crate) sidecars: Vec<Sidecar>,
}

/// A process: the app's own, or an entry of `processes`. What is `None` is left to the platform's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Process {
    /// `type`.
    pub(crate) kind: String,
    /// `command`; `None`, `null` and `default` mean the droplet's.
    pub(crate) command: Option<String>,
    /// `memory`.
    pub(crate) memory: Option<Megabytes>,
    /// `disk_quota`.
    pub(crate) disk: Option<Megabytes>,
    /// `instances`.
    pub(crate) instances: Option<u32>,
    /// `health-check-*` and `timeout`.
    pub(crate) health: HealthCheck,
    /// `readiness-health-check-*`.
    pub(crate) readiness: HealthCheck,
    /// `timeout`: how long the app may take to start.
    pub(crate) start_timeout: Option<Duration>,
}

/// How an instance is checked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HealthCheck {
    /// `…-type`.
    pub(crate) kind: Option<HealthCheckKind>,
    /// `…-http-endpoint`.
    pub(crate) endpoint: Option<String>,
    /// `…-invocation-timeout`.
    pub(crate) invocation_timeout: Option<Duration>,
    /// `…-interval`.
    pub(crate) interval: Option<Duration>,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HealthCheckKind {
    /// Whether the port accepts connections. `none` is the older name of `process`.
    Port,
    /// Whether a GET gives 200.
    Http,
    /// Nothing: the process runs.
    #[serde(alias = "none")]
    Process,
}

/// An entry of `sidecars`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sidecar {
    /// `name`.
    pub(crate) name: String,
    /// `process_types`.
    pub(crate) process_types: Vec<String>,
    /// `command`.
    pub(crate) command: String,
    /// `memory`.
    pub(crate) memory: Option<Megabytes>,
}

/// Keys that a platform knows and that mean nothing on one machine: passed over, and said.
const ELSEWHERE: [&str; 11] = [
    "default-route",
    "docker",
    "features",
    "host",
    "lifecycle",
    "log-rate-limit-per-second",
    "metadata",
    "no-route",
    "random-route",
    "routes",
    "cnb-credentials",
];

/// What is said of a variable that the platform sets.
const THE_PLATFORMS: &str =
    "PORT and names that begin with VCAP_ or VMC_ are the platform's own; give it another name";

/// The longest `timeout` that a platform allows unless its operator says otherwise.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(3);

/// Reads a manifest's text, with `variables` filled in.
pub(crate) fn read(text: &[u8], variables: &Variables) -> Result<Manifest, ManifestError> {
    let Some(document) = yaml::parse(text)? else { return Ok(Manifest::default()) };
    let mut decoder = Decoder::default();
    let value = decoder.json(&document).unwrap_or_default();
    decoder.finish()?;
    let mut manifest = Manifest { warnings: variables.warnings.clone(), ..Manifest::default() };
    let document = Document { name: "manifest", respelled: respelled(&document, &value, "") };
    let mut top = Fields::new(document, variables.fill(value)?)?;
    top.take::<Value>("version")?;
    for entry in top.list("applications")? {
        let app = app(entry, &mut manifest.warnings)?;
        if app.name.is_some() && manifest.apps.iter().any(|other| other.name == app.name) {
            return Err(ManifestError::Twice(app.name.unwrap_or_default()));
        }
        manifest.apps.push(app);
    }
    // Anchors are kept under names of the author's own; only what looks like a slip is worth a line.
    manifest.warnings.extend(top.near_misses(&["applications", "version"]));
    Ok(manifest)
}

fn app(mut fields: Fields, warnings: &mut Vec<String>) -> Result<App, FieldError> {
    let mut own = process(&mut fields, Some("web"))?;
    let mut app = App {
        name: fields.text("name")?,
        path: fields.text("path")?.map(PathBuf::from),
        buildpacks: buildpacks(&mut fields)?,
        stack: fields.text("stack")?,
        environment: environment(&mut fields)?,
        services: services(&mut fields)?,
        ..App::default()
    };
    for entry in fields.list("processes")? {
        let mut entry = entry;
        let process = process(&mut entry, None)?;
        if app.processes.iter().any(|other| other.kind == process.kind) {
            return Err(entry.misfit("type", &format!("'{}' stands twice", process.kind)));
        }
        app.processes.push(process);
        warnings.extend(entry.warnings(&ELSEWHERE));
    }
    // `web` in the list says more of the app's own process.
    if let Some(index) = app.processes.iter().position(|process| process.kind == own.kind) {
        own = app.processes.remove(index).over(own);
    }
    app.processes.insert(0, own);
    for process in &app.processes {
        let place = format!("manifest: {}: process {}", fields.place(), process.kind);
        warnings.extend(process.doubts().iter().map(|it| format!("{place}: {it}")));
    }
    for entry in fields.list("sidecars")? {
        let mut entry = entry;
        let sidecar = sidecar(&mut entry)?;
        let source = |sidecar: &Sidecar| sidecar_source(&sidecar.name);
        if app.sidecars.iter().any(|other| source(other) == source(&sidecar)) {
            return Err(entry.misfit("name", &format!("'{}' stands twice", sidecar.name)));
        }
        app.sidecars.push(sidecar);
        warnings.extend(entry.warnings(&[]));
    }
    warnings.extend(fields.warnings(&ELSEWHERE));
    Ok(app)
}

/// The app's own variables; those that are the platform's can't be set.
fn environment(fields: &mut Fields) -> Result<BTreeMap<String, String>, FieldError> {
    let variables = fields.variables("env")?;
    let is_the_platforms = |name: &&String| {
        let name = name.to_uppercase();
        name == "PORT" || name.starts_with("VCAP_") || name.starts_with("VMC_")
    };
    match variables.keys().find(is_the_platforms) {
        Some(name) => Err(fields.misfit(&below("env", name), THE_PLATFORMS)),
        None => Ok(variables),
    }
}

fn buildpacks(fields: &mut Fields) -> Result<Vec<String>, FieldError> {
    let single =
        fields.text("buildpack")?.filter(|name| !matches!(name.as_str(), "" | "default" | "null"));
    let several = fields.texts("buildpacks")?;
    Ok(several.unwrap_or_else(|| single.into_iter().collect()))
}

/// Names of service instances: `- db`, or `- name: db` with binding parameters.
fn services(fields: &mut Fields) -> Result<Option<Vec<String>>, FieldError> {
    let Some(entries) = fields.take::<Vec<Value>>("services")? else { return Ok(None) };
    let mut names = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let place = format!("services[{index}]");
        names.push(match entry {
            Value::String(name) => name,
            Value::Object(_) => {
                fields.tell_respelled(&format!("{place}.name"));
                fields.within(&place, entry)?.required_text("name")?
            }
            other => {
                let problem = format!("{other} is no name of a service instance");
                return Err(fields.misfit("services", &problem));
            }
        });
    }
    Ok(Some(names))
}

/// The fields of a process; `kind` where they stand in the app itself.
fn process(fields: &mut Fields, kind: Option<&str>) -> Result<Process, FieldError> {
    let command = fields.text("command")?;
    Ok(Process {
        kind: match kind {
            Some(kind) => kind.to_owned(),
            None => process_type(fields)?,
        },
        command: command.filter(|text| !matches!(text.as_str(), "" | "default" | "null")),
        memory: fields.take("memory")?,
        disk: fields.take("disk_quota")?.or(fields.take("disk-quota")?),
        instances: fields.take("instances")?,
        start_timeout: fields.seconds("timeout")?,
        health: health_check(fields, "health-check")?,
        readiness: health_check(fields, "readiness-health-check")?,
    })
}

/// A directory of each instance is named after it.
fn process_type(fields: &mut Fields) -> Result<String, FieldError> {
    let kind = fields.required_text("type")?;
    if is_name(&kind) {
        return Ok(kind);
    }
    Err(fields.misfit("type", &format!("{kind:?} can't be a process type: {NAMES}")))
}

fn health_check(fields: &mut Fields, prefix: &str) -> Result<HealthCheck, FieldError> {
    Ok(HealthCheck {
        kind: fields.take(&format!("{prefix}-type"))?,
        endpoint: fields.text(&format!("{prefix}-http-endpoint"))?,
        invocation_timeout: fields.seconds(&format!("{prefix}-invocation-timeout"))?,
        interval: fields.seconds(&format!("{prefix}-interval"))?,
    })
}

fn sidecar(fields: &mut Fields) -> Result<Sidecar, FieldError> {
    let name = fields.required_text("name")?;
    if sidecar_source(&name).is_none() {
        return Err(fields.misfit("name", &format!("{name:?} {SIDECAR_NAMES}")));
    }
    Ok(Sidecar {
        name,
        process_types: fields.required_texts("process_types")?,
        command: fields.required_text("command")?,
        memory: fields.take("memory")?,
    })
}

impl Process {
    /// What has no effect, or what a platform would not take.
    fn doubts(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for (prefix, check) in [("", &self.health), ("readiness-", &self.readiness)] {
            if check.endpoint.is_some() && check.kind != Some(HealthCheckKind::Http) {
                sentences.push(format!(
                    "{prefix}health-check-http-endpoint has no effect without {prefix}health-check-type: http"
                ));
            }
        }
        if let Some(timeout) = self.start_timeout.filter(|it| *it > LONGEST_TIMEOUT) {
            let (asked, most) = (timeout.as_secs(), LONGEST_TIMEOUT.as_secs());
            sentences.push(format!("a platform refuses its timeout of {asked} s, unless its operator allows more than {most} s"));
        }
        sentences
    }

    /// This process, with what it leaves open taken from `base`.
    fn over(self, base: Self) -> Self {
        Self {
            kind: self.kind,
            command: self.command.or(base.command),
            memory: self.memory.or(base.memory),
            disk: self.disk.or(base.disk),
            instances: self.instances.or(base.instances),
            start_timeout: self.start_timeout.or(base.start_timeout),
            health: self.health.over(base.health),
            readiness: self.readiness.over(base.readiness),
        }
    }
}

impl HealthCheck {
    fn over(self, base: Self) -> Self {
        Self {
            kind: self.kind.or(base.kind),
            endpoint: self.endpoint.or(base.endpoint),
            invocation_timeout: self.invocation_timeout.or(base.invocation_timeout),
            interval: self.interval.or(base.interval),
        }
    }
}

#[cfg(test)]
mod tests;

//! What is started in a container, and how: the exact argument lists and environments of the platform's contract
//! (sections 3, 5 and 7). Pure: paths are the container's own, [`crate::container`] translates where they differ.

use std::collections::BTreeMap;

use lifecycle::services::{DATABASE_URL, database_url};
use serde_json::{Value, json};

use crate::app::{App, Check, CheckKind, Process, STAGING_DISK, STAGING_MEMORY, Sidecar};

/// Where the lifecycle bundle is in every container.
pub(crate) const LIFECYCLE: &str = "/tmp/lifecycle";
/// The user of the app's processes.
pub(crate) const USER: &str = "vcap";
/// Its home.
pub(crate) const HOME: &str = "/home/vcap";
/// Open files a process may have.
pub(crate) const FILE_DESCRIPTORS: u64 = 16_384;
/// From one start-up check to the next, in milliseconds.
pub(crate) const STARTUP_INTERVAL: u64 = 2000;

/// One program to start in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Action {
    /// The source its output is logged under: `APP/PROC/WEB`.
    pub(crate) source: String,
    /// The program.
    pub(crate) path: String,
    /// Its arguments, without its name. Each [`Word::Path`] is a place in the container.
    pub(crate) arguments: Vec<Word>,
    /// Its whole environment.
    pub(crate) environment: BTreeMap<String, Word>,
}

/// An argument or a variable's value; what stands for a place in the container is marked, since not
/// every isolation has the platform's paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// Text to be given as it is.
    Text(String),
    /// What stands before a path, and the path: `-buildDir=` and `/tmp/app`.
    Path(&'static str, String),
}

impl Word {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn path(prefix: &'static str, path: &str) -> Self {
        Self::Path(prefix, path.to_owned())
    }

    /// The word with paths as `place` gives them.
    pub(crate) fn resolved(&self, place: impl Fn(&str) -> String) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Path(prefix, path) => format!("{prefix}{}", place(path)),
        }
    }
}

/// Where an instance is, as its environment tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    /// Its identity: a UUID of its own.
    pub(crate) guid: String,
    /// From 0.
    pub(crate) index: u32,
    /// The address others reach it under.
    pub(crate) address: String,
    /// The port the app is to listen on.
    pub(crate) port: u16,
    /// The port of its SSH server.
    pub(crate) ssh_port: u16,
}

/// What staging an app may use, in MiB (platform contract, 3.1).
pub(crate) fn staging_memory(app: &App) -> u64 {
    app.processes.first().map_or(0, |web| web.memory).max(STAGING_MEMORY)
}

/// Staging: the builder over `/tmp/app` with buildpacks of these keys, in order.
pub(crate) fn staging(app: &App, keys: &[String], skip_detect: bool, address: &str) -> Action {
    let memory = staging_memory(app);
    let mut environment = texts(app.environment.clone());
    let mut set =
        |name: &str, value: String| environment.insert(name.to_owned(), Word::Text(value));
    set("CF_STACK", app.stack.clone());
    set("VCAP_APPLICATION", vcap_application(app, memory, None).to_string());
    set("MEMORY_LIMIT", format!("{memory}m"));
    set("VCAP_SERVICES", app.services.to_string());
    set("CF_INSTANCE_IP", address.to_owned());
    set("CF_INSTANCE_INTERNAL_IP", address.to_owned());
    set("CF_INSTANCE_PORT", String::new());
    set("CF_INSTANCE_ADDR", String::new());
    set("CF_INSTANCE_PORTS", "[]".to_owned());
    add_containers_own(&mut environment);
    Action {
        source: "STG".to_owned(),
        path: format!("{LIFECYCLE}/builder"),
        arguments: vec![
            Word::text(format!("-buildpackOrder={}", keys.join(","))),
            Word::text("-skipCertVerify=false"),
            Word::text(format!("-skipDetect={skip_detect}")),
            Word::path("-buildDir=", "/tmp/app"),
            Word::path("-outputDroplet=", "/tmp/droplet"),
            Word::path("-outputMetadata=", "/tmp/result.json"),
            Word::path("-outputBuildArtifactsCache=", "/tmp/output-cache"),
            Word::path("-buildpacksDir=", "/tmp/buildpacks"),
            Word::path("-buildArtifactsCacheDir=", "/tmp/cache"),
        ],
        environment,
    }
}

/// An instance's own process.
pub(crate) fn launch(app: &App, process: &Process, instance: &Instance) -> Action {
    let staged = || app.staged_commands.get(&process.kind).cloned().unwrap_or_default();
    let command = process.command.clone().unwrap_or_else(staged);
    let source = format!("APP/PROC/{}", process.kind.to_uppercase());
    launcher(app, source, command, instance_environment(app, process, process.memory, instance))
}

/// A sidecar of an instance.
pub(crate) fn sidecar(
    app: &App,
    process: &Process,
    sidecar: &Sidecar,
    instance: &Instance,
) -> Action {
    let (kind, name) = (process.kind.to_uppercase(), sidecar.name.to_uppercase());
    let memory = sidecar.memory.unwrap_or(process.memory);
    let environment = instance_environment(app, process, memory, instance);
    launcher(app, format!("APP/PROC/{kind}/SIDECAR/{name}"), sidecar.command.clone(), environment)
}

fn launcher(
    app: &App,
    source: String,
    command: String,
    environment: BTreeMap<String, Word>,
) -> Action {
    Action {
        source,
        path: format!("{LIFECYCLE}/launcher"),
        arguments: vec![
            Word::text("app"),
            Word::text(command),
            Word::text(app.execution_metadata.clone()),
        ],
        environment,
    }
}

/// The SSH server of an instance, with one key pair for host and user.
pub(crate) fn sshd(app: &App, process: &Process, instance: &Instance, keys: &KeyPair) -> Action {
    Action {
        source: "CELL/SSHD".to_owned(),
        path: format!("{LIFECYCLE}/diego-sshd"),
        arguments: vec![
            Word::text(format!("-address={}:{}", instance.address, instance.ssh_port)),
            Word::text(format!("-hostKey={}", keys.private)),
            Word::text(format!("-authorizedKey={}", keys.public)),
            Word::text("-inheritDaemonEnv"),
            Word::text("-logLevel=fatal"),
        ],
        environment: instance_environment(app, process, process.memory, instance),
    }
}

/// The key pair of an app's SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPair {
    /// PEM.
    pub(crate) private: String,
    /// `ssh-rsa …` without comment.
    pub(crate) public: String,
}

/// What a check is for (platform contract, 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Until the first success, at most the start timeout.
    Startup,
    /// Until the first failure.
    Liveness,
    /// Until the first success, without end.
    UntilReady,
    /// Until the first failure.
    Readiness,
}

/// A health check; `None` where nothing is to be asked.
pub(crate) fn health(
    process: &Process,
    check: &Check,
    phase: Phase,
    instance: &Instance,
) -> Option<Action> {
    let mut arguments = vec![
        Word::text(format!("-port={}", instance.port)),
        Word::text(format!("-timeout={}ms", check.timeout_ms)),
    ];
    match check.kind {
        CheckKind::Process => return None,
        CheckKind::Port => {}
        CheckKind::Http => arguments.push(Word::text(format!("-uri={}", check.endpoint))),
    }
    let every = |flag: &str, value: u64| Word::text(format!("-{flag}={}", go_duration(value)));
    match phase {
        Phase::Startup => {
            arguments.push(every("startup-interval", STARTUP_INTERVAL));
            arguments.push(every("startup-timeout", process.start_timeout_ms));
        }
        Phase::Liveness => arguments.push(every("liveness-interval", check.interval_ms)),
        Phase::UntilReady => arguments.push(every("until-ready-interval", STARTUP_INTERVAL)),
        Phase::Readiness => arguments.push(every("readiness-interval", check.interval_ms)),
    }
    let mut environment = BTreeMap::new();
    add_containers_own(&mut environment);
    Some(Action {
        source: "HEALTH".to_owned(),
        path: format!("{LIFECYCLE}/healthcheck"),
        arguments,
        environment,
    })
}

/// A time in Go's notation, as the executor writes it: `500ms`, `2s`, `1.5s`, `1m0s`.
pub(crate) fn go_duration(milliseconds: u64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    if seconds == 0 {
        return format!("{rest}ms");
    }
    let fraction = format!(".{rest:03}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}{fraction}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds}{fraction}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

fn instance_environment(
    app: &App,
    process: &Process,
    memory: u64,
    instance: &Instance,
) -> BTreeMap<String, Word> {
    let mut environment = texts(app.environment.clone());
    let mut set =
        |name: &str, value: String| environment.insert(name.to_owned(), Word::Text(value));
    let Instance { guid, index, address, port, ssh_port } = instance;
    set("PORT", port.to_string());
    set("VCAP_APP_PORT", port.to_string());
    set("VCAP_APP_HOST", "0.0.0.0".to_owned());
    set("VCAP_APPLICATION", vcap_application(app, memory, Some(process)).to_string());
    set("MEMORY_LIMIT", format!("{memory}m"));
    let services = app.services.to_string();
    if let Some(url) = database_url(services.as_ref()) {
        set(DATABASE_URL, url);
    }
    set("VCAP_SERVICES", services);
    for prefix in ["", "CF_"] {
        set(&format!("{prefix}INSTANCE_GUID"), guid.clone());
        set(&format!("{prefix}INSTANCE_INDEX"), index.to_string());
    }
    set("CF_INSTANCE_IP", address.clone());
    set("CF_INSTANCE_INTERNAL_IP", address.clone());
    set("CF_INSTANCE_PORT", port.to_string());
    set("CF_INSTANCE_ADDR", format!("{address}:{port}"));
    let ports =
        json!([{"external": port, "internal": port}, {"external": ssh_port, "internal": ssh_port}]);
    set("CF_INSTANCE_PORTS", ports.to_string());
    add_containers_own(&mut environment);
    environment
}

/// What the container itself sets; an app's own variables win.
fn add_containers_own(environment: &mut BTreeMap<String, Word>) {
    let own = [
        ("LANG", Word::text("en_US.UTF-8")),
        ("PATH", Word::text("/usr/local/bin:/usr/bin:/bin")),
        ("USER", Word::text(USER)),
        ("HOME", Word::path("", HOME)),
    ];
    for (name, value) in own {
        environment.entry(name.to_owned()).or_insert(value);
    }
}

/// `VCAP_APPLICATION`, of a process or (with `None`) of staging.
fn vcap_application(app: &App, memory: u64, process: Option<&Process>) -> Value {
    let web = app.processes.first().map_or(0, |web| web.disk);
    let disk = process.map_or_else(|| web.max(STAGING_DISK), |process| process.disk);
    let uris = json!([format!("{}.localhost", app.name)]);
    let mut value = json!({
        "cf_api": "http://localhost",
        "limits": {"fds": FILE_DESCRIPTORS, "mem": memory, "disk": disk},
        "application_name": app.name,
        "application_uris": uris,
        "name": app.name,
        "space_name": "cell",
        "space_id": NOWHERE,
        "organization_id": NOWHERE,
        "organization_name": "cell",
        "uris": uris,
    });
    if process.is_none() {
        value["users"] = Value::Null;
    }
    value["application_id"] = app.guid.clone().into();
    value["version"] = app.version.clone().into();
    value["application_version"] = app.version.clone().into();
    if let Some(process) = process {
        value["process_id"] = app.guid.clone().into();
        value["process_type"] = process.kind.clone().into();
    }
    value
}

/// The identity of the one organization and space there are.
const NOWHERE: &str = "00000000-0000-4000-8000-000000000000";

fn texts(variables: BTreeMap<String, String>) -> BTreeMap<String, Word> {
    variables.into_iter().map(|(name, value)| (name, Word::Text(value))).collect()
}

#[cfg(test)]
mod tests;

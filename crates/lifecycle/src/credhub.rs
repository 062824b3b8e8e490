//! CredHub interpolation: `VCAP_SERVICES` goes to the platform's secret store over mutual TLS and
//! comes back with its `credhub-ref`s replaced by credentials (contract, section 5).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::environment::Environment;
use crate::flags;
use crate::http::{
    Client, HttpError, Identity, IdentityError, Reason, Request, RootCertificates, RootError,
    Timeouts,
};
use crate::json::{self, JsonError};
use crate::report::{chain, say, system_words, warn};
use crate::url::{Url, UrlError};

/// Set and not empty, it turns interpolation off.
const CREDHUB_SKIP_INTERPOLATION: &str = "CREDHUB_SKIP_INTERPOLATION";
/// Only services with this text, quotes included, are sent.
const CREDHUB_REF: &[u8] = b"\"credhub-ref\"";

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(30),
    idle: Duration::from_secs(45),
    total: Duration::from_secs(45),
};

/// The flags all programs that ask CredHub have.
#[derive(Clone, Debug, clap::Args)]
// The struct is flattened into others of the same name.
#[group(skip)]
pub struct Flags {
    /// How often to try to reach CredHub; at least once
    #[arg(
        long = "credhubConnectAttempts",
        value_name = "int",
        default_value = "3",
        value_parser = flags::integer
    )]
    pub connect_attempts: i64,
    /// How long to wait between two attempts to reach CredHub
    #[arg(
        long = "credhubRetryDelay",
        value_name = "duration",
        default_value = "1s",
        value_parser = flags::duration
    )]
    pub retry_delay: Duration,
}

impl Default for Flags {
    fn default() -> Self {
        Self { connect_attempts: 3, retry_delay: Duration::from_secs(1) }
    }
}

/// Why there is no interpolated `VCAP_SERVICES`.
#[derive(Debug, thiserror::Error)]
pub enum CredhubError {
    /// The container does not have what it takes to ask.
    #[error("Unable to set up credhub client")]
    Setup(#[source] SetupError),
    /// Asked, in vain.
    #[error("Unable to interpolate credhub references")]
    Interpolate(#[source] Refusal),
}

/// What is missing in the container or unusable.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No instance identity.
    #[error("Missing CF_INSTANCE_CERT and/or CF_INSTANCE_KEY")]
    NoIdentity,
    /// No directory of the platform's certificates.
    #[error("Missing CF_SYSTEM_CERT_PATH")]
    NoSystemCerts,
    /// That directory cannot be listed.
    #[error("Can't read contents of system cert path")]
    Directory(#[source] FileError),
    /// A file in it cannot be read.
    #[error("Can't read contents of cert in system cert path")]
    Certificate(#[source] FileError),
    /// The platform's options do not name a URL.
    #[error(transparent)]
    Uri(#[from] UrlError),
    /// Certificate or key of the instance cannot be read.
    #[error(transparent)]
    IdentityFile(#[from] FileError),
    /// Certificate or key of the instance cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// One of the platform's certificates is none.
    #[error(transparent)]
    Root(#[from] RootError),
}

/// A file that cannot be read: `open /nope: no such file or directory`.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}: {}", path.display(), system_words(error))]
pub struct FileError {
    operation: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl FileError {
    fn new(path: &Path, error: io::Error) -> Self {
        // A directory can be opened, and is refused when read.
        let is_directory = error.kind() == io::ErrorKind::IsADirectory;
        Self { operation: if is_directory { "read" } else { "open" }, path: path.into(), error }
    }
}

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// `VCAP_SERVICES` is not a JSON object. The only failure that is not tried again: it never
    /// leaves this process.
    #[error(transparent)]
    Services(#[from] JsonError),
    /// The server could not be asked.
    #[error(transparent)]
    Request(#[from] HttpError),
    /// The answer broke off.
    #[error("{0}")]
    Body(Reason),
    /// The server said no; its words.
    #[error("{0}")]
    Server(String),
    /// The server said no in words that are not JSON.
    #[error("The response body could not be decoded: {error} (status {status})")]
    Unreadable {
        /// The answer's status.
        status: u16,
        /// What is wrong with the body.
        error: JsonError,
    },
    /// An environment variable cannot hold the answer.
    #[error("the response body has a NUL byte")]
    Nul,
}

/// The `services` with their references resolved by the CredHub at `uri`, or `None` if there is
/// nothing to resolve. Certificates and proxies are those of `environment`; it is asked only after
/// that is known, so that a launch without references pays nothing.
pub fn interpolate(
    uri: &str,
    services: &OsStr,
    environment: &Environment,
    flags: &Flags,
) -> Result<Option<OsString>, CredhubError> {
    let is_set = |name| environment.get(name).is_some_and(|value| !value.is_empty());
    let mut places = services.as_bytes().windows(CREDHUB_REF.len());
    if is_set(CREDHUB_SKIP_INTERPOLATION) || !places.any(|place| place == CREDHUB_REF) {
        return Ok(None);
    }
    let server = Server::new(uri, environment).map_err(CredhubError::Setup)?;
    let body = request_body(services).map_err(CredhubError::Interpolate)?;
    let mut attempt = 1;
    loop {
        let refusal = match server.ask(&body) {
            Ok(answer) => return Ok(Some(answer)),
            Err(refusal) => CredhubError::Interpolate(refusal),
        };
        let attempts = flags.connect_attempts.max(1);
        say(&format!("Failed on attempt {attempt} out of {attempts}: {}", chain(&refusal)));
        if attempt >= attempts {
            return Err(refusal);
        }
        thread::sleep(flags.retry_delay);
        attempt += 1;
    }
}

/// The services as they are sent: order and numbers kept, broken text mended.
fn request_body(services: &OsStr) -> Result<String, Refusal> {
    let value = json::parse(services.as_bytes())?;
    if !value.is_object() {
        let place = "Go value of type map[string]interface {}";
        return Err(JsonError::wrong_type(&value, place).into());
    }
    Ok(json::to_string(&value)?)
}

/// Where and how to ask.
struct Server {
    client: Client,
    url: Url,
}

impl Server {
    fn new(uri: &str, environment: &Environment) -> Result<Self, SetupError> {
        let path = |name| environment.get(name).filter(|value| !value.is_empty()).map(Path::new);
        let (certificate, key) =
            path("CF_INSTANCE_CERT").zip(path("CF_INSTANCE_KEY")).ok_or(SetupError::NoIdentity)?;
        let roots = path("CF_SYSTEM_CERT_PATH").ok_or(SetupError::NoSystemCerts)?;
        let roots = system_certificates(roots)?;
        let url = Url::parse(uri)?.with_path("/api/v1/interpolate");
        let read = |path: &Path| fs::read(path).map_err(|error| FileError::new(path, error));
        let identity = Identity::from_pem(&read(certificate)?, &read(key)?)?;
        let mut trusted = RootCertificates::default();
        for pem in roots {
            trusted.add(&pem)?;
        }
        let client = Client::new(environment, TIMEOUTS).trusting(trusted).with_identity(identity);
        Ok(Self { client, url })
    }

    /// Asks once.
    fn ask(&self, services: &str) -> Result<OsString, Refusal> {
        let request = Request::post(&self.url, services.as_bytes())
            .header("Content-Type", "application/json");
        let response = self.client.send(&request)?;
        let status = response.status();
        let mut body = Vec::new();
        response.into_body().read_to_end(&mut body).map_err(body_error)?;
        if !(200..300).contains(&status) {
            return Err(refusal(status, &body));
        }
        if body.contains(&0) {
            return Err(Refusal::Nul);
        }
        if let Err(error) = json::parse(&body) {
            warn(&format!("CredHub's answer, now VCAP_SERVICES, is not JSON: {error}"));
        }
        Ok(OsString::from_vec(body))
    }
}

fn body_error(error: io::Error) -> Refusal {
    match error.downcast::<Reason>() {
        Ok(reason) => Refusal::Body(reason),
        Err(error) => Refusal::Server(system_words(&error)),
    }
}

/// The contents of every `*.crt` in `directory`, in order of name.
fn system_certificates(directory: &Path) -> Result<Vec<Vec<u8>>, SetupError> {
    let unlisted = |error| SetupError::Directory(FileError::new(directory, error));
    let entries = fs::read_dir(directory).map_err(unlisted)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unlisted)?.path();
        if path.as_os_str().as_bytes().ends_with(b".crt") {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &PathBuf| {
        fs::read(path).map_err(|error| SetupError::Certificate(FileError::new(path, error)))
    };
    paths.iter().map(read).collect()
}

/// The server's reason in its own words: `error` and, but for 404, `error_description`.
fn refusal(status: u16, body: &[u8]) -> Refusal {
    let undecodable = |error| Refusal::Unreadable { status, error };
    let body = match json::parse(body) {
        Ok(body) => body,
        Err(error) => return undecodable(error),
    };
    if !matches!(body, Value::Object(_) | Value::Null) {
        return undecodable(JsonError::wrong_type(&body, "Go value of type credhub.Error"));
    }
    let text = |name| json::field(&body, name).and_then(Value::as_str).unwrap_or_default();
    Refusal::Server(match (text("error"), text("error_description")) {
        ("", "") => format!("status {status} without a reason"),
        (error, description) if status == 404 || description.is_empty() => error.to_owned(),
        (error, description) => format!("{error}: {description}"),
    })
}

#[cfg(test)]
mod tests;

//! `VCAP_SERVICES` on its way into a process's environment: CredHub references resolved, and
//! `DATABASE_URL` taken from it (contract, sections 5 to 7).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde_json::Value;

use crate::credhub::{self, CredhubError};
use crate::environment::Environment;
use crate::json;
use crate::platform_options::{self, PlatformOptionsError, VCAP_PLATFORM_OPTIONS};
use crate::report::{system_words, warn};
use crate::url::Url;

/// The bound services, as JSON.
pub const VCAP_SERVICES: &str = "VCAP_SERVICES";
/// Names a file with the same JSON, on platforms that do not set `VCAP_SERVICES`.
pub const VCAP_SERVICES_FILE_PATH: &str = "VCAP_SERVICES_FILE_PATH";
/// The first database among the services.
pub const DATABASE_URL: &str = "DATABASE_URL";

/// The longest `NAME=value` the kernel hands to a new program, with its end mark: 128 KiB.
const LONGEST_VARIABLE: usize = 128 * 1024;

/// Why the services could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum ServicesError {
    /// `VCAP_PLATFORM_OPTIONS` is not what it should be.
    #[error("Invalid platform options")]
    PlatformOptions(#[source] PlatformOptionsError),
    /// CredHub gave no answer that can be used.
    #[error("Unable to interpolate credhub refs")]
    Credhub(#[source] CredhubError),
}

/// `environment` with `VCAP_SERVICES` interpolated, if it refers to CredHub and the platform
/// options name one, and with `DATABASE_URL`, if a database is bound.
///
/// Without `VCAP_SERVICES`, the file of `VCAP_SERVICES_FILE_PATH` is read in its place. It names the
/// database all the same; `VCAP_SERVICES` itself is set only if references were resolved, for the
/// file is the platform's and keeps them, and only if the kernel can hand on so long a value.
pub fn bind(
    mut environment: Environment,
    flags: &credhub::Flags,
) -> Result<Environment, ServicesError> {
    let options = platform_options::parse(environment.get(VCAP_PLATFORM_OPTIONS))
        .map_err(ServicesError::PlatformOptions)?;
    let Some(mut services) = bound_services(&environment) else { return Ok(environment) };
    if let Some(uri) = options.credhub_uri {
        let answer = credhub::interpolate(&uri, &services, &environment, flags)
            .map_err(ServicesError::Credhub)?;
        if let Some(interpolated) = answer {
            set_services(&mut environment, &interpolated);
            services = interpolated;
        }
    }
    if let Some(url) = database_url(&services) {
        environment.set(DATABASE_URL, url);
    }
    Ok(environment)
}

/// The services' JSON, from the variable or the file.
fn bound_services(environment: &Environment) -> Option<OsString> {
    if let Some(services) = environment.get(VCAP_SERVICES) {
        return Some(services.to_owned());
    }
    let path = Path::new(environment.get(VCAP_SERVICES_FILE_PATH)?);
    match fs::read(path) {
        Ok(services) => Some(OsString::from_vec(services)),
        Err(error) => {
            let words = system_words(&error);
            warn(&format!("{VCAP_SERVICES_FILE_PATH}: cannot read {}: {words}", path.display()));
            None
        }
    }
}

fn set_services(environment: &mut Environment, interpolated: &OsStr) {
    let from_file = environment.get(VCAP_SERVICES).is_none();
    let length = VCAP_SERVICES.len() + 1 + interpolated.len() + 1;
    if from_file && length > LONGEST_VARIABLE {
        warn(&format!(
            "{VCAP_SERVICES} is not set: with its CredHub references resolved it has {length} \
             bytes, and the kernel takes {LONGEST_VARIABLE}"
        ));
        return;
    }
    environment.set(VCAP_SERVICES, interpolated);
}

/// The URL of the first database among the services, in the order of the document.
///
/// `mysql` becomes `mysql2`, `postgresql` becomes `postgres`. Nothing at all is found in JSON that
/// is broken or of another shape than an object of lists of objects with `credentials.uri`.
pub fn database_url(vcap_services: &OsStr) -> Option<String> {
    let services = json::parse(vcap_services.as_bytes()).ok()?;
    let uris = uris(&services).ok()?;
    uris.into_iter().find_map(as_database_url)
}

/// Something has another type than it should have.
struct WrongShape;

fn uris(services: &Value) -> Result<Vec<&str>, WrongShape> {
    let mut uris = Vec::new();
    for service in object_values(services)? {
        for binding in list(service)? {
            let credentials = member(binding, "credentials")?;
            match member(credentials, "uri")? {
                Value::String(uri) => uris.push(uri.as_str()),
                Value::Null => {}
                _ => return Err(WrongShape),
            }
        }
    }
    Ok(uris)
}

fn object_values(value: &Value) -> Result<impl Iterator<Item = &Value>, WrongShape> {
    match value {
        Value::Object(fields) => Ok(Some(fields.values()).into_iter().flatten()),
        Value::Null => Ok(None.into_iter().flatten()),
        _ => Err(WrongShape),
    }
}

fn list(value: &Value) -> Result<&[Value], WrongShape> {
    match value {
        Value::Array(entries) => Ok(entries),
        Value::Null => Ok(&[]),
        _ => Err(WrongShape),
    }
}

/// A field of an object; `null` where there is none, and of `null`.
fn member<'a>(value: &'a Value, name: &str) -> Result<&'a Value, WrongShape> {
    match value {
        Value::Object(_) => Ok(json::field(value, name).unwrap_or(&Value::Null)),
        Value::Null => Ok(&Value::Null),
        _ => Err(WrongShape),
    }
}

fn as_database_url(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let scheme = match url.scheme() {
        "mysql" | "mysql2" => "mysql2",
        "postgres" | "postgresql" => "postgres",
        _ => return None,
    };
    Some(url.with_scheme(scheme).to_string())
}

#[cfg(test)]
mod tests;

//! The flags, and what they and the keys amount to (contract sshd, sections 2 and 3).

use std::ffi::{OsStr, OsString};

use clap::{ArgAction, Parser, value_parser};
use lifecycle::environment::Environment;
use lifecycle::flags::{self, Known, boolean};
use lifecycle::report;
use russh::keys::{Algorithm, PrivateKey, PublicKey};

use crate::algorithms::{self, AlgorithmError, Algorithms, AllowLists};
use crate::error::{ConfigurationError, Error};
use crate::log::{Level, Log, Redaction, TimeFormat};
use crate::secrets::{self, Call, Keys};
use crate::{authorized_key, host_key};

/// The variable that does what `-appEnv` does, if it is `1`.
const CF_SSH_APP_ENV: &str = "CF_SSH_APP_ENV";

/// The flags as they stand on the command line.
#[derive(Debug, Parser)]
#[command(name = "diego-sshd")]
#[allow(clippy::struct_excessive_bools, reason = "they are the command line's, each on its own")]
struct Flags {
    /// listen address for ssh daemon
    #[arg(long, value_name = "string", default_value = "127.0.0.1:2222")]
    address: String,
    /// PEM encoded RSA host key
    #[arg(long = "hostKey", value_name = "string", default_value = "", value_parser = value_parser!(OsString))]
    host_key: OsString,
    // No comment, which would want backquotes.
    #[arg(help = "Public key in the OpenSSH authorized_keys format", long = "authorizedKey", value_name = "string", default_value = "", value_parser = value_parser!(OsString))]
    authorized_key: OsString,
    /// Allow access to unauthenticated clients
    #[arg(long = "allowUnauthenticatedClients", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value = "false", value_parser = boolean)]
    allow_unauthenticated: bool,
    /// Inherit daemon's environment
    #[arg(long = "inheritDaemonEnv", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value = "false", value_parser = boolean)]
    inherit_daemon_env: bool,
    /// Give sessions the environment that the launcher gives the app
    #[arg(long = "appEnv", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value = "false", value_parser = boolean)]
    app_env: bool,
    /// Limit cipher algorithms to those provided (comma separated)
    #[arg(long = "allowedCiphers", value_name = "string", default_value = "")]
    allowed_ciphers: String,
    /// Limit MAC algorithms to those provided (comma separated)
    #[arg(long = "allowedMACs", value_name = "string", default_value = "")]
    allowed_macs: String,
    /// Limit key exchange algorithms to those provided (comma separated)
    #[arg(long = "allowedKeyExchanges", value_name = "string", default_value = "")]
    allowed_key_exchanges: String,
    /// Limit key host key algorithms to those provided (comma separated)
    #[arg(long = "allowedHostKeyAlgorithms", value_name = "string", default_value = "")]
    allowed_host_key_algorithms: String,
    /// log level: debug, info, error or fatal
    #[arg(long = "logLevel", value_name = "string", default_value = "info")]
    log_level: String,
    /// host:port for serving the log level over HTTP
    #[arg(long = "debugAddr", value_name = "string", default_value = "")]
    debug_address: String,
    /// use a redacting log sink to scrub sensitive values from data being logged
    #[arg(long = "redactSecrets", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value = "false", value_parser = boolean)]
    redact_secrets: bool,
    /// regex pattern that is redacted instead of well-known secrets, may be repeated
    #[arg(long = "redactPatterns", value_name = "value", action = ArgAction::Append)]
    redact_patterns: Vec<String>,
    /// format for timestamp in logs: unix-epoch or rfc3339
    #[arg(long = "timeFormat", value_name = "value", default_value = "unix-epoch", value_parser = time_format)]
    time_format: TimeFormat,
}

/// What the server is asked to do.
#[derive(Debug)]
pub struct Config {
    /// `-address`: where to listen, in Go's notation.
    pub address: String,
    /// The server's own key.
    pub host_key: PrivateKey,
    /// Whose owner may log in.
    pub authorized_key: Option<PublicKey>,
    /// Whether everybody may, by the method `none`.
    pub allow_unauthenticated: bool,
    /// Whether sessions start from [`Config::environment`].
    pub inherit_daemon_env: bool,
    /// Whether sessions see the app's world: `-appEnv`, or `CF_SSH_APP_ENV=1`.
    pub app_env: bool,
    /// What to offer.
    pub algorithms: Algorithms,
    /// `-debugAddr`: where to serve the log level over HTTP.
    pub debug_address: Option<String>,
    /// The environment that the server was started with, without keys.
    pub environment: Environment,
}

/// Reads the command line, program name included, and takes the keys out of sight, for which the process
/// may begin anew: nothing but this may have happened before.
pub fn read(
    arguments: impl Iterator<Item = OsString>,
    inherited: Environment,
) -> Result<(Config, Log), Error> {
    let mut arguments = arguments;
    let own_name = arguments.next().unwrap_or_default();
    let Known { flags, unknown, words } = flags::parse_known::<Flags>(arguments)?;
    let log = start_log(&flags)?;
    for name in unknown {
        warn(&log, "unknown-flag", &format!("flag -{name} is unknown to this version and ignored"));
    }
    let given = Keys { host: flags.host_key.clone(), authorized: flags.authorized_key.clone() };
    let (keys, environment) =
        secrets::hide(given, inherited, Call { own_name, words }, &log).map_err(Error::Handover)?;
    let config = configure(flags, &keys, environment, &log).map_err(|errors| {
        let error = Error::Configuration(errors);
        log.error("configure-failed", &[("error", error.to_string().into())]);
        error
    })?;
    Ok((config, log))
}

fn start_log(flags: &Flags) -> Result<Log, Error> {
    let level = Level::named(&flags.log_level);
    let level = level.ok_or_else(|| Error::LogLevel(flags.log_level.clone()))?;
    let redaction = flags.redact_secrets.then(|| Redaction::new(&flags.redact_patterns));
    Ok(Log::new(level, flags.time_format, redaction.transpose()?))
}

/// A line about something that does not keep the server from starting. Where the log is silent, as it is
/// in production, stderr has it.
pub(crate) fn warn(log: &Log, message: &str, sentence: &str) {
    if log.prints(Level::Error) {
        log.error(message, &[("error", sentence.into())]);
    } else {
        report::warn(&format!("diego-sshd: {sentence}"));
    }
}

/// Everything that is wrong is collected: one start tells all.
fn configure(
    flags: Flags,
    keys: &Keys,
    environment: Environment,
    log: &Log,
) -> Result<Config, Vec<ConfigurationError>> {
    let mut errors = Vec::new();
    let mut noted = |error: ConfigurationError| errors.push(error);
    let host_key = host_key(&keys.host, log).map_err(&mut noted).ok();
    let algorithms = host_key
        .as_ref()
        .and_then(|key: &PrivateKey| offer(&flags, &key.algorithm(), log).map_err(&mut noted).ok());
    let authorized_key =
        authorized_key(&keys.authorized, flags.allow_unauthenticated, log).map_err(&mut noted).ok();
    let (Some(host_key), Some(algorithms), Some(authorized_key)) =
        (host_key, algorithms, authorized_key)
    else {
        return Err(errors);
    };
    let app_env =
        flags.app_env || environment.get(CF_SSH_APP_ENV).is_some_and(|value| value == "1");
    Ok(Config {
        address: flags.address,
        host_key,
        authorized_key,
        allow_unauthenticated: flags.allow_unauthenticated,
        inherit_daemon_env: flags.inherit_daemon_env,
        app_env,
        algorithms,
        debug_address: Some(flags.debug_address).filter(|address| !address.is_empty()),
        environment,
    })
}

fn host_key(text: &OsStr, log: &Log) -> Result<PrivateKey, ConfigurationError> {
    if text.is_empty() {
        return Ok(host_key::generate()?);
    }
    Ok(host_key::parse(&text.to_string_lossy()).inspect_err(|error| {
        for message in ["failed-to-parse-host-key", "failed-to-acquire-host-key"] {
            log.error(message, &[("error", error.to_string().into())]);
        }
    })?)
}

fn authorized_key(
    text: &OsStr,
    allow_unauthenticated: bool,
    log: &Log,
) -> Result<Option<PublicKey>, ConfigurationError> {
    if !text.is_empty() {
        return Ok(Some(authorized_key::parse(&text.to_string_lossy())?));
    }
    if allow_unauthenticated {
        return Ok(None);
    }
    log.error("authorized-key-required", &[]);
    Err(ConfigurationError::AuthorizedKeyRequired)
}

fn offer(flags: &Flags, host_key: &Algorithm, log: &Log) -> Result<Algorithms, ConfigurationError> {
    let lists = AllowLists {
        key_exchanges: &flags.allowed_key_exchanges,
        ciphers: &flags.allowed_ciphers,
        macs: &flags.allowed_macs,
        host_key_algorithms: &flags.allowed_host_key_algorithms,
    };
    let (algorithms, unknown) = algorithms::choose(&lists, host_key).inspect_err(|error| {
        if let AlgorithmError::NotOfHostKey { .. } = error {
            for message in ["failed-to-restrict-host-key-algorithms", "failed-to-acquire-host-key"]
            {
                log.error(message, &[("error", error.to_string().into())]);
            }
        }
    })?;
    for name in unknown {
        warn(log, "unknown-algorithm", &name.to_string());
    }
    Ok(algorithms)
}

/// The names that the predecessor's `-timeFormat` takes.
fn time_format(text: &str) -> Result<TimeFormat, String> {
    match text {
        "unix-epoch" | "0" => Ok(TimeFormat::UnixEpoch),
        "rfc3339" | "1" => Ok(TimeFormat::Rfc3339),
        _ => Err(format!("invalid TimeFormat: {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(words: &[&str], environment: &[(&str, &str)]) -> Config {
        let words = ["diego-sshd", "-allowUnauthenticatedClients"].iter().chain(words);
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        read(words.map(OsString::from), environment.collect()).unwrap().0
    }

    #[test]
    fn the_apps_environment_is_asked_for_by_flag_or_variable() {
        for (words, value, expected) in [
            (&[][..], "", false),
            (&["-appEnv"], "", true),
            (&["-appEnv=false"], "1", true),
            (&[], "1", true),
            (&[], "true", false),
            (&[], "0", false),
        ] {
            let config = config(words, &[(CF_SSH_APP_ENV, value)]);
            assert_eq!(config.app_env, expected, "{words:?} {value}");
        }
    }

    #[test]
    fn flags_reach_the_configuration() {
        let defaults = config(&[], &[("A", "b")]);
        assert_eq!((defaults.address.as_str(), defaults.debug_address), ("127.0.0.1:2222", None));
        assert!(!defaults.inherit_daemon_env && defaults.authorized_key.is_none());
        assert_eq!(defaults.environment.get("A"), Some(OsStr::new("b")));
        let given = config(&["-address=:1", "-debugAddr=:2", "-inheritDaemonEnv"], &[]);
        assert_eq!((given.address.as_str(), given.debug_address.as_deref()), (":1", Some(":2")));
        assert!(given.inherit_daemon_env && given.allow_unauthenticated);
    }

    #[test]
    fn no_key_is_printed_for_debugging() {
        let config = config(&[], &[]);
        let secret = config.host_key.key_data().ed25519().unwrap().private.to_bytes();
        let text = format!("{config:?}");
        assert!(!text.contains(&format!("{secret:?}")), "{text}");
    }
}

//! `shell`: becomes a shell, or a command in one, in the environment of the app.
//!
//! As the launcher, but for SSH sessions: it announces nothing and skips `.profile`. What both share is
//! in `lifecycle::{environment, services, launch}`.

use std::ffi::OsString;

use lifecycle::environment::Environment;
use lifecycle::launch::{Launch, Preparation, launch};
use lifecycle::platform_options::VCAP_PLATFORM_OPTIONS;
use lifecycle::report::{chain, warn};
use lifecycle::services::ServicesError;
use lifecycle::{flags, services};

mod config;
mod error;

use config::{Config, Flags};
pub use error::ShellError;

/// What happens before the command.
const PREPARATION: Preparation = Preparation {
    script: include_str!("shell.sh"),
    announcements: &[],
    profiles: &["../profile.d", ".profile.d"],
};

/// Becomes the command, or says why not. `arguments` begin with the program's own name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), ShellError> {
    let inherited = Environment::inherited();
    let config = Config::read(arguments, &inherited)?;
    let flags: Flags = flags::parse_any(config.flags)?;
    let inherited = inherited.for_container(&config.app_dir);
    let mut environment = bind(inherited, &flags)?;
    environment.remove(VCAP_PLATFORM_OPTIONS);
    let plan = Launch {
        own_name: config.own_name,
        app_dir: config.app_dir,
        command: config.command,
        entrypoint_prefix: None,
        preparation: PREPARATION,
    };
    Err(launch(&plan, &environment).into())
}

/// The environment with the bound services made ready. With `-keepServices`, which diego-sshd gives, a
/// failure is no end: ssh is how one finds out about it.
fn bind(inherited: Environment, flags: &Flags) -> Result<Environment, ServicesError> {
    let plain = flags.keep_services.then(|| inherited.clone());
    match (services::bind(inherited, &flags.credhub), plain) {
        (Err(error), Some(plain)) => {
            let reason = chain(&error);
            warn(&format!("WARNING: VCAP_SERVICES and DATABASE_URL are as they were: {reason}"));
            Ok(plain)
        }
        (outcome, _) => outcome,
    }
}

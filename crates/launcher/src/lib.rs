//! `launcher`: becomes the app's start command, in the environment that apps know.
//!
//! [`run`] tells the story. What launcher and shell share is in `lifecycle::{environment, services,
//! launch}`; here is what is the launcher's own: its arguments, the start command, its script.

use std::ffi::OsString;
use std::path::Path;

use lifecycle::architecture::Architecture;
use lifecycle::environment::Environment;
use lifecycle::launch::{Launch, Preparation, launch};
use lifecycle::platform_options::VCAP_PLATFORM_OPTIONS;
use lifecycle::staging_report::Origin;
use lifecycle::{flags, paths, report, services, staging_info};

mod config;
mod error;
mod start_command;

use config::{Config, Flags};
pub use error::LaunchError;

/// What happens before the start command.
const PREPARATION: Preparation = Preparation {
    script: include_str!("launch.sh"),
    announcements: &["Invoking pre-start scripts.", "Invoking start command."],
    profiles: &["../profile.d", ".profile.d", ".profile"],
};

/// Becomes the app, or says why not. `arguments` begin with the program's own name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), LaunchError> {
    let config = Config::read(arguments)?;
    let inherited = Environment::inherited();
    let app_dir = paths::absolute(Path::new(&config.app_dir), inherited.get("PWD"));
    // The working directory is the droplet's root.
    let droplet = Path::new("");
    let staged = staging_info::read(droplet).map_err(LaunchError::StagingInfo)?;
    let Some(command) = start_command::choose(&config.start_command, &staged) else {
        return Err(LaunchError::NoStartCommand { own_name: config.own_name });
    };
    let flags: Flags = flags::parse_any(config.flags)?;
    let mut environment = services::bind(inherited.for_container(&app_dir), &flags.credhub)?;
    environment.remove(VCAP_PLATFORM_OPTIONS);
    warn_of_other_machine(droplet);
    let plan = Launch {
        own_name: config.own_name,
        app_dir,
        command,
        entrypoint_prefix: staged.config.map(|config| config.entrypoint_prefix),
        preparation: PREPARATION,
    };
    Err(launch(&plan, &environment).into())
}

/// Says so if the droplet's programs cannot run here. Not a refusal: scripts run everywhere.
fn warn_of_other_machine(droplet: &Path) {
    let Some(origin) = Origin::read(droplet) else { return };
    let (staged_for, own) = (Architecture::named(&origin.architecture), Architecture::own());
    if !own.runs(&staged_for) {
        report::warn(&format!(
            "WARNING: this droplet was staged for {staged_for}, and this cell is {own}: its programs will fail \
             with \"exec format error\" or \"no such file or directory\". Stage the app again on {own} cells."
        ));
    }
}

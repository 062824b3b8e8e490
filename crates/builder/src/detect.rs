//! Detect: asks the buildpacks in order until one says that the app is its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lifecycle::report::{chain, say, system_words, warn};

use crate::buildpack::Buildpack;
use crate::error::StagingError;
use crate::script;
use crate::staging::{Selected, Staging};

/// The first buildpack whose `bin/detect` succeeds (contract, section 3.10).
pub(crate) fn detect(staging: &Staging<'_>) -> Result<Selected, StagingError> {
    for (position, key) in staging.order.keys.iter().enumerate() {
        let buildpack = match Buildpack::locate(key, staging.config) {
            Ok(buildpack) => buildpack,
            Err(error) => {
                warn(&chain(&error));
                continue;
            }
        };
        if let Some(detect_output) = ask(staging, &buildpack) {
            return Ok(Selected { position, buildpack, detect_output: Some(detect_output) });
        }
    }
    Err(StagingError::NoneDetected)
}

/// What the buildpack's detect script said, if it said yes.
fn ask(staging: &Staging<'_>, buildpack: &Buildpack) -> Option<String> {
    let path = buildpack.script("detect");
    match fs::metadata(&path) {
        Err(error) => {
            warn(&format!("stat {}: {}", path.display(), system_words(&error)));
            return None;
        }
        Ok(metadata) if metadata.permissions().mode() & 0o111 != 0o111 => {
            say("WARNING: buildpack script '/bin/detect' is not executable");
        }
        Ok(_) => {}
    }
    let build_dir = staging.config.build_dir.as_os_str();
    let output = script::capture(staging, buildpack, "detect", &[build_dir]).ok()?;
    let text = String::from_utf8_lossy(&output);
    Some(text.trim_end_matches(['\r', '\n']).to_owned())
}

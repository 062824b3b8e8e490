//! Supply: every buildpack but the last puts its dependencies into its deps directory.

use std::ffi::OsStr;

use lifecycle::report::{chain, warn};

use crate::buildpack::{Buildpack, Key, LocateError};
use crate::error::StagingError;
use crate::script::{self, ScriptError};
use crate::staging::{Selected, Staging};

/// Runs `bin/supply` of all buildpacks but the last, and gives the last (contract, section 3.11).
pub(crate) fn supply(staging: &Staging<'_>) -> Result<Selected, StagingError> {
    let supplying = staging.order.supply();
    // All are found before the first one runs.
    let buildpacks: Vec<Buildpack> =
        supplying.iter().map(|key| locate(staging, key)).collect::<Result<_, _>>()?;
    for (position, (buildpack, key)) in buildpacks.iter().zip(supplying).enumerate() {
        let cache = staging.layout.supply_cache(&key.hash());
        supply_one(staging, buildpack, cache.as_os_str(), position)
            .map_err(StagingError::Supply)?;
    }
    let last = Buildpack::locate(staging.order.last(), staging.config);
    let buildpack = last.map_err(StagingError::Locate)?;
    Ok(Selected { position: supplying.len(), buildpack, detect_output: None })
}

/// Runs `bin/supply` of the buildpack at `position`.
pub(crate) fn supply_one(
    staging: &Staging<'_>,
    buildpack: &Buildpack,
    cache: &OsStr,
    position: usize,
) -> Result<(), ScriptError> {
    let deps = staging.layout.deps_dir();
    let index = OsStr::new(staging.layout.index(position));
    let build_dir = staging.config.build_dir.as_os_str();
    script::run(staging, buildpack, "supply", &[build_dir, cache, deps.as_os_str(), index])
}

/// A supply buildpack, with its `bin/supply`.
fn locate(staging: &Staging<'_>, key: &Key) -> Result<Buildpack, StagingError> {
    let buildpack = Buildpack::locate(key, staging.config).map_err(|error: LocateError| {
        // The predecessor prints it here and again as the error.
        warn(&chain(&error));
        StagingError::Locate(error)
    })?;
    if buildpack.has("supply") {
        Ok(buildpack)
    } else {
        Err(StagingError::NoSupply { buildpack: buildpack.shown })
    }
}

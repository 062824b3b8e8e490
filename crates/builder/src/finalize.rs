//! Finalize: the selected buildpack makes the app ready to run; old ones compile instead.

use std::fs;
use std::io;

use lifecycle::file::FileError;
use lifecycle::report::warn;

use crate::error::CompileError;
use crate::script;
use crate::staging::{Selected, Staging};
use crate::supply::supply_one;

/// Printed when the last buildpack can't see what the others supplied.
const ONLY_COMPILES: &str = "Warning: the last buildpack is not compatible with multi-buildpack apps \
and cannot make use of any dependencies supplied by the buildpacks specified before it";

/// Runs supply and finalize, or compile (contract, section 3.12).
pub(crate) fn finalize(staging: &Staging<'_>, selected: &Selected) -> Result<(), CompileError> {
    if selected.buildpack.has("finalize") {
        finalize_with_deps(staging, selected)
    } else {
        compile(staging, selected)
    }
}

fn finalize_with_deps(staging: &Staging<'_>, selected: &Selected) -> Result<(), CompileError> {
    let layout = staging.layout;
    let position = layout.last_position();
    let cache = layout.final_cache();
    if selected.buildpack.has("supply") {
        supply_one(staging, &selected.buildpack, cache.as_os_str(), position)
            .map_err(CompileError::Supply)?;
    }
    let arguments = [
        staging.config.build_dir.as_os_str(),
        cache.as_os_str(),
        &layout.deps_dir().into_os_string(),
        layout.index(position).as_ref(),
        &layout.profile_dir().into_os_string(),
    ];
    script::run(staging, &selected.buildpack, "finalize", &arguments)
        .map_err(CompileError::Finalize)
}

fn compile(staging: &Staging<'_>, selected: &Selected) -> Result<(), CompileError> {
    if !staging.order.supply().is_empty() {
        warn(ONLY_COMPILES);
    }
    let deps = staging.layout.deps(staging.layout.last_position());
    match fs::remove_dir_all(&deps) {
        // A supply buildpack may have taken it away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed.map_err(FileError::on("remove", deps))?,
    }
    let cache = staging.layout.final_cache();
    let arguments = [staging.config.build_dir.as_os_str(), cache.as_os_str()];
    script::run(staging, &selected.buildpack, "compile", &arguments).map_err(CompileError::Compile)
}

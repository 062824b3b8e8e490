//! What staging found out: the launch plan, into `staging_info.yml` for the launcher and
//! `result.json` for the platform. The platform gets a result also when the build failed.

use std::path::PathBuf;

use lifecycle::file::{self, FileError};
use lifecycle::process::{LaunchPlan, Process};
use lifecycle::report::warn;
use lifecycle::staging_info::{STAGING_INFO, StagingInfo};
use lifecycle::staging_result::{BuildpackMetadata, StagingResult, StagingResultError};

use crate::buildpack::Key;
use crate::error::{ReleaseError, StagingError};
use crate::launch_plan::{self, NO_START_COMMAND};
use crate::staging::{Selected, Staging};
use crate::{buildpack_metadata, release, script};

/// Records the outcome of a finalize that was `finalized`.
pub(crate) fn record(
    staging: &Staging<'_>,
    selected: &Selected,
    finalized: Result<(), StagingError>,
) -> Result<(), StagingError> {
    let outcome = finalized.and_then(|()| describe(staging, selected));
    if outcome.is_err() {
        let result = StagingResult { buildpacks: buildpacks(staging, selected), launch: None };
        // The build's own error is the one to report.
        let _secondary = write(staging, &result);
    }
    outcome
}

fn describe(staging: &Staging<'_>, selected: &Selected) -> Result<(), StagingError> {
    let plan = plan(staging, selected)?;
    let start_command = plan.web().to_owned();
    if start_command.is_empty() {
        for line in NO_START_COMMAND {
            warn(line);
        }
    }
    let buildpacks = named(buildpacks(staging, selected), selected);
    write_staging_info(staging, start_command, buildpacks.last())?;
    let result = StagingResult { buildpacks, launch: Some(plan) };
    for warning in write(staging, &result)? {
        warn(&warning);
    }
    Ok(())
}

/// Writes `result.json`; gives the warnings about what had to be left out.
fn write(staging: &Staging<'_>, result: &StagingResult) -> Result<Vec<String>, StagingResultError> {
    staging.cleanup.undisturbed(|| result.write(&staging.config.output_metadata))
}

/// Every `launch.yml`, the release and the Procfile, later over earlier.
fn plan(staging: &Staging<'_>, selected: &Selected) -> Result<LaunchPlan, StagingError> {
    let layout = staging.layout;
    let deps: Vec<PathBuf> = (0..=layout.last_position()).map(|it| layout.deps(it)).collect();
    launch_plan::gather(&deps, &staging.config.build_dir, || {
        released(staging, selected).map_err(StagingError::Release)
    })
}

/// The process types that `bin/release` prints.
fn released(staging: &Staging<'_>, selected: &Selected) -> Result<Vec<Process>, ReleaseError> {
    let build_dir = staging.config.build_dir.as_os_str();
    let output = script::capture(staging, &selected.buildpack, "release", &[build_dir])
        .map_err(ReleaseError::Script)?;
    Ok(release::process_types(&output)?)
}

/// The metadata of all buildpacks of the order; where one detected the app, of that one.
fn buildpacks(staging: &Staging<'_>, selected: &Selected) -> Vec<BuildpackMetadata> {
    let read = |(position, key): (usize, &Key)| {
        Some(buildpack_metadata::read(&key.text, &staging.deps(position, selected)?))
    };
    staging.order.keys.iter().enumerate().filter_map(read).collect()
}

/// A buildpack that detected and gave itself no name is called what its detect script said.
fn named(mut buildpacks: Vec<BuildpackMetadata>, selected: &Selected) -> Vec<BuildpackMetadata> {
    if let (Some(last), Some(said)) = (buildpacks.last_mut(), &selected.detect_output)
        && last.name.is_empty()
    {
        last.name.clone_from(said);
    }
    buildpacks
}

fn write_staging_info(
    staging: &Staging<'_>,
    start_command: String,
    last: Option<&BuildpackMetadata>,
) -> Result<(), StagingError> {
    let info = StagingInfo {
        detected_buildpack: last.map(|it| it.name.clone()).unwrap_or_default(),
        start_command,
        config: last.and_then(|it| it.config.clone()),
    };
    let path = staging.layout.contents().join(STAGING_INFO);
    file::create(&path, info.to_line()?.as_bytes()).map_err(FileError::on("open", path))?;
    Ok(())
}

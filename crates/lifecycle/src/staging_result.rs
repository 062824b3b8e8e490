//! `result.json`: what staging tells Cloud Controller (contract, sections 3.16 and 3.17; platform
//! contract, section 4). Key order and omissions are the predecessor's.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::file::{self, FileError};
use crate::json::{self, JsonError};
use crate::process::{LaunchPlan, ProcessEntry, Sidecar};
use crate::staging_info::Config;

/// The cell reads no more of the file than this, in bytes; staging fails if there is more.
pub const MAX_RESULT: usize = 50 * 1024;

/// A buildpack in `result.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BuildpackMetadata {
    /// The key it was asked for by, unless its `config.yml` says another.
    pub key: String,
    /// Its name, or what its detect script said.
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its `config`, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
    /// Whatever it wants to be known, sorted by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub output_metadata: BTreeMap<String, Value>,
}

/// The content of `result.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct StagingResult {
    /// The buildpacks in order; the last one is what detected the app.
    pub buildpacks: Vec<BuildpackMetadata>,
    /// `None` when staging failed.
    pub launch: Option<LaunchPlan>,
}

/// The text of `result.json`, and what had to be left out.
#[derive(Debug, PartialEq, Eq)]
pub struct ResultText {
    /// One line of JSON with its newline.
    pub text: String,
    /// Sentences for whoever stages the app.
    pub warnings: Vec<String>,
}

impl StagingResult {
    /// Writes the file whole or not at all; an old one keeps its mode. Gives the warnings.
    pub fn write(&self, path: &Path) -> Result<Vec<String>, StagingResultError> {
        let ResultText { text, warnings } = self.to_text()?;
        file::write(path, text.as_bytes())?;
        Ok(warnings)
    }

    /// The text within [`MAX_RESULT`]: as long as it is too long, the largest `output_metadata` is
    /// left out.
    pub fn to_text(&self) -> Result<ResultText, JsonError> {
        let mut warnings = Vec::new();
        let mut result = self.clone();
        loop {
            let text = json::to_string(&Document::from(&result))? + "\n";
            if text.len() <= MAX_RESULT {
                return Ok(ResultText { text, warnings });
            }
            let Some(largest) = largest_metadata(&mut result.buildpacks) else {
                warnings.push(format!(
                    "WARNING: result.json is {} bytes long, the platform reads at most \
                     {MAX_RESULT}: shorten the process types and their commands",
                    text.len()
                ));
                return Ok(ResultText { text, warnings });
            };
            largest.output_metadata.clear();
            warnings.push(format!(
                "WARNING: the output_metadata of buildpack '{}' is left out: result.json would be \
                 {} bytes long, the platform reads at most {MAX_RESULT}",
                largest.key,
                text.len()
            ));
        }
    }
}

/// The buildpack whose `output_metadata` takes most room.
fn largest_metadata(buildpacks: &mut [BuildpackMetadata]) -> Option<&mut BuildpackMetadata> {
    let with_metadata = buildpacks.iter_mut().filter(|it| !it.output_metadata.is_empty());
    with_metadata.max_by_key(|it| json::to_string(&it.output_metadata).map_or(0, |text| text.len()))
}

/// Why there is no `result.json`.
#[derive(Debug, thiserror::Error)]
pub enum StagingResultError {
    /// It cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It has no form in JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// The keys in the order in which they are written.
#[derive(Serialize)]
struct Document<'r> {
    lifecycle_metadata: Metadata<'r>,
    /// `null` when staging failed.
    process_types: Option<&'r BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    processes: &'r [ProcessEntry],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sidecars: &'r [Sidecar],
    execution_metadata: &'static str,
    lifecycle_type: &'static str,
}

#[derive(Serialize)]
struct Metadata<'r> {
    #[serde(skip_serializing_if = "str::is_empty")]
    buildpack_key: &'r str,
    detected_buildpack: &'r str,
    buildpacks: &'r [BuildpackMetadata],
}

impl<'r> From<&'r StagingResult> for Document<'r> {
    fn from(result: &'r StagingResult) -> Self {
        let last = result.buildpacks.last();
        let launch = result.launch.as_ref();
        Self {
            lifecycle_metadata: Metadata {
                buildpack_key: last.map_or("", |it| &it.key),
                detected_buildpack: last.map_or("", |it| &it.name),
                buildpacks: &result.buildpacks,
            },
            process_types: launch.map(|plan| &plan.process_types),
            processes: launch.map_or(&[], |plan| &plan.processes),
            sidecars: launch.map_or(&[], |plan| &plan.sidecars),
            execution_metadata: "",
            lifecycle_type: "buildpack",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;
    use serde_json::json;

    fn buildpack(key: &str, name: &str) -> BuildpackMetadata {
        BuildpackMetadata { key: key.to_owned(), name: name.to_owned(), ..Default::default() }
    }

    fn text(buildpacks: &[BuildpackMetadata], launch: Option<Vec<Process>>) -> String {
        let launch = launch.map(LaunchPlan::from);
        let result = StagingResult { buildpacks: buildpacks.to_vec(), launch };
        let ResultText { text, warnings } = result.to_text().unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        text
    }

    fn web(command: &str) -> Process {
        Process { kind: "web".to_owned(), command: command.to_owned(), ..Process::default() }
    }

    #[test]
    fn a_simple_app() {
        assert_eq!(
            text(&[buildpack("A", "D")], Some(vec![web("run")])),
            "{\"lifecycle_metadata\":{\"buildpack_key\":\"A\",\"detected_buildpack\":\"D\",\"buildpacks\":[{\"key\":\"A\",\"name\":\"D\"}]},\"process_types\":{\"web\":\"run\"},\"processes\":[{\"type\":\"web\",\"command\":\"run\"}],\"execution_metadata\":\"\",\"lifecycle_type\":\"buildpack\"}\n"
        );
    }

    #[test]
    fn a_failed_staging_has_metadata_only() {
        let metadata = BTreeMap::from([("k".to_owned(), json!("v"))]);
        let buildpack = BuildpackMetadata { output_metadata: metadata, ..buildpack("A", "N") };
        assert_eq!(
            text(&[buildpack], None),
            "{\"lifecycle_metadata\":{\"buildpack_key\":\"A\",\"detected_buildpack\":\"N\",\"buildpacks\":[{\"key\":\"A\",\"name\":\"N\",\"output_metadata\":{\"k\":\"v\"}}]},\"process_types\":null,\"execution_metadata\":\"\",\"lifecycle_type\":\"buildpack\"}\n"
        );
    }

    #[test]
    fn everything_at_once_is_in_order_and_escaped() {
        let full = BuildpackMetadata {
            version: "1.2".to_owned(),
            config: Some(Config { entrypoint_prefix: "p".to_owned() }),
            output_metadata: BTreeMap::from([
                ("b".to_owned(), json!([1, {"n": null}])),
                ("a".to_owned(), json!(true)),
            ]),
            ..buildpack("B", "<&>")
        };
        let sidecars = ["web", "worker"].map(str::to_owned).to_vec();
        let sidecar = |memory| Process {
            kind: "s".to_owned(),
            sidecar_for: sidecars.clone(),
            memory,
            ..web("c")
        };
        let first = BuildpackMetadata { config: Some(Config::default()), ..buildpack("A", "") };
        assert_eq!(
            text(&[first, full], Some(vec![sidecar(0), sidecar(128)])),
            "{\"lifecycle_metadata\":{\"buildpack_key\":\"B\",\"detected_buildpack\":\"\\u003c\\u0026\\u003e\",\"buildpacks\":[{\"key\":\"A\",\"name\":\"\",\"config\":{}},{\"key\":\"B\",\"name\":\"\\u003c\\u0026\\u003e\",\"version\":\"1.2\",\"config\":{\"entrypoint_prefix\":\"p\"},\"output_metadata\":{\"a\":true,\"b\":[1,{\"n\":null}]}}]},\"process_types\":{},\"sidecars\":[{\"name\":\"s\",\"process_types\":[\"web\",\"worker\"],\"command\":\"c\"},{\"name\":\"s\",\"process_types\":[\"web\",\"worker\"],\"command\":\"c\",\"memory\":128}],\"execution_metadata\":\"\",\"lifecycle_type\":\"buildpack\"}\n"
        );
    }

    #[test]
    fn an_empty_key_is_left_out_at_the_top_only() {
        let text = text(&[buildpack("", "")], Some(vec![]));
        assert!(text.starts_with("{\"lifecycle_metadata\":{\"detected_buildpack\":\"\",\"buildpacks\":[{\"key\":\"\",\"name\":\"\"}]},\"process_types\":{},\"execution_metadata\""), "{text}");
    }

    fn with_metadata(key: &str, length: usize) -> BuildpackMetadata {
        let metadata = BTreeMap::from([("k".to_owned(), json!("x".repeat(length)))]);
        BuildpackMetadata { output_metadata: metadata, ..buildpack(key, "") }
    }

    #[test]
    fn the_largest_metadata_goes_first_when_the_result_is_too_long() {
        let launch = Some(LaunchPlan::from(vec![web("run")]));
        let buildpacks = vec![
            with_metadata("A", 20_000),
            with_metadata("B", 40_000),
            with_metadata("C", 10_000),
        ];
        let result = StagingResult { buildpacks, launch };
        let ResultText { text, warnings } = result.to_text().unwrap();
        assert!(text.len() <= MAX_RESULT);
        assert!(text.contains("{\"key\":\"B\",\"name\":\"\"}"), "{text}");
        assert_eq!(text.matches("output_metadata").count(), 2);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("buildpack 'B' is left out"), "{warnings:?}");
    }

    #[test]
    fn the_limit_is_kept_to_the_byte() {
        let with =
            |length| StagingResult { buildpacks: vec![with_metadata("A", length)], launch: None };
        let room = MAX_RESULT - with(0).to_text().unwrap().text.len();
        assert_eq!(with(room).to_text().unwrap().text.len(), MAX_RESULT);
        assert_eq!(with(room).to_text().unwrap().warnings, Vec::<String>::new());
        assert_eq!(with(room + 1).to_text().unwrap().warnings.len(), 1);
    }

    #[test]
    fn a_result_that_is_long_without_metadata_is_kept_and_warned_about() {
        let launch = Some(LaunchPlan::from(vec![web(&"x".repeat(60_000))]));
        let result = StagingResult { buildpacks: vec![buildpack("A", "")], launch };
        let ResultText { text, warnings } = result.to_text().unwrap();
        assert!(text.len() > MAX_RESULT);
        assert!(warnings[0].contains("shorten the process types"), "{warnings:?}");
    }

    #[test]
    fn it_is_written_whole_and_a_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        let result = StagingResult { buildpacks: vec![buildpack("A", "")], launch: None };
        assert_eq!(result.write(&path).unwrap(), Vec::<String>::new());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), result.to_text().unwrap().text);
        let error = result.write(dir.path()).unwrap_err().to_string();
        assert_eq!(error, format!("open {}: is a directory", dir.path().display()));
    }
}

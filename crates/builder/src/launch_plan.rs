//! What the app can be launched as: every `launch.yml`, the release and the Procfile, later over
//! earlier (contract, section 3.13).

use std::path::{Path, PathBuf};

use lifecycle::process::{self, LaunchPlan, Process};

use crate::launch_yml::{self, LaunchYmlError};
use crate::procfile::{self, ProcfileError};

/// Printed where no `web` process has a command. Not an error: the platform may know one.
pub(crate) const NO_START_COMMAND: [&str; 2] = [
    "No start command specified by buildpack or via Procfile.",
    "App will not start unless a command is provided at runtime.",
];

/// Makes the plan from what each source says.
///
/// `deps` are the deps directories of the buildpacks in order, the last being the one that
/// finalized; `release` gives the process types of its release script and is asked only if its
/// deps directory has no `launch.yml`.
pub(crate) fn gather<E>(
    deps: &[PathBuf],
    build_dir: &Path,
    release: impl FnOnce() -> Result<Vec<Process>, E>,
) -> Result<LaunchPlan, E>
where
    E: From<LaunchYmlError> + From<ProcfileError>,
{
    let mut processes = Vec::new();
    let mut last = None;
    for directory in deps {
        last = launch_yml::read(directory)?;
        processes = process::merge(processes, last.clone().unwrap_or_default());
    }
    if last.is_none() {
        processes = process::merge(processes, release()?);
    }
    processes = process::merge(processes, procfile::read(build_dir)?);
    Ok(processes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::fs;
    use tempfile::TempDir;

    #[derive(Debug, thiserror::Error)]
    enum GatherError {
        #[error(transparent)]
        LaunchYml(#[from] LaunchYmlError),
        #[error(transparent)]
        Procfile(#[from] ProcfileError),
        #[error("release")]
        Release,
    }

    impl From<Infallible> for GatherError {
        fn from(never: Infallible) -> Self {
            match never {}
        }
    }

    /// An app and deps directories, each with a `launch.yml` where there is a text.
    struct Fixture {
        dir: TempDir,
        deps: Vec<PathBuf>,
    }

    impl Fixture {
        fn new(launch_ymls: &[Option<&str>], procfile: Option<&str>) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut deps = Vec::new();
            for (index, text) in launch_ymls.iter().enumerate() {
                let path = dir.path().join(format!("deps/{index:02}"));
                fs::create_dir_all(&path).unwrap();
                if let Some(text) = text {
                    fs::write(path.join("launch.yml"), text).unwrap();
                }
                deps.push(path);
            }
            if let Some(text) = procfile {
                fs::write(dir.path().join("Procfile"), text).unwrap();
            }
            Self { dir, deps }
        }

        fn gather(&self, release: Result<&str, GatherError>) -> Result<LaunchPlan, GatherError> {
            gather(&self.deps, self.dir.path(), || {
                Ok(Process::from_types([("web".to_owned(), release?.to_owned())]))
            })
        }
    }

    #[test]
    fn procfile_wins_over_release() {
        let fixture = Fixture::new(&[None], Some("worker: w\nweb: from procfile\n"));
        let plan = fixture.gather(Ok("from release")).unwrap();
        assert_eq!(plan.web(), "from procfile");
        let kinds: Vec<_> = plan.processes.iter().map(|entry| entry.kind.as_str()).collect();
        assert_eq!(kinds, ["web", "worker"]);
    }

    #[test]
    fn release_is_asked_only_without_a_launch_yml_of_the_last_buildpack() {
        let first = Some("processes: [{type: web, command: first}, {type: a, command: a}]");
        let plan = Fixture::new(&[first, None], None).gather(Ok("from release")).unwrap();
        assert_eq!((plan.web(), plan.process_types["a"].as_str()), ("from release", "a"));

        let last = Some("processes: [{type: web, command: last}]");
        let plan = Fixture::new(&[first, last], None).gather(Err(GatherError::Release)).unwrap();
        assert_eq!(plan.web(), "last");

        let empty = Some("");
        let plan = Fixture::new(&[first, empty], None).gather(Err(GatherError::Release)).unwrap();
        assert_eq!(plan.web(), "first");
    }

    #[test]
    fn a_procfile_web_replaces_a_sidecar_of_that_name() {
        let sidecar = "processes:\n- type: web\n  command: s\n  platforms: {cloudfoundry: {sidecar_for: [x]}}\n";
        let plan = Fixture::new(&[Some(sidecar)], Some("web: a\n")).gather(Ok("")).unwrap();
        assert_eq!((plan.web(), plan.sidecars.len()), ("a", 0));
    }

    /// The predecessor looked for deps/0 to deps/9 where the directories are called 00 to 09.
    #[test]
    fn ten_buildpacks_are_all_heard() {
        let texts: Vec<String> =
            (0..10).map(|index| format!("processes: [{{type: p{index}, command: c}}]")).collect();
        let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
        let plan = Fixture::new(&texts, None).gather(Err(GatherError::Release)).unwrap();
        assert_eq!(plan.processes.len(), 10);
        assert_eq!(plan.web(), "");
    }

    #[test]
    fn the_first_error_ends_it() {
        let fixture = Fixture::new(&[Some("processes: 5")], Some("web: [a]"));
        let error = fixture.gather(Ok("")).unwrap_err();
        assert!(matches!(error, GatherError::LaunchYml(_)), "{error}");
        let error = Fixture::new(&[None], Some("web: [a]")).gather(Ok("")).unwrap_err();
        assert!(matches!(error, GatherError::Procfile(_)), "{error}");
        let error = Fixture::new(&[None], None).gather(Err(GatherError::Release)).unwrap_err();
        assert!(matches!(error, GatherError::Release), "{error}");
    }
}

//! Every way staging can fail: the sentence, the exit status, and what it says in more words.

use std::io;
use std::path::PathBuf;

use lifecycle::archive::error::PackError;
use lifecycle::file::FileError;
use lifecycle::flags::FlagError;
use lifecycle::json::JsonError;
use lifecycle::report::Failure;
use lifecycle::services::ServicesError;
use lifecycle::staging_result::StagingResultError;
use lifecycle::url::UrlError;

use crate::buildpack::LocateError;
use crate::fetch::FetchError;
use crate::launch_yml::LaunchYmlError;
use crate::procfile::ProcfileError;
use crate::release::ReleaseOutputError;
use crate::script::ScriptError;

/// Why there is no droplet. The texts are the predecessor's (contract, section 3.2).
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// Unknown flags and bad values; also `-help`.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// Flags with an empty value.
    #[error("{0}")]
    MissingFlags(String),
    /// One file for droplet and cache.
    #[error(
        "-outputDroplet and -outputBuildArtifactsCache are the same file, {}: give each its own",
        .0.display()
    )]
    OneOutput(PathBuf),
    /// Platform options or CredHub.
    #[error(transparent)]
    Services(#[from] ServicesError),
    /// No thread to wait for signals.
    #[error("Failed to watch for signals")]
    Signals(#[source] io::Error),
    /// A directory that staging needs.
    #[error("Failed to set up filesystem when generating droplet")]
    Layout(#[source] FileError),
    /// A key that looks like a URL and is none.
    #[error("Invalid buildpack url ({key})")]
    BuildpackUrl {
        /// The key, with passwords masked.
        key: String,
        /// What is wrong with it.
        source: UrlError,
    },
    /// A buildpack given by URL.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// No detect script said yes.
    #[error("None of the buildpacks detected a compatible application")]
    NoneDetected,
    /// A buildpack before the last one has no `bin/supply`.
    #[error(
        "Error: one of the buildpacks chosen to supply dependencies does not support multi-buildpack apps"
    )]
    NoSupply {
        /// Its key, with passwords masked.
        buildpack: String,
    },
    /// A buildpack that is not there.
    #[error("Failed to run all supply scripts")]
    Locate(#[source] LocateError),
    /// `bin/supply` of a buildpack before the last one.
    #[error("Failed to run all supply scripts")]
    Supply(#[source] ScriptError),
    /// A script of the last buildpack.
    #[error("Failed to compile droplet")]
    Compile(#[source] CompileError),
    /// `bin/release`, or what it said.
    #[error("Failed to build droplet release")]
    Release(#[source] ReleaseError),
    /// A buildpack's `launch.yml`.
    #[error(transparent)]
    LaunchYml(#[from] LaunchYmlError),
    /// The app's Procfile.
    #[error(transparent)]
    Procfile(#[from] ProcfileError),
    /// `result.json`.
    #[error(transparent)]
    Result(#[from] StagingResultError),
    /// What was found out can't be said in JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A file or directory of staging's own.
    #[error(transparent)]
    Path(#[from] FileError),
    /// The droplet.
    #[error("Failed to compress droplet filesystem")]
    Droplet(#[source] PackingError),
    /// The directory for the packed cache.
    #[error("Failed to create output build artifacts cache dir")]
    CacheDir(#[source] FileError),
    /// The packed cache.
    #[error("Failed to compress build artifacts")]
    Cache(#[source] PackingError),
}

/// The last buildpack's scripts. All are 223: the predecessor finds the status by searching its
/// message, and every one of these begins with "Failed to compile droplet" (so 226 never occurs).
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// `bin/supply`.
    #[error("Failed to run all supply scripts")]
    Supply(#[source] ScriptError),
    /// `bin/finalize`.
    #[error("Failed to run finalize script")]
    Finalize(#[source] ScriptError),
    /// `bin/compile`.
    #[error("Failed to compile droplet")]
    Compile(#[source] ScriptError),
    /// The deps directory of a buildpack that only compiles.
    #[error(transparent)]
    Path(#[from] FileError),
}

/// `bin/release`.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It failed.
    #[error(transparent)]
    Script(ScriptError),
    /// It printed no release.
    #[error(transparent)]
    Output(#[from] ReleaseOutputError),
}

/// An archive that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PackingError {
    /// While packing.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Its file could not be opened.
    #[error(transparent)]
    Path(#[from] FileError),
}

impl StagingError {
    /// What the system said, where that was the reason.
    fn system_error(&self) -> Option<&io::Error> {
        match self {
            Self::Fetch(error) => error.system_error(),
            Self::Layout(error) | Self::Path(error) | Self::CacheDir(error) => Some(&error.cause),
            Self::Droplet(PackingError::Pack(PackError::Write { error, .. }))
            | Self::Cache(PackingError::Pack(PackError::Write { error, .. })) => Some(error),
            _ => None,
        }
    }

    /// Whether a disk was full, even if what filled it is gone by now.
    pub(crate) fn filled_the_disk(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        self.system_error().is_some_and(|it| matches!(it.kind(), StorageFull | QuotaExceeded))
    }
}

impl Failure for StagingError {
    fn status(&self) -> u8 {
        match self {
            Self::Flags(error) => error.status(),
            Self::Services(ServicesError::PlatformOptions(_)) => 3,
            Self::Services(ServicesError::Credhub(_)) => 4,
            Self::NoneDetected => 222,
            Self::Compile(_) => 223,
            Self::Release(_) => 224,
            Self::NoSupply { .. } | Self::Locate(_) | Self::Supply(_) => 225,
            Self::MissingFlags(_)
            | Self::OneOutput(_)
            | Self::Signals(_)
            | Self::Layout(_)
            | Self::BuildpackUrl { .. }
            | Self::Fetch(_)
            | Self::LaunchYml(_)
            | Self::Procfile(_)
            | Self::Result(_)
            | Self::Json(_)
            | Self::Path(_)
            | Self::Droplet(_)
            | Self::CacheDir(_)
            | Self::Cache(_) => 1,
        }
    }

    fn explanation(&self) -> Vec<String> {
        match self {
            Self::Supply(script)
            | Self::Compile(
                CompileError::Supply(script)
                | CompileError::Finalize(script)
                | CompileError::Compile(script),
            )
            | Self::Release(ReleaseError::Script(script)) => script.explanation(),
            Self::Release(ReleaseError::Output(error)) => error.explanation(),
            Self::LaunchYml(error) => error.explanation(),
            Self::Procfile(error) => error.explanation(),
            Self::NoSupply { buildpack } => vec![format!(
                "{buildpack} has no bin/supply: only the last buildpack of the order may do without"
            )],
            Self::Locate(error) => error.explanation(),
            Self::Fetch(error) => error.explanation(),
            _ => Vec::new(),
        }
    }
}

/// A failed staging: the error, and what the machine looked like while everything was still there.
#[derive(Debug)]
pub struct StagingFailure {
    /// What failed; the sentence and its causes are this one's.
    error: StagingError,
    /// Disk and memory, where they may be the reason.
    circumstances: Vec<String>,
}

impl StagingFailure {
    /// `error`, in these circumstances.
    pub(crate) fn new(error: StagingError, circumstances: Vec<String>) -> Self {
        Self { error, circumstances }
    }
}

impl std::fmt::Display for StagingFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for StagingFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl<E: Into<StagingError>> From<E> for StagingFailure {
    fn from(error: E) -> Self {
        Self::new(error.into(), Vec::new())
    }
}

impl Failure for StagingFailure {
    fn status(&self) -> u8 {
        self.error.status()
    }

    fn explanation(&self) -> Vec<String> {
        let mut lines = self.error.explanation();
        lines.extend(self.circumstances.iter().cloned());
        lines
    }
}

//! What the builder was asked to do: its flags, checked.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;
use lifecycle::{credhub, flags, paths};

use crate::error::StagingError;

/// The flags as given (contract, section 3.1).
#[derive(Debug, Parser)]
#[command(name = "builder")]
struct Flags {
    /// directory with the app's files
    #[arg(long = "buildDir", value_name = "string", default_value = "/tmp/app")]
    build_dir: OsString,
    /// file to write the droplet to, a gzipped tar
    #[arg(long = "outputDroplet", value_name = "string", default_value = "/tmp/droplet")]
    output_droplet: OsString,
    /// file to write the staging result to, as JSON
    #[arg(long = "outputMetadata", value_name = "string", default_value = "/tmp/result.json")]
    output_metadata: OsString,
    /// file to write the build artifacts cache to, a gzipped tar
    #[arg(
        long = "outputBuildArtifactsCache",
        value_name = "string",
        default_value = "/tmp/output-cache"
    )]
    output_cache: OsString,
    /// directory with the installed buildpacks
    #[arg(long = "buildpacksDir", value_name = "string", default_value = "/tmp/buildpacks")]
    buildpacks_dir: OsString,
    /// directory that buildpacks given by URL are put into
    #[arg(
        long = "buildpacksDownloadDir",
        value_name = "string",
        default_value = "/tmp/buildpackdownloads"
    )]
    buildpacks_download_dir: OsString,
    /// directory with the last staging's build artifacts cache, changed in place
    #[arg(long = "buildArtifactsCacheDir", value_name = "string", default_value = "/tmp/cache")]
    cache_dir: OsString,
    /// comma-separated buildpack keys, in order
    #[arg(long = "buildpackOrder", value_name = "string", default_value = "")]
    buildpack_order: OsString,
    /// run no detect scripts: all buildpacks supply, the last one finalizes
    #[arg(long = "skipDetect", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value = "false", value_parser = flags::boolean)]
    skip_detect: bool,
    /// do not verify TLS certificates when buildpacks are downloaded as zip files
    #[arg(long = "skipCertVerify", num_args = 0..=1, default_missing_value = "true",
          require_equals = true, default_value = "false", value_parser = flags::boolean)]
    skip_cert_verify: bool,
    #[command(flatten)]
    credhub: credhub::Flags,
}

/// What to stage, with what, and where to. Paths are cleaned; relative ones stay relative, as the
/// buildpacks' scripts are given them in that form.
#[derive(Debug)]
pub(crate) struct Config {
    /// The app's files.
    pub(crate) build_dir: PathBuf,
    /// Where the droplet goes.
    pub(crate) output_droplet: PathBuf,
    /// Where result.json goes.
    pub(crate) output_metadata: PathBuf,
    /// Where the packed build artifacts cache goes.
    pub(crate) output_cache: PathBuf,
    /// Installed buildpacks.
    pub(crate) buildpacks_dir: PathBuf,
    /// Where buildpacks given by URL are put.
    pub(crate) buildpacks_download_dir: PathBuf,
    /// The build artifacts cache, changed in place.
    pub(crate) cache_dir: PathBuf,
    /// Comma-separated keys.
    pub(crate) buildpack_order: String,
    /// All buildpacks supply, the last finalizes; none is asked to detect.
    pub(crate) skip_detect: bool,
    /// For zip downloads only.
    pub(crate) skip_cert_verify: bool,
    /// How to ask CredHub.
    pub(crate) credhub: credhub::Flags,
}

impl Config {
    /// Reads the arguments, the program's name first.
    pub(crate) fn from_arguments(
        arguments: impl Iterator<Item = OsString>,
    ) -> Result<Self, StagingError> {
        let flags: Flags = flags::parse(arguments.skip(1))?;
        flags.refuse_empty()?;
        flags.refuse_one_file_for_both()?;
        let clean = |path: &OsString| paths::clean(Path::new(path));
        Ok(Self {
            build_dir: clean(&flags.build_dir),
            output_droplet: clean(&flags.output_droplet),
            output_metadata: clean(&flags.output_metadata),
            output_cache: clean(&flags.output_cache),
            buildpacks_dir: clean(&flags.buildpacks_dir),
            buildpacks_download_dir: clean(&flags.buildpacks_download_dir),
            cache_dir: clean(&flags.cache_dir),
            buildpack_order: flags.buildpack_order.to_string_lossy().into_owned(),
            skip_detect: flags.skip_detect,
            skip_cert_verify: flags.skip_cert_verify,
            credhub: flags.credhub,
        })
    }
}

impl Flags {
    /// Droplet and cache are written at the same time.
    fn refuse_one_file_for_both(&self) -> Result<(), StagingError> {
        let [droplet, cache] =
            [&self.output_droplet, &self.output_cache].map(|it| paths::clean(Path::new(it)));
        if droplet == cache && droplet != Path::new("/dev/null") {
            return Err(StagingError::OneOutput(droplet));
        }
        Ok(())
    }

    /// Reports every flag whose value is empty, sorted by name.
    fn refuse_empty(&self) -> Result<(), StagingError> {
        let missing: Vec<String> = [
            ("buildArtifactsCacheDir", &self.cache_dir),
            ("buildDir", &self.build_dir),
            ("buildpackOrder", &self.buildpack_order),
            ("buildpacksDir", &self.buildpacks_dir),
            ("buildpacksDownloadDir", &self.buildpacks_download_dir),
            ("outputBuildArtifactsCache", &self.output_cache),
            ("outputDroplet", &self.output_droplet),
            ("outputMetadata", &self.output_metadata),
        ]
        .into_iter()
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| format!("missing flag: -{name}"))
        .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(StagingError::MissingFlags(missing.join(", ")))
        }
    }
}

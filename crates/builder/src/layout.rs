//! The directories of one staging: the contents directory, which becomes the droplet, and the cache.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lifecycle::environment::Environment;
use lifecycle::file::FileError;
use lifecycle::staging_info::STAGING_INFO;
use lifecycle::staging_report::STAGING_REPORT;
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::buildpack::Order;
use crate::cleanup::{Cleanup, Guard};
use crate::config::Config;
use crate::error::StagingError;

/// Where the scripts put things. The contents directory goes away with this.
#[derive(Debug)]
pub(crate) struct Layout {
    contents: Guard,
    cache: PathBuf,
    indices: Vec<String>,
}

impl Layout {
    /// Makes all directories that scripts are given (contract, section 3.4).
    pub(crate) fn create(
        config: &Config,
        order: &Order,
        environment: &Environment,
        cleanup: &Cleanup,
    ) -> Result<Self, StagingError> {
        Self::try_create(config, order, environment, cleanup).map_err(StagingError::Layout)
    }

    fn try_create(
        config: &Config,
        order: &Order,
        environment: &Environment,
        cleanup: &Cleanup,
    ) -> Result<Self, FileError> {
        for file in [&config.output_droplet, &config.output_metadata] {
            make_directories(&parent(file))?;
        }
        make_directories(&config.cache_dir.join("final"))?;
        for key in order.supply() {
            make_directories(&config.cache_dir.join(key.hash()))?;
        }
        let (contents, ()) = cleanup.make(|| Ok((private_directory(environment)?, ())))?;
        let layout =
            Self { contents, cache: config.cache_dir.clone(), indices: order.deps_indices() };
        // One by one: after a signal the contents directory goes, and must not come back as a parent.
        make_directory(&layout.deps_dir())?;
        for index in 0..layout.indices.len() {
            make_directory(&layout.deps(index))?;
        }
        make_directory(&layout.profile_dir())?;
        Ok(layout)
    }

    /// What becomes the droplet's root.
    pub(crate) fn contents(&self) -> &Path {
        self.contents.path()
    }

    /// The directory of all deps directories.
    pub(crate) fn deps_dir(&self) -> PathBuf {
        self.contents().join("deps")
    }

    /// The deps directory of the buildpack at that position.
    pub(crate) fn deps(&self, position: usize) -> PathBuf {
        self.deps_dir().join(self.index(position))
    }

    /// The deps index of the buildpack at that position, padded.
    pub(crate) fn index(&self, position: usize) -> &str {
        &self.indices[position]
    }

    /// The position of the last buildpack's deps directory.
    pub(crate) fn last_position(&self) -> usize {
        self.indices.len() - 1
    }

    /// Scripts the launcher sources.
    pub(crate) fn profile_dir(&self) -> PathBuf {
        self.contents().join("profile.d")
    }

    /// The last buildpack's part of the build artifacts cache.
    pub(crate) fn final_cache(&self) -> PathBuf {
        self.cache.join("final")
    }

    /// A supply buildpack's part of the build artifacts cache.
    pub(crate) fn supply_cache(&self, hash: &str) -> PathBuf {
        self.cache.join(hash)
    }

    /// Makes the directories that every droplet has and no script is told of, and dates what is
    /// staging's own.
    pub(crate) fn complete(&self) -> Result<(), FileError> {
        let contents = self.contents();
        make_directory(&contents.join("tmp"))?;
        make_directory(&contents.join("logs"))?;
        for own in [STAGING_INFO, STAGING_REPORT, "deps", ""] {
            match date(&contents.join(own)) {
                // A buildpack may have taken deps away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                dated => dated.map_err(FileError::on("date", contents.join(own)))?,
            }
        }
        Ok(())
    }
}

/// 1 January 1980, the date of reproducible images: what staging makes itself is as old as this
/// until a buildpack changes it, so that a droplet does not depend on the time of day.
const DATE: Duration = Duration::from_secs(315_532_801);

fn date(path: &Path) -> io::Result<()> {
    let date = TimeSpec::from_duration(DATE);
    // Where a buildpack has put a link, the link is dated, not what it leads to.
    Ok(utimensat(AT_FDCWD, path, &date, &date, UtimensatFlags::NoFollowSymlink)?)
}

/// A new directory `contents<random>` in `$TMPDIR` or `/tmp`, for this user alone.
fn private_directory(environment: &Environment) -> Result<PathBuf, FileError> {
    let base = environment.temporary_directory();
    fs::metadata(base).map_err(FileError::on("stat", base))?;
    let directory = tempfile::Builder::new()
        .prefix("contents")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(base)
        // Its words name the path once more, and not as Go does.
        .map_err(|error| io::Error::from(error.kind()));
    // The guard removes it, also after a signal, which tempfile's own drop does not.
    Ok(directory.map_err(FileError::on("mkdir", base.join("contents")))?.keep())
}

/// Makes the directory and its parents, mode 0755 less umask. An error names the part that failed.
pub(crate) fn make_directories(path: &Path) -> Result<(), FileError> {
    let mut missing = Vec::new();
    for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
        match fs::metadata(part) {
            Ok(metadata) if metadata.is_dir() => break,
            Ok(_) => {
                let cause = io::Error::from(nix::errno::Errno::ENOTDIR);
                return Err(FileError::on("mkdir", part)(cause));
            }
            Err(_) => missing.push(part),
        }
    }
    missing.into_iter().rev().try_for_each(make_directory)
}

/// Makes the directory, in a parent that is there.
fn make_directory(path: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(0o755).create(path) {
        // Another process was quicker.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.and_then(|()| date(path)).map_err(FileError::on("mkdir", path)),
    }
}

/// The directory a file is in, as Go's `filepath.Dir` names it.
pub(crate) fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) => PathBuf::from("."),
        None => PathBuf::from("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_part_of_the_path_that_failed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = make_directories(&file.join("a/b")).unwrap_err();
        assert_eq!(error.to_string(), format!("mkdir {}: not a directory", file.display()));
        make_directories(&dir.path().join("a/b/c")).unwrap();
        make_directories(&dir.path().join("a/b/c")).unwrap();
    }

    #[test]
    fn a_bare_file_name_is_in_the_working_directory() {
        assert_eq!(parent(Path::new("droplet")), Path::new("."));
        assert_eq!(parent(Path::new("/droplet")), Path::new("/"));
        assert_eq!(parent(Path::new("out/droplet")), Path::new("out"));
    }
}

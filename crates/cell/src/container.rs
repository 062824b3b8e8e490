//! A container: a place with the platform's directories, in which programs are started.
//!
//! With [`Isolation::None`] it is a private tree whose processes are plain ones of this machine, told other paths
//! than the platform's.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use lifecycle::report::system_words;

use crate::health::{Check, Verdict};
use crate::log::Log;
use crate::process::{Process, Said};
use crate::recipe::{Action, HOME, LIFECYCLE};
use crate::remains;

/// Why a container can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Its directories can't be made or removed.
    #[error("{call} {}: {}", path.display(), system_words(source))]
    System {
        /// What failed: `mkdir`.
        call: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What walls a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// None: plain processes of this machine in a directory of their own.
    None,
}

/// What is put into a container.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// The unpacked lifecycle bundle: `/tmp/lifecycle`.
    pub lifecycle: &'a Path,
    /// Unpacked buildpacks by the name of their directory in `/tmp/buildpacks`.
    pub buildpacks: &'a [(String, PathBuf)],
}

/// A container on this machine; gone, with its processes and files, once [`Container::destroy`] returns.
#[derive(Debug)]
pub struct Container {
    directory: PathBuf,
}

impl Container {
    /// Makes one in `directory`, which must not be there.
    pub fn create(directory: &Path, contents: Contents<'_>) -> Result<Self, ContainerError> {
        let container = Self { directory: directory.to_owned() };
        match container.fill(contents) {
            Ok(()) => Ok(container),
            Err(error) => {
                let _half_made = container.destroy();
                Err(error)
            }
        }
    }

    fn fill(&self, contents: Contents<'_>) -> Result<(), ContainerError> {
        for inside in ["", "/tmp/buildpacks", "/tmp/app", HOME] {
            let path = self.file(inside);
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.map_err(|source| ContainerError::System { call: "mkdir", path, source })?;
        }
        let link = |to: &Path, inside: &str| {
            let path = self.file(inside);
            symlink(to, &path).map_err(|source| ContainerError::System {
                call: "symlink",
                path,
                source,
            })
        };
        link(contents.lifecycle, LIFECYCLE)?;
        for (name, path) in contents.buildpacks {
            link(path, &format!("/tmp/buildpacks/{name}"))?;
        }
        Ok(())
    }

    /// What processes in it know the place `inside` (`/tmp/app`) as.
    pub fn place(&self, inside: &str) -> String {
        self.file(inside).to_string_lossy().into_owned()
    }

    /// Where this machine has the place `inside`.
    pub fn file(&self, inside: &str) -> PathBuf {
        self.directory.join(inside.trim_start_matches('/'))
    }

    /// Starts a program in it, in its home directory; what it says goes to `log`.
    pub fn start(&self, action: &Action, index: u32, log: &Log) -> io::Result<Process> {
        Process::start(
            self.command(action),
            &format!("{}/{index}", action.source),
            &Said::Log(log.clone()),
        )
    }

    /// Starts a health check in it.
    pub fn check(&self, action: &Action) -> Result<Check, Verdict> {
        Check::start(self.command(action))
    }

    fn command(&self, action: &Action) -> Command {
        let place = |inside: &str| self.place(inside);
        let mut command = Command::new(self.file(&action.path));
        command
            .args(action.arguments.iter().map(|word| word.resolved(place)))
            .env_clear()
            .envs(action.environment.iter().map(|(name, word)| (name, word.resolved(place))))
            // Without walls, `/tmp` is everybody's: what is left there would be found by nobody.
            .env("TMPDIR", self.place("/tmp"))
            .current_dir(self.file(HOME));
        command
    }

    /// Ends all that runs in it and removes it.
    pub fn destroy(&self) -> Result<(), ContainerError> {
        remains::remove(&self.directory).map_err(|source| ContainerError::System {
            call: "remove",
            path: self.directory.clone(),
            source,
        })
    }
}

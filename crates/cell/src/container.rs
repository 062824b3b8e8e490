//! A container: a place with the platform's directories, in which programs are started.
//!
//! With [`Isolation::None`] it is a private tree whose processes are plain ones of this machine, told other paths
//! than the platform's; with [`Isolation::Oci`] an OCI runtime makes it, and paths are the platform's own. Either way
//! its private files are in one directory, as they are in the container.

pub(crate) mod ids;
mod init;
mod none;
mod oci;
pub(crate) mod spec;
mod stage;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lifecycle::archive::unpack::{UnpackError, give_to, unpack};
use lifecycle::file::FileError;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::health::{Check, Verdict};
use crate::log::Log;
use crate::process::{Process, Said};
use crate::recipe::Action;
use crate::remains;

use self::oci::Oci;

/// Why a container can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Its directories can't be made or removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Files can't be given to its user.
    #[error(transparent)]
    Owner(#[from] UnpackError),
    /// This user can't have containers.
    #[error(transparent)]
    Ids(#[from] ids::IdsError),
    /// Its first process does not run.
    #[error("the first process does not start in the container: {reason}")]
    Init {
        /// What was said.
        reason: String,
    },
    /// The runtime made none.
    #[error("{} makes no container: {reason}", runtime.display())]
    Runtime {
        /// Which.
        runtime: PathBuf,
        /// Its words.
        reason: String,
    },
}

/// What walls a container has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Isolation {
    /// None: plain processes of this machine in a directory of their own.
    #[default]
    None,
    /// Those of an OCI runtime.
    Oci {
        /// The runtime: `/usr/sbin/runc`.
        runtime: PathBuf,
        /// The stack's unpacked root file system.
        root: PathBuf,
    },
}

impl Isolation {
    /// The root file system, where it is not the machine's own.
    pub(crate) fn root(&self) -> Option<&PathBuf> {
        match self {
            Self::None => None,
            Self::Oci { root, .. } => Some(root),
        }
    }
}

/// What is put into a container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents<'a> {
    /// The unpacked lifecycle bundle: `/tmp/lifecycle`.
    pub(crate) lifecycle: &'a Path,
    /// Unpacked buildpacks by the name of their directory in `/tmp/buildpacks`.
    pub(crate) buildpacks: &'a [(String, PathBuf)],
    /// What all that is in it may use, in MiB, where that can be limited.
    pub(crate) memory: u64,
}

/// A container on this machine; gone, with its processes and files, once [`Container::destroy`] returns.
#[derive(Debug)]
pub(crate) struct Container {
    directory: PathBuf,
    walls: Walls,
}

#[derive(Debug)]
enum Walls {
    None,
    Oci(Oci),
}

impl Container {
    /// Makes one whose files are in `directory`, which must not be there.
    pub(crate) fn create(
        directory: &Path,
        isolation: &Isolation,
        contents: Contents<'_>,
    ) -> Result<Self, ContainerError> {
        let walls = match isolation {
            Isolation::None => none::make(directory, contents).map(|()| Walls::None),
            Isolation::Oci { runtime, root } => {
                Oci::make(directory, runtime, root, contents).map(Walls::Oci)
            }
        };
        match walls {
            Ok(walls) => Ok(Self { directory: directory.to_owned(), walls }),
            Err(error) => {
                let _half_made = remains::remove(directory);
                Err(error)
            }
        }
    }

    /// Where this machine has the place `inside`: `/tmp` and `/home/vcap` are private, other places are not here.
    pub(crate) fn file(&self, inside: &str) -> PathBuf {
        file(&self.directory, inside)
    }

    /// The same where there is a regular file: links and pipes may be traps.
    pub(crate) fn regular_file(&self, inside: &str) -> Option<PathBuf> {
        let path = self.file(inside);
        fs::symlink_metadata(&path).is_ok_and(|it| it.is_file()).then_some(path)
    }

    /// Unpacks an archive into the place `inside`, for the container's user.
    pub(crate) fn unpack(&self, archive: &Path, inside: &str) -> Result<(), UnpackError> {
        unpack(archive, &self.file(inside))?;
        self.give(inside)
    }

    /// Gives what is at the place `inside` to the container's user.
    pub(crate) fn hand_over(&self, inside: &str) -> Result<(), ContainerError> {
        Ok(self.give(inside)?)
    }

    fn give(&self, inside: &str) -> Result<(), UnpackError> {
        match self.walls {
            Walls::Oci(_) => give_to(&self.file(inside), ids::VCAP, ids::VCAP),
            Walls::None => Ok(()),
        }
    }

    /// Makes what is at the place `inside` this process's own again.
    pub(crate) fn take_over(&self, inside: &str) -> Result<(), ContainerError> {
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        match self.walls {
            Walls::Oci(_) => Ok(give_to(&self.file(inside), user.as_raw(), group.as_raw())?),
            Walls::None => Ok(()),
        }
    }

    /// Starts a program in it, in its home directory; what it says goes to `log`.
    pub(crate) fn start(&self, action: &Action, index: u32, log: &Log) -> io::Result<Process> {
        self.process(action, &format!("{}/{index}", action.source), &Said::Log(log.clone()))
    }

    /// Starts a health check in it.
    pub(crate) fn check(&self, action: &Action) -> Result<Check, Verdict> {
        Check::start(|said| self.process(action, "HEALTH", said))
    }

    fn process(&self, action: &Action, source: &str, said: &Said) -> io::Result<Process> {
        match &self.walls {
            Walls::None => Process::start(none::command(&self.directory, action), source, said),
            Walls::Oci(oci) => oci.start(action, source, said),
        }
    }

    /// Ends all that runs in it, where walls make sure of that; its files stay.
    pub(crate) fn halt(&mut self) -> Result<(), ContainerError> {
        match &mut self.walls {
            Walls::None => Ok(()),
            Walls::Oci(oci) => oci.halt(),
        }
    }

    /// Ends all that runs in it and removes it.
    pub(crate) fn destroy(&mut self) -> Result<(), ContainerError> {
        let halted = self.halt();
        remains::remove(&self.directory).map_err(FileError::on("remove", &self.directory))?;
        halted
    }
}

/// The cgroup of the OCI container whose files are in `directory`, if one was made there.
pub(crate) fn cgroup_of(directory: &Path) -> Option<Cgroup> {
    let name = fs::read_to_string(directory.join(oci::RUNTIMES).join(oci::NAME)).ok()?;
    Some(Cgroup::named(&name))
}

/// Where the container in `directory` has the place `inside`.
fn file(directory: &Path, inside: &str) -> PathBuf {
    directory.join(inside.trim_start_matches('/'))
}

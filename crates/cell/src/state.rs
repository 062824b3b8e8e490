//! What this machine knows of its apps: one directory, private to its user, safe against two cells at once.
//!
//! ```text
//! bundle/           the bundle made of the programs beside this one
//! buildpacks/       the built-in ones
//! downloads/        what was fetched: bundle, buildpacks
//! served/           what the built-in file server serves; beside it its lock and the port it had last
//! roots/            unpacked root file systems of stacks, and what they are from
//! apps/NAME/staged, running          held while the app is staged, and by its supervisor while it runs
//! apps/NAME/app.json                 what was staged, with the values of services: 0600
//! apps/NAME/droplet-VERSION.tgz      its droplet: the version stands in app.json
//! apps/NAME/result.json, staging_report.json, cache-STACK.tgz, log
//! apps/NAME/key, key.pub, known_hosts   of SSH: 0600
//! apps/NAME/control, last-words      the supervisor's socket, and why it ended
//! apps/NAME/staging/, instances/     containers, only while in use; beside those that run their droplet
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lifecycle::environment::Environment;
use lifecycle::file::{self, FileError};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::app::App;
use crate::remains;
use crate::shell_words::typed;

/// Variables that may say where the state is, and where below; the first that is set counts.
const HOMES: [(&str, &str); 3] =
    [("CELL_HOME", ""), ("XDG_STATE_HOME", "piecrust"), ("HOME", ".local/state/piecrust")];

/// What is kept of an app.
const RECORD: &str = "app.json";
/// What its droplets' names begin with.
const DROPLET: &str = "droplet-";

/// What names of directories may be.
pub(crate) const NAMES: &str = "use letters, digits, blanks, '.', '-' and '_', at most 100, and begin with neither '.' nor '-'";

/// Whether the name, of an app, a process type or a stack, can be one of a directory.
pub(crate) fn is_name(name: &str) -> bool {
    let is_fine = |letter: char| letter.is_alphanumeric() || " .-_".contains(letter);
    (1..=100).contains(&name.len()) && !name.starts_with(['.', '-']) && name.chars().all(is_fine)
}

/// Why the state can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No directory is named and there is no home.
    #[error("no place for this cell's state: set CELL_HOME or HOME to a directory")]
    NoHome,
    /// What a variable names can't be the state's place.
    #[error(
        "{variable} names no place for this cell's state; set CELL_HOME to a directory of yours"
    )]
    Home {
        /// Which: `CELL_HOME`, `XDG_STATE_HOME`, `HOME`.
        variable: &'static str,
        /// Why not.
        source: FileError,
    },
    /// A file, a directory or a lock can't be read or made.
    #[error(transparent)]
    File(#[from] FileError),
    /// `app.json` is not what this cell wrote.
    #[error("{} is not what this program wrote; remove its directory to forget the app", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No app has this name.
    #[error("no app is named '{0}'; `cell ps` lists those there are")]
    Unknown(String),
    /// Another cell stages the app.
    #[error("another cell stages '{0}'; wait for it")]
    Staged(String),
    /// Another cell runs the app.
    #[error("another cell runs '{0}'; to stop it: cell stop {typed}", typed = typed(.0))]
    Running(String),
    /// Another cell starts or stops the app, and is not done in time.
    #[error("'{0}' is still being started or stopped; try again")]
    Busy(String),
    /// A name that can't be one of a directory.
    #[error("'{0}' can't be an app's name: {NAMES}")]
    Name(String),
}

/// The directory of this machine's state.
#[derive(Debug, Clone)]
pub(crate) struct State {
    root: PathBuf,
}

/// The directory of one app.
#[derive(Debug, Clone)]
pub(crate) struct AppDirectory {
    /// Its name.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// What a cell does with an app; each can be done by one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Staging it.
    Staging,
    /// Running it.
    Running,
}

impl Work {
    /// The file that is locked.
    fn lock(self) -> &'static str {
        match self {
            Self::Staging => "staged",
            Self::Running => "running",
        }
    }

    /// The directory whose containers it makes.
    pub(crate) fn containers(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Running => "instances",
        }
    }
}

/// An app with which no other cell does the same while this is held.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

impl State {
    /// `CELL_HOME`, else `piecrust` in `XDG_STATE_HOME`, else `~/.local/state/piecrust`; made if need be.
    pub(crate) fn open(environment: &Environment) -> Result<Self, StateError> {
        let named = |(variable, below)| {
            let value = environment.get(variable).filter(|value| !value.is_empty())?;
            // Without the slash that joining nothing leaves.
            Some((variable, Path::new(value).join(below).components().collect::<PathBuf>()))
        };
        let (variable, root) = HOMES.into_iter().find_map(named).ok_or(StateError::NoHome)?;
        let root = std::path::absolute(&root).unwrap_or(root);
        let state = if root.as_os_str().as_bytes().contains(&b':') {
            let problem = io::Error::other("a colon divides directories in lists such as PATH");
            Err(FileError::on("use", root)(problem))
        } else {
            Self::at(root)
        };
        state.map_err(|source| StateError::Home { variable, source })
    }

    /// The state in the directory `root`.
    pub(crate) fn at(root: PathBuf) -> Result<Self, FileError> {
        let state = Self { root };
        for directory in ["apps", "downloads", "served", "roots"] {
            make_directory(&state.root.join(directory))?;
        }
        Ok(state)
    }

    /// A place in it: `downloads`.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory of the app `name`, made if need be.
    pub(crate) fn make_app(&self, name: &str) -> Result<AppDirectory, StateError> {
        let app = self.directory(name)?;
        make_directory(&app.path)?;
        Ok(app)
    }

    /// The directory of the app `name`, which was pushed before.
    pub(crate) fn app(&self, name: &str) -> Result<AppDirectory, StateError> {
        let app = self.directory(name)?;
        if app.path.is_dir() { Ok(app) } else { Err(StateError::Unknown(name.to_owned())) }
    }

    /// All apps, by name.
    pub(crate) fn apps(&self) -> Result<Vec<AppDirectory>, StateError> {
        let path = self.root.join("apps");
        let mut apps = Vec::new();
        for entry in fs::read_dir(&path).map_err(FileError::on("read", &path))? {
            let entry = entry.map_err(FileError::on("read", &path))?;
            if let Ok(name) = entry.file_name().into_string() {
                apps.push(AppDirectory { name, path: entry.path() });
            }
        }
        apps.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(apps)
    }

    /// What is kept of each app, as it stands in its `app.json`.
    pub(crate) fn records(&self) -> Result<Vec<Vec<u8>>, StateError> {
        let mut records = Vec::new();
        for app in self.apps()? {
            records.extend(file::read(&app.place(RECORD))?);
        }
        Ok(records)
    }

    fn directory(&self, name: &str) -> Result<AppDirectory, StateError> {
        if !is_name(name) {
            return Err(StateError::Name(name.to_owned()));
        }
        Ok(AppDirectory { name: name.to_owned(), path: self.root.join("apps").join(name) })
    }
}

impl AppDirectory {
    /// A place in it: `log`.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps other cells from the same work; [`StateError::Staged`] or [`StateError::Running`] when one is at it.
    pub(crate) fn lock(&self, work: Work) -> Result<Lock, StateError> {
        let path = self.place(work.lock());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(FileError::on("open", &path))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Lock { _file: file }),
            Err((_, Errno::EWOULDBLOCK)) => Err(match work {
                Work::Staging => StateError::Staged(self.name.clone()),
                Work::Running => StateError::Running(self.name.clone()),
            }),
            Err((_, errno)) => Err(FileError::on("lock", path)(errno.into()).into()),
        }
    }

    /// Whether a cell is at it.
    pub(crate) fn is_at(&self, work: Work) -> bool {
        matches!(self.lock(work), Err(StateError::Staged(_) | StateError::Running(_)))
    }

    /// Removes what a cell that was killed left of its work; whether there were containers.
    pub(crate) fn clean_up(&self, work: Work, _held: &Lock) -> Result<bool, StateError> {
        if work == Work::Staging {
            self.remove_droplets(self.read()?.as_ref())?;
        }
        let path = self.place(work.containers());
        let was_there = path.exists();
        remains::remove(&path).map_err(FileError::on("remove", &path))?;
        Ok(was_there)
    }

    /// The app as it was last staged; `None` when it never was.
    pub(crate) fn read(&self) -> Result<Option<App>, StateError> {
        let path = self.place(RECORD);
        let Some(text) = file::read(&path)? else { return Ok(None) };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| StateError::Record { path, source })
    }

    /// Keeps the app, whose droplet is there, in the place of what was staged before, whole or not at all. It holds the
    /// values of services: 0600.
    pub(crate) fn write(&self, app: &App, _held: &Lock) -> Result<(), StateError> {
        let path = self.place(RECORD);
        let text = serde_json::to_vec_pretty(app)
            .map_err(|source| StateError::Record { path: path.clone(), source })?;
        write_private(&path, &text)?;
        self.remove_droplets(Some(app))
    }

    /// The droplet of this version of the app.
    pub(crate) fn droplet(&self, app: &App) -> PathBuf {
        self.place(&format!("{DROPLET}{}.tgz", app.version))
    }

    /// Removes all droplets but that of `staged`: those before it, and those that were never recorded.
    fn remove_droplets(&self, staged: Option<&App>) -> Result<(), StateError> {
        let kept = staged.map(|app| self.droplet(app));
        for entry in fs::read_dir(&self.path).map_err(FileError::on("read", &self.path))? {
            let entry = entry.map_err(FileError::on("read", &self.path))?;
            let path = entry.path();
            if entry.file_name().as_bytes().starts_with(DROPLET.as_bytes())
                && Some(&path) != kept.as_ref()
            {
                fs::remove_file(&path).map_err(FileError::on("remove", path))?;
            }
        }
        Ok(())
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    if !path.exists() {
        let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        made.map_err(FileError::on("open", path))?;
    }
    Ok(file::write(path, bytes)?)
}

/// Makes a directory that only its owner may enter, and those above it.
pub(crate) fn make_directory(path: &Path) -> Result<(), FileError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(FileError::on("mkdir", path))
}

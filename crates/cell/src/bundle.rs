//! The lifecycle bundle: given, found beside this program, or made of the programs beside it.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use lifecycle::architecture::Architecture;
use lifecycle::archive::error::PackError;
use lifecycle::archive::pack::{PackOptions, pack};
use lifecycle::archive::tree::Tree;
use lifecycle::download::Held;
use nix::fcntl::{Flock, FlockArg};

use crate::state::State;
use crate::warehouse::{Warehouse, WarehouseError};

/// What a bundle holds (platform contract, 1.1).
const MEMBERS: [&str; 5] = ["builder", "launcher", "shell", "healthcheck", "diego-sshd"];

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// None is given, and none is beside the program.
    #[error(
        "no lifecycle bundle for {architecture}: neither {name} nor all of {} is in {}; give one by --bundle FILE or URL",
        MEMBERS.join(", "),
        directory.display()
    )]
    Missing {
        /// What was looked for.
        name: String,
        /// Where.
        directory: PathBuf,
        /// For what machine.
        architecture: String,
    },
    /// A file can't be copied.
    #[error("{}", path.display())]
    System {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The programs can't be packed.
    #[error("the programs beside this one can't be packed")]
    Pack(#[from] PackError),
    /// It can't be fetched.
    #[error(transparent)]
    Fetch(#[from] WarehouseError),
}

/// Fetches the bundle for `architecture`: `given` as a file or URL, or what is beside this program.
pub(crate) fn fetch(
    given: Option<&str>,
    architecture: &Architecture,
    state: &State,
    warehouse: &Warehouse,
) -> Result<Held, BundleError> {
    Ok(match given {
        Some(url) if url.contains("://") => warehouse.remote(url)?,
        Some(file) => warehouse.directory(Path::new(file))?,
        None => {
            let Found { path, _lock } = beside(architecture, state)?;
            warehouse.directory(&path)?
        }
    })
}

/// An archive, which stays as it is as long as this value.
struct Found {
    path: PathBuf,
    _lock: Option<Flock<File>>,
}

/// `buildpack_app_lifecycle-<arch>.tgz` in this program's directory, or one made of its siblings there.
fn beside(architecture: &Architecture, state: &State) -> Result<Found, BundleError> {
    let own = env::current_exe().and_then(fs::canonicalize);
    let own = own.map_err(on(Path::new("/proc/self/exe")))?;
    let directory = own.parent().unwrap_or_else(|| Path::new("/"));
    let name = format!("buildpack_app_lifecycle-{}.tgz", architecture.name());
    let archive = directory.join(&name);
    if archive.is_file() {
        return Ok(Found { path: archive, _lock: None });
    }
    let has_all = MEMBERS.iter().all(|member| directory.join(member).is_file());
    if !has_all || *architecture != Architecture::own() {
        let (directory, architecture) = (directory.to_owned(), architecture.name().to_owned());
        return Err(BundleError::Missing { name, directory, architecture });
    }
    made_of(directory, &state.place("bundle"))
}

/// The bundle of the programs in `directory`, kept in `place` until they change. One cell at a time makes it, and
/// what one that was killed left of it is overwritten.
fn made_of(directory: &Path, place: &Path) -> Result<Found, BundleError> {
    DirBuilder::new().recursive(true).mode(0o700).create(place).map_err(on(place))?;
    let path = place.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = Flock::lock(file.map_err(on(&path))?, FlockArg::LockExclusive)
        .map_err(|(_, errno)| on(&path)(errno.into()))?;
    let (bundle, label) = (place.join("bundle.tgz"), place.join("made-of"));
    let programs = programs(directory)?;
    if fs::read(&label).ok().as_deref() != Some(programs.as_bytes()) || !bundle.is_file() {
        // Without its label, a bundle that is cut short by a full disk counts for nothing.
        remove(fs::remove_file(&label)).map_err(on(&label))?;
        make(directory, &place.join("members"), &bundle)?;
        fs::write(&label, programs).map_err(on(&label))?;
    }
    Ok(Found { path: bundle, _lock: Some(lock) })
}

/// What tells these programs from others: where they are, their sizes and times.
fn programs(directory: &Path) -> Result<String, BundleError> {
    let mut text = String::new();
    for member in MEMBERS {
        let path = directory.join(member);
        let it = fs::metadata(&path).map_err(on(&path))?;
        let line = format!("{} {} {}.{}\n", path.display(), it.len(), it.mtime(), it.mtime_nsec());
        text.push_str(&line);
    }
    Ok(text)
}

fn make(directory: &Path, members: &Path, bundle: &Path) -> Result<(), BundleError> {
    remove(fs::remove_dir_all(members)).map_err(on(members))?;
    fs::create_dir(members).map_err(on(members))?;
    for member in MEMBERS {
        let path = directory.join(member);
        let copy = members.join(member);
        fs::copy(&path, &copy).map_err(on(&copy))?;
    }
    let file = File::create(bundle).map_err(on(bundle))?;
    let options = PackOptions {
        threads: NonZeroUsize::MIN,
        source_date_epoch: Some(0),
        outputs: &[],
        stop: &AtomicBool::new(false),
    };
    let packed = pack(&Tree::new(members), &file, bundle, &options);
    remove(fs::remove_dir_all(members)).map_err(on(members))?;
    packed.map(drop).map_err(BundleError::from)
}

/// What is not there is removed.
fn remove(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn on(path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let path = path.to_owned();
    move |source| BundleError::System { path, source }
}

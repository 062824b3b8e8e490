//! The lifecycle bundle: given, found beside this program, or made of the programs beside it.

use std::env;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use lifecycle::architecture::Architecture;
use lifecycle::archive::error::PackError;
use lifecycle::archive::pack::{PackOptions, pack};
use lifecycle::archive::tree::Tree;
use lifecycle::download::Held;
use lifecycle::report::system_words;

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
    #[error("{}: {}", path.display(), system_words(source))]
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
pub fn fetch(
    given: Option<&str>,
    architecture: &Architecture,
    state: &State,
    warehouse: &Warehouse,
) -> Result<Held, BundleError> {
    Ok(match given {
        Some(url) if url.contains("://") => warehouse.remote(url)?,
        Some(file) => warehouse.directory(Path::new(file))?,
        None => warehouse.directory(&beside(architecture, state)?)?,
    })
}

/// `buildpack_app_lifecycle-<arch>.tgz` in this program's directory, or one made of its siblings there.
fn beside(architecture: &Architecture, state: &State) -> Result<PathBuf, BundleError> {
    let own = env::current_exe().and_then(fs::canonicalize);
    let on = |path: &Path| {
        let path = path.to_owned();
        move |source| BundleError::System { path, source }
    };
    let own = own.map_err(on(Path::new("/proc/self/exe")))?;
    let directory = own.parent().unwrap_or_else(|| Path::new("/"));
    let name = format!("buildpack_app_lifecycle-{}.tgz", architecture.name());
    let archive = directory.join(&name);
    if archive.is_file() {
        return Ok(archive);
    }
    let has_all = MEMBERS.iter().all(|member| directory.join(member).is_file());
    if !has_all || *architecture != Architecture::own() {
        let (directory, architecture) = (directory.to_owned(), architecture.name().to_owned());
        return Err(BundleError::Missing { name, directory, architecture });
    }
    let bundle = state.place("bundle.tgz");
    if is_newer(&bundle, directory) {
        return Ok(bundle);
    }
    let members =
        tempfile::tempdir_in(state.place("downloads")).map_err(on(&state.place("downloads")))?;
    for member in MEMBERS {
        fs::copy(directory.join(member), members.path().join(member))
            .map_err(on(&directory.join(member)))?;
    }
    let partial = state.place("downloads").join("bundle.partial");
    let file = fs::File::create(&partial).map_err(on(&partial))?;
    let options = PackOptions {
        threads: NonZeroUsize::MIN,
        source_date_epoch: Some(0),
        outputs: &[],
        stop: &AtomicBool::new(false),
    };
    pack(&Tree::new(members.path()), &file, &partial, &options)?;
    fs::rename(&partial, &bundle).map_err(on(&bundle))?;
    Ok(bundle)
}

/// Whether `bundle` was made after all the programs in `directory`.
fn is_newer(bundle: &Path, directory: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
    let Some(made) = time(bundle) else { return false };
    MEMBERS.iter().all(|member| time(&directory.join(member)).is_some_and(|built| built < made))
}

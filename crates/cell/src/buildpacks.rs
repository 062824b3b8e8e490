//! The buildpacks of a staging: those of the stack, or those an app asks for, as the builder is given them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lifecycle::download::Held;
use lifecycle::size::Size;
use twox_hash::XxHash64;

use crate::stacks::Stack;
use crate::warehouse::{Warehouse, WarehouseError};

/// Why a buildpack can't be had.
#[derive(Debug, thiserror::Error)]
pub enum BuildpackError {
    /// Neither of the stack, nor a path, nor a URL.
    #[error(
        "stack '{stack}' has no buildpack '{name}': it has {known}; give a path (./…) or a URL for one of your own"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The stack.
        stack: String,
        /// What there is.
        known: String,
    },
    /// A directory that should hold one zip holds none, or several.
    #[error("{}: {count} zips where exactly one is expected; leave the buildpack's zip there and nothing else", directory.display())]
    Zips {
        /// The directory.
        directory: PathBuf,
        /// How many.
        count: usize,
    },
    /// It can't be read.
    #[error("{}", path.display())]
    System {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can't be fetched.
    #[error(transparent)]
    Fetch(#[from] WarehouseError),
}

/// A buildpack that the builder is told of.
#[derive(Debug)]
pub(crate) struct Buildpack {
    /// Its name for people.
    pub(crate) name: String,
    /// Its key in `-buildpackOrder`.
    pub(crate) key: String,
    /// Where it is unpacked; `None` for one by URL, which the builder fetches itself.
    pub(crate) place: Option<Place>,
}

/// An unpacked buildpack.
#[derive(Debug)]
pub(crate) enum Place {
    /// A directory of the user's.
    Own(PathBuf),
    /// One out of a zip, kept while it is used.
    Fetched(Held),
}

impl Place {
    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Own(path) => path,
            Self::Fetched(held) => held.path(),
        }
    }

    /// What was downloaded for it.
    pub(crate) fn size(&self) -> Option<Size> {
        match self {
            Self::Own(_) => None,
            Self::Fetched(held) => Some(held.size()),
        }
    }
}

impl Buildpack {
    /// The name of its directory in `/tmp/buildpacks`: the key's xxHash64 in hex (platform contract, 3.2).
    pub(crate) fn directory_name(&self) -> String {
        format!("{:016x}", XxHash64::oneshot(0, self.key.as_bytes()))
    }
}

/// The buildpacks asked for, in order; with none asked for all of the stack's. Paths are relative to `directory`.
pub(crate) fn choose(
    asked: &[String],
    stack: &Stack,
    directory: &Path,
    warehouse: &Warehouse,
) -> Result<Vec<Buildpack>, BuildpackError> {
    if asked.is_empty() {
        return stack
            .buildpacks
            .iter()
            .map(|it| local(&it.name, &it.location, warehouse))
            .collect();
    }
    asked.iter().map(|name| one(name, stack, directory, warehouse)).collect()
}

fn one(
    name: &str,
    stack: &Stack,
    directory: &Path,
    warehouse: &Warehouse,
) -> Result<Buildpack, BuildpackError> {
    if let Some(known) = stack.buildpacks.iter().find(|it| it.name == name || it.short_name == name)
    {
        return local(&known.name, &known.location, warehouse);
    }
    if name.contains("://") {
        return Ok(Buildpack { name: name.to_owned(), key: name.to_owned(), place: None });
    }
    if name.starts_with(['/', '.']) {
        // Not `././mine` in what is said of it.
        let location: PathBuf = directory.join(name).components().collect();
        return local(name, &location, warehouse);
    }
    let known: Vec<_> = stack.buildpacks.iter().map(|it| it.name.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(BuildpackError::Unknown { name: name.to_owned(), stack: stack.name.clone(), known })
}

/// A zip, a directory that holds one, or an unpacked buildpack (it has `bin`).
fn local(name: &str, location: &Path, warehouse: &Warehouse) -> Result<Buildpack, BuildpackError> {
    let on = |source| BuildpackError::System { path: location.to_owned(), source };
    let location = fs::canonicalize(location).map_err(on)?;
    if location.join("bin").is_dir() {
        let key = format!("{}_local", plain(name));
        return Ok(Buildpack { name: name.to_owned(), key, place: Some(Place::Own(location)) });
    }
    let zip = if location.is_dir() { only_zip(&location)? } else { location };
    let held = warehouse.directory(&zip)?;
    let sum = held.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let key = format!("{}_{sum}", plain(name));
    Ok(Buildpack { name: name.to_owned(), key, place: Some(Place::Fetched(held)) })
}

/// Keys are joined by commas and must not look like URLs.
fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn only_zip(directory: &Path) -> Result<PathBuf, BuildpackError> {
    let on = |source| BuildpackError::System { path: directory.to_owned(), source };
    let mut zips = Vec::new();
    for entry in fs::read_dir(directory).map_err(on)? {
        let path = entry.map_err(on)?.path();
        if path.extension().is_some_and(|extension| extension == "zip") {
            zips.push(path);
        }
    }
    match <[PathBuf; 1]>::try_from(zips) {
        Ok([zip]) => Ok(zip),
        Err(zips) => {
            Err(BuildpackError::Zips { directory: directory.to_owned(), count: zips.len() })
        }
    }
}

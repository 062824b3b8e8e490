//! What goes into an archive: a directory, and others shown in it without being copied.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::iter::Peekable;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, DirEntryExt, IntoIter, WalkDir};

use super::error::PackError;

/// A directory to pack, with others grafted into it.
#[derive(Clone, Debug)]
pub struct Tree {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    /// Where it is seen in the archive, without `./`.
    at: PathBuf,
    directory: PathBuf,
}

/// A file of any kind that is to be packed.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it lies.
    pub(super) source: PathBuf,
    /// Its path in the archive, without `./`; empty for the root.
    pub(super) name: PathBuf,
    /// As its directory lists it, so a symlink is itself; the root of a layer is a directory.
    pub(super) kind: FileType,
}

impl Tree {
    /// The directory `root`; if that is a symlink, the directory it leads to.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { layers: vec![Layer { at: PathBuf::new(), directory: root.into() }] }
    }

    /// Shows `directory` (or the one the symlink of that name leads to) at `at`, a path relative to
    /// the root, as if it had been copied there over what is there already.
    ///
    /// The root itself is left out where it lies within `directory`.
    #[must_use]
    pub fn graft(mut self, at: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        self.layers.push(Layer { at: at.into(), directory: directory.into() });
        self
    }

    /// Everything in the order of the archive: a directory before what it holds, names by bytes.
    pub(super) fn walk(&self) -> Result<Walk, PackError> {
        let mut root = None;
        let mut layers = Vec::new();
        for layer in &self.layers {
            let metadata = directory(&layer.directory)?;
            let entries = WalkDir::new(&layer.directory).sort_by_file_name().into_iter();
            let kind = metadata.file_type();
            layers.push(LayerWalk { layer: layer.clone(), kind, entries, except: root }.peekable());
            root.get_or_insert_with(|| (metadata.dev(), metadata.ino()));
        }
        Ok(Walk { layers })
    }
}

fn directory(path: &Path) -> Result<Metadata, PackError> {
    let metadata =
        fs::metadata(path).map_err(|error| PackError::Read { path: path.to_owned(), error })?;
    if !metadata.is_dir() {
        return Err(PackError::NotADirectory { path: path.to_owned() });
    }
    Ok(metadata)
}

/// The walk over all layers at once; where two have the same name the later one counts.
#[derive(Debug)]
pub(super) struct Walk {
    layers: Vec<Peekable<LayerWalk>>,
}

impl Iterator for Walk {
    type Item = Result<Found, PackError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Paths compare by components, which is the order a walk sees them in.
        let first = self.layers.iter_mut().filter_map(|layer| match layer.peek()? {
            Ok(found) => Some(found.name.clone()),
            Err(_) => Some(PathBuf::new()),
        });
        let first = first.min()?;
        let mut chosen: Option<Found> = None;
        for layer in &mut self.layers {
            let next =
                layer.next_if(|next| next.as_ref().map_or(true, |found| found.name == first));
            match (next, &chosen) {
                (None, _) => {}
                (Some(Ok(found)), Some(below)) if found.kind.is_dir() != below.kind.is_dir() => {
                    let (one, other) = (below.source.clone(), found.source);
                    return Some(Err(PackError::Conflict { one, other }));
                }
                (Some(Ok(found)), _) => chosen = Some(found),
                (Some(error), _) => return Some(error),
            }
        }
        chosen.map(Ok)
    }
}

#[derive(Debug)]
struct LayerWalk {
    layer: Layer,
    /// A directory's.
    kind: FileType,
    entries: IntoIter,
    /// Device and inode of the tree's root, which is not packed into itself.
    except: Option<(u64, u64)>,
}

impl Iterator for LayerWalk {
    type Item = Result<Found, PackError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.entries.next()? {
                Ok(entry) if self.is_excepted(&entry) => self.entries.skip_current_dir(),
                Ok(entry) => return Some(Ok(self.found(entry))),
                Err(error) => return Some(Err(unreadable(error, &self.layer.directory))),
            }
        }
    }
}

impl LayerWalk {
    fn is_excepted(&self, entry: &DirEntry) -> bool {
        let Some((device, inode)) = self.except else { return false };
        entry.file_type().is_dir()
            && entry.ino() == inode
            && entry.metadata().is_ok_and(|metadata| metadata.dev() == device)
    }

    fn found(&self, entry: DirEntry) -> Found {
        if entry.depth() == 0 {
            return Found {
                name: self.layer.at.clone(),
                kind: self.kind,
                source: self.layer.directory.clone(),
            };
        }
        let inner =
            entry.path().strip_prefix(&self.layer.directory).unwrap_or_else(|_| Path::new(""));
        Found {
            name: self.layer.at.join(inner),
            kind: entry.file_type(),
            source: entry.into_path(),
        }
    }
}

fn unreadable(error: walkdir::Error, directory: &Path) -> PackError {
    let path = error.path().unwrap_or(directory).to_owned();
    // Only a loop of links has no I/O error in it, and links are not followed.
    let error = error.into_io_error().unwrap_or_else(|| io::Error::other("a loop of links"));
    PackError::reading(path, error)
}

#[cfg(test)]
mod tests;

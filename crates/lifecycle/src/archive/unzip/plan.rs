//! Where each entry goes: names are resolved among the entries before them as in a chroot, so `..`
//! cannot leave, and symlinks are followed only where they stay inside the buildpack.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::entry::{Entry, Kind};
use super::extract::Extractor;
use super::{EntryFault, Unpacked, UnzipError, shown};
use crate::size::Size;

/// As many symlinks as Linux follows in one path.
const MAX_SYMLINKS: usize = 40;
/// Longest target a symlink can have on Linux, in bytes.
const MAX_TARGET: u64 = 4095;
/// Longest path Linux takes, in bytes.
const MAX_PATH: usize = 4095;
/// All paths together may have so many bytes: 128 MiB.
const MAX_PATHS: usize = 128 << 20;
/// Mode of directories that have no entry of their own.
const PARENT_MODE: u32 = 0o755;

/// What will stand at a path.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Directory { mode: u32 },
    File(&'a Entry),
    Symlink { target: Vec<u8> },
}

/// The tree to build; no path in it leads through a symlink.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// By path relative to the destination. Ordered by bytes: a directory comes before its content.
    nodes: BTreeMap<Vec<u8>, Node<'a>>,
    /// Bytes of all paths.
    path_bytes: usize,
}

impl<'a> Plan<'a> {
    /// Places the entries in order; `archive` is read for the targets of symlinks.
    pub(super) fn new(archive: &File, entries: &'a [Entry]) -> Result<Self, UnzipError> {
        let mut plan = Self { nodes: BTreeMap::new(), path_bytes: 0 };
        let mut extractor = Extractor::new(archive);
        for entry in entries {
            plan.place(entry, &mut extractor).map_err(|fault| entry.at_fault(fault))?;
        }
        Ok(plan)
    }

    /// Everything to make, directories before their content; the destination itself is not among it.
    pub(super) fn nodes(&self) -> impl DoubleEndedIterator<Item = (&Path, &Node<'a>)> {
        self.nodes.iter().map(|(path, node)| (Path::new(OsStr::from_bytes(path)), node))
    }

    /// What this will amount to.
    pub(super) fn totals(&self) -> Unpacked {
        let files = self.nodes.values().filter_map(|node| match node {
            Node::File(entry) => Some(entry.size),
            _ => None,
        });
        Unpacked { entries: self.nodes.len(), bytes: files.fold(0, u64::saturating_add) }
    }

    fn place(&mut self, entry: &'a Entry, extractor: &mut Extractor<'_>) -> Result<(), EntryFault> {
        // A symlink replaces nothing and is not followed; everything else lands where it leads.
        let path = self.resolve(&entry.name, entry.kind != Kind::Symlink)?;
        let node = match entry.kind {
            Kind::Directory => Node::Directory { mode: entry.mode },
            Kind::File => Node::File(entry),
            Kind::Symlink if entry.size > MAX_TARGET => {
                return Err(EntryFault::LongTarget(entry.size));
            }
            Kind::Symlink => Node::Symlink { target: extractor.content(entry)?.to_vec() },
        };
        if path.is_empty() {
            return match entry.kind {
                Kind::Directory => Ok(()),
                _ => Err(EntryFault::Occupied("a directory")),
            };
        }
        match (self.nodes.get(&path), &node) {
            // The first entry of a directory decides its mode, the last one of a file its content.
            (Some(Node::Directory { .. }), Node::Directory { .. }) => return Ok(()),
            (None, _) | (Some(Node::File(_)), Node::File(_)) => {}
            (Some(Node::Directory { .. }), _) => return Err(EntryFault::Occupied("a directory")),
            (Some(Node::File(_)), _) => return Err(EntryFault::Occupied("a file")),
            (Some(Node::Symlink { .. }), _) => return Err(EntryFault::Occupied("a symlink")),
        }
        self.add_parents(&path)?;
        self.insert(path, node)
    }

    fn insert(&mut self, path: Vec<u8>, node: Node<'a>) -> Result<(), EntryFault> {
        self.path_bytes += path.len();
        if self.path_bytes > MAX_PATHS {
            return Err(EntryFault::TooManyPaths(Size(MAX_PATHS as u64)));
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    fn add_parents(&mut self, path: &[u8]) -> Result<(), EntryFault> {
        for (at, _) in path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/') {
            if self.nodes.contains_key(&path[..at]) {
                break;
            }
            self.insert(path[..at].to_vec(), Node::Directory { mode: PARENT_MODE })?;
        }
        Ok(())
    }

    /// The path that `name` means, without `.`, `..`, doubled slashes and symlinks.
    fn resolve(&self, name: &[u8], follow_last: bool) -> Result<Vec<u8>, EntryFault> {
        let mut path = Vec::new();
        let mut components: Vec<(&[u8], Option<&[u8]>)> = split(name).map(|c| (c, None)).collect();
        let mut followed = 0;
        while let Some((component, link)) = components.pop() {
            if component == b".." {
                if let (true, Some(link)) = (path.is_empty(), link) {
                    return Err(self.outside(link));
                }
                path.truncate(path.iter().rposition(|&byte| byte == b'/').unwrap_or(0));
                continue;
            }
            let parent = path.len();
            if parent > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(component);
            if path.len() > MAX_PATH {
                return Err(EntryFault::LongPath(MAX_PATH));
            }
            match self.nodes.get_key_value(&path) {
                Some((link, Node::Symlink { target })) if follow_last || !components.is_empty() => {
                    followed += 1;
                    if followed > MAX_SYMLINKS {
                        return Err(EntryFault::SymlinkLoop);
                    }
                    if target.starts_with(b"/") {
                        return Err(self.outside(link));
                    }
                    components.extend(split(target).map(|c| (c, Some(link.as_slice()))));
                    path.truncate(parent);
                }
                Some((_, Node::File(_))) if !components.is_empty() => {
                    return Err(EntryFault::NotADirectory(shown(&path)));
                }
                _ => {}
            }
        }
        Ok(path)
    }

    fn outside(&self, link: &[u8]) -> EntryFault {
        let target = match self.nodes.get(link) {
            Some(Node::Symlink { target }) => shown(target),
            _ => String::new(),
        };
        EntryFault::Outside { link: shown(link), target }
    }
}

/// The components of a path, last one first; empty ones and `.` mean nothing.
fn split(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.rsplit(|&byte| byte == b'/').filter(|component| !matches!(component, [] | [b'.']))
}

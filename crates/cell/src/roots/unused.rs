//! Root file systems that nobody needs any more: each may take as much of the disk as a machine's own.
//!
//! Beside a root, `<digest>.from` says what it was unpacked from, as long as that is what it was.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::{PARTIAL, RootError, remove};

/// Notes what `root` was unpacked from; what came from there before has no source any more.
pub(super) fn note(source: &Path, root: &Path, roots: &Path) {
    let source = fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
    let own = from(root);
    for entry in fs::read_dir(roots).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_note = path.extension().is_some_and(|ending| ending == "from") && path != own;
        if is_note && fs::read(&path).is_ok_and(|it| it == source.as_os_str().as_bytes()) {
            let _kept_longer = fs::remove_file(path);
        }
    }
    // Without a note it is unpacked again some day.
    let _unpacked_again = fs::write(own, source.as_os_str().as_bytes());
}

/// Removes the root file systems in `roots` whose source is gone or has become another one, unless somebody uses them
/// or one of the apps' `records` names them; how many. Does nothing while another cell unpacks one.
pub(crate) fn sweep<E: From<RootError>>(
    roots: &Path,
    records: impl FnOnce() -> Result<Vec<Vec<u8>>, E>,
) -> Result<usize, E> {
    let Ok(lock) = File::open(roots.join("lock")) else { return Ok(0) };
    let Ok(_held) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else { return Ok(0) };
    let partial = roots.join(PARTIAL);
    // One that was killed left its own.
    remove(&partial)?;
    let entries = fs::read_dir(roots).into_iter().flatten().flatten();
    let unused: Vec<_> = entries.filter_map(|entry| claimed(entry.path())).collect();
    if unused.is_empty() {
        return Ok(0);
    }
    // Who stages holds the root until the app is recorded: what nobody holds now is recorded already.
    let records = records()?;
    let mut removed = 0;
    for (root, _lock) in unused.iter().filter(|(root, _)| !is_named(root, &records)) {
        // Half of a root must not be taken for one.
        if fs::rename(root, &partial).is_ok() {
            let _none_left = fs::remove_file(from(root));
            remove(&partial)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// A root without source, and its lock; `None` if somebody holds it.
fn claimed(root: PathBuf) -> Option<(PathBuf, Flock<File>)> {
    if !root.is_dir() || has_source(&root) {
        return None;
    }
    let lock = Flock::lock(File::open(&root).ok()?, FlockArg::LockExclusiveNonblock).ok()?;
    Some((root, lock))
}

/// By its name, which says what is in it: an app may have come to it through a link. The text is searched, whatever
/// became of a record.
fn is_named(root: &Path, records: &[Vec<u8>]) -> bool {
    let name = root.file_name().unwrap_or_default().as_bytes();
    records.iter().any(|record| record.windows(name.len()).any(|part| part == name))
}

fn has_source(root: &Path) -> bool {
    let source = fs::read(from(root)).map(|bytes| std::ffi::OsStr::from_bytes(&bytes).to_owned());
    source.is_ok_and(|source| Path::new(&source).exists())
}

fn from(root: &Path) -> PathBuf {
    root.with_extension("from")
}

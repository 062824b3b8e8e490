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

/// Removes the root file systems in `roots` whose source is gone or has become another one, unless they are `needed`
/// or somebody uses them; how many. Does nothing while another cell unpacks one.
pub(crate) fn sweep(roots: &Path, needed: &[PathBuf]) -> Result<usize, RootError> {
    let Ok(lock) = File::open(roots.join("lock")) else { return Ok(0) };
    let Ok(_held) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else { return Ok(0) };
    let partial = roots.join(PARTIAL);
    // One that was killed left its own.
    remove(&partial)?;
    let mut removed = 0;
    for entry in fs::read_dir(roots).into_iter().flatten().flatten() {
        let root = entry.path();
        if !root.is_dir() || has_source(&root) || is_among(&root, needed) {
            continue;
        }
        let Ok(directory) = File::open(&root) else { continue };
        let Ok(_unused) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else { continue };
        // Half of a root must not be taken for one.
        if fs::rename(&root, &partial).is_ok() {
            let _none_left = fs::remove_file(from(&root));
            remove(&partial)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// By their names, which say what is in them: whoever needs one may have come to it through a link.
fn is_among(root: &Path, needed: &[PathBuf]) -> bool {
    needed.iter().any(|one| one.file_name() == root.file_name())
}

fn has_source(root: &Path) -> bool {
    let source = fs::read(from(root)).map(|bytes| std::ffi::OsStr::from_bytes(&bytes).to_owned());
    source.is_ok_and(|source| Path::new(&source).exists())
}

fn from(root: &Path) -> PathBuf {
    root.with_extension("from")
}

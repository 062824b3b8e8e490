//! Nothing half-written, nothing left behind: temporary paths go away when their guard drops, and
//! also when SIGTERM, SIGINT or SIGHUP ends the builder, the buildpacks' processes with them.
//!
//! A thread of its own waits for the signals, so that no other code has to ask for them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use lifecycle::file::remove_tree;
use lifecycle::report;
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::descendants;

/// What must not outlive the builder. Clones share the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cleanup(Arc<State>);

#[derive(Debug, Default)]
struct State {
    paths: Mutex<Vec<PathBuf>>,
    stopping: AtomicBool,
    published: AtomicBool,
}

impl Cleanup {
    /// Begins to watch for signals; those that were ignored at the start stay ignored.
    ///
    /// # Errors
    /// When the signals can't be caught or the watching thread can't be started.
    pub(crate) fn watch_signals() -> io::Result<Self> {
        let signals = Signals::new(unignored(&[SIGTERM, SIGINT, SIGHUP]))?;
        // Orphans of buildpack scripts become children of the builder, so that they are found.
        // Where the container forbids it, those that made themselves orphans stay.
        let _refused = nix::sys::prctl::set_child_subreaper(true);
        let cleanup = Self::default();
        let watcher = cleanup.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || watcher.end_by_signal(signals))?;
        Ok(cleanup)
    }

    /// Registers `path` for removal.
    pub(crate) fn guard(&self, path: PathBuf) -> Guard {
        self.paths().push(path.clone());
        Guard { path, cleanup: self.clone() }
    }

    /// Makes something and registers its path for removal in one step: a signal comes before both or
    /// after both.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn make<T, E>(
        &self,
        make: impl FnOnce() -> Result<(PathBuf, T), E>,
    ) -> Result<(Guard, T), E> {
        let mut paths = self.paths_unless_stopping();
        let (path, handle) = make()?;
        paths.push(path.clone());
        Ok((Guard { path, cleanup: self.clone() }, handle))
    }

    /// Does what a signal must not find half done: a process that is not yet a descendant, a file
    /// that is not yet in its place.
    pub(crate) fn undisturbed<T>(&self, act: impl FnOnce() -> T) -> T {
        let _held = self.paths_unless_stopping();
        act()
    }

    /// Does not return when a signal came: the watching thread ends the process, with its status.
    pub(crate) fn yield_to_signal(&self) {
        while self.0.stopping.load(Ordering::SeqCst) {
            thread::park();
        }
    }

    /// Moves every finished file to its destination, all or none. After this staging has
    /// succeeded, and a signal no longer changes that.
    ///
    /// # Errors
    /// The destination that could not be written, and why.
    pub(crate) fn publish(&self, files: &[(&Guard, &Path)]) -> Result<(), (PathBuf, io::Error)> {
        let paths = self.paths_unless_stopping();
        for (done, (guard, destination)) in files.iter().enumerate() {
            if let Err(error) = fs::rename(&guard.path, destination) {
                for (_, published) in &files[..done] {
                    let _gone = fs::remove_file(published);
                }
                return Err((destination.to_path_buf(), error));
            }
        }
        self.0.published.store(true, Ordering::SeqCst);
        drop(paths);
        Ok(())
    }

    /// The list, held; no signal came before it was.
    fn paths_unless_stopping(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        let paths = self.paths();
        if self.0.stopping.load(Ordering::SeqCst) {
            // The watching thread needs the list.
            drop(paths);
            self.yield_to_signal();
            return self.paths();
        }
        paths
    }

    fn paths(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a signal, ends the buildpacks' processes, removes what is registered, and dies of
    /// the signal, so that the parent sees 128 + its number.
    fn end_by_signal(&self, mut signals: Signals) {
        let Some(signal) = signals.forever().next() else { return };
        let paths = self.paths();
        if self.0.published.load(Ordering::SeqCst) {
            return;
        }
        self.0.stopping.store(true, Ordering::SeqCst);
        drop(paths);
        announce(signal);
        end_processes();
        // Held to the end: nothing new can be registered or published.
        let paths = self.paths();
        for path in paths.iter().rev() {
            remove(path);
        }
        if Pid::this().as_raw() == 1 {
            // The kernel spares a container's first process: it says what its parent would have seen.
            low_level::exit(128 + signal);
        }
        let _dead = low_level::emulate_default_handler(signal);
    }
}

/// Ends the processes that the buildpacks' scripts left, so that nothing writes any more to what is
/// about to be removed.
pub(crate) fn end_processes() {
    descendants::end(Pid::this(), Duration::from_secs(2));
}

/// Says why staging ends, unless nobody reads stderr: a full pipe must not hold up the end.
fn announce(signal: i32) {
    let line = format!(
        "Staging was stopped by {}: ending the buildpack's processes, no droplet is kept",
        low_level::signal_name(signal).unwrap_or("a signal")
    );
    let (said, is_said) = mpsc::channel();
    let speaker = thread::Builder::new().stack_size(128 * 1024).spawn(move || {
        report::warn(&line);
        said.send(())
    });
    if speaker.is_ok() {
        let _too_late = is_said.recv_timeout(Duration::from_secs(1));
    }
}

/// Those of `signals` that this process was not started with as ignored.
fn unignored(signals: &[i32]) -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signals.iter().copied().filter(|signal| ignored >> (signal - 1) & 1 == 0).collect()
}

/// A path that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
    cleanup: Cleanup,
}

impl Guard {
    /// The guarded path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the path stay: it is whole now.
    pub(crate) fn keep(self) {
        self.cleanup.paths().retain(|path| *path != self.path);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut paths = self.cleanup.paths();
        // After a signal the watching thread removes it, once the processes that write to it are gone.
        let kept = !paths.contains(&self.path);
        if !kept && !self.cleanup.0.stopping.load(Ordering::SeqCst) {
            remove(&self.path);
            paths.retain(|path| *path != self.path);
        }
    }
}

/// Removes a file or a directory tree. A published file is gone already, which is fine.
fn remove(path: &Path) {
    for _ in 0..10 {
        let removed = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => remove_tree(path),
            Ok(_) => fs::remove_file(path),
            Err(_) => return,
        };
        // Another thread may just have written into the directory: once more.
        match removed {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_tree_goes_with_its_guard() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("contents");
        fs::create_dir_all(tree.join("deps/0")).unwrap();
        let cleanup = Cleanup::default();
        drop(cleanup.guard(tree.clone()));
        assert!(!tree.exists());
        assert!(cleanup.paths().is_empty());
    }

    #[test]
    fn a_path_that_is_kept_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cleanup = Cleanup::default();
        let guard = cleanup.guard(dir.path().join("whole"));
        fs::create_dir(guard.path()).unwrap();
        guard.keep();
        assert!(dir.path().join("whole").exists());
        assert!(cleanup.paths().is_empty());
    }

    #[test]
    fn files_are_published_all_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let cleanup = Cleanup::default();
        let [droplet, cache] = ["droplet.partial", "cache.partial"].map(|name| {
            let path = dir.path().join(name);
            fs::write(&path, name).unwrap();
            cleanup.guard(path)
        });
        let (good, bad) = (dir.path().join("droplet"), dir.path().join("missing/cache"));
        let (path, _) = cleanup.publish(&[(&droplet, &good), (&cache, &bad)]).unwrap_err();
        assert_eq!(path, bad);
        assert!(!good.exists(), "a droplet without its cache is not left");
    }
}

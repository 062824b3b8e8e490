//! The place of one asset in the cache: a directory that one process at a time works in.
//!
//! ```text
//! <key>.lock                   locked by whoever works in <key>
//! <key>/record.json            the newest version
//! <key>/part, part.json        what has come of a newer one
//! <key>/<sha256>/archive       or `directory`: a version
//! <key>/<sha256>/use           its size in bytes; locked by who holds it, modified when last used
//! <key>/*.new, *.gone          half made, half removed: of no use to anybody
//! ```

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::unistd::syncfs;

use super::Trouble;
use super::record::{PartRecord, Record};
use crate::file::{self, remove_tree};
use crate::http::transfer::{Part, Version};

const LOCK: &str = "lock";
const NEW: &str = "new";
const GONE: &str = "gone";
/// In a version's directory.
pub(super) const USE: &str = "use";

/// A locked place. Dropping it lets others in.
#[derive(Debug)]
pub(super) struct Slot {
    lock_path: PathBuf,
    _lock: File,
    path: PathBuf,
    part: PathBuf,
}

/// As long as this lives, a version is not removed.
#[derive(Debug)]
pub(super) struct Usage {
    _lock: File,
}

/// A version being made.
#[derive(Debug)]
pub(super) struct NewVersion<'a> {
    slot: &'a Slot,
    path: PathBuf,
    destination: PathBuf,
}

impl Slot {
    /// Waits for the place of `key` in `cache`, and clears away what a killed process left half done.
    pub(super) fn lock(cache: &Path, key: &str) -> Result<Self, Trouble> {
        let (path, lock_path) = (cache.join(key), cache.join(key).with_extension(LOCK));
        let lock = loop {
            let lock = lock_file(&lock_path).map_err(Trouble::at(&lock_path))?;
            lock.lock().map_err(Trouble::at(&lock_path))?;
            if is_still_there(&lock, &lock_path) {
                break lock;
            }
        };
        let slot = Self::of(lock, lock_path, path);
        slot.prepare().map_err(Trouble::at(&slot.path))?;
        Ok(slot)
    }

    /// The place of `key`, unless somebody works there.
    pub(super) fn try_lock(cache: &Path, key: &OsStr) -> Option<Self> {
        let (path, lock_path) = (cache.join(key), cache.join(key).with_extension(LOCK));
        let lock = lock_file(&lock_path).ok()?;
        lock.try_lock().ok()?;
        is_still_there(&lock, &lock_path).then(|| Self::of(lock, lock_path, path))
    }

    fn of(lock: File, lock_path: PathBuf, path: PathBuf) -> Self {
        Self { lock_path, _lock: lock, part: path.join("part"), path }
    }

    fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o755).create(&self.path)?;
        self.sweep();
        Ok(())
    }

    /// Removes what is half made or half removed.
    pub(super) fn sweep(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == NEW || ending == GONE) {
                let _next_time = remove_tree(&path);
            }
        }
    }

    /// Its directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where downloads arrive.
    pub(super) fn part_path(&self) -> &Path {
        &self.part
    }

    fn part_record(&self) -> PathBuf {
        self.part.with_extension("json")
    }

    /// What has come already, and whether that is anything.
    pub(super) fn part(&self) -> Result<(Part<'_>, bool), Trouble> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&self.part).map_err(Trouble::at(&self.part))?;
        let begun = file.metadata().is_ok_and(|file| file.len() > 0);
        match read::<PartRecord>(&self.part_record()).filter(|_| begun) {
            Some(record) => {
                let part = Part::resuming(file, &self.part, record.into());
                Ok((part.map_err(Trouble::at(&self.part))?, true))
            }
            None => Ok((Part::new(file, &self.part), false)),
        }
    }

    /// Notes what the part is of.
    pub(super) fn begin_part(&self, version: &Version) -> io::Result<()> {
        write(&self.part_record(), &PartRecord::from(version))
    }

    /// Forgets what has come.
    pub(super) fn discard_part(&self) {
        for path in [&self.part_record(), &self.part] {
            let _was_not_there = fs::remove_file(path);
        }
    }

    fn record_path(&self) -> PathBuf {
        self.path.join("record.json")
    }

    /// The newest version.
    pub(super) fn record(&self) -> Option<Record> {
        read(&self.record_path())
    }

    pub(super) fn set_record(&self, record: &Record) -> Result<(), Trouble> {
        write(&self.record_path(), record).map_err(Trouble::at(&self.record_path()))
    }

    /// The directory of a version.
    pub(super) fn version(&self, record: &Record) -> PathBuf {
        self.path.join(record.name())
    }

    /// Whether a version is there whole; `form` is the name of what it has to have.
    pub(super) fn holds(&self, record: &Record, form: &str) -> bool {
        let version = self.version(record);
        let is_whole = |it: fs::Metadata| it.is_dir() || it.len() == record.size;
        version.join(USE).is_file() && version.join(form).symlink_metadata().is_ok_and(is_whole)
    }

    /// Begins a version.
    pub(super) fn new_version(&self, record: &Record) -> Result<NewVersion<'_>, Trouble> {
        let destination = self.version(record);
        let path = destination.with_extension(NEW);
        DirBuilder::new().mode(0o755).create(&path).map_err(Trouble::at(&path))?;
        Ok(NewVersion { slot: self, path, destination })
    }

    /// Holds a version.
    pub(super) fn hold(&self, record: &Record) -> Result<Usage, Trouble> {
        let path = self.version(record).join(USE);
        let held = File::options().write(true).open(&path).and_then(|lock| {
            lock.lock_shared()?;
            lock.set_modified(SystemTime::now())?;
            Ok(lock)
        });
        held.map(|lock| Usage { _lock: lock }).map_err(Trouble::at(&path))
    }

    /// Whether there is neither a version nor a part.
    pub(super) fn is_bare(&self) -> bool {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).all(|path| path == self.record_path())
    }

    /// Removes the place itself.
    pub(super) fn remove(self) {
        let _next_time = fs::remove_dir_all(&self.path);
        // Whoever waits for the lock notices that it is gone.
        let _next_time = fs::remove_file(&self.lock_path);
    }
}

impl NewVersion<'_> {
    /// The directory to fill.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the download as it is; gives its size.
    pub(super) fn take_part(&self, name: &str) -> Result<u64, Trouble> {
        let (from, to) = (self.slot.part_path(), self.path.join(name));
        let taken = fs::rename(from, &to).and_then(|()| to.metadata());
        taken.map(|file| file.len()).map_err(Trouble::at(&to))
    }

    /// Makes it a version that takes `size` bytes, on the disk before it has its name: a machine that
    /// loses its power must not find empty files here.
    pub(super) fn finish(self, size: u64) -> Result<(), Trouble> {
        let usage = self.path.join(USE);
        fs::write(&usage, size.to_string()).map_err(Trouble::at(&usage))?;
        if let Ok(directory) = File::open(&self.path) {
            let _best_effort = syncfs(directory);
        }
        // A version in this place is damaged, or has the other form.
        remove_version(&self.destination);
        fs::rename(&self.path, &self.destination).map_err(Trouble::at(&self.destination))
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Whether the locked file is still the one of that name: its last user may have removed it.
fn is_still_there(lock: &File, path: &Path) -> bool {
    let same = |(ours, theirs): (fs::Metadata, fs::Metadata)| {
        (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
    };
    lock.metadata().ok().zip(path.metadata().ok()).is_some_and(same)
}

/// Removes a version, of a locked slot, unless somebody holds it.
pub(super) fn remove_version(version: &Path) -> bool {
    // One without this file was left by nobody who could still be using it.
    if let Ok(lock) = File::options().write(true).open(version.join(USE))
        && lock.try_lock().is_err()
    {
        return false;
    }
    let gone = version.with_extension(GONE);
    let removed = fs::rename(version, &gone).is_ok();
    let _next_time = remove_tree(&gone);
    removed
}

/// A document of ours; one that is damaged counts as missing.
fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&file::read(path).ok()??).ok()
}

fn write(path: &Path, document: &impl serde::Serialize) -> io::Result<()> {
    file::write(path, &serde_json::to_vec(document)?).map_err(|error| error.cause)
}

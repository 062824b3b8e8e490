//! Makes room: what nobody holds and nobody has used for longest goes first (platform, section 2.2).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::slot::{Slot, USE, remove_version};
use crate::size::Size;

/// Something that takes room.
struct Item {
    key: OsString,
    path: PathBuf,
    size: u64,
    used: SystemTime,
}

/// Removes until everything in `cache` together is no larger than `limit`, or nothing can be removed
/// any more; gives whether anything was. `own` is the place this process works in: its part stays.
pub(super) fn make(cache: &Path, own: &Slot, limit: Size) -> bool {
    let mut items = items(cache);
    let mut total = items.iter().map(|item| item.size).fold(0, u64::saturating_add);
    items.sort_by_key(|item| item.used);
    let mut removed = false;
    for item in &items {
        if total <= limit.0 {
            break;
        }
        if remove(cache, own, item) {
            total -= item.size;
            removed = true;
        }
    }
    removed
}

fn remove(cache: &Path, own: &Slot, item: &Item) -> bool {
    let is_version = item.path.is_dir();
    if own.path().file_name() == Some(&item.key) {
        return is_version && remove_version(&item.path);
    }
    let Some(slot) = Slot::try_lock(cache, &item.key) else { return false };
    slot.sweep();
    let removed = if is_version {
        remove_version(&item.path)
    } else {
        slot.discard_part();
        true
    };
    if slot.is_bare() {
        slot.remove();
    }
    removed
}

fn items(cache: &Path) -> Vec<Item> {
    let mut items = Vec::new();
    for slot in entries(cache).filter(|path| path.is_dir()) {
        let key = slot.file_name().unwrap_or_default();
        items.extend(entries(&slot).filter_map(|path| item(key, path)));
    }
    items
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A version or a part; records take no room worth counting.
fn item(key: &OsStr, path: PathBuf) -> Option<Item> {
    let found = path.symlink_metadata().ok()?;
    let key = key.to_owned();
    if path.file_name() == Some(OsStr::new("part")) {
        return Some(Item { key, size: found.len(), used: found.modified().ok()?, path });
    }
    if !found.is_dir() {
        return None;
    }
    let usage = path.join(USE);
    let size = fs::read_to_string(&usage).ok().and_then(|text| text.parse().ok());
    let used = usage.metadata().and_then(|file| file.modified());
    Some(Item { key, size: size.unwrap_or(0), used: used.unwrap_or(SystemTime::UNIX_EPOCH), path })
}

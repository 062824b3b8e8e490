//! The build artifacts cache: what buildpacks no longer in the order left there goes away.

use std::fs;

use lifecycle::file::remove_tree;
use lifecycle::report::{system_words, warn};

use crate::buildpack::{Key, Order};
use crate::config::Config;

/// Removes every direct entry that belongs to no buildpack of this staging (contract, section 3.7).
/// What can't be removed is named in a warning: it costs space, not correctness.
pub(crate) fn prune(config: &Config, order: &Order) {
    let mut kept: Vec<String> = order.supply().iter().map(Key::hash).collect();
    kept.push("final".to_owned());
    let entries = fs::read_dir(&config.cache_dir).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| !kept.iter().any(|name| entry.file_name() == **name)) {
        let path = entry.path();
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = if is_directory { remove_tree(&path) } else { fs::remove_file(&path) };
        if let Err(error) = removed {
            let (path, words) = (path.display(), system_words(&error));
            warn(&format!(
                "WARNING: could not remove {path} from the build artifacts cache: {words}"
            ));
        }
    }
}

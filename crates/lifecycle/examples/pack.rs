//! Packs as the builder does, for `scripts/bench-pack`:
//! `pack <root> <app> <droplet> [<cache directory> <cache>]`, droplet and cache side by side.

use std::ffi::OsStr;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::{env, thread};

use lifecycle::archive::error::PackError;
use lifecycle::archive::pack::{PackOptions, Packed, pack};
use lifecycle::archive::tree::Tree;
use lifecycle::report::{chain, say, warn};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let (droplet, cache) = match arguments.as_slice() {
        [root, app, droplet] => ((Tree::new(root).graft("app", app), droplet), None),
        [root, app, droplet, directory, cache] => {
            ((Tree::new(root).graft("app", app), droplet), Some((Tree::new(directory), cache)))
        }
        _ => {
            warn("usage: pack <root> <app> <droplet> [<cache directory> <cache>]");
            return ExitCode::FAILURE;
        }
    };
    thread::scope(|scope| {
        let cache = cache.map(|(tree, path)| scope.spawn(move || report(&tree, path)));
        let droplet = report(&droplet.0, droplet.1);
        match cache.map(thread::ScopedJoinHandle::join) {
            None | Some(Ok(true)) if droplet => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    })
}

/// Packs and prints what came of it; whether it went well.
fn report(tree: &Tree, path: &OsStr) -> bool {
    match to(tree, path.as_ref()) {
        Ok(packed) => say(&format!("{packed:?}")),
        Err(error) => {
            warn(&chain(&error));
            return false;
        }
    }
    true
}

fn to(tree: &Tree, path: &Path) -> Result<Packed, PackError> {
    let stop = AtomicBool::new(false);
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let output =
        File::create(path).map_err(|error| PackError::Write { path: path.to_owned(), error })?;
    pack(tree, &output, path, &PackOptions { threads, source_date_epoch: None, stop: &stop })
}

//! Packs what the buildpacks made: the contents directory with the app in it becomes the droplet,
//! the cache directory the output cache, side by side in one pass each.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use lifecycle::archive::error::PackError;
use lifecycle::archive::pack::{PackOptions, Packed, pack};
use lifecycle::archive::tree::Tree;
use lifecycle::environment::Environment;
use lifecycle::file::FileError;
use lifecycle::report::{system_words, warn};
use lifecycle::staging_report::{Origin, Output};

use crate::account;
use crate::error::{PackingError, StagingError};
use crate::layout::{make_directories, parent};
use crate::output::OutputFile;
use crate::staging::{Selected, Staging};

/// Threads that compress each of the two: that many keep up with the one that reads and the one that
/// takes the checksums, and each costs 3 MiB of staging's memory.
const MOST_THREADS: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// Packs droplet and cache, publishes both or none, and says what staging cost.
pub(crate) fn deliver(staging: &Staging<'_>, selected: &Selected) -> Result<(), StagingError> {
    let origin = complete(staging)?;
    let (config, cleanup) = (staging.config, staging.cleanup);
    let droplet = OutputFile::create(&config.output_droplet, cleanup).map_err(droplet_error)?;
    make_directories(&parent(&config.output_cache)).map_err(StagingError::CacheDir)?;
    let cache = OutputFile::create(&config.output_cache, cleanup).map_err(cache_error)?;
    let (droplet, cache) = staging.outputs.get_or_init(|| (droplet, cache));

    let started = Instant::now();
    let (packed_droplet, packed_cache) = pack_both(staging, droplet, cache)?;
    let bytes = packed_droplet.tar_bytes + packed_cache.tar_bytes;
    staging.account.packed(started.elapsed(), bytes);
    OutputFile::publish(&[droplet, cache], cleanup)?;

    let (droplet, cache) = (output(packed_droplet), output(packed_cache));
    let report = staging.account.report((staging, selected), origin, droplet, cache);
    account::print(&report);
    let directory = parent(&config.output_metadata);
    if let Err(error) = report.write(&directory) {
        let (directory, words) = (directory.display(), system_words(&error));
        warn(&format!("WARNING: no staging report in {directory}: {words}"));
    }
    Ok(())
}

/// Adds to the contents directory what every droplet has beside the buildpacks' own things.
fn complete(staging: &Staging<'_>) -> Result<Origin, FileError> {
    let stack = staging.environment.get("CF_STACK").unwrap_or_default();
    let origin = Origin::here(stack.to_string_lossy().into_owned());
    let contents = staging.layout.contents();
    origin.write(contents).map_err(FileError::on("write", contents))?;
    staging.layout.complete()?;
    Ok(origin)
}

/// Packs side by side: the small one costs no time of its own.
fn pack_both(
    staging: &Staging<'_>,
    droplet: &OutputFile,
    cache: &OutputFile,
) -> Result<(Packed, Packed), StagingError> {
    let config = staging.config;
    let droplet_tree = Tree::new(staging.layout.contents()).graft("app", &config.build_dir);
    let cache_tree = Tree::new(&config.cache_dir);
    let stop = AtomicBool::new(false);
    let options = PackOptions {
        threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).min(MOST_THREADS),
        source_date_epoch: source_date_epoch(staging.environment),
        outputs: &[&droplet.file, &cache.file],
        stop: &stop,
    };
    let one = |tree: &Tree, output: &OutputFile, path: &Path| {
        pack(tree, &output.file, path, &options)
            .inspect_err(|_| stop.store(true, Ordering::Relaxed))
    };
    let pack_cache = || one(&cache_tree, cache, &config.output_cache);
    let (packed_droplet, packed_cache) = thread::scope(|scope| {
        let beside = thread::Builder::new().spawn_scoped(scope, pack_cache);
        let droplet = one(&droplet_tree, droplet, &config.output_droplet);
        let cache = match beside {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No more threads are allowed here: one after the other.
            Err(_) => pack_cache(),
        };
        (droplet, cache)
    });
    match (packed_droplet, packed_cache) {
        (Ok(droplet), Ok(cache)) => {
            droplet.warnings.iter().chain(&cache.warnings).for_each(|warning| warn(warning));
            Ok((droplet, cache))
        }
        // The droplet was only stopped because the cache had failed.
        (Err(PackError::Stopped) | Ok(_), Err(error)) => Err(cache_error(error)),
        (Err(error), _) => Err(droplet_error(error)),
    }
}

/// The time that no file in an archive may be newer than, in seconds since 1970.
fn source_date_epoch(environment: &Environment) -> Option<i64> {
    let text = environment.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty())?;
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    if seconds.is_none() {
        let text = text.display();
        warn(&format!("WARNING: SOURCE_DATE_EPOCH is not a number of seconds, ignored: {text}"));
    }
    seconds
}

fn output(packed: Packed) -> Output {
    Output {
        bytes: packed.bytes,
        unpacked_bytes: packed.tar_bytes,
        sha256: packed.sha256,
        sha1: packed.sha1,
    }
}

fn droplet_error(error: impl Into<PackingError>) -> StagingError {
    StagingError::Droplet(error.into())
}

fn cache_error(error: impl Into<PackingError>) -> StagingError {
    StagingError::Cache(error.into())
}

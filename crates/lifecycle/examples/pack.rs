//! Packs as the builder does, for `scripts/bench-pack`: `pack <root> <app> <archive>`.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::{env, fs, thread};

use lifecycle::archive::error::PackError;
use lifecycle::archive::pack::{PackOptions, pack};
use lifecycle::archive::tree::Tree;
use lifecycle::report::{chain, say, warn};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [root, app, archive] = arguments.as_slice() else {
        warn("usage: pack <root> <app> <archive>");
        return ExitCode::FAILURE;
    };
    let stop = AtomicBool::new(false);
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = PackOptions { threads, source_date_epoch: None, stop: &stop };
    let create = |error| PackError::Write { path: archive.into(), error };
    let tree = Tree::new(root).graft("app", app);
    let output = fs::File::create(archive).map_err(create);
    match output.and_then(|output| pack(&tree, &output, archive.as_ref(), &options)) {
        Ok(packed) => say(&format!("{packed:?}")),
        Err(error) => {
            warn(&chain(&error));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

//! Downloads as a cell does: `download CACHE LIMIT URL [ALGORITHM VALUE]` prints the directory with
//! what is in the archive; `download archive …` prints the archive's own path.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example, and a process for tests")]

use std::process::ExitCode;
use std::{env, path::Path};

use lifecycle::download::{Asset, Cache, Checksum};
use lifecycle::environment::Environment;
use lifecycle::http::{Client, transfer::TIMEOUTS};
use lifecycle::report::warn;
use lifecycle::size::Size;
use lifecycle::url::Url;

fn main() -> ExitCode {
    let mut words: Vec<String> = env::args().skip(1).collect();
    let as_it_is = words.first().is_some_and(|first| first == "archive");
    if as_it_is {
        words.remove(0);
    }
    let client = Client::new(&Environment::inherited(), TIMEOUTS);
    let cache = Cache::open(Path::new(&words[0]), Size(words[1].parse().unwrap()), client).unwrap();
    let checksum = words.get(3).map(|algorithm| Checksum::new(algorithm, &words[4]).unwrap());
    let asset = Asset { url: Url::parse(&words[2]).unwrap(), checksum };
    match if as_it_is { cache.archive(&asset) } else { cache.directory(&asset) } {
        Ok(held) => {
            let how = if held.was_cached() { "cached" } else { "downloaded" };
            println!("{how} {} {}", held.size(), held.path().display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            warn(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

//! Buildpacks given by URL are brought side by side: a path that ends in `.zip` is downloaded and
//! unpacked, anything else is cloned with git (contract, sections 3.5 and 3.6).
//!
//! What is printed and which failure is reported follow the order of the buildpacks all the same.

mod git;
mod zip;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use lifecycle::archive::unzip::UnzipError;
use lifecycle::environment::Environment;
use lifecycle::http::transfer::TransferError;
use lifecycle::report::say;
use lifecycle::size::Size;
use lifecycle::url::Url;

use crate::cleanup::Cleanup;
use git::CloneFailure;

/// More than this many at a time would only share the same line.
const SIDE_BY_SIDE: usize = 8;

/// A buildpack to bring.
#[derive(Clone, Debug)]
pub(crate) struct Download {
    /// Where it is; a scheme is taken for granted.
    pub(crate) url: Url,
    /// The directory it becomes, replaced if it is there.
    pub(crate) destination: PathBuf,
}

/// What all fetches have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchOptions<'a> {
    /// Take any certificate of an https server; for zips only.
    pub(crate) skip_cert_verify: bool,
    /// Proxies and certificate paths for zips, everything for git; `TMPDIR` for the zips.
    pub(crate) environment: &'a Environment,
    /// Told of files and directories that must not outlive a failure.
    pub(crate) cleanup: &'a Cleanup,
}

/// A buildpack that was brought.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// Where from.
    pub(crate) url: Url,
    /// The size of the zip; with git that of all files, git's own among them.
    pub(crate) bytes: u64,
    /// How long it took, waiting and unpacking included.
    pub(crate) elapsed: Duration,
}

impl Fetched {
    /// The line on stdout, of zips only.
    fn line(&self) -> String {
        format!("Downloaded buildpack `{}` ({})", self.url.masked(), Size(self.bytes))
    }
}

/// Why a buildpack could not be brought. Passwords are masked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The zip did not come.
    #[error("Failed to download buildpack '{url}'")]
    Download {
        /// The key, masked.
        url: String,
        /// Why the last attempt failed.
        #[source]
        reason: TransferError,
        /// How many attempts were made.
        attempts: u32,
    },
    /// The zip came but is no usable zip.
    #[error("Failed to extract buildpack '{url}'")]
    Extract {
        /// The key, masked.
        url: String,
        /// What is wrong with it.
        #[source]
        reason: UnzipError,
    },
    /// git failed; [`FetchError::explanation`] tells what it said.
    #[error("Failed to clone git repository at {url}")]
    Clone {
        /// The URL without fragment, masked.
        url: String,
        /// Both attempts' output and what to make of it.
        failure: CloneFailure,
    },
    /// git is not installed.
    #[error("exec: \"git\": executable file not found in $PATH")]
    NoGit,
    /// An earlier buildpack failed, so this one was given up. Never reported: the earlier one is.
    #[error("given up because an earlier buildpack could not be fetched")]
    GivenUp,
}

impl FetchError {
    /// What happened in more words, one line each.
    pub(crate) fn explanation(&self) -> Vec<String> {
        match self {
            Self::Clone { failure, .. } => failure.lines(),
            Self::Download { attempts, .. } if *attempts > 1 => {
                vec![format!("Gave up after {attempts} attempts")]
            }
            _ => Vec::new(),
        }
    }

    /// What the system said, where that was the reason: lets a full disk be told from a bad zip.
    pub(crate) fn system_error(&self) -> Option<&io::Error> {
        match self {
            Self::Download { reason, .. } => reason.system_error(),
            Self::Extract { reason, .. } => reason.system_error(),
            _ => None,
        }
    }
}

/// One fetch among the others.
#[derive(Debug)]
struct Job<'a> {
    url: &'a Url,
    destination: &'a PathBuf,
    options: FetchOptions<'a>,
    index: usize,
    /// The first buildpack that failed.
    failed: &'a AtomicUsize,
}

impl Job<'_> {
    /// Whether an earlier buildpack failed, so that this one is of no use any more.
    fn is_given_up(&self) -> bool {
        self.failed.load(Ordering::Relaxed) < self.index
    }

    fn run(&self) -> Result<Fetched, FetchError> {
        let started = Instant::now();
        let guard = self.options.cleanup.guard(self.destination.clone());
        let bytes = if is_zip(self.url) { zip::fetch(self)? } else { git::fetch(self)? };
        guard.keep();
        let elapsed = started.elapsed();
        Ok(Fetched { url: self.url.clone(), bytes, elapsed })
    }
}

/// Whether `url` is a zip's: its path ends in `.zip`, whatever its query and fragment.
fn is_zip(url: &Url) -> bool {
    url.path().as_encoded_bytes().ends_with(b".zip")
}

/// Brings all `downloads`, and says so of each zip. Two with the same destination are one.
pub(crate) fn all(
    downloads: &[Download],
    options: &FetchOptions<'_>,
) -> Result<Vec<Fetched>, FetchError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let (sender, receiver) = mpsc::channel();
    let jobs: Vec<Job<'_>> = downloads
        .iter()
        .enumerate()
        .filter(|(index, it)| first_of(downloads, it) == *index)
        .map(|(index, Download { url, destination })| Job {
            url,
            destination,
            options: *options,
            index,
            failed: &failed,
        })
        .collect();
    thread::scope(|scope| {
        let work = || {
            let (sender, jobs, next) = (sender.clone(), &jobs, &next);
            move || {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome =
                        if job.is_given_up() { Err(FetchError::GivenUp) } else { job.run() };
                    if outcome.is_err() {
                        job.failed.fetch_min(job.index, Ordering::Relaxed);
                    }
                    let _nobody_waits = sender.send((job.index, outcome));
                }
            }
        };
        let start = |_: &usize| thread::Builder::new().spawn_scoped(scope, work()).is_ok();
        if (0..jobs.len().min(SIDE_BY_SIDE)).take_while(start).count() == 0 {
            // No more threads are allowed here: one after the other.
            work()();
        }
        drop(sender);
        in_order(downloads, &receiver)
    })
}

/// The position of the first download with the same destination.
fn first_of(downloads: &[Download], download: &Download) -> usize {
    let same = |other: &Download| other.destination == download.destination;
    downloads.iter().position(same).unwrap_or_default()
}

/// Takes outcomes as they come and reports them in the buildpacks' order.
fn in_order(
    downloads: &[Download],
    outcomes: &Receiver<(usize, Result<Fetched, FetchError>)>,
) -> Result<Vec<Fetched>, FetchError> {
    let mut waiting = BTreeMap::new();
    let mut done: Vec<Fetched> = Vec::new();
    for (index, outcome) in outcomes {
        waiting.insert(index, outcome);
        while let Some(download) = downloads.get(done.len()) {
            let first = first_of(downloads, download);
            let fetched = match done.get(first) {
                Some(same) => same.clone(),
                None => match waiting.remove(&first) {
                    Some(outcome) => outcome?,
                    None => break,
                },
            };
            if is_zip(&fetched.url) {
                say(&fetched.line());
            }
            done.push(fetched);
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests;

//! A buildpack's zip: downloaded into a temporary file, then unpacked.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lifecycle::archive::unzip::unzip;
use lifecycle::http::Client;
use lifecycle::http::transfer::{Failure, Order, Part, TIMEOUTS, TransferError};

use super::{FetchError, FetchOptions, Job};

/// Bytes of the URL's last element that the temporary file's name keeps.
const NAME_LENGTH: usize = 100;

/// Downloads and unpacks; gives the zip's size.
pub(super) fn fetch(job: &Job<'_>) -> Result<u64, FetchError> {
    let failed = |Failure { reason, attempts }| match reason {
        TransferError::GivenUp => FetchError::GivenUp,
        reason => FetchError::Download { url: job.url.masked(), reason, attempts },
    };
    let made = job.options.cleanup.make(|| temporary(job));
    let (guard, file) = made.map_err(|reason| failed(Failure { reason, attempts: 1 }))?;
    let mut part = Part::new(file, guard.path());
    let order = Order {
        client: &client(&job.options),
        url: job.url,
        conditions: Vec::new(),
        is_given_up: &|| job.is_given_up(),
        on_start: &|_| Ok(()),
    };
    part.complete(&order).map_err(failed)?;
    unzip(guard.path(), job.destination)
        .map_err(|reason| FetchError::Extract { url: job.url.masked(), reason })?;
    Ok(part.length())
}

fn client(options: &FetchOptions<'_>) -> Client {
    let client = Client::new(options.environment, TIMEOUTS);
    if options.skip_cert_verify { client.without_verification() } else { client }
}

/// A new file in `$TMPDIR`, named after the last element of the URL's path and random digits, which
/// take the place of a `*` in it.
fn temporary(job: &Job<'_>) -> Result<(PathBuf, File), TransferError> {
    let directory = job.options.environment.temporary_directory();
    let name = Path::new(job.url.path()).file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(NAME_LENGTH).collect();
    let digits = RandomState::new().hash_one(&name);
    let (before, after) = name.rsplit_once('*').unwrap_or((&name, ""));
    let path = directory.join(format!("{before}{digits}{after}"));
    let mut options = File::options();
    match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
        Ok(file) => Ok((path, file)),
        Err(cause) => Err(TransferError::File { path: directory.to_owned(), cause }),
    }
}

//! What containers are filled with, served and fetched as the platform does it: files go to the file server's
//! directory, and come back through its downloader, verified and cached.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use file_server::{FileServer, Serving};
use lifecycle::download::{Asset, Cache, Checksum, DownloadError, Held, PLATFORM_LIMIT};
use lifecycle::environment::Environment;
use lifecycle::file::FileError;
use lifecycle::http::Client;
use lifecycle::http::transfer::TIMEOUTS;
use lifecycle::url::{Url, UrlError};
use nix::fcntl::{Flock, FlockArg};

use crate::state::State;

/// The ending of what is not whole yet.
const PARTIAL: &str = "partial";
/// How long what nobody asks for is served.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Why something can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// A file can't be offered.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file server does not start.
    #[error(transparent)]
    Server(#[from] file_server::Error),
    /// Its URL, or one given, is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The download failed.
    #[error(transparent)]
    Download(#[from] DownloadError),
    /// A file of this machine's can't be taken.
    #[error("{}: {}", file.display(), error.trouble())]
    Local {
        /// Which.
        file: PathBuf,
        /// Why.
        error: DownloadError,
    },
}

/// A file server and the downloader's cache.
#[derive(Debug)]
pub(crate) struct Warehouse {
    served: PathBuf,
    last_port: PathBuf,
    lock: PathBuf,
    cache: Cache,
}

/// A server of this machine's files; there is one at a time.
struct Server {
    serving: Serving,
    _lock: Flock<File>,
}

impl Warehouse {
    /// That of `state`.
    pub(crate) fn open(state: &State, environment: &Environment) -> Result<Self, WarehouseError> {
        let downloads = state.place("downloads");
        let client = Client::new(environment, TIMEOUTS);
        Ok(Self {
            served: state.place("served"),
            last_port: state.place("served-port"),
            lock: state.place("served-lock"),
            cache: Cache::open(&downloads, PLATFORM_LIMIT, client)
                .map_err(FileError::on("mkdir", &downloads))?,
        })
    }

    /// Starts the server, on the port it had before if that is free: the cache goes by URL. Two servers at once would
    /// fill it twice, so that another cell waits until this one has its file.
    fn serve(&self) -> Result<Server, WarehouseError> {
        let lock = lock(&self.lock)?;
        sweep(&self.served);
        let port = fs::read_to_string(&self.last_port)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        let at =
            |port| FileServer::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), &self.served);
        let serving = at(port).or_else(|_| at(0))?.start()?;
        if let Ok(url) = Url::parse(serving.url()) {
            let host = url.host();
            let _slower_next_time =
                fs::write(&self.last_port, host.rsplit(':').next().unwrap_or_default());
        }
        Ok(Server { serving, _lock: lock })
    }

    /// Fetches a file of this machine, unpacked, by way of the file server and with its checksum.
    pub(crate) fn directory(&self, file: &Path) -> Result<Held, WarehouseError> {
        let checksum = Checksum::sha256_of(file).map_err(FileError::on("read", file))?;
        let sum = checksum.value();
        let up = self.serve()?;
        let served = self.served.join(sum);
        if served.exists() {
            let _sooner_swept =
                File::open(&served).and_then(|it| it.set_modified(SystemTime::now()));
        } else {
            let partial = self.served.join(format!("{sum}.{PARTIAL}"));
            let copied = fs::copy(file, &partial).and_then(|_| fs::rename(&partial, &served));
            if copied.is_err() {
                let _swept_next_time = fs::remove_file(&partial);
            }
            copied.map_err(|error| {
                let is_full = error.kind() == io::ErrorKind::StorageFull;
                FileError::on("copy", if is_full { &served } else { file })(error)
            })?;
        }
        let url = Url::parse(&format!("{}{sum}", up.serving.url()))?;
        let taken = self.cache.directory(&Asset { url, checksum: Some(checksum) });
        // Whoever named a file is not to read the URL it was served under.
        taken.map_err(|error| WarehouseError::Local { file: file.to_owned(), error })
    }

    /// Fetches what is at a URL, unpacked.
    pub(crate) fn remote(&self, url: &str) -> Result<Held, WarehouseError> {
        Ok(self.cache.directory(&Asset { url: Url::parse(url)?, checksum: None })?)
    }
}

fn lock(path: &Path) -> Result<Flock<File>, WarehouseError> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
    Flock::lock(file.map_err(FileError::on("open", path))?, FlockArg::LockExclusive)
        .map_err(|(_, errno)| FileError::on("lock", path)(errno.into()).into())
}

/// Removes what a cell that was killed copied half, and what nobody asked for lately.
fn sweep(served: &Path) {
    for entry in fs::read_dir(served).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_partial = path.extension().is_some_and(|ending| ending == PARTIAL);
        let time = entry.metadata().and_then(|it| it.modified()).ok();
        let is_old = time.and_then(|it| it.elapsed().ok()).is_some_and(|age| age > KEPT);
        if is_partial || is_old {
            let _next_time = fs::remove_file(path);
        }
    }
}

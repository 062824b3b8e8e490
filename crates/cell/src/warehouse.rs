//! What containers are filled with, served and fetched as the platform does it: files go to the file server's
//! directory, and come back through its downloader, verified and cached.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use file_server::{FileServer, Serving};
use lifecycle::download::{Asset, Cache, Checksum, DownloadError, Held, PLATFORM_LIMIT};
use lifecycle::environment::Environment;
use lifecycle::http::Client;
use lifecycle::http::transfer::TIMEOUTS;
use lifecycle::report::system_words;
use lifecycle::url::{Url, UrlError};

use crate::state::State;

/// Why something can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// A file can't be offered.
    #[error("{call} {}: {}", path.display(), system_words(source))]
    System {
        /// What failed: `open`.
        call: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file server does not start.
    #[error(transparent)]
    Server(#[from] file_server::Error),
    /// Its URL, or one given, is none.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The download failed.
    #[error(transparent)]
    Download(#[from] DownloadError),
}

/// A file server and the downloader's cache.
#[derive(Debug)]
pub struct Warehouse {
    served: PathBuf,
    server: Serving,
    cache: Cache,
}

impl Warehouse {
    /// Starts the server, on the port it had before if that is free: the cache goes by URL.
    pub fn open(state: &State, environment: &Environment) -> Result<Self, WarehouseError> {
        let (served, downloads) = (state.place("served"), state.place("downloads"));
        let last_port = state.place("served-port");
        let port = fs::read_to_string(&last_port)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        let at = |port| FileServer::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), &served);
        let serving = at(port).or_else(|_| at(0))?.start()?;
        if let Ok(url) = Url::parse(serving.url()) {
            let host = url.host();
            let _slower_next_time =
                fs::write(&last_port, host.rsplit(':').next().unwrap_or_default());
        }
        let on = |source| WarehouseError::System { call: "mkdir", path: downloads.clone(), source };
        let client = Client::new(environment, TIMEOUTS);
        let cache = Cache::open(&downloads, PLATFORM_LIMIT, client).map_err(on)?;
        Ok(Self { served, server: serving, cache })
    }

    /// Fetches a file of this machine, unpacked, by way of the file server and with its checksum.
    pub fn directory(&self, file: &Path) -> Result<Held, WarehouseError> {
        let on =
            |call| move |source| WarehouseError::System { call, path: file.to_owned(), source };
        let checksum = Checksum::sha256_of(file).map_err(on("read"))?;
        let sum = checksum.value();
        let served = self.served.join(sum);
        if !served.exists() {
            let partial = self.served.join(format!("{sum}.{}.partial", std::process::id()));
            fs::copy(file, &partial)
                .and_then(|_| fs::rename(&partial, &served))
                .map_err(on("copy"))?;
        }
        let url = Url::parse(&format!("{}{sum}", self.server.url()))?;
        Ok(self.cache.directory(&Asset { url, checksum: Some(checksum) })?)
    }

    /// Fetches what is at a URL, unpacked.
    pub fn remote(&self, url: &str) -> Result<Held, WarehouseError> {
        Ok(self.cache.directory(&Asset { url: Url::parse(url)?, checksum: None })?)
    }
}

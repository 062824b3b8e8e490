//! What a cell downloads: brought with retries and resumed, verified, unpacked and kept, by URL and
//! validators, in a directory that several processes share (platform, section 2.2).
//!
//! [`Cache::archive`] gives a file, [`Cache::directory`] what is in it. Both ask the server each time
//! whether there is something new, and hold what they give: nothing held is ever removed.

mod checksum;
mod error;
mod record;
mod room;
mod slot;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use checksum::{Algorithm, Checksum, ChecksumError};
pub use error::{DownloadError, Trouble};

use crate::archive::unpack::unpack;
use crate::http::Client;
use crate::http::transfer::{Arrival, Failure, Order, Version};
use crate::size::Size;
use crate::url::Url;
use record::Record;
use slot::{Slot, Usage};

/// What the platform lets a cell keep: 10 GB.
pub const PLATFORM_LIMIT: Size = Size(10_000_000_000);

/// Something to download.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Where it is.
    pub url: Url,
    /// What it must be; lifecycle bundles come without (platform, section 1.4).
    pub checksum: Option<Checksum>,
}

/// A directory of downloads, shared with other processes.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    limit: Size,
    client: Client,
}

/// Something of the cache that stays as long as this value, and is not to be changed.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    size: Size,
    cached: bool,
    _usage: Usage,
}

impl Held {
    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes were downloaded for it, now or earlier.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Whether nothing had to be downloaded.
    pub fn was_cached(&self) -> bool {
        self.cached
    }
}

/// What an asset is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Archive,
    Directory,
}

impl Form {
    /// Its name in the cache, within a version's directory.
    fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Directory => "directory",
        }
    }
}

impl Cache {
    /// The cache in `directory`, which is made if it is not there. What nobody holds is removed,
    /// the longest unused first, as long as all together is larger than `limit`.
    pub fn open(directory: &Path, limit: Size, client: Client) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        Ok(Self { directory: fs::canonicalize(directory)?, limit, client })
    }

    /// The asset as it is.
    pub fn archive(&self, asset: &Asset) -> Result<Held, DownloadError> {
        self.get(asset, Form::Archive)
    }

    /// The asset unpacked.
    pub fn directory(&self, asset: &Asset) -> Result<Held, DownloadError> {
        self.get(asset, Form::Directory)
    }

    fn get(&self, asset: &Asset, form: Form) -> Result<Held, DownloadError> {
        let failed = |trouble| DownloadError::new(&asset.url, trouble);
        let slot = Slot::lock(&self.directory, &key(asset, form)).map_err(failed)?;
        let mut brought = self.bring(&slot, asset, form);
        if brought.as_ref().is_err_and(Trouble::is_full_disk)
            && room::make(&self.directory, &slot, Size(0))
        {
            brought = self.bring(&slot, asset, form);
        }
        if brought.is_err() && slot.is_bare() {
            slot.remove();
            return brought.map_err(failed);
        }
        room::make(&self.directory, &slot, self.limit);
        brought.map_err(failed)
    }

    /// What is here, if the server has nothing new and it is what it must be; else what it has.
    fn bring(&self, slot: &Slot, asset: &Asset, form: Form) -> Result<Held, Trouble> {
        let known = slot
            .record()
            .filter(|known| known.meets(asset.checksum.as_ref()) && slot.holds(known, form.name()));
        let (mut part, resumed) = slot.part()?;
        let arrival = part.complete(&Order {
            client: &self.client,
            url: &asset.url,
            conditions: known.as_ref().map(Record::conditions).unwrap_or_default(),
            is_given_up: &|| false,
            on_start: &|version| slot.begin_part(version),
        });
        let arrival = arrival.map_err(|Failure { reason, attempts }| {
            let trouble = Trouble::Transfer { reason, attempts };
            if trouble.is_full_disk() || part.length() == 0 {
                slot.discard_part();
            }
            trouble
        })?;
        if let (Arrival::NotModified, Some(record)) = (arrival, known) {
            slot.discard_part();
            return hold(slot, &record, form, true);
        }
        let stored = store(slot, asset, form, part.version());
        slot.discard_part();
        slot.sweep();
        match stored {
            // What was here of an earlier attempt may have been another file's.
            Err(trouble) if resumed && trouble.is_of_the_file() => self.bring(slot, asset, form),
            stored => hold(slot, &stored?, form, false),
        }
    }
}

/// Names the place of an asset: URLs do not make file names.
fn key(asset: &Asset, form: Form) -> String {
    checksum::sha256(format!("{} {}", form.name(), asset.url).as_bytes())
}

/// Verifies and unpacks what has come, and puts it where it is kept, whole or not at all.
fn store(slot: &Slot, asset: &Asset, form: Form, version: &Version) -> Result<Record, Trouble> {
    let checksums = checksum::of_file(slot.part_path(), asset.checksum.as_ref())
        .map_err(Trouble::at(slot.part_path()))?;
    if let Some(expected) = &asset.checksum {
        expected.check(&checksums.0)?;
    }
    let record = Record::new(&asset.url, version, checksums);
    if !slot.holds(&record, form.name()) {
        let new = slot.new_version(&record)?;
        let size = match form {
            Form::Archive => new.take_part(form.name())?,
            Form::Directory => {
                let unpacked = unpack(slot.part_path(), &new.path().join(form.name()));
                unpacked.map_err(Trouble::Unpack)?.bytes
            }
        };
        new.finish(size)?;
    }
    slot.set_record(&record)?;
    Ok(record)
}

fn hold(slot: &Slot, record: &Record, form: Form, cached: bool) -> Result<Held, Trouble> {
    let usage = slot.hold(record)?;
    let path = slot.version(record).join(form.name());
    Ok(Held { path, size: Size(record.size), cached, _usage: usage })
}

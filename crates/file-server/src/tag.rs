//! Entity tags: the SHA-256 of a file's content, the same after every start and on every server
//! (platform, section 2.1). Reckoned once for a file as it is: one that was changed gets a new one.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// So many tags are remembered; then all are forgotten, which costs time and nothing else.
const MAX_REMEMBERED: usize = 10_000;
/// So many files are reckoned at a time: clients that ask for the same one wait for one reckoning.
const AT_ONCE: usize = 2;
/// A file may be changed twice within one tick of the kernel's clock: a fresh one is reckoned again.
const SETTLED: Duration = Duration::from_secs(2);
const CHUNK: usize = 128 << 10;

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Tags of the files asked for so far.
#[derive(Debug)]
pub(crate) struct Tags {
    known: Arc<Mutex<HashMap<Fingerprint, String>>>,
    permits: Arc<Semaphore>,
}

impl Tags {
    pub(crate) fn new() -> Self {
        Self { known: Arc::default(), permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The tag of an open file, quoted.
    pub(crate) async fn of(&self, file: &Arc<File>, metadata: &Metadata) -> io::Result<String> {
        let fingerprint = Fingerprint::of(metadata);
        if let Some(tag) = self.known(&fingerprint) {
            return Ok(tag);
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        if let Some(tag) = self.known(&fingerprint) {
            return Ok(tag);
        }
        let (file, known) = (Arc::clone(file), Arc::clone(&self.known));
        // It is remembered even if the client has lost its patience: it will come again.
        let reckoning = spawn_blocking(move || {
            // Kept until the end, or clients that come again would start it again each time.
            let _permit = permit;
            let tag = format!("\"{}\"", sha256(&file)?);
            if fingerprint.is_settled() && Fingerprint::of(&file.metadata()?) == fingerprint {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= MAX_REMEMBERED {
                    known.clear();
                }
                known.insert(fingerprint, tag.clone());
            }
            Ok(tag)
        });
        reckoning.await.unwrap_or_else(|ended| Err(io::Error::other(ended)))
    }

    fn known(&self, fingerprint: &Fingerprint) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(fingerprint).cloned()
    }
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_settled(&self) -> bool {
        let seconds = Duration::from_secs(self.changed.0.unsigned_abs());
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH + seconds)
            .is_ok_and(|age| age >= SETTLED)
    }
}

fn sha256(file: &File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let count = file.read_at(&mut chunk, at)?;
        if count == 0 {
            return Ok(format!("{:x}", Bytes::copy_from_slice(&hash.finalize())));
        }
        hash.update(&chunk[..count]);
        at += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    /// The permit went with the client, so every client that lost its patience left a thread reckoning
    /// and made room for one more, up to all that read files.
    #[test]
    fn clients_that_go_do_not_make_room_for_more_reckonings() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let file = tempfile::tempfile().unwrap();
        file.set_len(32 << 20).unwrap();
        let (file, tags) = (Arc::new(file), Tags::new());
        let metadata = file.metadata().unwrap();
        runtime.block_on(async {
            let mut asked = pin!(Some(tags.of(&file, &metadata)));
            poll_fn(|context| {
                assert!(asked.as_mut().as_pin_mut().unwrap().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            asked.set(None);
            assert_eq!(tags.permits.available_permits(), AT_ONCE - 1);
        });
    }
}

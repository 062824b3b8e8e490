//! Lookups of names, which block: on a thread, if there is one to be had.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use nix::errno::Errno;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// So many names of one client are looked up at a time: other clients' names need threads, too.
const MOST: usize = 8;

/// No name is longer, in bytes (RFC 1035 2.3.4).
pub(super) const LONGEST_NAME: usize = 255;

/// The lookups of one client.
#[derive(Clone, Debug)]
pub struct Lookups(Arc<Semaphore>);

impl Default for Lookups {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Lookups {
    /// What `work` gives, from a thread of its own once there are not too many; `EAGAIN` in a container that has
    /// as many processes and threads as it may have. The runtime panics there, and the client would never get
    /// its answer.
    pub(super) async fn on_a_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let counted = move || {
            // Not before the thread is free: nobody may wait any more for what it does.
            let _permit = permit;
            work()
        };
        let task = catch_unwind(AssertUnwindSafe(|| spawn_blocking(counted)))
            .map_err(|_panic| io::Error::from(Errno::EAGAIN))?;
        task.await.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::runtime::Builder;

    use super::super::dial;
    use super::super::listeners::bind_tcp;
    use super::*;

    #[test]
    fn where_no_thread_is_to_be_had_clients_get_an_answer() {
        // The tasks panicked: a channel was never answered, and all that the client had listened on was lost.
        let too_much = isize::MAX.unsigned_abs();
        let runtime =
            Builder::new_current_thread().enable_all().thread_stack_size(too_much).build().unwrap();
        let lookups = Lookups::default();
        runtime.block_on(async {
            let error = dial::tcp(b"name.invalid", 80, &lookups).await.unwrap_err().to_string();
            assert_eq!(error, "dial tcp: lookup name.invalid: resource temporarily unavailable");
            let error = bind_tcp(b"name.invalid", 0, &lookups).await.unwrap_err();
            assert_eq!(error.to_string(), "listen: resource temporarily unavailable");
        });
    }

    #[test]
    fn lookups_of_one_client_that_stall_leave_threads_to_the_others() {
        // With 900 names that nobody answered for, no other client was connected to anything for half a minute.
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(MOST + 1).build();
        runtime.unwrap().block_on(async {
            let stalled = Lookups::default();
            let (senders, receivers): (Vec<_>, Vec<_>) =
                (0..100).map(|_| mpsc::channel::<()>()).unzip();
            for receiver in receivers {
                let stalled = stalled.clone();
                tokio::spawn(async move { stalled.on_a_thread(move || receiver.recv()).await });
            }
            tokio::task::yield_now().await;
            assert_eq!(stalled.0.available_permits(), 0);
            assert_eq!(Lookups::default().on_a_thread(|| 7).await.unwrap(), 7);
            drop(senders);
        });
    }
}

//! Lookups of names, which block: on a thread, if there is one to be had.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use tokio::task::spawn_blocking;

/// What `work` gives, from a thread of its own; `EAGAIN` in a container that has as many processes and
/// threads as it may have. The runtime panics there, and the client would never get its answer.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let task = catch_unwind(AssertUnwindSafe(|| spawn_blocking(work)))
        .map_err(|_panic| io::Error::from(Errno::EAGAIN))?;
    task.await.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::super::dial;
    use super::super::listeners::Listeners;

    #[test]
    fn where_no_thread_is_to_be_had_clients_get_an_answer() {
        // The tasks panicked: a channel was never answered, and all that the client had listened on was lost.
        let too_much = isize::MAX.unsigned_abs();
        let runtime =
            Builder::new_current_thread().enable_all().thread_stack_size(too_much).build().unwrap();
        runtime.block_on(async {
            let error = dial::tcp(b"name.invalid", 80).await.unwrap_err().to_string();
            assert_eq!(error, "dial tcp: lookup name.invalid: resource temporarily unavailable");
            let error = Listeners::default().listen_tcp(b"localhost", 0).await.unwrap_err();
            assert_eq!(error.to_string(), "listen: resource temporarily unavailable");
        });
    }
}

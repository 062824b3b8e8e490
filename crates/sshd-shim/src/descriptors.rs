//! How many descriptors this process may have open: as many as the hard limit says, while programs
//! it starts get the soft limit it was started with, as they expect (contract sshd 9.1).

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::pipe2;

/// So many pipes hold numbers below the original limit: starting a program takes up to three, and another
/// thread may take some just then.
const RESERVED: usize = 4;

/// The limit this process was started with, and the one it has.
#[derive(Debug)]
pub struct DescriptorLimit {
    original: rlim_t,
    raised: rlim_t,
    /// Their numbers are free while a program is started, however many descriptors are open.
    reserve: Mutex<Vec<(OwnedFd, OwnedFd)>>,
}

impl DescriptorLimit {
    /// Raises the soft limit to the hard one. Where that is not possible, all stays as it is.
    pub fn raise() -> Self {
        let Ok((original, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return Self { original: 0, raised: 0, reserve: Mutex::default() };
        };
        let done = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        let raised = if done { hard } else { original };
        Self { original, raised, reserve: Mutex::new(lowest()) }
    }

    /// Does `work`, which starts a program, under the original limit. Descriptors already open are
    /// not affected; another thread that opens one beyond that limit at this very moment fails.
    pub fn original<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.raised == self.original {
            return work();
        }
        let mut reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        reserve.clear();
        let lowered = setrlimit(Resource::RLIMIT_NOFILE, self.original, self.raised).is_ok();
        let result = work();
        if lowered {
            let _possible_before = setrlimit(Resource::RLIMIT_NOFILE, self.raised, self.raised);
        }
        *reserve = lowest();
        result
    }
}

/// Pipes with the lowest numbers that are free.
fn lowest() -> Vec<(OwnedFd, OwnedFd)> {
    (0..RESERVED).map_while(|_| pipe2(OFlag::O_CLOEXEC).ok()).collect()
}

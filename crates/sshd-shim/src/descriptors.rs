//! How many descriptors this process may have open: as many as the hard limit says, while programs
//! it starts get the soft limit it was started with, as they expect (contract sshd 9.1).

use std::iter;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Mutex, PoisonError};

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// So many numbers below the original limit are held: starting a program takes up to three, and another thread
/// may take some just then.
const RESERVED: usize = 8;

/// The limit this process was started with, and the one it has.
#[derive(Debug)]
pub struct DescriptorLimit {
    original: rlim_t,
    raised: rlim_t,
    /// Their numbers are free while a program is started, however many descriptors are open.
    reserve: Mutex<Vec<OwnedFd>>,
}

impl DescriptorLimit {
    /// Raises the soft limit to the hard one. Where that is not possible, all stays as it is.
    pub fn raise() -> Self {
        let Ok((original, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return Self { original: 0, raised: 0, reserve: Mutex::default() };
        };
        let done = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        let raised = if done { hard } else { original };
        let reserve = if raised == original { Vec::new() } else { lowest() };
        Self { original, raised, reserve: Mutex::new(reserve) }
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

/// Descriptors with the lowest numbers that are free, all of one socket: pipes count against a limit that all
/// containers of a user share.
fn lowest() -> Vec<OwnedFd> {
    let first = UnixDatagram::unbound().ok().map(OwnedFd::from);
    iter::successors(first, |last| last.try_clone().ok()).take(RESERVED).collect()
}

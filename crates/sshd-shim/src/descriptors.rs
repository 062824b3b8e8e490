//! How many descriptors this process may have open: as many as the hard limit says, while programs
//! it starts get the soft limit it was started with, as they expect (contract sshd 9.1).

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The limit this process was started with, and the one it has.
#[derive(Clone, Copy, Debug)]
pub struct DescriptorLimit {
    original: rlim_t,
    raised: rlim_t,
}

impl DescriptorLimit {
    /// Raises the soft limit to the hard one. Where that is not possible, all stays as it is.
    pub fn raise() -> Self {
        let Ok((original, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return Self { original: 0, raised: 0 };
        };
        let done = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        Self { original, raised: if done { hard } else { original } }
    }

    /// Does `work`, which starts a program, under the original limit. Descriptors already open are
    /// not affected; another thread that opens one beyond that limit at this very moment fails.
    pub fn original<T>(self, work: impl FnOnce() -> T) -> T {
        if self.raised == self.original {
            return work();
        }
        let lowered = setrlimit(Resource::RLIMIT_NOFILE, self.original, self.raised).is_ok();
        let result = work();
        if lowered {
            let _possible_before = setrlimit(Resource::RLIMIT_NOFILE, self.raised, self.raised);
        }
        result
    }
}

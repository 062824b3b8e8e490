//! Why a request was not done: the code and the text of its STATUS answer.

use std::io;
use std::path::Path;

use lifecycle::report::system_words;
use rustix::io::Errno;

/// Texts longer than this, in bytes, are cut: nobody reads them, and they have to fit a packet.
const LONGEST_TEXT: usize = 4096;

/// The texts are the predecessor's, which are Go's (contract sshd 12).
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The end of a file or directory.
    #[error("EOF")]
    End,
    /// A type or extension that nobody knows.
    #[error("operation unsupported")]
    Unsupported,
    /// A handle that is not open.
    #[error("bad file descriptor")]
    Handle,
    /// Something that cannot be meant.
    #[error("invalid argument")]
    Argument,
    /// All handles are taken.
    #[error("too many open files")]
    TooManyHandles,
    /// Nobody of that name.
    #[error("unknown user {0}")]
    NoUser(String),
    /// The system refused.
    #[error("{text}")]
    System {
        /// `open /nope: no such file or directory`.
        text: String,
        /// What the text is about.
        cause: Errno,
    },
}

impl Refusal {
    /// There is nobody called `name`.
    pub(super) fn no_user(name: &[u8]) -> Self {
        let name = &name[..name.len().min(LONGEST_TEXT)];
        Self::NoUser(String::from_utf8_lossy(name).into_owned())
    }

    /// For `map_err`: names the call that was tried on `path`.
    pub(super) fn on(call: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self {
        move |cause| Self::of(call, &path.display().to_string(), cause)
    }

    /// For `map_err`: names the call that was tried on two paths.
    pub(super) fn on_both(
        call: &'static str,
        from: &Path,
        to: &Path,
    ) -> impl FnOnce(Errno) -> Self {
        move |cause| Self::of(call, &format!("{} {}", from.display(), to.display()), cause)
    }

    fn of(call: &str, paths: &str, cause: Errno) -> Self {
        let paths = &paths[..paths.floor_char_boundary(LONGEST_TEXT)];
        let text = format!("{call} {paths}: {}", system_words(&io::Error::from(cause)));
        Self::System { text, cause }
    }

    /// The status code (contract sshd 12).
    pub(super) fn code(&self) -> u32 {
        const END: u32 = 1;
        const NO_SUCH_FILE: u32 = 2;
        const PERMISSION_DENIED: u32 = 3;
        const FAILURE: u32 = 4;
        const UNSUPPORTED: u32 = 8;
        match self {
            Self::End => END,
            Self::Unsupported => UNSUPPORTED,
            Self::NoUser(_) => NO_SUCH_FILE,
            Self::Handle | Self::Argument | Self::TooManyHandles => FAILURE,
            Self::System { cause, .. } => match *cause {
                Errno::NOENT => NO_SUCH_FILE,
                Errno::ACCESS | Errno::PERM => PERMISSION_DENIED,
                _ => FAILURE,
            },
        }
    }
}

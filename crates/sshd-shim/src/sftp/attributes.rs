//! Attributes of a file as version 3 has them: what is known of it, or what is to be changed.

use rustix::fs::Stat;

pub(super) const SIZE: u32 = 1;
pub(super) const OWNER: u32 = 2;
pub(super) const PERMISSIONS: u32 = 4;
pub(super) const TIMES: u32 = 8;
pub(super) const EXTENDED: u32 = 1 << 31;

/// Each is `None` where it is not known, or not to be changed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    /// In bytes.
    pub(super) size: Option<u64>,
    /// User and group id.
    pub(super) owner: Option<(u32, u32)>,
    /// The whole mode, with the type of the file.
    pub(super) permissions: Option<u32>,
    pub(super) times: Option<Times>,
}

/// In seconds since 1970, until 2106: version 3 has unsigned 32 bits for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) accessed: u32,
    pub(super) modified: u32,
}

impl From<&Stat> for Attributes {
    fn from(file: &Stat) -> Self {
        Self {
            size: Some(u64::try_from(file.st_size).unwrap_or_default()),
            owner: Some((file.st_uid, file.st_gid)),
            permissions: Some(file.st_mode),
            times: Some(Times {
                accessed: nearest(file.st_atime),
                modified: nearest(file.st_mtime),
            }),
        }
    }
}

/// Times that version 3 cannot say become the first or last that it can.
fn nearest(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_outside_of_32_bits_become_the_nearest() {
        assert_eq!(nearest(-1), 0);
        assert_eq!(nearest(4_000_000_000), 4_000_000_000);
        assert_eq!(nearest(5_000_000_000), u32::MAX);
    }
}

//! Who is who inside and outside of a container: its root is nobody outside, all others are the same.

use std::fs;

/// The platform's user `vcap` and its group.
pub(crate) const VCAP: u32 = 2000;
/// Up to here, at least, users of an image are known.
const ENOUGH: u32 = 65_000;

/// This process knows too few users.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("containers need {ENOUGH} users, of which this process knows fewer: {0}")]
pub struct IdsError(String);

/// So many ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first one inside.
    pub(crate) inside: u32,
    /// The first one outside.
    pub(crate) outside: u32,
    /// How many.
    pub(crate) count: u32,
}

/// Who is who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The container's root outside.
    pub(crate) root: u32,
    /// All users, and all groups.
    pub(crate) ranges: [Range; 2],
}

impl Ids {
    /// As they are for containers of this process.
    pub(crate) fn own() -> Result<Self, IdsError> {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let (users, groups) = (read("/proc/self/uid_map"), read("/proc/self/gid_map"));
        Self::of(known(&users).min(known(&groups))).ok_or_else(|| IdsError(users.trim().to_owned()))
    }

    /// Container 0 is the highest id but one of the `count` that are known (platform contract, 14).
    fn of(count: u32) -> Option<Self> {
        if count < ENOUGH {
            return None;
        }
        let root = count - 2;
        let others = Range { inside: 1, outside: 1, count: root - 1 };
        Some(Self { root, ranges: [Range { inside: 0, outside: root, count: 1 }, others] })
    }
}

/// How many ids from 0 on `map` (`/proc/self/uid_map`) has.
fn known(map: &str) -> u32 {
    let mut ranges: Vec<(u32, u32)> = map
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().map(str::parse);
            Some((words.next()?.ok()?, words.nth(1)?.ok()?))
        })
        .collect();
    ranges.sort_unstable();
    ranges.iter().fold(
        0,
        |end, (first, count)| {
            if *first == end { end.saturating_add(*count) } else { end }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_root_is_nobody_outside() {
        for (map, root) in [
            ("         0          0 4294967295\n", Some(4_294_967_293)),
            ("         0       4321          1\n         1     200000      65536\n", Some(65_535)),
            ("         0     100000      65536\n", Some(65_534)),
            ("         0       1000          1\n", None),
            ("         0       1000          1\n         2     200000      65536\n", None),
            ("", None),
        ] {
            let ids = Ids::of(known(map));
            assert_eq!(ids.as_ref().map(|ids| ids.root), root, "{map}");
            if let Some(ids) = ids {
                assert_eq!(ids.ranges[0], Range { inside: 0, outside: ids.root, count: 1 });
                assert_eq!(ids.ranges[1], Range { inside: 1, outside: 1, count: ids.root - 1 });
            }
        }
    }
}

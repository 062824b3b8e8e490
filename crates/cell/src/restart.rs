//! When a crashed instance is started again, as the platform's database of instances decides.

use std::time::Duration;

/// So many crashes in a row are followed by a start at once.
const AT_ONCE: u32 = 3;
/// The first wait; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_mins(16);
/// After so many crashes in a row nobody tries again.
const LAST: u32 = 200;
/// An instance that was healthy this long has no crashes behind it.
const LIVED: Duration = Duration::from_mins(5);

/// The crashes of an instance in a row.
#[derive(Debug, Default)]
pub(crate) struct Crashes(u32);

impl Crashes {
    /// Counts a crash after `lived`, the time since the instance became healthy: how long to wait before the next start; `None` for never.
    pub(crate) fn add(&mut self, lived: Duration) -> Option<Duration> {
        if lived >= LIVED {
            self.0 = 0;
        }
        self.0 = self.0.saturating_add(1);
        match self.0 {
            0..=AT_ONCE => Some(Duration::ZERO),
            LAST.. => None,
            count => {
                let doublings = (count - AT_ONCE - 1).min(10);
                Some((FIRST_WAIT * 2_u32.pow(doublings)).min(LONGEST_WAIT))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let mut crashes = Crashes::default();
        let waits: Vec<_> =
            (0..12).map(|_| crashes.add(Duration::ZERO).unwrap().as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 30, 60, 120, 240, 480, 960, 960, 960, 960]);
        let waits: Vec<_> = (12..201).map(|_| crashes.add(Duration::ZERO)).collect();
        assert_eq!(waits.iter().filter(|wait| wait.is_some()).count(), 187);
        assert_eq!(waits.last(), Some(&None));
    }

    #[test]
    fn a_long_life_makes_up_for_crashes() {
        let mut crashes = Crashes(7);
        assert_eq!(crashes.add(LIVED), Some(Duration::ZERO));
        assert_eq!(crashes.add(Duration::ZERO), Some(Duration::ZERO));
    }
}

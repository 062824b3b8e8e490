//! Requests that wait for their answers: answers must be given in the order of the requests, even those
//! that fail at once, and a flood of requests must not take memory.

use std::collections::VecDeque;

/// How many requests may wait; those beyond fail, each in its turn. OpenSSH asks for all its forwardings at once.
const MOST_WAITING: usize = 256;
/// How many bytes of them may.
const MOST_BYTES: usize = 1 << 20;

/// The requests of one channel, or of the connection.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    entries: VecDeque<Entry<T>>,
    asked: usize,
    bytes: usize,
    /// Handed out by [`Self::take`] and not answered yet.
    unanswered: usize,
    /// Nobody will take any.
    refused: bool,
}

#[derive(Debug)]
enum Entry<T> {
    Ask {
        kind: T,
        want_reply: bool,
        size: usize,
    },
    /// So many requests in a row that fail and whose client waits for the answer.
    Fail(usize),
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), asked: 0, bytes: 0, unanswered: 0, refused: false }
    }
}

impl<T> Waiting<T> {
    /// A request came, in a packet of `size` bytes; `None` for one that can only fail.
    pub(super) fn push(&mut self, kind: Option<T>, want_reply: bool, size: usize) {
        let has_room = self.asked < MOST_WAITING
            && self.bytes.saturating_add(size) <= MOST_BYTES
            && !self.refused;
        match kind {
            Some(kind) if has_room => {
                self.asked += 1;
                self.bytes += size;
                self.entries.push_back(Entry::Ask { kind, want_reply, size });
            }
            _ if want_reply => self.fail(1),
            _ => {}
        }
    }

    fn fail(&mut self, more: usize) {
        match self.entries.back_mut() {
            Some(Entry::Fail(count)) => *count += more,
            _ => self.entries.push_back(Entry::Fail(more)),
        }
    }

    /// The next request and whether its client waits for an answer; [`Self::answered`] must follow.
    pub(super) fn take(&mut self) -> Option<(T, bool)> {
        match self.entries.pop_front()? {
            Entry::Ask { kind, want_reply, size } => {
                self.asked -= 1;
                self.bytes -= size;
                self.unanswered += 1;
                Some((kind, want_reply))
            }
            failures @ Entry::Fail(_) => {
                self.entries.push_front(failures);
                None
            }
        }
    }

    /// A request handed out has its answer.
    pub(super) fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// How many failures are due, now or after the answers before them.
    pub(super) fn failures(&self) -> usize {
        let failures = self.entries.iter().map(|entry| match entry {
            Entry::Fail(count) => *count,
            Entry::Ask { .. } => 0,
        });
        failures.sum()
    }

    /// How many failures are due now.
    pub(super) fn failures_due(&mut self) -> usize {
        match self.entries.front() {
            Some(Entry::Fail(count)) if self.unanswered == 0 => {
                let count = *count;
                self.entries.pop_front();
                count
            }
            _ => 0,
        }
    }

    /// Nobody takes requests any more: those waiting and those to come fail.
    pub(super) fn refuse(&mut self) {
        self.refused = true;
        let waiting = std::mem::take(&mut self.entries).into_iter().map(|entry| match entry {
            Entry::Ask { want_reply, .. } => usize::from(want_reply),
            Entry::Fail(count) => count,
        });
        let failures = waiting.sum();
        (self.asked, self.bytes) = (0, 0);
        if failures > 0 {
            self.fail(failures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_wait_for_the_answers_before_them() {
        let mut waiting = Waiting::default();
        waiting.push(Some('a'), true, 1);
        waiting.push(None, true, 1);
        assert_eq!(waiting.failures_due(), 0);
        assert_eq!(waiting.take(), Some(('a', true)));
        assert_eq!(waiting.failures_due(), 0);
        assert_eq!(waiting.take(), None);
        waiting.answered();
        assert_eq!(waiting.failures_due(), 1);
        assert_eq!(waiting.failures_due(), 0);
    }

    #[test]
    fn a_flood_takes_no_memory_and_every_request_gets_its_answer() {
        let mut waiting = Waiting::default();
        for _ in 0..1_000_000 {
            waiting.push(Some(()), true, 20);
        }
        assert!(waiting.entries.len() <= MOST_WAITING + 1);
        let mut answers = 0;
        loop {
            answers += waiting.failures_due();
            let Some(((), true)) = waiting.take() else { break };
            waiting.answered();
            answers += 1;
        }
        assert_eq!(answers, 1_000_000);
    }

    #[test]
    fn few_large_requests_are_a_flood_too() {
        let mut waiting = Waiting::default();
        for _ in 0..64 {
            waiting.push(Some(()), true, 200_000);
        }
        assert!(waiting.bytes <= MOST_BYTES);
        waiting.refuse();
        assert_eq!(waiting.failures_due(), 64);
    }
}

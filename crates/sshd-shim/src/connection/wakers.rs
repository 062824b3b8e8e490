//! Tasks that wait for one condition; unlike a single `Waker`, several may.

use std::task::{Context, Waker};

/// Who is to be woken. The condition is checked again by everyone woken.
#[derive(Debug, Default)]
pub(super) struct Wakers(Vec<Waker>);

impl Wakers {
    /// Has the task of `context` woken at the next [`Self::wake`].
    pub(super) fn register(&mut self, context: &Context<'_>) {
        if !self.0.iter().any(|waker| waker.will_wake(context.waker())) {
            self.0.push(context.waker().clone());
        }
    }

    /// Whether anybody is to be woken.
    #[cfg(test)]
    pub(super) fn are_some(&self) -> bool {
        !self.0.is_empty()
    }

    /// Wakes everyone once.
    pub(super) fn wake(&mut self) {
        for waker in self.0.drain(..) {
            waker.wake();
        }
    }
}

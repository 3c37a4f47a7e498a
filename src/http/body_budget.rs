//! Bounds what all bodies that are on their way hold together.
//!
//! A limit for each does not bound a crowd whose bodies all stall just short of it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What all of them may hold, unless one alone may be longer.
const BUDGET_BYTES: usize = 128 << 20;
/// What each may hold besides, so that long bodies which stall do not keep ordinary ones out. The number of connections bounds
/// it.
const FREE_BYTES: usize = 16 << 10;

/// What is left of it.
pub(super) struct BodyBudget {
    left: AtomicUsize,
}

/// There is not enough left.
pub(super) struct Exhausted;

/// What one body holds, given back when it is dropped.
pub(super) struct Share<'a> {
    budget: &'a BodyBudget,
    free: usize,
    bytes: usize,
}

impl BodyBudget {
    /// Enough for a body of `limit_bytes`.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { left: AtomicUsize::new(BUDGET_BYTES.max(limit_bytes)) }
    }

    /// The share of a body of which nothing has come.
    pub(super) fn share(&self) -> Share<'_> {
        Share { budget: self, free: FREE_BYTES, bytes: 0 }
    }
}

impl Share<'_> {
    /// Takes `bytes` more, or nothing.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let free = bytes.min(self.free);
        let charged = bytes - free;
        let left = |left: usize| left.checked_sub(charged);
        if charged > 0 && self.budget.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err() {
            return Err(Exhausted);
        }
        self.free -= free;
        self.bytes += charged;
        Ok(())
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{BUDGET_BYTES, BodyBudget, FREE_BYTES};

    #[test]
    fn what_is_refused_takes_nothing_and_what_is_dropped_gives_all_back() {
        let budget = BodyBudget::new(1);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.take(FREE_BYTES + BUDGET_BYTES - 1).is_ok());
        assert!(other.take(FREE_BYTES + 2).is_err());
        assert!(other.take(FREE_BYTES).is_ok(), "what is free is free in a crowd too");
        assert!(other.take(1).is_ok());
        assert!(one.take(1).is_err());
        drop(one);
        assert!(other.take(BUDGET_BYTES - 1).is_ok());
        assert!(other.take(1).is_err());
    }
}

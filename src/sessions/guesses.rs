//! Who names sessions that do not exist, and how often: each costs a command of the store, and may be a guess. Each instance counts
//! for itself.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

use crate::{
    remembered::Remembered,
    stores::{Quota, memory::MemoryCounters},
};

/// How many unknown ids an address may name: more than people behind one address whose sessions have ended.
const QUOTA: Quota = Quota { max: NonZeroU32::new(60).unwrap(), window: WINDOW };
const WINDOW: Duration = Duration::from_mins(1);
const MAX_ADDRESSES: u64 = 10_000;

/// Counts unknown ids by address.
pub(super) struct Guesses {
    counters: MemoryCounters,
    blocked: Remembered<String, Instant>,
}

impl Guesses {
    pub(super) fn new() -> Self {
        Self { counters: MemoryCounters::new(WINDOW), blocked: Remembered::new(MAX_ADDRESSES) }
    }

    /// How long `address` has to wait until its next one is looked up. `None`: it need not.
    pub(super) fn wait(&self, address: &str) -> Option<Duration> {
        let until = self.blocked.get(address)?;
        until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
    }

    /// An id that `address` named is unknown.
    pub(super) fn count(&self, address: String) {
        let admission = self.counters.decide(&address, QUOTA, NonZeroU32::MIN);
        if admission.remaining == 0 {
            self.blocked.put(address, Instant::now() + admission.grows_in);
        }
    }
}

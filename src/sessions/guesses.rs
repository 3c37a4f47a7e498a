//! Who names sessions that do not exist, and how often: each costs a command of the store, and may be a guess.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    remembered::Remembered,
    stores::{CounterStore, Quota},
};

/// How many unknown ids an address may name: more than people behind one address whose sessions have ended.
const QUOTA: Quota = Quota { max: NonZeroU32::new(60).unwrap(), window: WINDOW };
/// The window of the quota.
pub(super) const WINDOW: Duration = Duration::from_mins(1);
const MAX_ADDRESSES: u64 = 10_000;

/// Counts unknown ids by address.
pub(super) struct Guesses {
    counters: Arc<dyn CounterStore>,
    blocked: Remembered<String, Instant>,
}

impl Guesses {
    pub(super) fn new(counters: Arc<dyn CounterStore>) -> Self {
        Self { counters, blocked: Remembered::new(MAX_ADDRESSES) }
    }

    /// How long `address` has to wait until its next one is looked up. `None`: it need not.
    pub(super) fn wait(&self, address: &str) -> Option<Duration> {
        let until = self.blocked.get(address)?;
        until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero())
    }

    /// An id that `address` named is unknown.
    pub(super) async fn count(&self, address: String, by: Instant) {
        let key = format!("session:{address}");
        let Ok(admission) = self.counters.admit(&key, QUOTA, NonZeroU32::MIN, by).await else { return };
        if admission.remaining == 0 {
            self.blocked.put(address, Instant::now() + admission.grows_in);
        }
    }
}

//! The limiter within this process.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::stores::{Admission, CounterStore, Quota, StoreError, limit::History};

/// How many keys are remembered at once. Beyond it the one that was silent longest is forgotten, so that an attack from a
/// million addresses costs memory only up to here: some 40 MB with the default quota of 20.
const MAX_KEYS: u64 = 100_000;

/// The rate of each key, in this process.
pub struct MemoryCounters {
    histories: Cache<String, Arc<Mutex<History>>>,
    started: Instant,
}

impl MemoryCounters {
    /// No key is known. A key that was silent for `idle` is forgotten: no less than the longest window in use.
    pub fn new(idle: Duration) -> Self {
        let histories =
            Cache::builder().max_capacity(MAX_KEYS).eviction_policy(EvictionPolicy::lru()).time_to_idle(idle).build();
        Self { histories, started: Instant::now() }
    }

    /// How many keys are remembered.
    pub fn len(&self) -> u64 {
        self.histories.run_pending_tasks();
        self.histories.entry_count()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl MemoryCounters {
    /// Takes down that `cost` was admitted under `key` by someone else.
    pub fn record(&self, key: &str, quota: Quota, cost: NonZeroU32) {
        let now = self.now();
        self.with(key, quota, |history| history.record(quota, cost, now));
    }

    /// Admits `cost` under `key`, or does not.
    pub fn decide(&self, key: &str, quota: Quota, cost: NonZeroU32) -> Admission {
        self.decide_at(key, quota, cost, self.now())
    }

    /// The same at the time `now`, in milliseconds of the caller's own clock.
    pub fn decide_at(&self, key: &str, quota: Quota, cost: NonZeroU32, now: u64) -> Admission {
        self.with(key, quota, |history| history.admit(quota, cost, now))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn with<T>(&self, key: &str, quota: Quota, act: impl FnOnce(&mut History) -> T) -> T {
        let history = self.histories.get_with_by_ref(key, || Arc::new(Mutex::new(History::new(quota.max))));
        // A history is whole after every statement, so a panic elsewhere while it was held does no harm.
        act(&mut history.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl CounterStore for MemoryCounters {
    async fn admit(&self, key: &str, quota: Quota, cost: NonZeroU32, _by: Instant) -> Result<Admission, StoreError> {
        Ok(self.decide(key, quota, cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { max: NonZeroU32::new(20).unwrap(), window: Duration::from_secs(60) };

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_two_hundred_at_once_exactly_twenty_pass() {
        let counters = Arc::new(MemoryCounters::new(Duration::from_secs(60)));
        let by = Instant::now();
        let asking: Vec<_> = (0..200)
            .map(|_| {
                let counters = Arc::clone(&counters);
                tokio::spawn(
                    async move { counters.admit("client", QUOTA, NonZeroU32::MIN, by).await.unwrap().admitted },
                )
            })
            .collect();
        let mut passed = 0;
        for one in asking {
            passed += u32::from(one.await.unwrap());
        }
        assert_eq!(passed, 20);
    }

    #[tokio::test]
    async fn a_million_clients_are_not_all_remembered() {
        let counters = MemoryCounters::new(Duration::from_secs(60));
        let by = Instant::now();
        for n in 0..1_000_000 {
            counters.admit(&format!("client-{n}"), QUOTA, NonZeroU32::MIN, by).await.unwrap();
        }
        assert!(counters.len() <= MAX_KEYS, "{} clients", counters.len());
    }
}

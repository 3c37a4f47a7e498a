//! The limiter within this process.

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::{
    bounded::Bounded,
    stores::{Admission, CounterStore, Quota, StoreError, limit::History},
};

/// How many keys are remembered at once. Beyond it the one that was silent longest is forgotten, so that an attack from a
/// million addresses costs memory only up to here: some 40 MB with the default quota of 20.
const MAX_KEYS: u64 = 100_000;

/// The rate of each key, in this process.
pub struct MemoryCounters {
    asked: Mutex<Bounded<String, Asked>>,
    idle_ms: u64,
    started: Instant,
}

struct Asked {
    history: History,
    /// When last. Milliseconds.
    at: u64,
}

impl MemoryCounters {
    /// No key is known. A key that was silent for `idle` may be forgotten: no less than the longest window in use.
    pub fn new(idle: Duration) -> Self {
        let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        Self { asked: Mutex::new(Bounded::new(MAX_KEYS, |_, _| 1)), idle_ms, started: Instant::now() }
    }

    fn asked(&self) -> MutexGuard<'_, Bounded<String, Asked>> {
        // A history is whole after every statement, so a panic elsewhere while it was held does no harm.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down that `cost` was admitted under `key` by someone else.
    pub(in crate::stores) fn record(&self, key: &str, quota: Quota, cost: NonZeroU32) {
        let now = self.now();
        self.with(key, quota, now, |history| history.record(quota, cost, now));
    }

    /// Admits `cost` under `key`, or does not.
    pub fn decide(&self, key: &str, quota: Quota, cost: NonZeroU32) -> Admission {
        self.decide_at(key, quota, cost, self.now())
    }

    /// The same at the time `now`, in milliseconds of the caller's own clock.
    pub fn decide_at(&self, key: &str, quota: Quota, cost: NonZeroU32, now: u64) -> Admission {
        self.with(key, quota, now, |history| history.admit(quota, cost, now))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn with<T>(&self, key: &str, quota: Quota, now: u64, act: impl FnOnce(&mut History) -> T) -> T {
        let mut asked = self.asked();
        asked.sweep(|asked| asked.at.saturating_add(self.idle_ms) <= now);
        if let Some(Asked { history, at }) = asked.get(key) {
            *at = now.max(*at);
            return act(history);
        }
        let mut history = History::new(quota.max);
        let done = act(&mut history);
        asked.put(key.to_owned(), Asked { history, at: now });
        done
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
        let counters = std::sync::Arc::new(MemoryCounters::new(Duration::from_secs(60)));
        let by = Instant::now();
        let asking: Vec<_> = (0..200)
            .map(|_| {
                let counters = std::sync::Arc::clone(&counters);
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
        assert!(counters.asked().len() <= MAX_KEYS, "{} clients", counters.asked().len());
    }

    #[test]
    fn who_is_silent_makes_room_before_it_is_needed() {
        let counters = MemoryCounters::new(Duration::from_secs(60));
        for n in 0..100 {
            counters.decide_at(&format!("early-{n}"), QUOTA, NonZeroU32::MIN, 0);
        }
        for n in 0..100 {
            counters.decide_at(&format!("late-{n}"), QUOTA, NonZeroU32::MIN, 60_000);
        }
        assert_eq!(counters.asked().len(), 100);
        // Nobody has to come for it.
        for _ in 0..100 {
            counters.decide_at("late-0", QUOTA, NonZeroU32::MIN, 120_000);
        }
        assert_eq!(counters.asked().len(), 1);
    }
}

//! An exact sliding log for each key: no window of its length ever holds more admissions than the quota.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::stores::{Admission, CounterStore, Quota, StoreError};

/// How many keys are remembered at once. Beyond it the one that was silent longest is forgotten, so that an attack from a
/// million addresses costs memory only up to here: some 40 MB with the default quota of 20.
const MAX_KEYS: u64 = 100_000;

/// The rate of each key, in this process.
pub struct MemoryCounters {
    logs: Cache<String, Arc<Mutex<Log>>>,
    started: Instant,
}

impl MemoryCounters {
    /// No key is known. A key that was silent for `idle` is forgotten: no less than the longest window in use.
    pub fn new(idle: Duration) -> Self {
        let logs =
            Cache::builder().max_capacity(MAX_KEYS).eviction_policy(EvictionPolicy::lru()).time_to_idle(idle).build();
        Self { logs, started: Instant::now() }
    }

    /// How many keys are remembered.
    pub fn len(&self) -> u64 {
        self.logs.run_pending_tasks();
        self.logs.entry_count()
    }

    /// Whether no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl CounterStore for MemoryCounters {
    async fn admit(&self, key: &str, quota: Quota, _by: Instant) -> Result<Admission, StoreError> {
        let log = self.logs.get_with_by_ref(key, Arc::default);
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // A log is whole after every statement, so a panic elsewhere while it was held does no harm.
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(log.admit(quota, now))
    }
}

/// When the last ones were admitted: milliseconds, ascending.
#[derive(Default)]
struct Log(VecDeque<u64>);

impl Log {
    /// The exact log of `upstash-rest.md` 14.4: an entry leaves exactly one window after it was made.
    fn admit(&mut self, quota: Quota, now: u64) -> Admission {
        let window = u64::try_from(quota.window.as_millis()).unwrap_or(u64::MAX);
        let max = usize::try_from(quota.max.get()).unwrap_or(usize::MAX);
        // Two threads may read the clock in one order and arrive here in the other.
        let now = now.max(self.0.back().copied().unwrap_or_default());
        while self.0.front().is_some_and(|&then| then + window <= now) {
            self.0.pop_front();
        }
        let admitted = self.0.len() < max;
        if admitted {
            self.0.push_back(now);
        }
        // A quota admits at least one, so the log is never empty here.
        let oldest = self.0.front().copied().unwrap_or(now);
        let grows_in = Duration::from_millis(oldest + window - now);
        // With a quota that shrank meanwhile, more than the oldest must leave before there is room.
        let in_the_way = self.0.get(self.0.len().saturating_sub(max)).copied().unwrap_or(now);
        Admission {
            admitted,
            remaining: u32::try_from(max.saturating_sub(self.0.len())).unwrap_or(u32::MAX),
            grows_in,
            retry_in: if admitted { Duration::ZERO } else { Duration::from_millis(in_the_way + window - now) },
            local: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn quota(max: u32, window_ms: u64) -> Quota {
        Quota { max: NonZeroU32::new(max).unwrap(), window: Duration::from_millis(window_ms) }
    }

    #[test]
    fn it_agrees_with_the_test_vectors_for_single_permits() {
        // `upstash-rest.md` 14.4: time, allowed, remaining, grow, wait.
        let steps = [
            (0, true, 2, 60_000, 0),
            (10_000, true, 1, 50_000, 0),
            (10_000, true, 0, 50_000, 0),
            (10_000, false, 0, 50_000, 50_000),
            (30_000, false, 0, 30_000, 30_000),
            (59_999, false, 0, 1, 1),
            (60_000, true, 0, 10_000, 0),
            (60_000, false, 0, 10_000, 10_000),
        ];
        let mut log = Log::default();
        for (now, admitted, remaining, grow, wait) in steps {
            let expected = Admission {
                admitted,
                remaining,
                grows_in: Duration::from_millis(grow),
                retry_in: Duration::from_millis(wait),
                local: false,
            };
            assert_eq!(log.admit(quota(3, 60_000), now), expected, "at {now} ms");
        }
    }

    /// Every admission ever made, looked through from the start each time.
    #[derive(Default)]
    struct Oracle(Vec<u64>);

    impl Oracle {
        fn admit(&mut self, quota: Quota, now: u64) -> bool {
            let window = u64::try_from(quota.window.as_millis()).unwrap();
            let within = self.0.iter().filter(|&&then| then + window > now).count();
            let admitted = within < quota.max.get() as usize;
            if admitted {
                self.0.push(now);
            }
            admitted
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn it_agrees_with_a_naive_oracle(
            max in 1_u32..8,
            window in 1_u64..200,
            schedule in prop::collection::vec((0_u64..60, 0_usize..3), 1..60),
        ) {
            let quota = quota(max, window);
            let mut now = 0;
            let mut clients: [(Log, Oracle); 3] = Default::default();
            for (pause, client) in schedule {
                now += pause;
                let (log, oracle) = &mut clients[client];
                let admission = log.admit(quota, now);
                prop_assert_eq!(admission.admitted, oracle.admit(quota, now));
                let live: Vec<u64> = oracle.0.iter().copied().filter(|then| then + window > now).collect();
                prop_assert_eq!(admission.remaining as usize, max as usize - live.len());
                prop_assert_eq!(admission.grows_in, Duration::from_millis(live[0] + window - now));
                if !admission.admitted {
                    let wait = u64::try_from(admission.retry_in.as_millis()).unwrap();
                    let mut early = Oracle(oracle.0.clone());
                    prop_assert!(!early.admit(quota, now + wait - 1), "a millisecond earlier it would still be refused");
                    prop_assert!(early.admit(quota, now + wait), "then it passes");
                }
            }
            for (_, oracle) in &clients {
                for &then in &oracle.0 {
                    let within = oracle.0.iter().filter(|&&t| t >= then && t < then + window).count();
                    prop_assert!(within <= max as usize, "no window holds more than the quota");
                }
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_two_hundred_at_once_exactly_twenty_pass() {
        let counters = Arc::new(MemoryCounters::new(Duration::from_secs(60)));
        let (quota, by) = (quota(20, 60_000), Instant::now());
        let asking: Vec<_> = (0..200)
            .map(|_| {
                let counters = Arc::clone(&counters);
                tokio::spawn(async move { counters.admit("client", quota, by).await.unwrap().admitted })
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
        let (quota, by) = (quota(20, 60_000), Instant::now());
        for n in 0..1_000_000 {
            counters.admit(&format!("client-{n}"), quota, by).await.unwrap();
        }
        assert!(counters.len() <= MAX_KEYS, "{} clients", counters.len());
    }
}

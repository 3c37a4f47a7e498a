//! How often the cache had an answer, and how often not: summed here, and added to the store's totals now and then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use crate::stores::TotalStore;

const HITS: &str = "llm:stats:cache:hits";
const MISSES: &str = "llm:stats:cache:misses";

/// Counts look-ups.
pub struct CacheCounts {
    totals: Arc<dyn TotalStore>,
    hits: Count,
    misses: Count,
    /// Held while something is on its way to the store or from there, so that nothing is missing or counted twice.
    travelling: Mutex<()>,
}

/// One of the two.
#[derive(Default)]
struct Count {
    /// What the store does not know yet.
    fresh: AtomicU64,
    /// What the store said last.
    known: AtomicU64,
}

impl Count {
    fn total(&self) -> u64 {
        self.known.load(Ordering::Relaxed) + self.fresh.load(Ordering::Relaxed)
    }
}

impl CacheCounts {
    /// Nothing yet besides what `totals` holds.
    pub fn new(totals: Arc<dyn TotalStore>) -> Self {
        Self { totals, hits: Count::default(), misses: Count::default(), travelling: Mutex::default() }
    }

    /// A look-up found an answer.
    pub(super) fn hit(&self) {
        self.hits.fresh.fetch_add(1, Ordering::Relaxed);
    }

    /// A look-up found none, whatever comes of it.
    pub(super) fn miss(&self) {
        self.misses.fresh.fetch_add(1, Ordering::Relaxed);
    }

    /// Hits and misses of all instances, as far as the store can say within `patience`.
    pub async fn read(&self, patience: Duration) -> (u64, u64) {
        let by = Instant::now() + patience;
        let Ok(_travelling) = timeout_at(by, self.travelling.lock()).await else {
            return (self.hits.total(), self.misses.total());
        };
        if let Ok(totals) = self.totals.read(&[HITS, MISSES], by).await
            && let [hits, misses] = *totals
        {
            self.hits.known.store(hits, Ordering::Relaxed);
            self.misses.known.store(misses, Ordering::Relaxed);
        }
        (self.hits.total(), self.misses.total())
    }

    /// Adds what was counted here to the store's totals, within `patience`. What may have arrived there is not sent again: a
    /// number that is a little too low is better than one that grows with every outage.
    pub async fn flush(&self, patience: Duration) {
        let _travelling = self.travelling.lock().await;
        let counts = [(HITS, &self.hits), (MISSES, &self.misses)].into_iter();
        let due = counts.map(|(key, count)| (key, count, count.fresh.load(Ordering::Relaxed)));
        let due: Vec<_> = due.filter(|(_, _, amount)| *amount > 0).collect();
        if due.is_empty() {
            return;
        }
        let amounts: Vec<_> = due.iter().map(|(key, _, amount)| (*key, *amount)).collect();
        let added = self.totals.add(&amounts, Instant::now() + patience).await;
        let added = added.unwrap_or_else(|error| vec![Err(error); due.len()]);
        for ((key, count, amount), added) in due.into_iter().zip(added) {
            match added {
                Err(error) if error.is_undone() => continue,
                Err(error) => tracing::debug!(%error, key, amount, "a count may be lost"),
                Ok(()) => {
                    count.known.fetch_add(amount, Ordering::Relaxed);
                }
            }
            count.fresh.fetch_sub(amount, Ordering::Relaxed);
        }
    }
}

//! How often the cache had an answer, and how often not: summed here, and added to the store's totals now and then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex, time::Instant};

use crate::stores::TotalStore;

const HITS: &str = "llm:stats:cache:hits";
const MISSES: &str = "llm:stats:cache:misses";

/// Counts look-ups.
pub struct CacheCounts {
    totals: Arc<dyn TotalStore>,
    /// What the store does not know yet.
    hits: AtomicU64,
    misses: AtomicU64,
    /// What the store said last. Held while something is on its way there, so that nothing is missing or counted twice.
    known: Mutex<(u64, u64)>,
}

impl CacheCounts {
    /// Nothing yet besides what `totals` holds.
    pub fn new(totals: Arc<dyn TotalStore>) -> Self {
        Self { totals, hits: AtomicU64::new(0), misses: AtomicU64::new(0), known: Mutex::default() }
    }

    /// A look-up found an answer.
    pub(super) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// A look-up found none, whatever comes of it.
    pub(super) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// Hits and misses of all instances, as far as the store can say within `patience`.
    pub async fn read(&self, patience: Duration) -> (u64, u64) {
        let mut known = self.known.lock().await;
        if let Ok(totals) = self.totals.read(&[HITS, MISSES], Instant::now() + patience).await
            && let [hits, misses] = *totals
        {
            *known = (hits, misses);
        }
        let (hits, misses) = *known;
        (hits + self.hits.load(Ordering::Relaxed), misses + self.misses.load(Ordering::Relaxed))
    }

    /// Adds what was counted here to the store's totals. What may have arrived there is not sent again: a number that is a
    /// little too low is better than one that grows with every outage.
    pub async fn flush(&self, patience: Duration) {
        let _known = self.known.lock().await;
        let (hits, misses) = (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed));
        let amounts: Vec<_> = [(HITS, hits), (MISSES, misses)].into_iter().filter(|(_, count)| *count > 0).collect();
        if amounts.is_empty() {
            return;
        }
        match self.totals.add(&amounts, Instant::now() + patience).await {
            Err(error) if error.is_undone() => return,
            Err(error) => tracing::debug!(%error, hits, misses, "cache counts may be lost"),
            Ok(()) => {}
        }
        self.hits.fetch_sub(hits, Ordering::Relaxed);
        self.misses.fetch_sub(misses, Ordering::Relaxed);
    }
}

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

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::stores::StoreError;

    type Added = Result<Vec<Result<(), StoreError>>, StoreError>;

    /// Says the first of its answers to each call, and remembers what it was given.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<Vec<Added>>,
        given: Mutex<Vec<Vec<(String, u64)>>>,
    }

    #[async_trait]
    impl TotalStore for Scripted {
        async fn add(&self, amounts: &[(&str, u64)], _: Instant) -> Added {
            let given = amounts.iter().map(|(key, amount)| ((*key).to_owned(), *amount)).collect();
            self.given.lock().await.push(given);
            self.answers.lock().await.remove(0)
        }

        async fn read(&self, _: &[&str], _: Instant) -> Result<Vec<u64>, StoreError> {
            Err(StoreError::Skipped)
        }
    }

    #[tokio::test]
    async fn each_count_is_sent_again_only_if_it_was_certainly_not_added() {
        let undone = || Err(StoreError::Unreached("a node"));
        let answers =
            vec![Ok(vec![Ok(()), undone()]), Err(StoreError::Skipped), Ok(vec![Err(StoreError::Timeout), Ok(())])];
        let store = Arc::new(Scripted { answers: Mutex::new(answers), given: Mutex::default() });
        let counts = CacheCounts::new(Arc::clone(&store) as _);
        for _ in 0..3 {
            counts.hit();
            counts.miss();
            counts.flush(Duration::from_secs(1)).await;
        }
        let given = store.given.lock().await.clone();
        let given: Vec<Vec<u64>> =
            given.iter().map(|given| given.iter().map(|(_, amount)| *amount).collect()).collect();
        assert_eq!(given, [[1, 1], [1, 2], [2, 3]]);
        // Two of the hits were lost, because they may have arrived.
        assert_eq!(counts.read(Duration::from_secs(1)).await, (1, 3));
        counts.flush(Duration::from_secs(1)).await;
        assert_eq!(store.given.lock().await.len(), 3, "nothing is left");
    }
}

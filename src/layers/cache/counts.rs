//! What became of every request that could have been answered from the cache: summed here, and added to the store's totals now
//! and then.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use crate::{
    generate::{Freshness, Target},
    metrics::CacheMetrics,
    stores::TotalStore,
};

/// What became of a request. Every request is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A fresh answer was there.
    Hit,
    /// A call was made for it, whatever came of that, or it wanted none.
    Miss,
    /// It joined the call of another.
    Joined,
    /// A stale answer answered it.
    Stale,
    /// Nobody looked, because it or the operator wanted it so.
    Bypassed,
}

impl Verdict {
    /// Its word in metrics.
    fn as_str(self) -> &'static str {
        match self {
            Verdict::Hit => "hit",
            Verdict::Miss => "miss",
            Verdict::Joined => "joined",
            Verdict::Stale => "stale",
            Verdict::Bypassed => "bypassed",
        }
    }

    /// What became of a request that nothing stored answered; `is_open`: and something could have.
    pub(super) fn of_miss(is_open: bool) -> Self {
        if is_open { Verdict::Miss } else { Verdict::Bypassed }
    }

    /// What became of a request that a stored answer answered.
    pub(super) fn of_stored(freshness: Freshness) -> Self {
        if freshness.is_fresh() { Verdict::Hit } else { Verdict::Stale }
    }
}

/// As many as there are verdicts.
const COUNT: usize = 5;

/// The totals in the store, in the order of the verdicts.
const KEYS: [&str; COUNT] = [
    "llm:stats:cache:hits",
    "llm:stats:cache:misses",
    "llm:stats:cache:joined",
    "llm:stats:cache:stale",
    "llm:stats:cache:bypassed",
];

/// How long what the store said is news to who looks, which anyone may as often as it likes though it costs commands.
const NEWS: Duration = Duration::from_secs(1);

/// How many models are counted for themselves; any model may be named where a provider takes any.
const MAX_MODELS: usize = 1_000;

/// Counts requests.
pub struct CacheCounts {
    totals: Arc<dyn TotalStore>,
    metrics: CacheMetrics,
    counts: [Count; COUNT],
    models: RwLock<HashMap<Target, Arc<[AtomicU64; COUNT]>>>,
    /// Held while something is on its way to the store or from there, so that nothing is missing or counted twice: when the store was
    /// asked last, and for how many totals.
    asked: Mutex<Option<(Instant, usize)>>,
}

/// One of the five.
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

/// How many requests there were of each kind: every request is of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests answered with a fresh entry.
    pub hits: u64,
    /// Requests that a call was made for, whatever came of it, or that wanted none.
    pub misses: u64,
    /// Requests that joined another's call.
    pub joined: u64,
    /// Requests answered with a stale entry.
    pub stale: u64,
    /// Requests that nobody looked up.
    pub bypassed: u64,
}

impl From<[u64; COUNT]> for Tally {
    fn from([hits, misses, joined, stale, bypassed]: [u64; COUNT]) -> Self {
        Self { hits, misses, joined, stale, bypassed }
    }
}

/// One request whose end is not known yet: it is counted when this is dropped, however that comes.
pub(super) struct Counted {
    pub(super) counts: Arc<CacheCounts>,
    /// Who was asked.
    pub(super) target: Target,
    /// What became of it, as far as is known.
    pub(super) verdict: Verdict,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.count(&self.target, self.verdict);
    }
}

impl CacheCounts {
    /// Nothing yet besides what `totals` holds. What this process counts goes to `metrics` too.
    pub fn new(totals: Arc<dyn TotalStore>, metrics: CacheMetrics) -> Self {
        Self { totals, metrics, counts: Default::default(), models: RwLock::default(), asked: Mutex::default() }
    }

    /// A request to `target` whose end is known.
    #[expect(clippy::indexing_slicing, reason = "there are as many counts as verdicts")]
    pub(super) fn count(&self, target: &Target, verdict: Verdict) {
        let at = verdict as usize;
        self.metrics.count(verdict.as_str());
        self.counts[at].fresh.fetch_add(1, Ordering::Relaxed);
        let is_full = {
            let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(model) = models.get(target) {
                model[at].fetch_add(1, Ordering::Relaxed);
                return;
            }
            models.len() >= MAX_MODELS
        };
        if is_full {
            return;
        }
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        if models.len() < MAX_MODELS {
            models.entry(target.clone()).or_default()[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What this process counted for each model, most asked first.
    pub fn by_model(&self) -> Vec<(Target, Tally)> {
        let models = self.models.read().unwrap_or_else(PoisonError::into_inner);
        let read = |counts: &[AtomicU64; COUNT]| counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        let mut models: Vec<_> = models.iter().map(|(target, counts)| (target.clone(), read(counts))).collect();
        models.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<u64>()));
        models.into_iter().map(|(target, counts)| (target, counts.into())).collect()
    }

    /// Hits and misses of all instances, as far as the store can say `by` then or said within the last second; with `all`, the others
    /// too.
    pub async fn read(&self, all: bool, by: Instant) -> Tally {
        let wanted = if all { COUNT } else { 2 };
        if let Ok(mut asked) = timeout_at(by, self.asked.lock()).await
            && asked.is_none_or(|(at, totals)| totals < wanted || at.elapsed() >= NEWS)
            && let Ok(totals) = self.totals.read(KEYS.get(..wanted).unwrap_or(&KEYS), by).await
        {
            for (count, total) in self.counts.iter().zip(totals) {
                count.known.store(total, Ordering::Relaxed);
            }
            *asked = Some((Instant::now(), wanted));
        }
        self.counts.each_ref().map(Count::total).into()
    }

    /// Adds what was counted here to the store's totals, within `patience`. What may have arrived there is not sent again: a
    /// number that is a little too low is better than one that grows with every outage.
    pub async fn flush(&self, patience: Duration) {
        let _asked = self.asked.lock().await;
        let counts = KEYS.into_iter().zip(&self.counts);
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
    use crate::{metrics::Metrics, stores::StoreError};

    type Added = Result<Vec<Result<(), StoreError>>, StoreError>;

    /// Says the first of its answers to each call, and remembers what it was given.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<Vec<Added>>,
        given: Mutex<Vec<Vec<(String, u64)>>>,
        /// What each total is. `None`: it cannot say.
        totals: Mutex<Option<u64>>,
        asked: Mutex<u32>,
    }

    #[async_trait]
    impl TotalStore for Scripted {
        async fn add(&self, amounts: &[(&str, u64)], _: Instant) -> Added {
            let given = amounts.iter().map(|(key, amount)| ((*key).to_owned(), *amount)).collect();
            self.given.lock().await.push(given);
            self.answers.lock().await.remove(0)
        }

        async fn read(&self, keys: &[&str], _: Instant) -> Result<Vec<u64>, StoreError> {
            let total = self.totals.lock().await.ok_or(StoreError::Skipped)?;
            *self.asked.lock().await += 1;
            Ok(vec![total; keys.len()])
        }
    }

    #[tokio::test]
    async fn whatever_clients_name_only_so_many_models_are_counted_apart() {
        let counts = CacheCounts::new(Arc::new(Scripted::default()), Metrics::default().cache);
        for number in 0..=MAX_MODELS {
            let model = format!("model {number}").as_str().into();
            counts.count(&Target { provider: "local".into(), model }, Verdict::Hit);
        }
        let all = counts.read(true, Instant::now()).await;
        assert_eq!((counts.by_model().len(), all.hits), (MAX_MODELS, MAX_MODELS as u64 + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_looks_again_within_a_second_costs_the_store_nothing() {
        let store = Arc::new(Scripted::default());
        let counts = CacheCounts::new(Arc::clone(&store) as _, Metrics::default().cache);
        let look = async |all| {
            let tally = counts.read(all, Instant::now() + Duration::from_secs(1)).await;
            (tally.hits, tally.stale, *store.asked.lock().await)
        };
        assert_eq!(look(false).await, (0, 0, 0), "it cannot say");
        *store.totals.lock().await = Some(7);
        assert_eq!(look(false).await, (7, 0, 1));
        assert_eq!(look(true).await, (7, 7, 2), "there is more to know");
        assert_eq!(look(true).await, (7, 7, 2));
        assert_eq!(look(false).await, (7, 7, 2));
        tokio::time::advance(NEWS).await;
        *store.totals.lock().await = Some(8);
        assert_eq!(look(false).await, (8, 7, 3));
    }

    #[tokio::test]
    async fn each_count_is_sent_again_only_if_it_was_certainly_not_added() {
        let undone = || Err(StoreError::Unreached("a node"));
        let answers =
            vec![Ok(vec![Ok(()), undone()]), Err(StoreError::Skipped), Ok(vec![Err(StoreError::Timeout), Ok(())])];
        let store = Arc::new(Scripted { answers: Mutex::new(answers), ..Scripted::default() });
        let counts = Arc::new(CacheCounts::new(Arc::clone(&store) as _, Metrics::default().cache));
        let model = Target { provider: "openai".into(), model: "gpt-4o".into() };
        for _ in 0..3 {
            counts.count(&model, Verdict::Hit);
            counts.count(&model, Verdict::Miss);
            counts.flush(Duration::from_secs(1)).await;
        }
        let given = store.given.lock().await.clone();
        let given: Vec<Vec<u64>> =
            given.iter().map(|given| given.iter().map(|(_, amount)| *amount).collect()).collect();
        assert_eq!(given, [[1, 1], [1, 2], [2, 3]]);
        // Two of the hits were lost, because they may have arrived.
        let tally = Tally { hits: 1, misses: 3, ..Tally::default() };
        assert_eq!(counts.read(true, Instant::now() + Duration::from_secs(1)).await, tally);
        assert_eq!(counts.by_model(), [(model, Tally { hits: 3, misses: 3, ..Tally::default() })]);
        counts.flush(Duration::from_secs(1)).await;
        assert_eq!(store.given.lock().await.len(), 3, "nothing is left");
    }
}

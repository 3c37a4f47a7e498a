//! Gives the vectors that the cache knows, and has the others called for.
//!
//! Wraps the typed request, outermost: freshness is the caller's wish, and a hit must touch nothing below.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::{Layer, Service};

use crate::{
    embed::{EmbedRequest, EmbedStream, Embeddings, Vector},
    generate::{CacheResult, ErrorKind, Freshness, GenerateError, MicroDollars, Outcome, Policy, Receipt},
};

use super::{
    super::{
        counts::{CacheCounts, Counted, Verdict},
        decide::{Decision, decide},
        savings::Savings,
        shelf::Shelf,
    },
    batch::{Batch, Found, Known, usage},
    entry,
    fetch::{Fetch, Fetched, Sought},
};

/// How long a vector may take to be forgotten, with nobody waiting for it.
const FORGET_TIMEOUT: Duration = Duration::from_secs(1);

/// Puts an [`EmbedLookup`] around a service.
#[derive(Clone)]
pub struct EmbedLookupLayer(Arc<Desk>);

struct Desk {
    shelf: Arc<Shelf>,
    counts: Arc<CacheCounts>,
    savings: Savings,
    tasks: TaskTracker,
}

impl EmbedLookupLayer {
    /// Looks into `shelf`, counts and books what comes of it. What is kept behind an answer is among `tasks`.
    pub fn new(shelf: Arc<Shelf>, counts: Arc<CacheCounts>, savings: Savings, tasks: TaskTracker) -> Self {
        Self(Arc::new(Desk { shelf, counts, savings, tasks }))
    }
}

impl<S> Layer<S> for EmbedLookupLayer {
    type Service = EmbedLookup<S>;

    fn layer(&self, inner: S) -> EmbedLookup<S> {
        EmbedLookup { inner, desk: Arc::clone(&self.0) }
    }
}

/// A service in front of which the cache stands.
#[derive(Clone)]
pub struct EmbedLookup<S> {
    inner: S,
    desk: Arc<Desk>,
}

impl<S> Service<EmbedRequest> for EmbedLookup<S>
where
    S: Service<EmbedRequest, Response = EmbedStream, Error = GenerateError, Future: Send> + Clone + Send + 'static,
{
    type Response = Embeddings;
    type Error = GenerateError;
    type Future = BoxFuture<'static, Result<Embeddings, GenerateError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GenerateError>> {
        // Readiness below matters only after a miss.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: EmbedRequest) -> Self::Future {
        Arc::clone(&self.desk).look_up(self.inner.clone(), request).boxed()
    }
}

impl Desk {
    async fn look_up<S>(self: Arc<Self>, inner: S, mut request: EmbedRequest) -> Result<Embeddings, GenerateError>
    where
        S: Service<EmbedRequest, Response = EmbedStream, Error = GenerateError, Future: Send> + Send + 'static,
    {
        let begun = Instant::now();
        let (policy, target) = (request.policy, request.target.clone());
        let mut batch = Batch::of(&mut request);
        let is_open = self.shelf.is_open_to(&policy);
        let by = begun + request.lookup_time;
        let found =
            if self.shelf.is_of_use_to(&policy) { self.find(&batch, by).await } else { vec![None; batch.keys.len()] };
        let lookup = begun.elapsed();
        let key = || Some(Arc::clone(batch.keys.first()?)).filter(|_| batch.keys.len() == 1);
        let receipt = |cache| Receipt { cache, key: key(), joined: None, lookup };

        let Sorted { mut known, missing, stored, reason } = self.sort(&policy, &found);
        let Some(reason) = reason.map_err(|()| {
            self.counts.count(&target, Verdict::of_miss(is_open));
            GenerateError::from(ErrorKind::NotCached)
        })?
        else {
            // There is one input at least.
            let freshness = stored.ok_or(ErrorKind::Internal)?;
            self.counts.count(&target, Verdict::of_stored(freshness));
            let usage = usage(known.iter().flatten());
            self.savings.vectors(&target, &usage, freshness);
            let vectors = self.whole(&batch, &known).ok_or(ErrorKind::BadResponse)?;
            let receipt = receipt(CacheResult::Hit(freshness));
            let (outcome, cost) = (Outcome::Stored, MicroDollars(0));
            return Ok(Embeddings { vectors, usage, receipt, outcome, is_partial_hit: false, attempts: 0, cost });
        };

        let reason = if is_open { reason } else { CacheResult::Bypass };
        let verdict = Verdict::of_miss(is_open);
        let mut counted = Counted { counts: Arc::clone(&self.counts), target: target.clone(), verdict };
        let receipt = receipt(reason);
        let stored_usage = usage(known.iter().flatten());
        let inputs = batch.take(&missing);
        let sought = Sought { keys: is_open.then_some(batch.keys.as_slice()), places: &missing };
        let fetch = Fetch::new(&self.shelf, &self.tasks, sought);
        let request = EmbedRequest { inputs, lookup_time: request.lookup_time.saturating_sub(lookup), ..request };
        let Fetched { outcome, attempts, cost } = match fetch.all(inner, request, &mut known).await {
            Ok(fetched) => fetched,
            Err(error) => {
                let freshness = self.stand_in(&policy, &error, &found, &mut known).ok_or_else(|| error.clone())?;
                counted.verdict = Verdict::of_stored(freshness);
                let outcome = Outcome::StandIn { freshness, called: error.attempts > 0 };
                Fetched { outcome, attempts: error.attempts, cost: MicroDollars(0) }
            }
        };
        let vectors = self.whole(&batch, &known).ok_or(ErrorKind::BadResponse)?;
        if let Some(freshness) = stored {
            self.savings.vectors(&target, &stored_usage, freshness);
        }
        let usage = usage(known.iter().flatten());
        Ok(Embeddings { vectors, usage, receipt, outcome, is_partial_hit: stored.is_some(), attempts, cost })
    }

    /// What is kept of `batch`, in its order.
    async fn find(&self, batch: &Batch, by: Instant) -> Vec<Option<Found>> {
        let keys: Vec<&str> = batch.keys.iter().map(AsRef::as_ref).collect();
        let read = |bytes: Option<_>| {
            let entry = entry::decode(&bytes?)?;
            let freshness = self.shelf.freshness(entry.stored_ms, entry.lifetime)?;
            Some(Found { known: Known::from(&entry), freshness })
        };
        self.shelf.find_many(&keys, by).await.into_iter().map(read).collect()
    }

    /// What of `found` does for who wants `policy`, and what has to be called for.
    fn sort(&self, policy: &Policy, found: &[Option<Found>]) -> Sorted {
        let mut sorted = Sorted { known: Vec::new(), missing: Vec::new(), stored: None, reason: Ok(None) };
        for (place, found) in found.iter().enumerate() {
            let stored = found.as_ref().map(|found| found.freshness);
            let decision = decide(policy, stored, &self.shelf.config);
            let mut answer = None;
            match decision {
                // Nothing is refreshed behind it: a vector does not change.
                Decision::Answer { refresh: _ } => {
                    answer = found.as_ref().map(|found| found.known.clone());
                    sorted.stored = sorted.stored.into_iter().chain(stored).min_by_key(|stored| stored.ttl_seconds());
                }
                Decision::Forward(reason) => {
                    sorted.missing.push(place);
                    sorted.reason = sorted.reason.map(|first| first.or(Some(reason)));
                }
                Decision::Refuse => sorted.reason = Err(()),
            }
            sorted.known.push(answer);
        }
        sorted
    }

    /// One vector for each input of the request. `None`: not all are there, or they cannot be compared, because another model has
    /// taken the name meanwhile: then all are forgotten, and whoever asks again gets them anew.
    fn whole(&self, batch: &Batch, known: &[Option<Known>]) -> Option<Vec<Vector>> {
        let vectors = batch.vectors(known)?;
        let length = vectors.first().map(|vector| vector.len());
        if vectors.iter().all(|vector| Some(vector.len()) == length) {
            return Some(vectors);
        }
        let (kept_on, keys) = (Arc::clone(&self.shelf), batch.keys.clone());
        self.tasks.spawn(async move {
            for key in keys {
                // What is not forgotten now is found again, and then is.
                drop(kept_on.delete(&key, Instant::now() + FORGET_TIMEOUT).await);
            }
        });
        None
    }

    /// Puts what was found, however old, in the place of what could not be had, and says how that stands. `None`: it must not, or
    /// does not suffice.
    fn stand_in(
        &self,
        policy: &Policy,
        error: &GenerateError,
        found: &[Option<Found>],
        known: &mut [Option<Known>],
    ) -> Option<Freshness> {
        if !error.kind.allows_stand_in() {
            return None;
        }
        let mut oldest: Option<Freshness> = None;
        for (known, found) in known.iter_mut().zip(found).filter(|(known, _)| known.is_none()) {
            let Found { known: stored, freshness } = found.as_ref()?;
            if !policy.allows_stand_in(*freshness, self.shelf.config.stale) {
                return None;
            }
            *known = Some(stored.clone());
            oldest = oldest.into_iter().chain([*freshness]).min_by_key(|stored| stored.ttl_seconds());
        }
        oldest
    }
}

/// The inputs of a batch, by what is to be done about them.
struct Sorted {
    /// For each, what answers it.
    known: Vec<Option<Known>>,
    /// The places of those that nothing answers.
    missing: Vec<usize>,
    /// How those stand that are answered, by the one that is fresh for the shortest time. `None`: there are none.
    stored: Option<Freshness>,
    /// Why something is missing. `None`: nothing is. `Err`: and it must not be called for.
    reason: Result<Option<CacheResult>, ()>,
}

//! Answers from the cache what it knows.
//!
//! Wraps the typed request, outermost: freshness is the caller's wish, and a hit must touch nothing below.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service, ServiceExt as _};

use crate::generate::{
    Answer, CacheResult, ErrorKind, Event, EventStream, Fingerprint, GenerateError, GenerateRequest, Generation,
    Outcome, Question, Receipt,
};

use super::{
    counts::{CacheCounts, Counted, Verdict},
    decide::{Decision, decide},
    entry, lifetime,
    refresh::Refreshes,
    savings::Savings,
    shelf::{Found, Shelf},
};

/// Puts a [`Lookup`] around a service.
#[derive(Clone)]
pub struct LookupLayer(Arc<Desk>);

struct Desk {
    savings: Arc<Savings>,
    shelf: Arc<Shelf>,
    counts: Arc<CacheCounts>,
    refreshes: Refreshes,
    patience: Duration,
}

impl LookupLayer {
    /// Looks into `shelf`, counts and books what comes of it, and begins `refreshes`. A call that has brought nothing for `patience` has
    /// failed for who can be given an older answer.
    pub fn new(
        shelf: Arc<Shelf>,
        counts: Arc<CacheCounts>,
        savings: Savings,
        refreshes: Refreshes,
        patience: Duration,
    ) -> Self {
        Self(Arc::new(Desk { savings: Arc::new(savings), shelf, counts, refreshes, patience }))
    }
}

impl<S> Layer<S> for LookupLayer {
    type Service = Lookup<S>;

    fn layer(&self, inner: S) -> Lookup<S> {
        Lookup { inner, desk: Arc::clone(&self.0) }
    }
}

/// A service in front of which the cache stands.
#[derive(Clone)]
pub struct Lookup<S> {
    inner: S,
    desk: Arc<Desk>,
}

impl<S> Service<GenerateRequest> for Lookup<S>
where
    S: Service<Question, Response = Generation, Error = GenerateError, Future: Send> + Clone + Send + 'static,
{
    type Response = Generation;
    type Error = GenerateError;
    type Future = BoxFuture<'static, Result<Generation, GenerateError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GenerateError>> {
        // Readiness below matters only after a miss.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: GenerateRequest) -> Self::Future {
        Arc::clone(&self.desk).look_up(self.inner.clone(), request).boxed()
    }
}

impl Desk {
    async fn look_up<S>(self: Arc<Self>, inner: S, request: GenerateRequest) -> Result<Generation, GenerateError>
    where
        S: Service<Question, Response = Generation, Error = GenerateError, Future: Send> + Send + 'static,
    {
        let begun = Instant::now();
        let (policy, by) = (request.policy, begun + request.lookup_time);
        let fingerprint = Fingerprint::of(&request);
        let key = entry::key(&request.target, &fingerprint);
        let is_open = self.shelf.is_open_to(&policy);
        let found =
            if self.shelf.is_of_use_to(&policy) { self.shelf.find(&key, &request.target, by).await } else { None };
        let receipt = |cache| Receipt { cache, key: Some(Arc::clone(&key)), joined: None, lookup: begun.elapsed() };

        let reason = match decide(&policy, found.as_ref().map(|found| found.freshness), &self.shelf.config) {
            Decision::Forward(_) if !is_open => CacheResult::Bypass,
            Decision::Forward(reason) => reason,
            Decision::Refuse => {
                self.counts.count(&request.target, Verdict::of_miss(is_open));
                return Err(ErrorKind::NotCached.into());
            }
            Decision::Answer { refresh } => {
                // Nothing is answered with what was not found.
                let Found { completion, freshness } = found.ok_or(ErrorKind::Internal)?;
                self.counts.count(&request.target, Verdict::of_stored(freshness));
                self.savings.stored(&completion, freshness);
                let receipt = receipt(CacheResult::Hit(freshness));
                if refresh {
                    let lifetime = lifetime(&request, &self.shelf.config);
                    self.refreshes.begin(inner, Question { fingerprint, key, lifetime, by, request });
                }
                return Ok(Generation { receipt, answer: Answer::Whole(completion) });
            }
        };

        let receipt = receipt(reason);
        let verdict = Verdict::of_miss(is_open);
        let mut counted = Counted { counts: Arc::clone(&self.counts), target: request.target.clone(), verdict };
        let standby = found.filter(|found| policy.allows_stand_in(found.freshness, self.shelf.config.stale));
        let lifetime = lifetime(&request, &self.shelf.config);
        let question = Question { fingerprint, key: Arc::clone(&key), lifetime, by, request };
        let (joined, events) = match inner.oneshot(question).await {
            // Another request has brought the answer between the two look-ups.
            Ok(Generation { receipt: Receipt { cache: cache @ CacheResult::Hit(freshness), .. }, answer }) => {
                counted.verdict = Verdict::of_stored(freshness);
                if let Answer::Whole(completion) = &answer {
                    self.savings.stored(completion, freshness);
                }
                return Ok(Generation { receipt: Receipt { cache, ..receipt }, answer });
            }
            Ok(Generation { receipt, answer }) => (receipt.joined, answer.into_events()),
            Err(error) if standby.is_some() && error.kind.allows_stand_in() => {
                (None, stream::once(async { Err(error) }).boxed())
            }
            Err(error) => return Err(error),
        };
        if joined.is_some() && is_open {
            counted.verdict = Verdict::Joined;
        }
        let savings = Arc::clone(&self.savings);
        let watched = Watched { counted, savings, standby, until: Instant::now() + self.patience };
        Ok(Generation { receipt: Receipt { joined, ..receipt }, answer: Answer::Live(watched.events(events)) })
    }
}

/// What is still to be found out about a request whose answer has to be called for.
struct Watched {
    counted: Counted,
    savings: Arc<Savings>,
    /// What answers it if the call fails.
    standby: Option<Found>,
    /// When the call has failed that has brought nothing, if there is something else.
    until: Instant,
}

impl Watched {
    /// The same events, or up to the first text their replacement.
    fn events(self, mut events: EventStream) -> EventStream {
        let Self { mut counted, savings, mut standby, until } = self;
        let events = async_stream::stream! {
            loop {
                let event = tokio::select! {
                    biased;
                    event = events.next() => event.unwrap_or_else(|| Err(ErrorKind::StreamInterrupted.into())),
                    () = sleep_until(until), if standby.is_some() => {
                        Err(GenerateError { attempts: 1, ..ErrorKind::Timeout.into() })
                    }
                };
                let event = match (event, standby.take()) {
                    (Ok(event @ (Event::Calling(_) | Event::Failed(_))), still) => {
                        standby = still;
                        Ok(event)
                    }
                    (Err(error), Some(Found { completion, freshness })) if error.kind.allows_stand_in() => {
                        counted.verdict = Verdict::of_stored(freshness);
                        let outcome = Outcome::StandIn { freshness, called: error.attempts > 0 };
                        Ok(Event::Finish { completion, outcome, cost: None })
                    }
                    (event, _) => event,
                };
                if let Ok(Event::Finish { outcome: Outcome::Collapsed, .. }) = event {
                    counted.verdict = Verdict::Joined;
                }
                if let Ok(Event::Finish { completion, outcome, cost: None }) = &event {
                    savings.not_paid(completion, *outcome);
                }
                let is_last = event.as_ref().map_or(true, Event::is_last);
                yield event;
                if is_last {
                    break;
                }
            }
            drop(counted);
        };
        events.boxed()
    }
}

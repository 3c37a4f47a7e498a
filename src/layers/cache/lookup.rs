//! Answers from the cache what it knows.
//!
//! Wraps the typed request, outermost: freshness is the caller's wish, and a hit must touch nothing below.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt as _};

use crate::generate::{
    Answer, CacheResult, Fingerprint, GenerateError, GenerateRequest, Generation, Question, Receipt,
};

use super::{
    counts::CacheCounts,
    entry,
    shelf::{Found, Shelf},
};

/// Puts a [`Lookup`] around a service.
#[derive(Clone)]
pub struct LookupLayer {
    shelf: Arc<Shelf>,
    counts: Arc<CacheCounts>,
}

impl LookupLayer {
    /// Looks into `shelf` and counts what comes of it.
    pub fn new(shelf: Arc<Shelf>, counts: Arc<CacheCounts>) -> Self {
        Self { shelf, counts }
    }
}

impl<S> Layer<S> for LookupLayer {
    type Service = Lookup<S>;

    fn layer(&self, inner: S) -> Lookup<S> {
        Lookup { inner, layer: self.clone() }
    }
}

/// A service in front of which the cache stands.
#[derive(Clone)]
pub struct Lookup<S> {
    inner: S,
    layer: LookupLayer,
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
        self.layer.clone().look_up(self.inner.clone(), request).boxed()
    }
}

impl LookupLayer {
    async fn look_up<S>(self, inner: S, request: GenerateRequest) -> Result<Generation, GenerateError>
    where
        S: Service<Question, Response = Generation, Error = GenerateError>,
    {
        let begun = Instant::now();
        let fingerprint = Fingerprint::of(&request);
        let key = entry::key(&request.target, &fingerprint);
        let cache = if self.shelf.is_open() {
            if let Some(Found { completion, age, ttl }) =
                self.shelf.find(&key, &request.target, begun + request.lookup_time).await
            {
                self.counts.hit();
                let (cache, lookup) = (CacheResult::Hit { age, ttl }, begun.elapsed());
                let receipt = Receipt { cache, key: Some(key), joined: None, lookup };
                return Ok(Generation { receipt, answer: Answer::Whole(completion) });
            }
            CacheResult::Miss
        } else {
            CacheResult::Bypass
        };
        let lookup = begun.elapsed();
        let answering = inner.oneshot(Question { fingerprint, key: Arc::clone(&key), request }).await;
        // Another request may have brought the answer between the two look-ups.
        match &answering {
            Ok(generation) if generation.receipt.is_hit() => self.counts.hit(),
            _ if cache == CacheResult::Miss => self.counts.miss(),
            _ => {}
        }
        let Generation { receipt, answer } = answering?;
        let cache = if receipt.is_hit() { receipt.cache } else { cache };
        Ok(Generation { receipt: Receipt { cache, key: Some(key), lookup, ..receipt }, answer })
    }
}

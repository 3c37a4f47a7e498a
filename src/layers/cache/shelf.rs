//! Where answers stand: found by their key, kept when they are good.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    clock::Clock,
    config::CacheConfig,
    generate::{CacheResult, Completion, Fingerprint, Freshness, GenerateRequest, Policy, Target},
    stores::{CacheStore, Held, StoreError},
    trace,
};

use super::{
    decide::{Decision, decide},
    entry::{self, Entry},
};

/// Answers in a store, as the layers of the cache know them.
pub struct Shelf {
    store: Arc<dyn CacheStore>,
    /// What is wanted of answers.
    pub(super) config: CacheConfig,
    /// How long the store may take to keep an answer, with nobody waiting for it.
    keep_timeout: Duration,
    clock: Clock,
}

/// An answer that was found.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) completion: Arc<Completion>,
    pub(super) freshness: Freshness,
}

/// What the cache would say to a request.
pub struct Explained {
    /// The key.
    pub key: Arc<str>,
    /// How what is stored under it stands. `None`: nothing is.
    pub stored: Option<Freshness>,
    /// What the cache would say. `None`: nothing that the client accepts, and it wants no call.
    pub says: Option<CacheResult>,
    /// How long an answer to it would be fresh.
    pub lifetime: Duration,
}

impl Shelf {
    /// Keeps answers in `store`, which may take `keep_timeout` for it, as long as `config` says by `clock`.
    pub fn new(store: Arc<dyn CacheStore>, config: CacheConfig, keep_timeout: Duration, clock: Clock) -> Self {
        Self { store, config, keep_timeout, clock }
    }

    /// Whether there is a cache at all.
    pub(super) fn is_open(&self) -> bool {
        self.config.enabled
    }

    /// Whether there is a cache for who wants this.
    pub(super) fn is_open_to(&self, policy: &Policy) -> bool {
        self.config.enabled && !policy.no_store
    }

    /// Whether what is stored can be of use to who wants this: who wants the answer anew has no use for it, unless in need.
    pub(super) fn is_of_use_to(&self, policy: &Policy) -> bool {
        self.is_open_to(policy) && (!policy.no_cache || policy.stale_if_error.is_some())
    }

    /// The answer under `key`, which is one to `target`, fresh or stale. A store that fails, or does not say `by` then, has
    /// none.
    pub(super) async fn find(&self, key: &str, target: &Target, by: Instant) -> Option<Found> {
        let span = trace::lookup();
        let bytes = self.store.get(key, by).instrument(span.clone()).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the cache could not be read");
            None
        });
        let found = bytes.and_then(|bytes| self.read(&bytes, target));
        let result = match &found {
            Some(found) if found.freshness.is_fresh() => "hit",
            Some(_) => "stale",
            None => "miss",
        };
        trace::looked_up(&span, result);
        found
    }

    /// The same, as far as this process knows.
    pub(super) fn peek(&self, key: &str, target: &Target) -> Option<Found> {
        let found = self.config.enabled.then(|| self.store.peek(key)).flatten();
        self.read(&found?, target)
    }

    /// The answer in `bytes` from the store, as long as it is of use.
    pub(super) fn read(&self, bytes: &Bytes, target: &Target) -> Option<Found> {
        let Entry { completion, stored_ms, lifetime } = entry::decode(bytes, target)?;
        Some(Found { completion, freshness: self.freshness(stored_ms, lifetime)? })
    }

    /// How something stands that was stored at `stored_ms` for `lifetime`. `None`: it is of no use any more.
    pub(super) fn freshness(&self, stored_ms: u64, lifetime: Duration) -> Option<Freshness> {
        // An instance whose clock is ahead may have stored it.
        let age = Duration::from_millis(self.now_ms().saturating_sub(stored_ms));
        let freshness = Freshness { age, lifetime };
        let is_of_use = freshness.is_fresh() || freshness.stale_for() <= self.config.longest_stale();
        is_of_use.then_some(freshness)
    }

    /// The time of day, in milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> u64 {
        self.clock.epoch_ms()
    }

    /// What is kept under each of `keys`, whatever it is. Of a store that fails, or does not say `by` then, what this process knows.
    pub(super) async fn find_many(&self, keys: &[&str], by: Instant) -> Vec<Option<Bytes>> {
        let span = trace::lookup();
        let found = self.store.get_many(keys, by).instrument(span.clone()).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the cache could not be read");
            keys.iter().map(|key| self.store.peek(key)).collect()
        });
        let result = match found.iter().flatten().count() {
            0 => "miss",
            all if all == keys.len() => "hit",
            _ => "partial",
        };
        trace::looked_up(&span, result);
        found
    }

    /// Keeps `entries` for `lifetime`, and says whether it did.
    pub(super) async fn keep_many(&self, entries: &[(&str, Bytes)], lifetime: Duration) -> bool {
        let ttl = lifetime + self.config.longest_stale();
        let kept = self.store.put_many(entries, ttl, Instant::now() + self.keep_timeout).await;
        if let Err(error) = &kept {
            tracing::debug!(%error, "the vectors could not be kept");
        }
        kept.is_ok()
    }

    /// Keeps `completion` under `key`, fresh for `lifetime`, if it is good and answers `target`, and says whether it did.
    pub(super) async fn keep(&self, key: &str, target: &Target, completion: &Completion, lifetime: Duration) -> bool {
        // An answer by failover is not the answer of the model that was asked for.
        let is_own = completion.served.target == *target;
        if !(self.config.enabled && is_own && completion.is_storable()) {
            return false;
        }
        let value = entry::encode(completion, self.clock.epoch_ms(), lifetime);
        let ttl = lifetime + self.config.longest_stale();
        match self.store.put(key, value, ttl, Instant::now() + self.keep_timeout).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "the answer could not be kept");
                false
            }
        }
    }

    /// What the cache would say to `request`.
    ///
    /// # Errors
    /// When the store cannot say `by` then.
    pub async fn explain(&self, request: &GenerateRequest, by: Instant) -> Result<Explained, StoreError> {
        let target = &request.target;
        let key = entry::key(target, &Fingerprint::of(request));
        let bytes = if self.config.enabled { self.store.get(&key, by).await? } else { None };
        let stored = bytes.and_then(|bytes| self.read(&bytes, target)).map(|found| found.freshness);
        let is_open = self.is_open_to(&request.policy);
        let says = match decide(&request.policy, stored.filter(|_| is_open), &self.config) {
            Decision::Answer { .. } => stored.map(CacheResult::Hit),
            Decision::Forward(_) if !is_open => Some(CacheResult::Bypass),
            Decision::Forward(reason) => Some(reason),
            Decision::Refuse => None,
        };
        Ok(Explained { key, stored, says, lifetime: super::lifetime(request, &self.config) })
    }

    /// Forgets the answer under `key`, and says whether there was one.
    ///
    /// # Errors
    /// When the store cannot say `by` then.
    pub async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        self.store.delete(key, by).await
    }

    /// Forgets all answers, and says how many there were.
    ///
    /// # Errors
    /// When the store cannot say `by` then; a part may be forgotten.
    pub async fn clear(&self, by: Instant) -> Result<u64, StoreError> {
        self.store.clear(by).await
    }

    /// What this process holds itself.
    pub fn held(&self) -> Held {
        self.store.held()
    }
}

//! Where answers stand: found by their key while they are fresh, kept when they are good.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    clock::Clock,
    config::CacheConfig,
    generate::{Completion, Target},
    stores::CacheStore,
};

use super::entry;

/// Answers in a store, as the layers of the cache know them.
pub struct Shelf {
    store: Arc<dyn CacheStore>,
    config: CacheConfig,
    /// How long the store may take to keep an answer, with nobody waiting for it.
    keep_timeout: Duration,
    clock: Clock,
}

/// An answer that was found.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) completion: Arc<Completion>,
    /// Since it was stored.
    pub(super) age: Duration,
    /// Until it is no longer fresh.
    pub(super) ttl: Duration,
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

    /// The fresh answer under `key`, which is one to `target`. A store that fails, or does not say `by` then, has none.
    pub(super) async fn find(&self, key: &str, target: &Target, by: Instant) -> Option<Found> {
        if !self.config.enabled {
            return None;
        }
        let found = self.store.get(key, by).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the cache could not be read");
            None
        });
        self.read(&found?, target)
    }

    /// The same, as far as this process knows.
    pub(super) fn peek(&self, key: &str, target: &Target) -> Option<Found> {
        let found = self.config.enabled.then(|| self.store.peek(key)).flatten();
        self.read(&found?, target)
    }

    fn read(&self, bytes: &Bytes, target: &Target) -> Option<Found> {
        let entry = entry::decode(bytes, target)?;
        let (age, ttl) = entry.freshness(self.clock.epoch_ms())?;
        Some(Found { completion: entry.completion, age, ttl })
    }

    /// Keeps `completion` under `key` if it is good and answers `target`, and says whether it did.
    pub(super) async fn keep(&self, key: &str, target: &Target, completion: &Completion) -> bool {
        let served = &completion.served;
        // An answer by failover is not the answer of the model that was asked for.
        let is_own = served.provider == target.provider && served.model == target.model;
        if !(self.config.enabled && is_own && completion.is_storable()) {
            return false;
        }
        let CacheConfig { enabled: _, ttl, memory_bytes: _ } = self.config;
        let value = entry::encode(completion, self.clock.epoch_ms(), ttl);
        match self.store.put(key, value, ttl, Instant::now() + self.keep_timeout).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "the answer could not be kept");
                false
            }
        }
    }
}

//! Answers in this process, the least recently used forgotten first.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use moka::{Expiry, policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::stores::{CacheStore, Held, StoreError};

/// What an entry takes besides its key and value: moka's node, its place in the queue, two allocations. Measured, rounded up.
const ENTRY_OVERHEAD_BYTES: usize = 160;

/// A cache that holds no more than a given number of bytes.
pub struct MemoryCache {
    entries: Cache<Arc<str>, Kept>,
}

#[derive(Clone)]
struct Kept {
    value: Bytes,
    ttl: Duration,
    /// By tokio's clock, which tests can pause; moka's own only frees memory.
    until: Instant,
}

impl MemoryCache {
    /// An empty cache for `limit_bytes` of keys, values and their keeping.
    pub fn new(limit_bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(limit_bytes)
            .weigher(|key: &Arc<str>, kept: &Kept| {
                u32::try_from(key.len() + kept.value.len() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
            })
            // The default policy refuses newcomers once full, and the second identical request must be a hit.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(PerEntry)
            .build();
        Self { entries }
    }

    /// Keeps `value` under `key` for `ttl`.
    pub fn insert(&self, key: &str, value: Bytes, ttl: Duration) {
        self.entries.insert(key.into(), Kept { value, ttl, until: Instant::now() + ttl });
    }

    /// The same, unless something is there.
    pub fn put_if_absent(&self, key: &str, value: Bytes, ttl: Duration) {
        if self.peek(key).is_none() {
            self.insert(key, value, ttl);
        }
    }
}

#[async_trait]
impl CacheStore for MemoryCache {
    async fn get(&self, key: &str, _by: Instant) -> Result<Option<Bytes>, StoreError> {
        Ok(self.peek(key))
    }

    fn peek(&self, key: &str) -> Option<Bytes> {
        self.entries.get(key).filter(|kept| Instant::now() < kept.until).map(|kept| kept.value)
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration, _by: Instant) -> Result<(), StoreError> {
        self.insert(key, value, ttl);
        Ok(())
    }

    async fn get_many(&self, keys: &[&str], _by: Instant) -> Result<Vec<Option<Bytes>>, StoreError> {
        Ok(keys.iter().map(|key| self.peek(key)).collect())
    }

    async fn put_many(&self, entries: &[(&str, Bytes)], ttl: Duration, _by: Instant) -> Result<(), StoreError> {
        for (key, value) in entries {
            self.insert(key, value.clone(), ttl);
        }
        Ok(())
    }

    async fn delete(&self, key: &str, _by: Instant) -> Result<bool, StoreError> {
        Ok(self.entries.remove(key).is_some())
    }

    async fn clear(&self, _by: Instant) -> Result<u64, StoreError> {
        self.entries.run_pending_tasks();
        let count = self.entries.entry_count();
        self.entries.invalidate_all();
        Ok(count)
    }

    fn held(&self) -> Held {
        self.entries.run_pending_tasks();
        Held { entries: self.entries.entry_count(), bytes: self.entries.weighted_size() }
    }
}

struct PerEntry;

impl Expiry<Arc<str>, Kept> for PerEntry {
    fn expire_after_create(&self, _: &Arc<str>, kept: &Kept, _: std::time::Instant) -> Option<Duration> {
        Some(kept.ttl)
    }

    fn expire_after_update(
        &self,
        _: &Arc<str>,
        kept: &Kept,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_holds_no_more_bytes_than_it_may_and_keeps_the_newest() {
        let cache = MemoryCache::new(1 << 20);
        let by = Instant::now();
        for n in 0..5_000 {
            cache.put(&format!("key-{n}"), vec![0; 2_000].into(), Duration::from_secs(60), by).await.unwrap();
        }
        cache.entries.run_pending_tasks();
        assert!(cache.entries.weighted_size() <= 1 << 20);
        assert!(cache.get("key-4999", by).await.unwrap().is_some());
        assert!(cache.get("key-0", by).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_gone_when_its_time_is_over() {
        let cache = MemoryCache::new(1 << 20);
        cache.put("key", "value".into(), Duration::from_secs(60), Instant::now()).await.unwrap();
        tokio::time::advance(Duration::from_millis(59_999)).await;
        assert!(cache.get("key", Instant::now()).await.unwrap().is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(cache.get("key", Instant::now()).await.unwrap().is_none());
    }
}

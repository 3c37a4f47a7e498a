//! Answers in this process, the least recently used forgotten first.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::{
    bounded::Bounded,
    stores::{CacheStore, Held, StoreError},
};

/// What an entry takes besides its value: its place among the others, with room to grow, and what shares the value. Rounded up.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// A cache that holds no more than a given number of bytes.
pub struct MemoryCache {
    entries: Mutex<Entries>,
}

type Entries = Bounded<Digest, Kept>;

/// A key, however long it is.
type Digest = [u8; 32];

struct Kept {
    value: Bytes,
    until: Instant,
}

impl MemoryCache {
    /// An empty cache for `limit_bytes` of keys, values and their keeping.
    pub fn new(limit_bytes: u64) -> Self {
        let weigh = |_: &Digest, kept: &Kept| (kept.value.len() + ENTRY_OVERHEAD_BYTES) as u64;
        Self { entries: Mutex::new(Bounded::new(limit_bytes, weigh)) }
    }

    /// Keeps `value` under `key` for `ttl`, in place of what was there.
    pub(in crate::stores) fn insert(&self, key: &str, value: Bytes, ttl: Duration) {
        let (key, now) = (digest(key), Instant::now());
        keep(&mut self.entries(), key, value, ttl, now);
    }

    /// The same, unless something is there. Atomic.
    pub(in crate::stores) fn put_if_absent(&self, key: &str, value: Bytes, ttl: Duration) {
        let (key, now) = (digest(key), Instant::now());
        let mut entries = self.entries();
        if entries.get(&key).is_none_or(|kept| kept.until <= now) {
            keep(&mut entries, key, value, ttl, now);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CacheStore for MemoryCache {
    async fn get(&self, key: &str, _by: Instant) -> Result<Option<Bytes>, StoreError> {
        Ok(self.peek(key))
    }

    fn peek(&self, key: &str) -> Option<Bytes> {
        let key = digest(key);
        let mut entries = self.entries();
        let kept = entries.get(&key)?;
        if Instant::now() < kept.until {
            return Some(kept.value.clone());
        }
        entries.remove(&key);
        None
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
        let now = Instant::now();
        Ok(self.entries().remove(&digest(key)).is_some_and(|kept| now < kept.until))
    }

    async fn clear(&self, _by: Instant) -> Result<u64, StoreError> {
        let now = Instant::now();
        Ok(self.entries().clear(|kept| now < kept.until))
    }

    fn held(&self) -> Held {
        let entries = self.entries();
        Held { entries: entries.len(), bytes: entries.weight() }
    }
}

fn keep(entries: &mut Entries, key: Digest, value: Bytes, ttl: Duration, now: Instant) {
    entries.sweep(|kept| kept.until <= now);
    if ttl.is_zero() {
        // It would take the place of one that is alive.
        entries.remove(&key);
        return;
    }
    entries.put(key, Kept { value, until: now + ttl });
}

fn digest(key: &str) -> Digest {
    Sha256::digest(key).into()
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
        assert!(cache.held().bytes <= 1 << 20);
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
        assert_eq!(cache.held().entries, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_was_not_there_and_takes_nobodys_place() {
        let (cache, minute) = (MemoryCache::new(1 << 10), Duration::from_secs(60));
        cache.insert("gone", "value".into(), minute);
        tokio::time::advance(minute).await;
        assert!(!cache.delete("gone", Instant::now()).await.unwrap());
        cache.insert("gone", "value".into(), minute);
        tokio::time::advance(minute).await;
        assert_eq!(cache.clear(Instant::now()).await.unwrap(), 0);

        cache.insert("alive", vec![0; 600].into(), minute);
        cache.insert("dead", vec![0; 600].into(), Duration::ZERO);
        assert!(cache.peek("alive").is_some() && cache.peek("dead").is_none());
        cache.insert("alive", vec![0; 600].into(), Duration::ZERO);
        assert!(cache.peek("alive").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_stays_until_it_is_over() {
        let (cache, minute) = (MemoryCache::new(1 << 10), Duration::from_secs(60));
        cache.insert("key", "new".into(), minute);
        cache.put_if_absent("key", "old".into(), Duration::ZERO);
        cache.put_if_absent("key", "old".into(), minute);
        assert_eq!(cache.peek("key"), Some("new".into()));
        tokio::time::advance(minute).await;
        cache.put_if_absent("key", "old".into(), minute);
        assert_eq!(cache.peek("key"), Some("old".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn entries_whose_time_is_over_make_room_before_it_is_needed() {
        let cache = MemoryCache::new(1 << 20);
        let by = Instant::now();
        for n in 0..100 {
            cache.put(&format!("old-{n}"), "value".into(), Duration::from_secs(60), by).await.unwrap();
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        for n in 0..100 {
            cache.put(&format!("new-{n}"), "value".into(), Duration::from_secs(60), by).await.unwrap();
        }
        assert_eq!(cache.held().entries, 100);
    }
}

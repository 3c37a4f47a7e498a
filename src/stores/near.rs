//! Copies in this process of what another store keeps: what was just there need not be fetched, and what many want at once is
//! fetched once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::time::{Instant, timeout_at};

use super::{CacheStore, StoreError, memory::MemoryCache};

/// How long a copy is trusted: what was forgotten elsewhere is gone here within a minute.
const LONGEST: Duration = Duration::from_mins(1);

/// A cache in front of a cache.
pub struct Near {
    copies: MemoryCache,
    inner: Arc<dyn CacheStore>,
    is_sound: IsSound,
    asking: Arc<Asking>,
}

/// Whether a value is what its keeper put there, and not something that others did.
pub type IsSound = fn(&Bytes) -> bool;

type Fetched = BoxFuture<'static, Result<Option<Bytes>, StoreError>>;

/// The look-ups under way.
#[derive(Default)]
struct Asking(Mutex<HashMap<Arc<str>, WeakShared<Fetched>>>);

impl Near {
    /// At most `limit_bytes` of copies of what `inner` keeps, as far as it is sound.
    pub fn new(inner: Arc<dyn CacheStore>, limit_bytes: u64, is_sound: IsSound) -> Self {
        Self { copies: MemoryCache::new(limit_bytes), inner, is_sound, asking: Arc::default() }
    }

    /// The look-up of `key` that is under way, or a new one that ends `by`.
    fn fetch(&self, key: &str, by: Instant) -> Shared<Fetched> {
        let mut asking = self.asking.lock();
        if let Some(fetched) = asking.get(key).and_then(WeakShared::upgrade) {
            return fetched;
        }
        let key: Arc<str> = key.into();
        let (inner, ends) = (Arc::clone(&self.inner), Ends { asking: Arc::clone(&self.asking), key: Arc::clone(&key) });
        let is_sound = self.is_sound;
        // It lives as long as someone waits for it.
        let fetched = async move { Ok(inner.get(&ends.key, by).await?.filter(is_sound)) }.boxed().shared();
        asking.extend(fetched.downgrade().map(|weak| (key, weak)));
        fetched
    }
}

impl Asking {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, WeakShared<Fetched>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a look-up off the list when it ends, however that comes.
struct Ends {
    asking: Arc<Asking>,
    key: Arc<str>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.asking.lock().remove(&self.key);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CacheStore for Near {
    async fn get(&self, key: &str, by: Instant) -> Result<Option<Bytes>, StoreError> {
        if let Some(copy) = self.copies.peek(key) {
            return Ok(Some(copy));
        }
        let fetched = self.fetch(key, by);
        let found = timeout_at(by, fetched).await.unwrap_or(Err(StoreError::Timeout))?;
        if let Some(value) = &found {
            // What was put here meanwhile is newer.
            self.copies.put_if_absent(key, value.clone(), LONGEST);
        }
        Ok(found)
    }

    fn peek(&self, key: &str) -> Option<Bytes> {
        self.copies.peek(key)
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.copies.put(key, value.clone(), ttl.min(LONGEST), by).await?;
        self.inner.put(key, value, ttl, by).await
    }

    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        let was_here = self.copies.delete(key, by).await?;
        Ok(self.inner.delete(key, by).await? || was_here)
    }

    async fn clear(&self, by: Instant) -> Result<u64, StoreError> {
        self.copies.clear(by).await?;
        self.inner.clear(by).await
    }
}

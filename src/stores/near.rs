//! Copies in this process of what another store keeps: what was just there need not be fetched, and what many want at once is
//! fetched once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use tokio::time::{Instant, timeout_at};

use super::{CacheStore, Held, Lease, LeaseStore, StoreError, memory::MemoryCache};

/// How long a copy is trusted: what was forgotten elsewhere is gone here within a minute.
const LONGEST: Duration = Duration::from_mins(1);

/// A cache in front of a cache.
pub struct Near<S> {
    copies: MemoryCache,
    inner: Arc<S>,
    is_sound: IsSound,
    has_told: Arc<AtomicBool>,
    asking: Arc<Asking>,
}

/// Whether a value is what its keeper put there, and not something that others did.
pub type IsSound = fn(&Bytes) -> bool;

type Fetched = BoxFuture<'static, Result<Option<Bytes>, StoreError>>;

/// The look-ups under way.
#[derive(Default)]
struct Asking(Mutex<HashMap<Arc<str>, WeakShared<Fetched>>>);

impl<S: CacheStore + 'static> Near<S> {
    /// At most `limit_bytes` of copies of what `inner` keeps, as far as it is sound.
    pub fn new(inner: Arc<S>, limit_bytes: u64, is_sound: IsSound) -> Self {
        let (copies, has_told, asking) = (MemoryCache::new(limit_bytes), Arc::default(), Arc::default());
        Self { copies, inner, is_sound, has_told, asking }
    }

    /// The look-up of `key` that is under way, or a new one that ends `by`.
    fn fetch(&self, key: &str, by: Instant) -> Shared<Fetched> {
        let mut asking = self.asking.lock();
        if let Some(fetched) = asking.get(key).and_then(WeakShared::upgrade) {
            return fetched;
        }
        let key: Arc<str> = key.into();
        let (inner, ends) = (Arc::clone(&self.inner), Ends { asking: Arc::clone(&self.asking), key: Arc::clone(&key) });
        let (is_sound, has_told) = (self.is_sound, Arc::clone(&self.has_told));
        // It lives as long as someone waits for it.
        let fetched = async move {
            let found = inner.get(&ends.key, by).await?;
            Ok(found.filter(|value| is_readable(value, is_sound, &ends.key, &has_told)))
        };
        let fetched = fetched.boxed().shared();
        asking.extend(fetched.downgrade().map(|weak| (key, weak)));
        fetched
    }

    /// The same lease, of whose value there is a copy now: it is newer than what was here.
    fn copy(&self, key: &str, lease: Lease) -> Lease {
        let value = lease.value.filter(|value| is_readable(value, self.is_sound, key, &self.has_told));
        if let Some(value) = &value {
            self.copies.insert(key, value.clone(), LONGEST);
        }
        Lease { value, ..lease }
    }
}

/// Whether `value` is sound; the log hears of the first that is not.
fn is_readable(value: &Bytes, is_sound: IsSound, key: &str, has_told: &AtomicBool) -> bool {
    let is_readable = is_sound(value);
    if !is_readable && !has_told.swap(true, Ordering::Relaxed) {
        tracing::warn!(key, "an entry of the cache cannot be read: it, and whatever else cannot, counts as absent");
    }
    is_readable
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
impl<S: CacheStore + 'static> CacheStore for Near<S> {
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
    fn held(&self) -> Held {
        self.copies.held()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: LeaseStore + CacheStore + 'static> LeaseStore for Near<S> {
    async fn take(&self, key: &str, ttl: Duration, by: Instant) -> Result<Lease, StoreError> {
        Ok(self.copy(key, self.inner.take(key, ttl, by).await?))
    }

    async fn look(&self, key: &str, by: Instant) -> Result<Lease, StoreError> {
        Ok(self.copy(key, self.inner.look(key, by).await?))
    }

    async fn renew(&self, key: &str, ttl: Duration, by: Instant) -> Result<bool, StoreError> {
        self.inner.renew(key, ttl, by).await
    }

    async fn release(&self, key: &str, by: Instant) -> Result<(), StoreError> {
        self.inner.release(key, by).await
    }
}

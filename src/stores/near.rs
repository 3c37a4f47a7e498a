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

use crate::clock::Clock;

use super::{CacheStore, Held, Lease, LeaseStore, StoreError, memory::MemoryCache};

/// How long a copy is trusted: what was forgotten elsewhere is gone here within a minute.
const LONGEST: Duration = Duration::from_mins(1);

/// A cache in front of a cache.
pub struct Near<S> {
    copies: MemoryCache,
    inner: Arc<S>,
    fresh_until: FreshUntil,
    clock: Clock,
    has_told: Arc<AtomicBool>,
    asking: Arc<Asking>,
}

/// Until when a copy of a value is as good as the value, in milliseconds since the Unix epoch. `None`: it is not what its keeper
/// put there, but something that others did.
pub type FreshUntil = fn(&Bytes) -> Option<u64>;

/// A value and until when a copy of it is good.
type Fetched = BoxFuture<'static, Result<Option<(Bytes, u64)>, StoreError>>;

/// The look-ups under way.
#[derive(Default)]
struct Asking(Mutex<HashMap<Arc<str>, WeakShared<Fetched>>>);

impl<S: CacheStore + 'static> Near<S> {
    /// At most `limit_bytes` of copies of what `inner` keeps, as far as it is sound, and as long as `fresh_until` and
    /// `clock` say.
    pub fn new(inner: Arc<S>, limit_bytes: u64, fresh_until: FreshUntil, clock: Clock) -> Self {
        let (copies, has_told, asking) = (MemoryCache::new(limit_bytes), Arc::default(), Arc::default());
        Self { copies, inner, fresh_until, clock, has_told, asking }
    }

    /// The look-up of `key` that is under way, or a new one that ends `by`.
    fn fetch(&self, key: &str, by: Instant) -> Shared<Fetched> {
        let mut asking = self.asking.lock();
        if let Some(fetched) = asking.get(key).and_then(WeakShared::upgrade) {
            return fetched;
        }
        let key: Arc<str> = key.into();
        let (inner, ends) = (Arc::clone(&self.inner), Ends { asking: Arc::clone(&self.asking), key: Arc::clone(&key) });
        let (fresh_until, has_told) = (self.fresh_until, Arc::clone(&self.has_told));
        // It lives as long as someone waits for it.
        let fetched = async move {
            let found = inner.get(&ends.key, by).await?;
            Ok(found.and_then(|value| sound(value, fresh_until, &ends.key, &has_told)))
        };
        let fetched = fetched.boxed().shared();
        asking.extend(fetched.downgrade().map(|weak| (key, weak)));
        fetched
    }

    /// The same lease, of whose value there is a copy now: it is newer than what was here.
    fn copy(&self, key: &str, lease: Lease) -> Lease {
        let sound = lease.value.and_then(|value| sound(value, self.fresh_until, key, &self.has_told));
        if let Some((value, fresh_until)) = &sound {
            self.copies.insert(key, value.clone(), self.trusted_for(*fresh_until));
        }
        Lease { value: sound.map(|(value, _)| value), ..lease }
    }

    /// There is a copy of `value` now, which is to be kept for `ttl`.
    fn insert(&self, key: &str, value: &Bytes, ttl: Duration) {
        let trusted_for = (self.fresh_until)(value).map(|until| self.trusted_for(until));
        self.copies.insert(key, value.clone(), trusted_for.unwrap_or_default().min(ttl));
    }

    /// How long a copy is trusted: what is no longer fresh may have a successor elsewhere.
    fn trusted_for(&self, fresh_until: u64) -> Duration {
        LONGEST.min(Duration::from_millis(fresh_until.saturating_sub(self.clock.epoch_ms())))
    }
}

/// `value` if it is sound, and until when it is fresh; the log hears of the first that is not.
fn sound(value: Bytes, fresh_until: FreshUntil, key: &str, has_told: &AtomicBool) -> Option<(Bytes, u64)> {
    let sound = fresh_until(&value).map(|until| (value, until));
    if sound.is_none() && !has_told.swap(true, Ordering::Relaxed) {
        tracing::warn!(key, "an entry of the cache cannot be read: it, and whatever else cannot, counts as absent");
    }
    sound
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
        Ok(found.map(|(value, fresh_until)| {
            // What was put here meanwhile is newer.
            self.copies.put_if_absent(key, value.clone(), self.trusted_for(fresh_until));
            value
        }))
    }

    fn peek(&self, key: &str) -> Option<Bytes> {
        self.copies.peek(key)
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.insert(key, &value, ttl);
        self.inner.put(key, value, ttl, by).await
    }

    /// Those of which there are copies are not asked for. Whoever wants the same at the same time asks for itself.
    async fn get_many(&self, keys: &[&str], by: Instant) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut found: Vec<Option<Bytes>> = keys.iter().map(|key| self.copies.peek(key)).collect();
        let missing = keys.iter().zip(&found).filter(|(_, copy)| copy.is_none());
        let asked: Vec<&str> = missing.map(|(key, _)| *key).collect();
        if asked.is_empty() {
            return Ok(found);
        }
        let fetched = self.inner.get_many(&asked, by).await?;
        let places = found.iter_mut().filter(|copy| copy.is_none());
        for ((place, key), value) in places.zip(asked).zip(fetched) {
            let sound = value.and_then(|value| sound(value, self.fresh_until, key, &self.has_told));
            *place = sound.map(|(value, fresh_until)| {
                self.copies.put_if_absent(key, value.clone(), self.trusted_for(fresh_until));
                value
            });
        }
        Ok(found)
    }

    async fn put_many(&self, entries: &[(&str, Bytes)], ttl: Duration, by: Instant) -> Result<(), StoreError> {
        for (key, value) in entries {
            self.insert(key, value, ttl);
        }
        self.inner.put_many(entries, ttl, by).await
    }

    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        let deleted = self.inner.delete(key, by).await;
        // Last: whoever asked meanwhile may have made another copy.
        let was_here = self.copies.delete(key, by).await?;
        Ok(deleted? || was_here)
    }

    async fn clear(&self, by: Instant) -> Result<u64, StoreError> {
        let cleared = self.inner.clear(by).await;
        self.copies.clear(by).await?;
        cleared
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

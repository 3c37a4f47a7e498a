//! A store that may be away: asked only so long, and left alone for a while when it keeps failing.

use std::{
    future::Future,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::{
    breaker::{Breaker, Pauses},
    metrics::StoreMetrics,
    trace,
};

use super::{
    Admission, BookStore, CacheStore, CounterStore, Held, IsOwn, Kept, Lease, LeaseStore, Notes, Posting, Quota,
    Reservation, Reserving, SessionStore, Sheet, StoreError, Swapped, TotalStore,
};

/// How many failures in a row there may be, and how long it is left alone then: so short that a store which is back is used
/// again within 5 s (`upstash-rest.md` 8).
const THRESHOLD: u32 = 5;
const PAUSES: Pauses = Pauses { first: Duration::from_secs(1), longest: Duration::from_secs(4) };
/// How long it is left alone when the account's commands are used up.
const QUOTA_PAUSE: Duration = Duration::from_secs(30);
/// How often trouble may be said in the log.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Asks `S` no longer than its callers wait, and not at all while it is in trouble.
pub struct Guard<S> {
    inner: S,
    breaker: Breaker,
    metrics: StoreMetrics,
    /// When the log was told last.
    told: Mutex<Option<Instant>>,
}

impl<S> Guard<S> {
    /// Around `inner`, which is trusted so far. What it is asked is counted by `metrics`.
    pub fn new(inner: S, metrics: StoreMetrics) -> Self {
        Self { inner, breaker: Breaker::new(THRESHOLD, PAUSES), metrics, told: Mutex::default() }
    }

    /// Whether nobody is let through to it for a while.
    pub fn is_left_alone(&self) -> bool {
        self.breaker.is_open(Instant::now())
    }

    /// What is inside, for whoever asks it for its own sake.
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    async fn ask<T>(
        &self,
        operation: &'static str,
        by: Instant,
        asking: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        // Who has no time left learns nothing, and this says nothing of the store.
        let pass = if begun < by { self.breaker.pass(begun).ok() } else { None };
        let Some(pass) = pass else {
            self.metrics.skipped();
            return Err(StoreError::Skipped);
        };
        let span = trace::store(operation);
        let answer = timeout_at(by, asking).instrument(span.clone()).await.unwrap_or(Err(StoreError::Timeout));
        if let Err(error) = &answer {
            trace::failed(&span, error.as_str());
        }
        self.metrics.asked(operation, answer.as_ref().err().map(StoreError::as_str), begun.elapsed());
        let now = Instant::now();
        let Err(error) = &answer else {
            if pass.succeeded() && self.may_tell(now) {
                tracing::info!("the store is back");
            }
            return answer;
        };
        let has_opened = match error {
            StoreError::Quota => pass.failed_for(QUOTA_PAUSE, now),
            error if error.is_outage() => pass.failed(now),
            // It need not have been asked.
            StoreError::TooLarge => {
                drop(pass);
                false
            }
            _ => {
                pass.succeeded();
                false
            }
        };
        // What one key holds or one answer needs is no trouble of the store's.
        let is_trouble = !matches!(error, StoreError::WrongType | StoreError::TooLarge);
        if is_trouble && self.may_tell(now) {
            tracing::warn!(%error, left_alone = has_opened, "the store fails: this process does without it");
        }
        answer
    }

    fn may_tell(&self, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_long_ago = told.is_none_or(|told| now >= told + LOG_INTERVAL);
        if is_long_ago {
            *told = Some(now);
        }
        is_long_ago
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CacheStore> CacheStore for Guard<S> {
    async fn get(&self, key: &str, by: Instant) -> Result<Option<Bytes>, StoreError> {
        self.ask("cache.get", by, self.inner.get(key, by)).await
    }

    fn peek(&self, key: &str) -> Option<Bytes> {
        self.inner.peek(key)
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.ask("cache.put", by, self.inner.put(key, value, ttl, by)).await
    }

    async fn get_many(&self, keys: &[&str], by: Instant) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.ask("cache.get_many", by, self.inner.get_many(keys, by)).await
    }

    async fn put_many(&self, entries: &[(&str, Bytes)], ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.ask("cache.put_many", by, self.inner.put_many(entries, ttl, by)).await
    }

    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        self.ask("cache.delete", by, self.inner.delete(key, by)).await
    }

    async fn clear(&self, by: Instant) -> Result<u64, StoreError> {
        self.ask("cache.clear", by, self.inner.clear(by)).await
    }

    fn held(&self) -> Held {
        self.inner.held()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: LeaseStore> LeaseStore for Guard<S> {
    async fn take(&self, key: &str, ttl: Duration, by: Instant) -> Result<Lease, StoreError> {
        self.ask("lease.take", by, self.inner.take(key, ttl, by)).await
    }

    async fn look(&self, key: &str, by: Instant) -> Result<Lease, StoreError> {
        self.ask("lease.look", by, self.inner.look(key, by)).await
    }

    async fn renew(&self, key: &str, ttl: Duration, by: Instant) -> Result<bool, StoreError> {
        self.ask("lease.renew", by, self.inner.renew(key, ttl, by)).await
    }

    async fn release(&self, key: &str, by: Instant) -> Result<(), StoreError> {
        self.ask("lease.release", by, self.inner.release(key, by)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> SessionStore for Guard<S> {
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.ask("session.put", by, self.inner.put(key, value, ttl, by)).await
    }

    async fn load(&self, key: &str, ttl: Duration, by: Instant) -> Result<Option<Bytes>, StoreError> {
        self.ask("session.load", by, self.inner.load(key, ttl, by)).await
    }

    async fn swap(
        &self,
        key: &str,
        expected: Bytes,
        new: Bytes,
        ttl: Duration,
        by: Instant,
    ) -> Result<Swapped, StoreError> {
        self.ask("session.swap", by, self.inner.swap(key, expected, new, ttl, by)).await
    }

    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        self.ask("session.delete", by, self.inner.delete(key, by)).await
    }

    async fn enrol(&self, group: &str, key: &str, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        self.ask("session.enrol", by, self.inner.enrol(group, key, ttl, by)).await
    }

    async fn withdraw(&self, group: &str, key: &str, by: Instant) -> Result<(), StoreError> {
        self.ask("session.withdraw", by, self.inner.withdraw(group, key, by)).await
    }

    async fn members(&self, group: &str, is_own: IsOwn<'_>, by: Instant) -> Result<Vec<Kept>, StoreError> {
        self.ask("session.members", by, self.inner.members(group, is_own, by)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: CounterStore> CounterStore for Guard<S> {
    async fn admit(&self, key: &str, quota: Quota, cost: NonZeroU32, by: Instant) -> Result<Admission, StoreError> {
        self.ask("counter.admit", by, self.inner.admit(key, quota, cost, by)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: TotalStore> TotalStore for Guard<S> {
    async fn add(&self, amounts: &[(&str, u64)], by: Instant) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.ask("total.add", by, self.inner.add(amounts, by)).await
    }

    async fn read(&self, keys: &[&str], by: Instant) -> Result<Vec<u64>, StoreError> {
        self.ask("total.read", by, self.inner.read(keys, by)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: BookStore> BookStore for Guard<S> {
    async fn post(&self, posting: &Posting, by: Instant) -> Result<(), StoreError> {
        self.ask("book.post", by, self.inner.post(posting, by)).await
    }

    async fn reserve(
        &self,
        sheet: &str,
        reservation: &Reservation<'_>,
        limits: &[(String, u64)],
        by: Instant,
    ) -> Result<Reserving, StoreError> {
        self.ask("book.reserve", by, self.inner.reserve(sheet, reservation, limits, by)).await
    }

    async fn sheets(&self, keys: &[&str], by: Instant) -> Result<Vec<Sheet>, StoreError> {
        self.ask("book.sheets", by, self.inner.sheets(keys, by)).await
    }

    async fn sheet_and_notes(&self, sheet: &str, notes: &str, by: Instant) -> Result<(Sheet, Notes), StoreError> {
        self.ask("book.sheet_and_notes", by, self.inner.sheet_and_notes(sheet, notes, by)).await
    }

    async fn note(&self, key: &str, notes: &[(String, String)], by: Instant) -> Result<(), StoreError> {
        self.ask("book.note", by, self.inner.note(key, notes, by)).await
    }

    async fn note_new(&self, key: &str, field: &str, text: &str, by: Instant) -> Result<bool, StoreError> {
        self.ask("book.note_new", by, self.inner.note_new(key, field, text, by)).await
    }

    async fn forget(&self, key: &str, fields: &[String], by: Instant) -> Result<(), StoreError> {
        self.ask("book.forget", by, self.inner.forget(key, fields, by)).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::metrics::Metrics;

    /// Says this to everyone.
    struct Refusing(StoreError);

    #[async_trait]
    impl TotalStore for Refusing {
        async fn add(&self, _: &[(&str, u64)], _: Instant) -> Result<Vec<Result<(), StoreError>>, StoreError> {
            Err(self.0.clone())
        }

        async fn read(&self, _: &[&str], _: Instant) -> Result<Vec<u64>, StoreError> {
            Err(self.0.clone())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_left_alone_for_as_long_as_its_trouble_lasts() {
        let failing = Some((THRESHOLD, PAUSES.first));
        for (error, left_alone) in [
            (StoreError::Quota, Some((1, QUOTA_PAUSE))),
            (StoreError::Timeout, failing),
            (StoreError::Busy(429), failing),
            (StoreError::Access("NOPERM".to_owned()), failing),
            (StoreError::TooLarge, None),
            (StoreError::WrongType, None),
            (StoreError::Full, None),
        ] {
            let guard = Guard::new(Refusing(error.clone()), Metrics::default().store);
            let ask = async || guard.read(&["llm:stats:x"], Instant::now() + Duration::from_secs(1)).await.unwrap_err();
            let mut asked = 0;
            while asked < 20 && ask().await == error {
                asked += 1;
            }
            assert_eq!(
                (asked, guard.is_left_alone()),
                (left_alone.map_or(20, |(after, _)| after), left_alone.is_some())
            );
            let Some((_, pause)) = left_alone else { continue };
            advance(pause.saturating_sub(Duration::from_millis(1))).await;
            assert_eq!(ask().await, StoreError::Skipped, "{error}");
            advance(Duration::from_millis(1)).await;
            assert_eq!(ask().await, error, "it is asked again");
        }
    }
}

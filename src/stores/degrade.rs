//! A limit that holds while the store that counts is away: this process goes on counting, from what it admitted itself, up to
//! its share.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::Instant;

use crate::remembered::Remembered;

use super::{Admission, CounterStore, Quota, StoreError, memory::MemoryCounters};

/// How many refused callers are remembered, so that they cost the store nothing (`upstash-rest.md` 14.7).
const MAX_BLOCKED: u64 = 10_000;

/// Counts in `inner`, and here while that is away.
pub struct Degrade {
    inner: Arc<dyn CounterStore>,
    own: MemoryCounters,
    blocked: Remembered<String, Blocked>,
    instances: NonZeroU32,
}

/// A refusal that stands until a known time.
#[derive(Clone, Copy)]
struct Blocked {
    cost: NonZeroU32,
    limit: u32,
    remaining: u32,
    grows_at: Instant,
    until: Instant,
}

impl Degrade {
    /// Around `inner`, whose limits `instances` share. `longest_window` is the longest of them.
    pub fn new(inner: Arc<dyn CounterStore>, instances: NonZeroU32, longest_window: Duration) -> Self {
        Self { inner, own: MemoryCounters::new(longest_window), blocked: Remembered::new(MAX_BLOCKED), instances }
    }

    /// The refusal of `cost` that still stands.
    fn refusal(&self, key: &str, cost: NonZeroU32) -> Option<Admission> {
        let Blocked { cost: refused, limit, remaining, grows_at, until } = self.blocked.get(key)?;
        let now = Instant::now();
        (cost >= refused && now < until).then(|| Admission {
            admitted: false,
            limit,
            remaining,
            grows_in: grows_at.saturating_duration_since(now),
            retry_in: until - now,
            local: false,
        })
    }

    fn decide_alone(&self, key: &str, quota: Quota, cost: NonZeroU32, error: &StoreError) -> Admission {
        tracing::debug!(%error, "this process decides alone");
        let share = NonZeroU32::new(quota.max.get() / self.instances).unwrap_or(NonZeroU32::MIN);
        Admission { local: true, ..self.own.decide(key, Quota { max: share, ..quota }, cost) }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CounterStore for Degrade {
    async fn admit(&self, key: &str, quota: Quota, cost: NonZeroU32, by: Instant) -> Result<Admission, StoreError> {
        if let Some(refusal) = self.refusal(key, cost) {
            return Ok(refusal);
        }
        let admission = match self.inner.admit(key, quota, cost, by).await {
            Ok(admission) => admission,
            Err(error) => return Ok(self.decide_alone(key, quota, cost, &error)),
        };
        if admission.admitted {
            // So that this process knows where it stands if it is alone the next moment.
            self.own.record(key, quota, cost);
        } else {
            let Admission { limit, remaining, grows_in, retry_in, .. } = admission;
            let now = Instant::now();
            let blocked = Blocked { cost, limit, remaining, grows_at: now + grows_in, until: now + retry_in };
            self.blocked.put(key.to_owned(), blocked);
        }
        Ok(admission)
    }
}

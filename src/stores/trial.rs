//! Whether a store can do, and lets us do, all that requests ask of it.

use std::{fmt, num::NonZeroU32, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{CacheStore, CounterStore, LeaseStore, Quota, SessionStore, StoreError, TotalStore};

/// How long what the trial writes lives, should it not come to forget it: in whole seconds, and longer than the trial may take.
const TTL: Duration = Duration::from_secs(10);
const QUOTA: Quota = Quota { max: NonZeroU32::MIN, window: Duration::from_secs(1) };

/// What has come of it. The error is the first one, and belongs to the step.
pub type Trial = Result<(), (Step, StoreError)>;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To keep a value under `llm:cache:`.
    Write,
    /// To read it.
    Read,
    /// To add to a number.
    Count,
    /// To run a script, for limits, under `ratelimit:`.
    Script,
    /// To keep who is signed in, under `session:` and `llm:sessions:`.
    Sessions,
    /// To let one instance fetch what all want, under `llm:lease:`.
    Leases,
    /// To forget a value.
    Delete,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Write => "write under llm:cache:",
            Step::Read => "read what it has written",
            Step::Count => "count",
            Step::Script => "run scripts under ratelimit:",
            Step::Sessions => "keep sessions under session: and llm:sessions:",
            Step::Leases => "take leases under llm:lease:",
            Step::Delete => "delete",
        })
    }
}

/// Asks `store` for everything once, until `by`.
pub(super) async fn try_out<S>(store: &S, by: Instant) -> Trial
where
    S: CacheStore + TotalStore + CounterStore + SessionStore + LeaseStore,
{
    let mut step = Step::Write;
    match timeout_at(by, try_each(store, by, &mut step)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((step, error)),
        Err(_) => Err((step, StoreError::Timeout)),
    }
}

async fn try_each<S>(store: &S, by: Instant, step: &mut Step) -> Result<(), StoreError>
where
    S: CacheStore + TotalStore + CounterStore + SessionStore + LeaseStore,
{
    // Its own keys, so that two trials at once do not meet.
    let id = uuid::Uuid::new_v4().simple();
    let (cached, limited) = (format!("llm:cache:check:{id}"), format!("ratelimit:check:{id}"));
    let (session, group) = (format!("session:check-{id}"), format!("llm:sessions:check-{id}"));
    let (zero, one) = (Bytes::from_static(b"0"), Bytes::from_static(b"1"));

    CacheStore::put(store, &cached, zero.clone(), TTL, by).await?;
    *step = Step::Read;
    if CacheStore::get(store, &cached, by).await?.is_none_or(|value| value != zero) {
        return Err(StoreError::Broken("what was written is not what is read".to_owned()));
    }
    *step = Step::Count;
    // Adding keeps the time to live of what is there.
    store.add(&[(&cached, 1)], by).await?.into_iter().collect::<Result<(), _>>()?;
    *step = Step::Script;
    store.admit(&limited, QUOTA, NonZeroU32::MIN, by).await?;
    *step = Step::Sessions;
    SessionStore::put(store, &session, zero.clone(), TTL, by).await?;
    store.swap(&session, zero, one, TTL, by).await?;
    store.load(&session, TTL, by).await?;
    store.enrol(&group, &session, TTL, by).await?;
    store.members(&group, by).await?;
    store.withdraw(&group, &session, by).await?;
    *step = Step::Leases;
    store.take(&cached, TTL, by).await?;
    store.release(&cached, by).await?;
    *step = Step::Delete;
    SessionStore::delete(store, &session, by).await?;
    CacheStore::delete(store, &cached, by).await.map(drop)
}

//! Where bytes are kept: traits that say what a store promises, and the stores that keep it.
//!
//! Stores know keys, bytes and time, and nothing of models or messages. Every method takes `by`: the moment at which its
//! caller stops waiting, one for all the store calls of a request.

pub mod memory;

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

/// Keeps answers for a while.
#[async_trait]
pub trait CacheStore: Send + Sync {
    /// The value last put under `key`. `None`: there is none, or its time is over.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn get(&self, key: &str, by: Instant) -> Result<Option<Bytes>, StoreError>;

    /// Keeps `value` under `key` for `ttl`, in place of what was there.
    ///
    /// # Errors
    /// When the store cannot keep it; what was there may or may not still be.
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError>;

    /// Forgets `key`, and says whether there was something to forget.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError>;

    /// Forgets everything, and says how much that was.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn clear(&self, by: Instant) -> Result<u64, StoreError>;
}

/// Counts what callers do.
#[async_trait]
pub trait CounterStore: Send + Sync {
    /// Admits one more under `key`, or does not. Atomic: of many at once no more pass than `quota` allows in any window.
    /// Those that do not pass are not counted.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn admit(&self, key: &str, quota: Quota, by: Instant) -> Result<Admission, StoreError>;
}

/// How many are admitted in any window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// At least one.
    pub max: NonZeroU32,
    /// An admission counts for exactly this long; more than zero, in whole milliseconds.
    pub window: Duration,
}

/// The answer to one who wants to be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Whether it may pass.
    pub admitted: bool,
    /// How many more may pass now.
    pub remaining: u32,
    /// When `remaining` next grows.
    pub grows_in: Duration,
    /// When one that was refused may pass. Zero for one that was admitted.
    pub retry_in: Duration,
    /// Whether this process decided alone because the shared store was away.
    pub local: bool,
}

/// A store that gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer in time.
    #[error("the store did not answer in time")]
    Timeout,
    /// It failed.
    #[error("the store failed: {0}")]
    Failed(String),
}

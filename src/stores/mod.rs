//! Where bytes are kept: traits that say what a store promises, and the stores that keep it.
//!
//! Stores know keys, bytes and time, and nothing of models or messages. Every method takes `by`: the moment at which its
//! caller stops waiting. What can go wrong with a store that is away is the wrappers' affair: [`Guard`] bounds the waiting
//! and leaves it alone for a while, [`Near`] keeps copies in this process, [`Degrade`] goes on counting here.

pub mod limit;
pub mod memory;
pub mod redis;

mod books;
mod connect;
mod degrade;
mod error;
mod guard;
mod near;
mod trial;

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

pub use books::{BookStore, Entry, Notes, POSTERS_KEPT, Posting, Reservation, Reserving, Sheet};
pub use connect::{Room, Shared, Stores};
pub use degrade::Degrade;
pub use error::StoreError;
pub use guard::Guard;
pub use near::{FreshUntil, Near};
pub use trial::{Step, Trial};

/// Keeps answers for a while. Keys begin with `llm:cache:`; values are UTF-8 text, the only thing that every store keeps.
#[async_trait]
pub trait CacheStore: Send + Sync {
    /// The value last put under `key`. `None`: there is none, or its time is over.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn get(&self, key: &str, by: Instant) -> Result<Option<Bytes>, StoreError>;

    /// The same, as far as this process knows without asking anybody.
    fn peek(&self, key: &str) -> Option<Bytes>;

    /// Keeps `value` under `key` for `ttl`, rounded up to seconds, in place of what was there. What this process keeps itself
    /// is there once this was first polled.
    ///
    /// # Errors
    /// When the store cannot keep it; what was there may or may not still be.
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError>;

    /// What [`CacheStore::get`] says of each of `keys`, in their order, and as fast as it would of one: a store elsewhere is asked for
    /// all of them at once.
    ///
    /// # Errors
    /// When the store cannot say it of all of them.
    async fn get_many(&self, keys: &[&str], by: Instant) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Keeps many values as [`CacheStore::put`] does, all for `ttl`, at once. Not all or none.
    ///
    /// # Errors
    /// When the store cannot keep one of them; others may be kept.
    async fn put_many(&self, entries: &[(&str, Bytes)], ttl: Duration, by: Instant) -> Result<(), StoreError>;

    /// Forgets `key`, and says whether there was something to forget.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError>;

    /// Forgets everything, and says how much that was.
    ///
    /// # Errors
    /// When the store cannot say; a part may be forgotten.
    async fn clear(&self, by: Instant) -> Result<u64, StoreError>;

    /// What this process holds itself.
    fn held(&self) -> Held;
}

/// What is held in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many values.
    pub entries: u64,
    /// What they take, their keys and keeping included.
    pub bytes: u64,
}

/// Lets one of many instances fetch what all of them want to keep under a [`CacheStore`]'s key.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes the lease on `key` for `ttl` unless someone has it, and says what is kept under `key`. In this order, so that who
    /// has the lease and finds nothing can be sure that nobody has just put it there.
    ///
    /// # Errors
    /// When the store cannot say; the lease may be taken, and then ends by itself.
    async fn take(&self, key: &str, ttl: Duration, by: Instant) -> Result<Lease, StoreError>;

    /// What is kept under `key`, and whether someone has the lease on it.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn look(&self, key: &str, by: Instant) -> Result<Lease, StoreError>;

    /// Makes the lease on `key` last for `ttl` from now on. Says `false` if nobody has it any more.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn renew(&self, key: &str, ttl: Duration, by: Instant) -> Result<bool, StoreError>;

    /// Ends the lease on `key`, whoever has it: only for who is sure that it has it.
    ///
    /// # Errors
    /// When the store cannot say; it then ends by itself.
    async fn release(&self, key: &str, by: Instant) -> Result<(), StoreError>;
}

/// How a lease stands, and what stands where its holder is going to put something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whether it can be had: after [`LeaseStore::take`], that the caller has it; after [`LeaseStore::look`], that nobody has.
    pub is_free: bool,
    /// What is kept under the key. `None`: nothing.
    pub value: Option<Bytes>,
}

/// Keeps values that live as long as they are used, and are changed by many at once. Keys begin with `session:`; values are UTF-8
/// text.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Keeps `value` under `key` for `ttl`, in whole seconds, in place of what was there.
    ///
    /// # Errors
    /// When the store cannot keep it; what was there may or may not still be.
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError>;

    /// The value under `key`, which is kept for `ttl` from now on. `None`: there is none, or its time is over.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn load(&self, key: &str, ttl: Duration, by: Instant) -> Result<Option<Bytes>, StoreError>;

    /// Puts `new` in the place of `expected` under `key`, for `ttl`, if that is what is there. Atomic.
    ///
    /// # Errors
    /// When the store cannot say; it may be done.
    async fn swap(
        &self,
        key: &str,
        expected: Bytes,
        new: Bytes,
        ttl: Duration,
        by: Instant,
    ) -> Result<Swapped, StoreError>;

    /// Forgets `key`, and says whether there was something to forget.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError>;

    /// Makes `key` one of `group`'s for `ttl`, and forgets those whose time there is over, at once or by and by.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn enrol(&self, group: &str, key: &str, ttl: Duration, by: Instant) -> Result<(), StoreError>;

    /// Makes `key` none of `group`'s.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn withdraw(&self, group: &str, key: &str, by: Instant) -> Result<(), StoreError>;

    /// Those of `group` that are kept and whose value `is_own`, each once, in no order, [`MAX_MEMBERS`] at most. Forgets that
    /// others were the group's, so that however many there are they hide nobody; but not of one whose value became its own
    /// before it was made one of the group's again.
    ///
    /// # Errors
    /// When the store cannot say. Another attempt goes on from what is forgotten.
    async fn members(&self, group: &str, is_own: IsOwn<'_>, by: Instant) -> Result<Vec<Kept>, StoreError>;
}

/// Whether a value belongs where its key is written down.
pub type IsOwn<'a> = &'a (dyn Fn(&[u8]) -> bool + Sync);

/// How many members of a group are told at once.
pub const MAX_MEMBERS: usize = 1_000;

/// What has become of a [`SessionStore::swap`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// The new value is there.
    Done,
    /// Nothing: this other value was there, and still is.
    Not(Bytes),
    /// Nothing: there was no value.
    Gone,
}

/// A value that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its key.
    pub key: String,
    /// The value.
    pub value: Bytes,
    /// How long it will be.
    pub expires_in: Duration,
}

/// Counts what callers do.
#[async_trait]
pub trait CounterStore: Send + Sync {
    /// Admits `cost` under `key`, or does not. Atomic: of many at once no more pass than `quota` allows in any window, as
    /// exactly as [`limit`] says. Those that do not pass are not counted. `cost` is at most the quota.
    ///
    /// # Errors
    /// When the store cannot say; it may have been counted.
    async fn admit(&self, key: &str, quota: Quota, cost: NonZeroU32, by: Instant) -> Result<Admission, StoreError>;
}

/// Adds up what never decreases.
#[async_trait]
pub trait TotalStore: Send + Sync {
    /// Adds to totals by their keys, and says of each whether it was done: not, if [`StoreError::is_undone`]; otherwise it may
    /// have been, and who adds it again may count twice.
    ///
    /// # Errors
    /// When the same is to say of all.
    async fn add(&self, amounts: &[(&str, u64)], by: Instant) -> Result<Vec<Result<(), StoreError>>, StoreError>;

    /// The totals under `keys`, in their order. What was never added to, or is no number, is 0.
    ///
    /// # Errors
    /// When the store cannot say.
    async fn read(&self, keys: &[&str], by: Instant) -> Result<Vec<u64>, StoreError>;
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
    /// How many may pass in any window: the quota's, or this process's share of it while it decides alone.
    pub limit: u32,
    /// How many more may pass now.
    pub remaining: u32,
    /// When `remaining` next grows.
    pub grows_in: Duration,
    /// When one that was refused may pass. Zero for one that was admitted.
    pub retry_in: Duration,
    /// Whether this process decided alone because the shared store was away.
    pub local: bool,
}

//! Sessions in this process: gone with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::stores::{Kept, MAX_MEMBERS, SessionStore, StoreError, Swapped};

/// The most that is held, in bytes of keys and values: 16,000 sessions of 4 KB. Beyond it the one that was unused longest is
/// forgotten.
const MAX_BYTES: u64 = 64 << 20;
/// What a value takes besides. Rounded up.
const ENTRY_OVERHEAD_BYTES: usize = 200;
/// More than there is room for values: a group must not be forgotten before its last value.
const MAX_GROUPS: u64 = MAX_BYTES / ENTRY_OVERHEAD_BYTES as u64;

/// Values by their keys, and the keys of groups.
pub struct MemorySessions {
    values: Cache<Arc<str>, Value>,
    groups: Cache<String, Group>,
}

/// Keys, and until when each is one of the group's.
type Group = Arc<Mutex<HashMap<Arc<str>, Instant>>>;

#[derive(Clone)]
struct Value {
    bytes: Bytes,
    until: Instant,
}

impl Default for MemorySessions {
    fn default() -> Self {
        let weight = |key: &Arc<str>, value: &Value| {
            u32::try_from(key.len() + value.bytes.len() + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        let values = Cache::builder().max_capacity(MAX_BYTES).weigher(weight).eviction_policy(EvictionPolicy::lru());
        let groups = Cache::builder().max_capacity(MAX_GROUPS).eviction_policy(EvictionPolicy::lru());
        Self { values: values.build(), groups: groups.build() }
    }
}

impl MemorySessions {
    fn alive(&self, key: &str) -> Option<Value> {
        let value = self.values.get(key)?;
        if Instant::now() < value.until {
            return Some(value);
        }
        self.values.invalidate(key);
        None
    }

    /// Puts what `next` makes of the value that is alive in its place. Nobody comes between.
    fn replace(&self, key: &str, next: impl FnOnce(Option<Value>) -> Option<Value>) {
        let now = Instant::now();
        self.values.entry(key.into()).and_compute_with(|entry| {
            let alive = entry.map(moka::Entry::into_value).filter(|value| now < value.until);
            next(alive).map_or(Op::Nop, Op::Put)
        });
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, _by: Instant) -> Result<(), StoreError> {
        self.values.insert(key.into(), Value { bytes: value, until: Instant::now() + ttl });
        Ok(())
    }

    async fn load(&self, key: &str, ttl: Duration, _by: Instant) -> Result<Option<Bytes>, StoreError> {
        let mut found = None;
        self.replace(key, |alive| {
            let value = Value { until: Instant::now() + ttl, ..alive? };
            found = Some(value.bytes.clone());
            Some(value)
        });
        Ok(found)
    }

    async fn swap(
        &self,
        key: &str,
        expected: Bytes,
        new: Bytes,
        ttl: Duration,
        _by: Instant,
    ) -> Result<Swapped, StoreError> {
        let mut swapped = Swapped::Gone;
        self.replace(key, |alive| {
            let there = alive?.bytes;
            if there != expected {
                swapped = Swapped::Not(there);
                return None;
            }
            swapped = Swapped::Done;
            Some(Value { bytes: new, until: Instant::now() + ttl })
        });
        Ok(swapped)
    }

    async fn delete(&self, key: &str, _by: Instant) -> Result<bool, StoreError> {
        let now = Instant::now();
        Ok(self.values.remove(key).is_some_and(|value| now < value.until))
    }

    async fn enrol(&self, group: &str, key: &str, ttl: Duration, _by: Instant) -> Result<(), StoreError> {
        let members = self.groups.get_with_by_ref(group, Arc::default);
        let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        members.retain(|key, until| now < *until && self.values.contains_key(key));
        members.insert(key.into(), now + ttl);
        Ok(())
    }

    async fn withdraw(&self, group: &str, key: &str, _by: Instant) -> Result<(), StoreError> {
        let Some(members) = self.groups.get(group) else { return Ok(()) };
        members.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(())
    }

    async fn members(&self, group: &str, _by: Instant) -> Result<Vec<Kept>, StoreError> {
        let Some(members) = self.groups.get(group) else { return Ok(Vec::new()) };
        let mut members = members.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        members.retain(|key, until| now < *until && self.alive(key).is_some());
        let kept = members.keys().take(MAX_MEMBERS).filter_map(|key| {
            let Value { bytes: value, until } = self.alive(key)?;
            Some(Kept { key: key.to_string(), value, expires_in: until.saturating_duration_since(now) })
        });
        Ok(kept.collect())
    }
}

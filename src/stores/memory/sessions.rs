//! Sessions in this process: gone with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    bounded::Bounded,
    stores::{IsOwn, Kept, MAX_MEMBERS, SessionStore, StoreError, Swapped},
};

/// The most that is held, in bytes of keys and values: 16,000 sessions of 4 KB. Beyond it the one that was unused longest is
/// forgotten.
const MAX_BYTES: u64 = 64 << 20;
/// What a value takes besides. Rounded up.
const ENTRY_OVERHEAD_BYTES: usize = 200;
/// More than there is room for values: a group must not be forgotten before its last value.
const MAX_GROUPS: u64 = MAX_BYTES / ENTRY_OVERHEAD_BYTES as u64;

/// Values by their keys, and the keys of groups.
#[derive(Default)]
pub struct MemorySessions(Mutex<Held>);

struct Held {
    values: Bounded<Arc<str>, Value>,
    groups: Bounded<String, Group>,
}

/// Keys, and until when each is one of the group's.
type Group = HashMap<Arc<str>, Instant>;

struct Value {
    bytes: Bytes,
    until: Instant,
}

impl Default for Held {
    fn default() -> Self {
        let weigh = |key: &Arc<str>, value: &Value| (key.len() + value.bytes.len() + ENTRY_OVERHEAD_BYTES) as u64;
        Self { values: Bounded::new(MAX_BYTES, weigh), groups: Bounded::new(MAX_GROUPS, |_, _| 1) }
    }
}

impl MemorySessions {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn alive(&mut self, key: &str, now: Instant) -> Option<&mut Value> {
        // Looked up twice, because what is over is taken out.
        if self.values.get(key)?.until <= now {
            self.values.remove(key);
        }
        self.values.get(key)
    }

    fn put(&mut self, key: &str, bytes: Bytes, until: Instant, now: Instant) {
        self.values.sweep(|value| value.until <= now);
        self.values.put(key.into(), Value { bytes, until });
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, _by: Instant) -> Result<(), StoreError> {
        let now = Instant::now();
        self.held().put(key, value, now + ttl, now);
        Ok(())
    }

    async fn load(&self, key: &str, ttl: Duration, _by: Instant) -> Result<Option<Bytes>, StoreError> {
        let now = Instant::now();
        Ok(self.held().alive(key, now).map(|value| {
            value.until = now + ttl;
            value.bytes.clone()
        }))
    }

    async fn swap(
        &self,
        key: &str,
        expected: Bytes,
        new: Bytes,
        ttl: Duration,
        _by: Instant,
    ) -> Result<Swapped, StoreError> {
        let now = Instant::now();
        let mut held = self.held();
        match held.alive(key, now) {
            None => Ok(Swapped::Gone),
            Some(there) if there.bytes != expected => Ok(Swapped::Not(there.bytes.clone())),
            Some(_) => {
                held.put(key, new, now + ttl, now);
                Ok(Swapped::Done)
            }
        }
    }

    async fn delete(&self, key: &str, _by: Instant) -> Result<bool, StoreError> {
        let now = Instant::now();
        Ok(self.held().values.remove(key).is_some_and(|value| now < value.until))
    }

    async fn enrol(&self, group: &str, key: &str, ttl: Duration, _by: Instant) -> Result<(), StoreError> {
        let now = Instant::now();
        let mut held = self.held();
        let Held { values, groups } = &mut *held;
        groups.sweep(|members| members.values().all(|until| *until <= now));
        if groups.get(group).is_none() {
            groups.put(group.to_owned(), Group::new());
        }
        if let Some(members) = groups.get(group) {
            // Only before it would grow, or each that comes would have to wait for a look at all.
            if members.len() == members.capacity() {
                members.retain(|key, until| now < *until && values.contains(key));
                members.reserve(members.len());
            }
            members.insert(key.into(), now + ttl);
        }
        Ok(())
    }

    async fn withdraw(&self, group: &str, key: &str, _by: Instant) -> Result<(), StoreError> {
        if let Some(members) = self.held().groups.get(group) {
            members.remove(key);
        }
        Ok(())
    }

    async fn members(&self, group: &str, is_own: IsOwn<'_>, _by: Instant) -> Result<Vec<Kept>, StoreError> {
        let now = Instant::now();
        let mut held = self.held();
        let Held { values, groups } = &mut *held;
        let Some(members) = groups.get(group) else { return Ok(Vec::new()) };
        let mut kept = Vec::new();
        members.retain(|key, until| {
            let Some(value) = values.get(key).filter(|value| now < *until && now < value.until) else { return false };
            if kept.len() == MAX_MEMBERS {
                return true;
            }
            let is_own = is_own(&value.bytes);
            if is_own {
                let expires_in = value.until.saturating_duration_since(now);
                kept.push(Kept { key: key.to_string(), value: value.bytes.clone(), expires_in });
            }
            is_own
        });
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_group_whose_members_are_over_makes_room_before_it_is_needed() {
        let sessions = MemorySessions::default();
        let enrol = async |group: usize| {
            sessions.enrol(&format!("group {group}"), "key", MINUTE, Instant::now()).await.unwrap();
        };
        for group in 0..100 {
            enrol(group).await;
        }
        tokio::time::advance(MINUTE).await;
        for group in 100..200 {
            enrol(group).await;
        }
        assert_eq!(sessions.held().groups.len(), 100);
    }

    #[tokio::test]
    async fn a_group_holds_few_that_are_gone() {
        let (sessions, by) = (MemorySessions::default(), Instant::now());
        sessions.put("alive", "{}".into(), MINUTE, by).await.unwrap();
        sessions.enrol("group", "alive", MINUTE, by).await.unwrap();
        for n in 0..1_000 {
            sessions.enrol("group", &format!("gone {n}"), MINUTE, by).await.unwrap();
        }
        assert!(sessions.held().groups.get("group").is_some_and(|members| members.len() < 10));
        let members = sessions.members("group", &|_| true, by).await.unwrap();
        assert_eq!(members.iter().map(|kept| &*kept.key).collect::<Vec<_>>(), ["alive"]);
    }
}

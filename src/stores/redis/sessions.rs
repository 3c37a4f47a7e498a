//! Sessions as plain values that end by themselves, and groups as sorted sets: each member with the time, in milliseconds, when
//! it is no longer one.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Cmd, Value, cmd};
use tokio::time::Instant;

use crate::stores::{IsOwn, Kept, MAX_MEMBERS, SessionStore, StoreError, Swapped};

use super::{BATCH, Redis, Repeat, Transport, read, seconds};

/// What all keys begin with, and members of groups do without: Redis keeps a small set in a fraction of the room as long as none of
/// its members is longer than 64 bytes.
const PREFIX: &str = "session:";

fn member(key: &str) -> &str {
    key.strip_prefix(PREFIX).unwrap_or(key)
}

/// The key of a member, which earlier versions wrote whole.
fn key(member: &str) -> String {
    if member.starts_with(PREFIX) { member.to_owned() } else { [PREFIX, member].concat() }
}

/// The text that a reply brings. What is none, whoever put it there, counts as nothing.
fn text(reply: Result<Value, StoreError>) -> Result<Option<Bytes>, StoreError> {
    match reply {
        Ok(Value::BulkString(text)) => Ok(Some(text.into())),
        Ok(Value::Nil | Value::Okay) | Err(StoreError::WrongType) => Ok(None),
        Ok(other) => read::<Vec<u8>>(other).map(|text| Some(text.into())),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl<T: Transport> SessionStore for Redis<T> {
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        let mut set = cmd("SET");
        set.arg(key).arg(&*value).arg("EX").arg(seconds(ttl));
        self.run(&set, Repeat::Harmless, by).await.map(drop)
    }

    async fn load(&self, key: &str, ttl: Duration, by: Instant) -> Result<Option<Bytes>, StoreError> {
        let mut get = cmd("GETEX");
        get.arg(key).arg("EX").arg(seconds(ttl));
        text(self.run(&get, Repeat::Harmless, by).await)
    }

    async fn swap(
        &self,
        key: &str,
        expected: Bytes,
        new: Bytes,
        ttl: Duration,
        by: Instant,
    ) -> Result<Swapped, StoreError> {
        let seconds = seconds(ttl).to_string();
        let args = [&*expected, &*new, seconds.as_bytes()];
        match self.run_script(&self.swap, &[key], &args, Repeat::Harmless, by).await {
            Ok(Value::Int(1)) => Ok(Swapped::Done),
            answer => Ok(text(answer)?.map_or(Swapped::Gone, Swapped::Not)),
        }
    }

    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        self.unlink(key, by).await
    }

    async fn enrol(&self, group: &str, key: &str, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        let now = self.clock.epoch_ms();
        let until = now.saturating_add(seconds(ttl) * 1_000);
        let (mut add, mut forget, mut expire) = (cmd("ZADD"), cmd("ZREMRANGEBYSCORE"), cmd("EXPIRE"));
        add.arg(group).arg(until).arg(member(key));
        forget.arg(group).arg("-inf").arg(now);
        // The last to be added is the last to leave.
        expire.arg(group).arg(seconds(ttl));
        let commands = [add, forget, expire];
        let answers = self.again(Repeat::Harmless, by, || self.run_all(&commands)).await?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }

    async fn withdraw(&self, group: &str, key: &str, by: Instant) -> Result<(), StoreError> {
        // As it stands there now, and as earlier versions wrote it.
        self.run(cmd("ZREM").arg(group).arg(member(key)).arg(key), Repeat::Harmless, by).await.map(drop)
    }

    async fn members(&self, group: &str, is_own: IsOwn<'_>, by: Instant) -> Result<Vec<Kept>, StoreError> {
        let now = self.clock.epoch_ms();
        let mut all: HashMap<String, Kept> = HashMap::new();
        // Behind many that are gone, or another's, there may be others that are not.
        loop {
            let mut range = cmd("ZRANGEBYSCORE");
            range.arg(group).arg(now).arg("+inf").arg("LIMIT").arg(all.len()).arg(MAX_MEMBERS);
            let members: Vec<String> = read(self.run(&range, Repeat::Harmless, by).await?)?;
            let keys: Vec<String> = members.iter().map(String::as_str).map(key).collect();
            let count = members.len();
            let (mut over, mut others) = (Vec::new(), Vec::new());
            for (member, kept) in members.into_iter().zip(self.kept(&keys).await?) {
                match kept {
                    Some(kept) if is_own(&kept.value) => {
                        // Written down as earlier versions did, and as it is done now: the second is kept up.
                        if let Some(twice) = all.insert(kept.key.clone(), kept) {
                            over.push(twice.key);
                        }
                    }
                    Some(kept) => {
                        over.push(member);
                        others.push(kept.key);
                    }
                    None => over.push(member),
                }
            }
            if !over.is_empty() {
                self.run(cmd("ZREM").arg(group).arg(over), Repeat::Harmless, by).await?;
            }
            self.take_back(group, &others, is_own, by).await?;
            if count < MAX_MEMBERS || all.len() >= MAX_MEMBERS {
                return Ok(all.into_values().take(MAX_MEMBERS).collect());
            }
        }
    }
}

impl<T: Transport> Redis<T> {
    /// Puts back into `group` those of `keys` that are its own after all. Whoever made one so while it was taken for another's
    /// may have written it down just before it was withdrawn, and would not soon do so again.
    async fn take_back(&self, group: &str, keys: &[String], is_own: IsOwn<'_>, by: Instant) -> Result<(), StoreError> {
        for kept in self.kept(keys).await?.into_iter().flatten().filter(|kept| is_own(&kept.value)) {
            self.enrol(group, &kept.key, kept.expires_in * 2, by).await?;
        }
        Ok(())
    }

    /// What is kept under each of `keys`.
    async fn kept(&self, keys: &[String]) -> Result<Vec<Option<Kept>>, StoreError> {
        let batches = keys.chunks(BATCH / 2).map(|keys| self.kept_of_batch(keys));
        Ok(try_join_all(batches).await?.into_iter().flatten().collect())
    }

    async fn kept_of_batch(&self, keys: &[String]) -> Result<Vec<Option<Kept>>, StoreError> {
        let ask = |key: &String| [cmd("GET").arg(key).to_owned(), cmd("PTTL").arg(key).to_owned()];
        let commands: Vec<Cmd> = keys.iter().flat_map(ask).collect();
        let mut answers = self.run_all(&commands).await?.into_iter();
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            let (Some(value), Some(ttl)) = (answers.next(), answers.next()) else { break };
            let (value, ttl) = (text(value)?, read::<i64>(ttl?)?);
            // Negative: it ended between the two, or was put there without an end by someone else.
            let ttl = u64::try_from(ttl).map(Duration::from_millis);
            all.push(value.zip(ttl.ok()).map(|(value, expires_in)| Kept { key: key.clone(), value, expires_in }));
        }
        Ok(all)
    }
}

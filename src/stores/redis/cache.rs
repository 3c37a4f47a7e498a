//! Answers as plain values that end by themselves.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Cmd, cmd};
use tokio::time::Instant;

use crate::stores::{CacheStore, Held, StoreError};

use super::{BATCH, Node, Redis, Repeat, Transport, kept, packed, read};

/// The keys that [`CacheStore::clear`] forgets.
const CACHE_KEYS: &str = "llm:cache:*";
/// The longest value that is kept, and about the most that is sent at once (`upstash-rest.md` 7): larger ones cost more to move than
/// they are worth.
const MAX_VALUE_BYTES: usize = 1 << 20;
/// How many keys are looked through, and how many forgotten, in one command.
const SCAN_COUNT: usize = 1_000;

/// Keeps `value` under `key` for `ttl`, rounded up to seconds.
fn set(key: &str, value: &Bytes, ttl: Duration) -> Cmd {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    let mut command = Cmd::with_capacity(5, key.len() + value.len() + 32);
    command.arg("SET").arg(key).arg(&**value).arg("EX").arg(seconds.max(1));
    command
}

#[async_trait]
impl<T: Transport> CacheStore for Redis<T> {
    async fn get(&self, key: &str, by: Instant) -> Result<Option<Bytes>, StoreError> {
        kept(self.run(cmd("GET").arg(key), Repeat::Harmless, by).await?).await
    }

    fn peek(&self, _: &str) -> Option<Bytes> {
        None
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration, by: Instant) -> Result<(), StoreError> {
        let value = packed::pack(value).await;
        if value.len() > MAX_VALUE_BYTES {
            return Err(StoreError::TooLarge);
        }
        self.run(&set(key, &value, ttl), Repeat::Harmless, by).await.map(drop)
    }

    async fn get_many(&self, keys: &[&str], by: Instant) -> Result<Vec<Option<Bytes>>, StoreError> {
        let commands: Vec<Cmd> = keys.iter().map(|key| cmd("GET").arg(key).to_owned()).collect();
        // Under way at the same time.
        let asked = commands.chunks(BATCH).map(|some| async move {
            match self.again(Repeat::Harmless, by, || self.run_all(some)).await {
                // So says each of them.
                Err(StoreError::WrongType) => Ok(vec![Err(StoreError::WrongType); some.len()]),
                answers => answers,
            }
        });
        let mut found = Vec::with_capacity(keys.len());
        for answer in try_join_all(asked).await?.into_iter().flatten() {
            found.push(match answer {
                // Something that is no value will be overwritten.
                Err(StoreError::WrongType) => None,
                value => kept(value?).await?,
            });
        }
        Ok(found)
    }

    async fn put_many(&self, entries: &[(&str, Bytes)], ttl: Duration, by: Instant) -> Result<(), StoreError> {
        let (mut batches, mut bytes, mut is_too_large) = (Vec::<Vec<Cmd>>::new(), 0, false);
        for (key, value) in entries {
            // What comes in numbers is small or hard to compress, and each would wait for all before it.
            let value = if packed::is_marked(value) { packed::pack(value.clone()).await } else { value.clone() };
            if value.len() > MAX_VALUE_BYTES {
                is_too_large = true;
                continue;
            }
            let is_full = |batch: &Vec<Cmd>| batch.len() == BATCH || bytes + value.len() > MAX_VALUE_BYTES;
            if batches.last().is_none_or(is_full) {
                batches.push(Vec::new());
                bytes = 0;
            }
            bytes += value.len();
            batches.last_mut().into_iter().for_each(|batch| batch.push(set(key, &value, ttl)));
        }
        let sent = batches.iter().map(|some| self.again(Repeat::Harmless, by, || self.run_all(some)));
        for answer in try_join_all(sent).await?.into_iter().flatten() {
            answer?;
        }
        if is_too_large { Err(StoreError::TooLarge) } else { Ok(()) }
    }

    async fn delete(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        self.unlink(key, by).await
    }

    async fn clear(&self, _: Instant) -> Result<u64, StoreError> {
        let mut count = 0;
        for node in self.transport.nodes().await? {
            let mut cursor = "0".to_owned();
            loop {
                let (next, keys) = self.scan(&node, &cursor).await?;
                let commands: Vec<Cmd> = keys.iter().map(|key| cmd("UNLINK").arg(key).to_owned()).collect();
                // Under way at the same time.
                let sent = commands.chunks(BATCH).map(|some| self.run_all(some));
                for unlinked in try_join_all(sent).await?.into_iter().flatten() {
                    count += read::<u64>(unlinked?)?;
                }
                if next == "0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(count)
    }

    fn held(&self) -> Held {
        Held::default()
    }
}

impl<T: Transport> Redis<T> {
    /// Looks for answers once in each place, as [`CacheStore::clear`] does.
    ///
    /// # Errors
    /// When that is not possible.
    pub(in crate::stores) async fn try_scan(&self) -> Result<(), StoreError> {
        for node in self.transport.nodes().await? {
            self.scan(&node, "0").await?;
        }
        Ok(())
    }

    /// Some of the answers in one place, and where to go on.
    async fn scan(&self, node: &Node, cursor: &str) -> Result<(String, Vec<String>), StoreError> {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(CACHE_KEYS).arg("COUNT").arg(SCAN_COUNT);
        read(self.transport.send_to(node, &scan).await?)
    }
}

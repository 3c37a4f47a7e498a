//! Leases as keys that end by themselves.
//!
//! The lease on `k` is the key `llm:lease:{k}`: what stands in braces decides a key's place in a cluster, so it is where `k`
//! itself is, and both can be asked for in one command.

use std::time::Duration;

use async_trait::async_trait;
use redis::{Value, cmd};
use tokio::time::Instant;

use crate::stores::{Lease, LeaseStore, StoreError};

use super::{Redis, Repeat, Transport, kept, milliseconds, read};

fn lease_key(key: &str) -> String {
    ["llm:lease:{", key, "}"].concat()
}

#[async_trait]
impl<T: Transport> LeaseStore for Redis<T> {
    async fn take(&self, key: &str, ttl: Duration, _: Instant) -> Result<Lease, StoreError> {
        let mut set = cmd("SET");
        set.arg(lease_key(key)).arg("1").arg("NX").arg("PX").arg(milliseconds(ttl));
        let get = cmd("GET").arg(key).to_owned();
        // Not again: whether the lease that is there is one's own could not be told.
        let mut answers = self.run_all(&[set, get]).await?.into_iter();
        let (Some(set), Some(get)) = (answers.next(), answers.next()) else {
            return Err(StoreError::Broken("an answer to each of two commands is missing".to_owned()));
        };
        let value = match get {
            // Something that is no value will be overwritten.
            Err(StoreError::WrongType) => None,
            get => kept(get?).await?,
        };
        Ok(Lease { is_free: set? != Value::Nil, value })
    }

    async fn look(&self, key: &str, by: Instant) -> Result<Lease, StoreError> {
        let mut get = cmd("MGET");
        get.arg(key).arg(lease_key(key));
        let [value, lease]: [Value; 2] = read(self.run(&get, Repeat::Harmless, by).await?)?;
        Ok(Lease { is_free: lease == Value::Nil, value: kept(value).await? })
    }

    async fn renew(&self, key: &str, ttl: Duration, by: Instant) -> Result<bool, StoreError> {
        let mut expire = cmd("PEXPIRE");
        expire.arg(lease_key(key)).arg(milliseconds(ttl));
        read::<u64>(self.run(&expire, Repeat::Harmless, by).await?).map(|count| count > 0)
    }

    async fn release(&self, key: &str, by: Instant) -> Result<(), StoreError> {
        // Once: when it is late, the lease may be another's.
        self.run(cmd("UNLINK").arg(lease_key(key)), Repeat::Never, by).await.map(drop)
    }
}

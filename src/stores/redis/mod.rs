//! Redis: every promise of the traits as commands, once, whatever carries them.

mod books;
mod cache;
mod cluster;
mod lease;
mod packed;
mod resp;
mod rest;
pub mod rest_reply;
mod script;
mod sessions;
mod silence;
mod single;
mod transport;

use std::{num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Cmd, FromRedisValue, ToRedisArgs, Value, cmd};
use tokio::time::{Instant, sleep};

use crate::clock::Clock;

use super::{Admission, CounterStore, Quota, StoreError, TotalStore, limit::EXACT_MAX};

pub use resp::{BadAddress, Resp};
pub use rest::Rest;
use script::Script;
pub use transport::{Dialect, Node, Transport};

/// Commands in one round trip: no server states a limit, and a bound is kind.
const BATCH: usize = 100;
/// What [`Redis::check`] writes, and for how long.
pub(super) const CHECK_KEY: &str = "llm:check";
const CHECK_SECONDS: u64 = 10;

/// Further attempts, and the wait before the first of them; it doubles (`upstash-rest.md` 8).
const RETRIES: u32 = 2;
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// A Redis behind `T`. It does not watch the time itself, only sends nothing again beyond it: [`super::Guard`] does.
pub struct Redis<T> {
    transport: T,
    clock: Clock,
    log: Script,
    window: Script,
    swap: Script,
    post: Script,
    reserve: Script,
}

/// Whether a command may be sent again although it may have been done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// It does no harm.
    Harmless,
    /// It would count twice.
    Never,
}

impl<T: Transport> Redis<T> {
    /// A Redis behind `transport`, whose limits follow `clock`.
    pub fn new(transport: T, clock: Clock) -> Self {
        let script = |body| Script::new(body, transport.dialect());
        let (log, window) = (script(include_str!("log.lua")), script(include_str!("window.lua")));
        let (swap, post, reserve) =
            (script(include_str!("swap.lua")), script(include_str!("post.lua")), script(include_str!("reserve.lua")));
        Self { transport, clock, log, window, swap, post, reserve }
    }

    /// Writes something, to see whether that is possible.
    ///
    /// # Errors
    /// When it is not.
    pub async fn check(&self, by: Instant) -> Result<(), StoreError> {
        self.run(cmd("SET").arg(CHECK_KEY).arg("1").arg("EX").arg(CHECK_SECONDS), Repeat::Harmless, by).await.map(drop)
    }

    /// The limiter's decision at the time `now`, in milliseconds of the caller's own clock.
    ///
    /// # Errors
    /// As [`CounterStore::admit`].
    pub async fn admit_at(
        &self,
        key: &str,
        quota: Quota,
        cost: NonZeroU32,
        now: u64,
        by: Instant,
    ) -> Result<Admission, StoreError> {
        let script = if quota.max.get() <= EXACT_MAX { &self.log } else { &self.window };
        let args = [u64::from(quota.max.get()), quota.window_ms(), u64::from(cost.get()), now];
        let answer = self.run_script(script, &[key], &args, Repeat::Never, by).await?;
        let [admitted, remaining, grows_in, retry_in]: [u64; 4] = read(answer)?;
        let admitted = admitted == 1;
        Ok(Admission {
            admitted,
            limit: quota.max.get(),
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            grows_in: Duration::from_millis(grows_in),
            retry_in: Duration::from_millis(retry_in),
            local: false,
        })
    }

    /// Sends one command, and again where that may help and do no harm.
    async fn run(&self, command: &Cmd, repeat: Repeat, by: Instant) -> Result<Value, StoreError> {
        self.again(repeat, by, || self.transport.send(command)).await
    }

    /// Makes an attempt, and another where that may help and do no harm.
    async fn again<V, F: Future<Output = Result<V, StoreError>>>(
        &self,
        repeat: Repeat,
        by: Instant,
        attempt: impl Fn() -> F,
    ) -> Result<V, StoreError> {
        let (mut attempts, mut unsure) = (0, None);
        loop {
            let error = match attempt().await {
                Err(error) => error,
                done => return done,
            };
            let is_worth_it = match &error {
                StoreError::Unreached(_) | StoreError::NotReady(_) | StoreError::ReadOnly => true,
                StoreError::Broken(_) => repeat == Repeat::Harmless,
                _ => false,
            };
            let wait = (FIRST_WAIT * 2_u32.pow(attempts)).mul_f64(fastrand::f64());
            // Whatever the last attempt says of itself, an earlier one may have been done. A script that is not known can be sent.
            let error = match unsure.take() {
                Some(earlier) if error.is_undone() && error != StoreError::NoScript => earlier,
                _ => error,
            };
            if !is_worth_it || attempts == RETRIES || Instant::now() + wait >= by {
                return Err(error);
            }
            unsure = (!error.is_undone()).then_some(error);
            attempts += 1;
            sleep(wait).await;
        }
    }

    /// Runs a script, and tells the server what it says where it does not know it.
    async fn run_script(
        &self,
        script: &Script,
        keys: &[&str],
        args: &[impl ToRedisArgs + Sync],
        repeat: Repeat,
        by: Instant,
    ) -> Result<Value, StoreError> {
        match self.run(&script.by_hash(keys, args), repeat, by).await {
            Err(StoreError::NoScript) => self.run(&script.by_body(keys, args), repeat, by).await,
            answer => answer,
        }
    }

    /// Forgets `key`, and says whether there was something.
    async fn unlink(&self, key: &str, by: Instant) -> Result<bool, StoreError> {
        let count: u64 = read(self.run(cmd("UNLINK").arg(key), Repeat::Harmless, by).await?)?;
        Ok(count > 0)
    }

    /// Sends commands that have nothing to do with one another, in one round trip, once. Where all fail alike, that is the
    /// answer to the whole.
    async fn run_all(&self, commands: &[Cmd]) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
        let answers = self.transport.send_all(commands).await?;
        match answers.first() {
            Some(Err(error)) if answers.iter().all(|answer| answer.as_ref().is_err_and(|other| other == error)) => {
                Err(error.clone())
            }
            _ => Ok(answers),
        }
    }
}

/// What `EX` takes.
fn seconds(ttl: Duration) -> u64 {
    ttl.as_secs().max(1)
}

/// What `PX` takes.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// What a reply holds, where it has the shape that its command promises.
fn read<V: FromRedisValue>(value: Value) -> Result<V, StoreError> {
    // The error's own text quotes the value.
    V::from_redis_value(value).map_err(|_| StoreError::Broken("an answer of another shape".to_owned()))
}

/// What a reply says that is kept.
async fn kept(value: Value) -> Result<Option<Bytes>, StoreError> {
    let value = match value {
        Value::Nil => return Ok(None),
        Value::BulkString(value) => value.into(),
        // So a text `OK` comes back from Upstash.
        Value::Okay => Bytes::from_static(b"OK"),
        other => read::<Vec<u8>>(other)?.into(),
    };
    Ok(Some(packed::unpack(value).await))
}

#[async_trait]
impl<T: Transport> CounterStore for Redis<T> {
    async fn admit(&self, key: &str, quota: Quota, cost: NonZeroU32, by: Instant) -> Result<Admission, StoreError> {
        self.admit_at(key, quota, cost, self.clock.epoch_ms(), by).await
    }
}

#[async_trait]
impl<T: Transport> TotalStore for Redis<T> {
    async fn add(&self, amounts: &[(&str, u64)], _: Instant) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let commands: Vec<Cmd> = amounts.iter().map(|(key, n)| cmd("INCRBY").arg(key).arg(n).to_owned()).collect();
        let answers = self.run_all(&commands).await?;
        Ok(answers.into_iter().map(|answer| answer.map(drop)).collect())
    }

    async fn read(&self, keys: &[&str], _: Instant) -> Result<Vec<u64>, StoreError> {
        let commands: Vec<Cmd> = keys.iter().map(|key| cmd("GET").arg(key).to_owned()).collect();
        let total = |answer: Result<Value, StoreError>| match answer {
            // What someone else has put there says nothing of the store.
            Ok(value) => Ok(read::<Option<u64>>(value).ok().flatten().unwrap_or_default()),
            Err(error) if error.is_outage() => Err(error),
            Err(_) => Ok(0),
        };
        self.run_all(&commands).await?.into_iter().map(total).collect()
    }
}

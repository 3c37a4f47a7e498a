//! Whether a store can do, and lets us do, all that requests ask of it.

use std::{fmt, num::NonZeroU32, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{
    BookStore, CacheStore, CounterStore, Entry, LeaseStore, Posting, Quota, Reservation, SessionStore, StoreError,
    TotalStore,
    redis::{CHECK_KEY, Redis, Transport},
};

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
    /// To add to a number under `llm:stats:`, and to read it.
    Count,
    /// To run a script, for limits, under `ratelimit:`.
    Script,
    /// To keep who is signed in, under `session:` and `llm:sessions:`.
    Sessions,
    /// To let one instance fetch what all want, under `llm:lease:`.
    Leases,
    /// To read the sheets that are there already.
    Standing,
    /// To book money under `llm:{ledger}:`.
    Books,
    /// To look for all answers, as who clears the cache does.
    Scan,
    /// To forget a value.
    Delete,
    /// To write what each start writes.
    Start,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Write => "write under llm:cache:",
            Step::Read => "read what it has written",
            Step::Count => "count under llm:stats:",
            Step::Script => "run scripts under ratelimit:",
            Step::Sessions => "keep sessions under session: and llm:sessions:",
            Step::Leases => "take leases under llm:lease:",
            Step::Standing => "read the books under llm:{ledger}:",
            Step::Books => "keep books under llm:{ledger}:",
            Step::Scan => "look for keys, which it takes to clear the cache (SCAN)",
            Step::Delete => "delete",
            Step::Start => "write llm:check, as each start does",
        })
    }
}

/// Asks `store` for everything once, until `by`. Of the real keys only the sheets `standing` are read, and nothing is changed.
pub(super) async fn try_out<T: Transport>(store: &Redis<T>, standing: &[&str], by: Instant) -> Trial {
    let mut step = Step::Write;
    match timeout_at(by, try_each(store, standing, by, &mut step)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((step, error)),
        Err(_) => Err((step, StoreError::Timeout)),
    }
}

async fn try_each<T: Transport>(
    store: &Redis<T>,
    standing: &[&str],
    by: Instant,
    step: &mut Step,
) -> Result<(), StoreError> {
    // Its own keys, so that two trials at once do not meet.
    let id = uuid::Uuid::new_v4().simple();
    let (cached, limited, total) =
        (format!("llm:cache:check:{id}"), format!("ratelimit:check:{id}"), format!("llm:stats:check:{id}"));
    let (session, group) = (format!("session:check-{id}"), format!("llm:sessions:check-{id}"));
    let (zero, one) = (Bytes::from_static(b"0"), Bytes::from_static(b"1"));

    CacheStore::put(store, &cached, zero.clone(), TTL, by).await?;
    *step = Step::Read;
    if CacheStore::get(store, &cached, by).await?.is_none_or(|value| value != zero) {
        return Err(StoreError::Broken("what was written is not what is read".to_owned()));
    }
    *step = Step::Count;
    // Adding keeps the time to live of what is there.
    CacheStore::put(store, &total, zero.clone(), TTL, by).await?;
    store.add(&[(&total, 1)], by).await?.into_iter().collect::<Result<(), _>>()?;
    if TotalStore::read(store, &[&total], by).await? != [1] {
        return Err(StoreError::Broken("what was added up is not what is read".to_owned()));
    }
    *step = Step::Script;
    store.admit(&limited, QUOTA, NonZeroU32::MIN, by).await?;
    *step = Step::Sessions;
    SessionStore::put(store, &session, zero.clone(), TTL, by).await?;
    store.swap(&session, zero, one, TTL, by).await?;
    store.load(&session, TTL, by).await?;
    store.enrol(&group, &session, TTL, by).await?;
    store.members(&group, &|_| true, by).await?;
    store.withdraw(&group, &session, by).await?;
    *step = Step::Leases;
    store.take(&cached, TTL, by).await?;
    store.look(&cached, by).await?;
    store.renew(&cached, TTL, by).await?;
    store.release(&cached, by).await?;
    *step = Step::Standing;
    store.sheets(standing, by).await?;
    *step = Step::Books;
    try_books(store, &format!("llm:{{ledger}}:check:{id}"), by).await?;
    *step = Step::Scan;
    store.try_scan().await?;
    *step = Step::Delete;
    SessionStore::delete(store, &session, by).await?;
    CacheStore::delete(store, &total, by).await?;
    CacheStore::delete(store, &cached, by).await?;
    *step = Step::Start;
    store.check(by).await?;
    CacheStore::delete(store, CHECK_KEY, by).await.map(drop)
}

/// Books, holds and notes on `sheet`, and forgets it.
async fn try_books<T: Transport>(store: &Redis<T>, sheet: &str, by: Instant) -> Result<(), StoreError> {
    let (amount, hold, note) = ("amount".to_owned(), "hold".to_owned(), "note".to_owned());
    let entry = Entry {
        sheet: sheet.to_owned(),
        keep: Some(TTL),
        amounts: vec![(amount.clone(), 1)],
        dropped: vec![hold.clone()],
    };
    let posting = Posting { poster: format!("{sheet}:poster"), number: 1, entries: vec![entry] };
    let posted = store.post(&posting, by).await;
    // It would be remembered for a day, even one that broke off in the middle.
    let forgotten = CacheStore::delete(store, &posting.poster, by).await;
    posted?;
    forgotten?;
    let reservation = Reservation { field: &hold, amount: 1, now_ms: 0, until_ms: 1, besides: 0 };
    if store.reserve(sheet, &reservation, &[(amount.clone(), 2)], by).await?.amounts != [1] {
        return Err(StoreError::Broken("what was booked is not what is read".to_owned()));
    }
    // On the sheet, so that they end with it.
    store.note(sheet, &[(note.clone(), String::new())], by).await?;
    store.note_new(sheet, &note, "", by).await?;
    store.sheet_and_notes(sheet, sheet, by).await?;
    store.forget(sheet, &[note], by).await?;
    CacheStore::delete(store, sheet, by).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use async_trait::async_trait;
    use redis::{Arg, Cmd, Value};

    use super::*;
    use crate::{
        clock::Clock,
        stores::redis::{Dialect, Node},
    };

    /// Takes everything, and always reads the same.
    struct Forgetful(&'static str);

    #[async_trait]
    impl Transport for Forgetful {
        async fn send(&self, command: &Cmd) -> Result<Value, StoreError> {
            Ok(match command.args_iter().next() {
                Some(Arg::Simple(b"GET")) => Value::BulkString(self.0.into()),
                Some(Arg::Simple(b"INCRBY")) => Value::Int(1),
                _ => Value::Okay,
            })
        }

        async fn send_all(&self, commands: &[Cmd]) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
            let mut answers = Vec::new();
            for command in commands {
                answers.push(self.send(command).await);
            }
            Ok(answers)
        }

        async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
            Ok(vec![Node::Only])
        }

        async fn send_to(&self, _: &Node, command: &Cmd) -> Result<Value, StoreError> {
            self.send(command).await
        }

        fn dialect(&self) -> Dialect {
            Dialect::Redis
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_reads_something_else_than_was_written_does_not_do() {
        for (read, step) in [("1", Step::Read), ("0", Step::Count)] {
            let store = Redis::new(Forgetful(read), Clock::at(SystemTime::now()));
            let tried = try_out(&store, &[], Instant::now() + Duration::from_secs(5)).await;
            assert!(matches!(&tried, Err((failed, StoreError::Broken(_))) if *failed == step), "{tried:?}");
        }
    }
}

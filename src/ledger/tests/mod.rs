//! Books that are kept through the ends of periods, clocks that are set, and stores that are away.

mod alerts;
mod looking;
mod periods;
mod postings;
mod reservations;

use std::{collections::VecDeque, sync::atomic::Ordering};

use async_trait::async_trait;
use serde_json::Value;

use super::*;
use crate::{
    generate::Periods,
    stores::{Notes, Posting, Reservation, Reserving, memory::MemoryBooks},
};

const DAY_MS: u64 = 86_400_000;
/// Friday, 2026-12-25, 23:59:00 UTC.
const CHRISTMAS_MS: u64 = 1_798_243_140_000;
/// Monday, 2028-02-28, 12:00 UTC: the day before a leap day.
const BEFORE_LEAP_DAY_MS: u64 = 1_835_352_000_000;

/// What happens to a call that writes.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It does not arrive.
    Unreached,
    /// It is done, and nobody hears of that.
    AnswerLost,
    /// A posting arrives after others: see [`Faulty::arrive`].
    Late,
    /// It is done, and it takes a moment to hear of that.
    Slow,
}

/// A store that has faults, one a call that writes or reads, as long as there are any.
#[derive(Default)]
struct Faulty {
    inner: MemoryBooks,
    late: Mutex<Vec<Posting>>,
    faults: Mutex<VecDeque<Fault>>,
}

impl Faulty {
    fn fault(&self) -> Option<Fault> {
        self.faults.lock().unwrap().pop_front()
    }

    fn next(&self, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// What is late arrives.
    async fn arrive(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for posting in late {
            self.inner.post(&posting, soon()).await.unwrap();
        }
    }

    async fn either<T>(&self, done: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match self.fault() {
            None => done.await,
            Some(Fault::Unreached) => Err(StoreError::Unreached("no connection")),
            Some(Fault::Late) => Err(StoreError::Timeout),
            Some(Fault::AnswerLost) => {
                done.await?;
                Err(StoreError::Timeout)
            }
            Some(Fault::Slow) => {
                let answer = done.await;
                sleep(Duration::from_millis(100)).await;
                answer
            }
        }
    }
}

#[async_trait]
impl BookStore for Faulty {
    async fn post(&self, posting: &Posting, by: Instant) -> Result<(), StoreError> {
        if let Some(Fault::Late) = self.faults.lock().unwrap().front() {
            self.late.lock().unwrap().push(posting.clone());
        }
        self.either(self.inner.post(posting, by)).await
    }

    async fn reserve(
        &self,
        sheet: &str,
        reservation: &Reservation<'_>,
        limits: &[(String, u64)],
        by: Instant,
    ) -> Result<Reserving, StoreError> {
        self.either(self.inner.reserve(sheet, reservation, limits, by)).await
    }

    async fn sheets(&self, keys: &[&str], by: Instant) -> Result<Vec<Sheet>, StoreError> {
        self.either(self.inner.sheets(keys, by)).await
    }

    async fn sheet_and_notes(&self, sheet: &str, notes: &str, by: Instant) -> Result<(Sheet, Notes), StoreError> {
        self.either(self.inner.sheet_and_notes(sheet, notes, by)).await
    }

    async fn note(&self, key: &str, notes: &[(String, String)], by: Instant) -> Result<(), StoreError> {
        self.inner.note(key, notes, by).await
    }

    async fn note_new(&self, key: &str, field: &str, text: &str, by: Instant) -> Result<bool, StoreError> {
        self.either(self.inner.note_new(key, field, text, by)).await
    }

    async fn forget(&self, key: &str, fields: &[String], by: Instant) -> Result<(), StoreError> {
        self.inner.forget(key, fields, by).await
    }
}

fn limits(daily: f64, weekly: f64, monthly: f64, hard_limit: bool) -> BudgetConfig {
    BudgetConfig { daily, weekly, monthly, hard_limit, webhook_url: None }
}

fn ledger(clock: Clock, config: &BudgetConfig, store: &Arc<Faulty>) -> Arc<Ledger> {
    let (patience, instances) = (Duration::from_millis(500), NonZeroU32::MIN);
    let store = Arc::clone(store) as _;
    Arc::new(Ledger::new(clock, config, store, patience, instances, TaskTracker::new(), None))
}

fn spend(ledger: &Arc<Ledger>, micro_dollars: u64) {
    let target = Target { provider: "openai".into(), model: "gpt-4o".into() };
    ledger.book(Kind::Client, &target, &Usage::default(), MicroDollars(micro_dollars));
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

/// In micro-dollars.
fn used(ledger: &Ledger) -> [u64; 3] {
    let status: Value = serde_json::from_slice(&ledger.status()).unwrap();
    ["daily", "weekly", "monthly"].map(|period| MicroDollars::of(status[period]["used"].as_f64().unwrap()).0)
}

fn reset_dates(ledger: &Ledger) -> [String; 3] {
    let status: Value = serde_json::from_slice(&ledger.status()).unwrap();
    ["daily", "weekly", "monthly"].map(|period| status[period]["resetDate"].as_str().unwrap()[..10].to_owned())
}

/// Until what was begun behind the bookings is done.
async fn settled(ledger: &Ledger) {
    ledger.tasks.close();
    ledger.tasks.wait().await;
    ledger.tasks.reopen();
}

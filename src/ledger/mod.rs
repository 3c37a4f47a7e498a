//! What was spent and what was saved, by all instances, and the budgets that hold.
//!
//! Every instance books in memory and posts what it booked to the store every few seconds, each posting once however often it has
//! to be sent. What is shown is what the store says and what is not posted yet. What is not posted is lost with the process,
//! and with nothing else.

mod alert;
mod batch;
mod books;
mod each;
mod lines;
mod period;
mod report;
mod reserve;
mod settings;
mod status;
mod telling;
#[cfg(test)]
mod tests;
mod webhook;

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    config::BudgetConfig,
    generate::{MicroDollars, Target, Usage},
    remembered::Remembered,
    stores::{BookStore, Entry, Sheet, StoreError},
};

pub use alert::{Alert, AlertKind};
pub use lines::Kind;
pub use period::Period;
pub use report::{Analytics, UsageStats};
pub use reserve::Reserved;
pub use settings::{Changes, Settings, Thresholds};
pub use status::{BudgetStatus, PeriodStatus};
pub use webhook::Webhook;

use batch::{ALL, BUDGET};
use books::{Books, Reset, reset_field};
use each::Each;

/// The notes: settings, resets and alerts.
const NOTES: &str = "llm:{ledger}:notes";
/// The sheets that are kept for good.
pub const STANDING: [&str; 3] = [ALL, BUDGET, NOTES];
/// How long what the store said is news, in milliseconds: an instance that is busy asks more often, and an idle one does not.
const KNOWN_MS: u64 = 10_000;
/// The same to who looks, which anyone may as often as it likes though it costs commands, and to who would be refused.
const NEWS_MS: u64 = 1_000;
/// Lists of sheets of which it is remembered how they stood: those of the usage and of the analytics.
const LISTS: u64 = 2;
/// How long to wait between the last attempts.
const LAST_ATTEMPTS: Duration = Duration::from_millis(250);

/// The books, and what keeps them.
pub struct Ledger {
    clock: Clock,
    store: Arc<dyn BookStore>,
    /// How long the store may take for what nobody waits for.
    patience: Duration,
    instances: NonZeroU32,
    tasks: TaskTracker,
    webhook: Option<Webhook>,
    books: Mutex<Books>,
    /// Held while something is on its way to the store or from there, so that nothing is missing or counted twice.
    travelling: tokio::sync::Mutex<()>,
    /// The sheets that somebody looked at, by their keys.
    seen: Remembered<Vec<String>, Seen>,
}

/// How sheets stood when somebody looked.
#[derive(Clone)]
struct Seen {
    at_ms: u64,
    /// How much had been booked here.
    bookings: u64,
    sheets: Arc<[Sheet]>,
}

impl Ledger {
    /// Books kept in `store`, which may take `patience` for it, and which `instances` share while it is away. What is not waited
    /// for is among `tasks`; alerts go to `webhook` too.
    pub fn new(
        clock: Clock,
        config: &BudgetConfig,
        store: Arc<dyn BookStore>,
        patience: Duration,
        instances: NonZeroU32,
        tasks: TaskTracker,
        webhook: Option<Webhook>,
    ) -> Self {
        let books = Mutex::new(Books::new(Settings::new(config)));
        let (travelling, seen) = (tokio::sync::Mutex::default(), Remembered::new(LISTS));
        Self { clock, store, patience, instances, tasks, webhook, books, travelling, seen }
    }

    /// Books one answer, or an attempt at one: what it took and what that costs.
    pub fn book(self: &Arc<Self>, kind: Kind, target: &Target, usage: &Usage, cost: MicroDollars) {
        let now_ms = self.clock.epoch_ms();
        let has_raised = self.books_at(now_ms).book(kind, target, usage, cost, now_ms);
        if has_raised {
            self.save_alerts_soon();
        }
    }

    /// `{"daily":{…},"weekly":{…},"monthly":{…}}` as JSON, as far as this process knows.
    pub fn status(&self) -> Bytes {
        self.books().status()
    }

    /// What was spent today and what may be, in dollars, as far as this process knows.
    pub fn today(&self) -> (f64, f64) {
        let books = self.books();
        (books.used[Period::Daily].dollars(), books.limit(Period::Daily).dollars())
    }

    /// What hits and joined calls would have cost, ever, as far as this process knows.
    pub fn avoided(&self) -> MicroDollars {
        self.books().avoided()
    }

    /// The settings that hold, as far as this process knows.
    pub fn settings(&self) -> Settings {
        self.books().settings
    }

    /// When the store was asked last, in milliseconds since the Unix epoch. `None`: it has not said anything yet.
    pub fn known_ms(&self) -> Option<u64> {
        self.books().known_ms
    }

    /// Posts what was booked, and asks the store how things stand if anyone wants to know.
    pub async fn tick(self: &Arc<Self>) {
        self.flush().await;
        let is_wanted = self.books().is_wanted;
        if is_wanted && let Err(error) = self.refresh(Instant::now() + self.patience).await {
            tracing::debug!(%error, "budgets are as this process knows them");
        }
        self.save_alerts().await;
    }

    /// Posts what was booked. What cannot be posted is kept, and posted later.
    pub async fn flush(&self) {
        let _travelling = self.travelling.lock().await;
        self.books().is_flush_due = false;
        if let Err(error) = self.post(Instant::now() + self.patience).await {
            tracing::debug!(%error, "bookings wait for the store");
        }
    }

    /// Posts what was booked, and tries again for `patience` where that fails: nobody does it later.
    pub async fn finish(&self, patience: Duration) {
        let until = Instant::now() + patience;
        loop {
            self.flush().await;
            if !self.books().has_unposted() {
                return;
            }
            if Instant::now() >= until {
                let dollars = self.books().unposted().dollars();
                tracing::error!(dollars, "bookings are lost: the store does not take them");
                return;
            }
            sleep(LAST_ATTEMPTS).await;
        }
    }

    /// Whether something could not be posted, and should be as soon as the store is back.
    pub fn is_behind(&self) -> bool {
        self.books().is_behind()
    }

    /// Asks the store how things stand.
    ///
    /// # Errors
    /// When it does not say `by` then; all is as this process knows it.
    pub async fn refresh(self: &Arc<Self>, by: Instant) -> Result<(), StoreError> {
        let _travelling = self.travel(by).await?;
        self.catch_up(by).await
    }

    /// Sets what `changes` says, for all instances; the others hear of it within seconds.
    ///
    /// # Errors
    /// When the store does not say that it is done.
    pub async fn set(self: &Arc<Self>, changes: &Changes, by: Instant) -> Result<Settings, StoreError> {
        let notes = changes.notes();
        if !notes.is_empty() {
            self.store.note(NOTES, &notes, by).await?;
        }
        self.refresh(by).await?;
        Ok(self.settings())
    }

    /// Begins the budget of `period` anew, for all instances. What was booked stays booked.
    ///
    /// # Errors
    /// When the store does not say that it is done.
    pub async fn reset(self: &Arc<Self>, period: Period, by: Instant) -> Result<(), StoreError> {
        let _travelling = self.travel(by).await?;
        self.post(by).await?;
        let (budget, _) = self.store.sheet_and_notes(BUDGET, NOTES, by).await?;
        let (now_ms, field) = (self.clock.epoch_ms(), self.books().field(period));
        // Nothing is taken back: what it had had counts no longer.
        let spent = budget.amounts.get(&field).copied().unwrap_or_default();
        let reset = Reset { since_ms: now_ms, field, spent };
        let (kind, message) = (AlertKind::BudgetReset, format!("The {} budget was begun anew.", period.as_str()));
        let alert = Alert::new(Alert::id(kind, period, now_ms, ""), kind, period, message, now_ms);
        let notes = [(reset_field(period), reset.note()), (alert.field(), alert.note())];
        self.store.note(NOTES, &notes, by).await?;
        self.notify(alert);
        self.learn(by).await
    }

    /// Sheets, with what is not posted yet, as they stood within the last second if nothing was booked here since.
    ///
    /// # Errors
    /// When the store does not say `by` then.
    async fn sheets(&self, keys: Vec<String>, by: Instant) -> Result<Arc<[Sheet]>, StoreError> {
        let _travelling = self.travel(by).await?;
        let (now_ms, bookings) = (self.clock.epoch_ms(), self.books().bookings);
        let is_news = |seen: &Seen| seen.bookings == bookings && now_ms.abs_diff(seen.at_ms) < NEWS_MS;
        if let Some(seen) = self.seen.get(&keys).filter(is_news) {
            return Ok(seen.sheets);
        }
        // What may have arrived must not be counted twice.
        self.post(by).await?;
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut sheets = self.store.sheets(&names, by).await?;
        for Entry { sheet, amounts, .. } in self.books().unposted_entries() {
            let there = keys.iter().zip(&mut sheets).filter(|(key, _)| **key == sheet);
            for (_, there) in there {
                for (field, amount) in &amounts {
                    *there.amounts.entry(field.clone()).or_default() += amount;
                }
            }
        }
        let sheets: Arc<[Sheet]> = sheets.into();
        self.seen.put(keys, Seen { at_ms: now_ms, bookings, sheets: Arc::clone(&sheets) });
        Ok(sheets)
    }

    /// Tells the store what it does not know, and takes over what it says. To be called by whoever holds `travelling`.
    async fn catch_up(self: &Arc<Self>, by: Instant) -> Result<(), StoreError> {
        self.post(by).await?;
        self.learn(by).await
    }

    /// Posts what is on its way, and then what was booked meanwhile. To be called by whoever holds `travelling`.
    async fn post(&self, by: Instant) -> Result<(), StoreError> {
        let mut had_all = false;
        loop {
            let posting = self.books().next_posting(self.clock.epoch_ms());
            let Some(posting) = posting else { return Ok(()) };
            if let Err(error) = self.store.post(&posting, by).await {
                if !error.is_outage() && !error.is_undone() {
                    let keys: Vec<_> = posting.entries.iter().map(|entry| &entry.sheet).collect();
                    tracing::warn!(%error, ?keys, "bookings cannot be posted");
                }
                return Err(error);
            }
            // What comes in all the while is for the next time.
            if self.books().posted() && std::mem::replace(&mut had_all, true) {
                return Ok(());
            }
        }
    }

    /// Takes over what the store says. To be called by whoever holds `travelling`, when nothing is on its way.
    async fn learn(self: &Arc<Self>, by: Instant) -> Result<(), StoreError> {
        let (budget, notes) = self.store.sheet_and_notes(BUDGET, NOTES, by).await?;
        let (old, has_raised) = {
            let now_ms = self.clock.epoch_ms();
            let mut books = self.books();
            let has_raised = books.learn(budget, &notes, now_ms);
            (books.old_alerts(now_ms), has_raised)
        };
        if has_raised {
            self.save_alerts_soon();
        }
        if old.is_empty() { Ok(()) } else { self.store.forget(NOTES, &old, by).await }
    }

    /// Waits for its turn with the store.
    async fn travel(&self, by: Instant) -> Result<tokio::sync::MutexGuard<'_, ()>, StoreError> {
        timeout_at(by, self.travelling.lock()).await.map_err(|_| StoreError::Timeout)
    }

    /// Posts what was booked, soon and with nobody waiting: once for all who want it meanwhile.
    fn flush_soon(self: &Arc<Self>) {
        if !std::mem::replace(&mut self.books().is_flush_due, true) {
            let ledger = Arc::clone(self);
            self.tasks.spawn(async move { ledger.flush().await });
        }
    }

    /// Asks the store how things stand, unless that is known of late.
    pub async fn freshen(self: &Arc<Self>, by: Instant) {
        if let Err(error) = self.ask_unless_news(KNOWN_MS, by).await {
            tracing::debug!(%error, "budgets are as this process knows them");
        }
    }

    /// Asks the store how things stand, unless it has said so within the last second, and nothing failed since.
    ///
    /// # Errors
    /// When it does not say `by` then; all is as this process knows it.
    pub async fn look(self: &Arc<Self>, by: Instant) -> Result<(), StoreError> {
        if self.is_behind() { self.refresh(by).await } else { self.ask_unless_news(NEWS_MS, by).await }
    }

    async fn ask_unless_news(self: &Arc<Self>, age_ms: u64, by: Instant) -> Result<(), StoreError> {
        if self.is_news(age_ms) {
            return Ok(());
        }
        let _travelling = self.travel(by).await?;
        // Somebody else has asked meanwhile.
        if self.is_news(age_ms) {
            return Ok(());
        }
        self.catch_up(by).await
    }

    /// Whether the store has said how things stand within the last `age_ms`.
    fn is_news(&self, age_ms: u64) -> bool {
        let now_ms = self.clock.epoch_ms();
        self.books_at(now_ms).known_ms.is_some_and(|known_ms| now_ms.abs_diff(known_ms) <= age_ms)
    }

    /// The books, turned to today.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books_at(self.clock.epoch_ms())
    }

    fn books_at(&self, now_ms: u64) -> MutexGuard<'_, Books> {
        // Every statement leaves the books whole.
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        books.turn(now_ms);
        books
    }
}

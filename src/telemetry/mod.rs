//! What is known of every request, and who is told of it when its reply has ended: the log, the metrics, and the status page's
//! memory.

mod ending;
mod generating;
mod history;
mod path;
mod recent;
mod record;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::Method;

use crate::{
    clock::Clock,
    generate::{MicroDollars, Target, Usage},
    metrics::Metrics,
};

pub use ending::Ending;
pub use generating::{Answered, Failure, Generating};
use history::History;
pub use history::{SLICE, SliceForm};
pub use path::without_ids;
use recent::Recent;
pub use recent::{RecentGeneration, milliseconds};
pub use record::{CallerKind, Record};

/// Takes down what happens in this process.
pub struct Telemetry {
    /// What is counted and measured.
    pub metrics: Metrics,
    clock: Clock,
    recent: Mutex<Recent>,
    history: Mutex<History>,
}

impl Telemetry {
    /// Nothing has happened so far.
    pub fn new(metrics: Metrics, clock: Clock) -> Self {
        let history = Mutex::new(History::new(clock.epoch_ms()));
        Self { metrics, clock, recent: Mutex::default(), history }
    }

    /// The reply to `record`'s request has ended, with this status. 499: the client left before there was one.
    pub fn ended(&self, record: &Record, method: &Method, status: u16, took: Duration) {
        self.metrics.http.ended(method.as_str(), record.route(), status, took);
        let Some(ending) = record.ending(status) else { return };
        let now_ms = self.clock.epoch_ms();
        self.history().at(now_ms).add(ending, took);
        if let Some(generating) = record.generation() {
            if let Some(after) = generating.first_text() {
                self.metrics.http.first_text(ending.as_str(), after);
            }
            let recent = RecentGeneration::new(record, generating, ending, status, now_ms, took);
            self.recent().push(recent);
        }
    }

    /// A call of `target`, whose model is one of a bounded number, took `usage` and `cost`.
    pub fn spent(&self, kind: &'static str, target: Target, usage: &Usage, cost: MicroDollars) {
        self.metrics.spending.spent(kind, target, usage, cost);
        let mut history = self.history();
        let slice = history.at(self.clock.epoch_ms());
        slice.spent = slice.spent + cost;
    }

    /// An answer of `target` need not be paid for, which would have been `cost`.
    pub fn avoided(&self, kind: &'static str, target: Target, cost: MicroDollars) {
        self.metrics.spending.avoided(kind, target, cost);
        let mut history = self.history();
        let slice = history.at(self.clock.epoch_ms());
        slice.saved = slice.saved + cost;
    }

    /// The generations that ended last, the newest first.
    pub fn recent_generations(&self) -> Vec<RecentGeneration> {
        self.recent().newest_first()
    }

    /// The last hours, oldest first, without those slices in which nothing had begun yet.
    pub fn slices(&self) -> Vec<SliceForm> {
        let slices = self.history().until(self.clock.epoch_ms());
        slices.iter().map(history::Slice::form).collect()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

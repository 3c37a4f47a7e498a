//! Calls that replace a stale answer while it goes on answering.

use std::time::Duration;

use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::generate::{
    Delivery, Failover, Fingerprint, GenerateError, GenerateRequest, Generation, Outcome, Policy, Purpose, Question,
};

/// How long nobody tries again: a call that failed, or whose answer could not be kept, is not made again by every request.
const PAUSE: Duration = Duration::from_secs(30);
/// How many are remembered.
const MAX_REMEMBERED: u64 = 10_000;

/// The refreshes begun lately.
pub struct Refreshes {
    begun: Cache<Fingerprint, Instant>,
    tasks: TaskTracker,
}

impl Refreshes {
    /// None yet. They are among `tasks`.
    pub fn new(tasks: TaskTracker) -> Self {
        let begun = Cache::builder().max_capacity(MAX_REMEMBERED).eviction_policy(EvictionPolicy::lru());
        Self { begun: begun.time_to_live(PAUSE).build(), tasks }
    }

    /// Asks `inner` for the answer to `question` anew, unless someone just did.
    pub(super) fn begin<S>(&self, inner: S, question: Question)
    where
        S: Service<Question, Response = Generation, Error = GenerateError, Future: Send> + Send + 'static,
    {
        let now = Instant::now();
        let is_due = |begun: Instant| now.duration_since(begun) >= PAUSE;
        let entry = self.begun.entry(question.fingerprint).or_insert_with_if(|| now, |begun| is_due(*begun));
        if !entry.is_fresh() {
            return;
        }
        let request = GenerateRequest {
            // One body costs less than many events, and nobody reads along.
            delivery: Delivery::Whole,
            // Another model's answer could not be kept.
            failover: Failover::Nobody,
            policy: Policy::default(),
            purpose: Purpose::Refresh,
            ..question.request
        };
        let (begun, fingerprint) = (self.begun.clone(), question.fingerprint);
        let answering = inner.oneshot(Question { request, ..question });
        // A reader like any other: as long as it stays, the call goes on. Why it failed, the provider's warning says.
        let refreshing = async move {
            let Ok(generation) = answering.await else { return };
            let collected = generation.answer.collect().await;
            if collected.is_ok_and(|collected| collected.outcome != Outcome::NotStored) {
                begun.invalidate(&fingerprint);
            }
        };
        self.tasks.spawn(refreshing.in_current_span());
    }
}

//! Calls that replace a stale answer while it goes on answering.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::{
    generate::{
        Delivery, Failover, Fingerprint, GenerateError, GenerateRequest, Generation, Outcome, Policy, Purpose, Question,
    },
    remembered::Remembered,
};

/// How long nobody tries again: a call that failed, or whose answer could not be kept, is not made again by every request.
const PAUSE: Duration = Duration::from_secs(30);
/// How many are remembered.
const MAX_REMEMBERED: u64 = 10_000;

/// The refreshes begun lately.
pub struct Refreshes {
    begun: Arc<Remembered<Fingerprint, Instant>>,
    tasks: TaskTracker,
}

impl Refreshes {
    /// None yet. They are among `tasks`.
    pub fn new(tasks: TaskTracker) -> Self {
        Self { begun: Arc::new(Remembered::new(MAX_REMEMBERED)), tasks }
    }

    /// Asks `inner` for the answer to `question` anew, unless someone just did.
    pub(super) fn begin<S>(&self, inner: S, question: Question)
    where
        S: Service<Question, Response = Generation, Error = GenerateError, Future: Send> + Send + 'static,
    {
        let now = Instant::now();
        let mut is_due = false;
        self.begun.change(question.fingerprint, |begun| {
            is_due = begun.is_none_or(|begun| now.duration_since(begun) >= PAUSE);
            if is_due { Some(now) } else { begun }
        });
        if !is_due {
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
        let (begun, fingerprint) = (Arc::clone(&self.begun), question.fingerprint);
        let answering = inner.oneshot(Question { request, ..question });
        // A reader like any other: as long as it stays, the call goes on. Why it failed, the provider's warning says.
        let refreshing = async move {
            let Ok(generation) = answering.await else { return };
            let collected = generation.answer.collect().await;
            if collected.is_ok_and(|collected| collected.outcome != Outcome::NotStored) {
                begun.forget(&fingerprint);
            }
        };
        self.tasks.spawn(refreshing.in_current_span());
    }
}

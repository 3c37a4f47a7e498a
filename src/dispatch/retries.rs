//! How often the same is tried again, and after what wait.

use std::time::Duration;

use tokio::time::Instant;

use crate::{generate::Retry, providers::ProviderError};

/// The first wait before another attempt where the provider names none, and the longest; each is twice the one before
/// (what the official clients do, `providers.md` 2).
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A provider that wants a longer wait than that is not waited for.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// Further attempts at the same model.
pub(super) struct Retries {
    /// At most.
    most: u32,
    /// When the next must have begun.
    deadline: Instant,
    had: u32,
}

impl Retries {
    /// None so far, of `most`, the last before `deadline`.
    pub(super) fn new(most: u32, deadline: Instant) -> Self {
        Self { most, deadline, had: 0 }
    }

    /// Another model is asked.
    pub(super) fn begin_anew(&mut self) {
        self.had = 0;
    }

    /// How long to wait before the same is tried again after `error`. `None`: it is not worth it, or there is no time.
    pub(super) fn next(&mut self, error: &ProviderError) -> Option<Duration> {
        let most = match error.kind.outlook().retry {
            _ if error.should_retry == Some(true) => self.most,
            Retry::Often => self.most,
            Retry::Once => self.most.min(1),
            Retry::Never => 0,
        };
        if !error.is_retryable() || self.had >= most {
            return None;
        }
        let wait = error.retry_after.unwrap_or_else(|| {
            let wait = FIRST_WAIT.saturating_mul(1 << self.had.min(8)).min(LONGEST_WAIT);
            // Less up to a quarter, so that those who failed together do not come back together.
            wait.mul_f64(1.0 - fastrand::f64() / 4.0)
        });
        let is_in_time = wait <= LONGEST_PATIENCE && Instant::now() + wait < self.deadline;
        self.had += u32::from(is_in_time);
        is_in_time.then_some(wait)
    }
}

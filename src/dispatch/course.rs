//! What to do after a failure: the same again, someone else, or give up.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{
    catalogue::Catalogue,
    generate::{Elsewhere, ErrorKind, Failover, GenerateError, GenerateRequest, Retry, Target},
    providers::ProviderError,
};

use super::told;

/// The first wait before another attempt where the provider names none, and the longest; each is twice the one before
/// (what the official clients do, `providers.md` 2).
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// A provider that wants a longer wait than that is not waited for.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// How far one generation has come.
pub(super) struct Course {
    /// Further attempts that each model gets.
    retries: u32,
    /// When the next attempt must have begun.
    deadline: Instant,
    /// Further attempts that the present model has had.
    had: u32,
    /// Who is left to ask. `None`: nobody has failed so far.
    left: Option<VecDeque<Target>>,
    /// The first failure: it is the one of the model that was asked for.
    first: Option<GenerateError>,
}

/// What to do.
pub(super) enum Next {
    /// The same again, after a while.
    Again(Duration),
    /// Someone else, now.
    Other(Target),
    /// There is nobody; this is what to say.
    Nobody(GenerateError),
}

impl Course {
    /// A course without a failure.
    pub(super) fn new(retries: u32, deadline: Instant) -> Self {
        Self { retries, deadline, had: 0, left: None, first: None }
    }

    /// What to do now that `request` has failed with `error`.
    pub(super) fn next(&mut self, error: &ProviderError, request: &GenerateRequest, catalogue: &Catalogue) -> Next {
        if let Some(wait) = self.retry(error) {
            self.had += 1;
            return Next::Again(wait);
        }
        let target = &request.target;
        let is_first = self.first.is_none();
        let first = self.first.get_or_insert_with(|| told(error.clone(), target)).clone();
        if Instant::now() >= self.deadline || request.failover == Failover::Nobody {
            return Next::Nobody(first);
        }
        self.had = 0;
        let elsewhere = match error.kind {
            // Who let us wait that long would do so with another model too.
            ErrorKind::Timeout if error.should_retry == Some(false) => Elsewhere::OtherProvider,
            kind => kind.outlook().elsewhere,
        };
        if elsewhere == Elsewhere::LargerModel {
            let mut larger: VecDeque<Target> = catalogue.fallbacks(request, true).into();
            if let Some(left) = &self.left {
                larger.retain(|other| left.iter().any(|unasked| unasked.provider == other.provider));
            }
            self.left = Some(larger);
        }
        let left = self.left(request, catalogue);
        match elsewhere {
            Elsewhere::Nobody if is_first => return Next::Nobody(first),
            Elsewhere::OtherProvider => left.retain(|other| other.provider != target.provider),
            // What one who stands in refuses, the next may take.
            Elsewhere::AnyModel | Elsewhere::LargerModel | Elsewhere::Nobody => {}
        }
        left.pop_front().map_or(Next::Nobody(first), Next::Other)
    }

    /// Whether an attempt has failed for good.
    pub(super) fn has_failed(&self) -> bool {
        self.first.is_some()
    }

    /// Whether another provider can be asked if the present one, which has said nothing so far, is given up.
    pub(super) fn can_turn(&mut self, request: &GenerateRequest, catalogue: &Catalogue) -> bool {
        let provider = &request.target.provider;
        self.left(request, catalogue).iter().any(|other| other.provider != *provider)
    }

    fn left(&mut self, request: &GenerateRequest, catalogue: &Catalogue) -> &mut VecDeque<Target> {
        self.left.get_or_insert_with(|| catalogue.fallbacks(request, false).into())
    }

    /// How long to wait before the same is tried again. `None`: it is not worth it, or there is no time.
    fn retry(&self, error: &ProviderError) -> Option<Duration> {
        let most = match error.kind.outlook().retry {
            _ if error.should_retry == Some(true) => self.retries,
            Retry::Often => self.retries,
            Retry::Once => self.retries.min(1),
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
        is_in_time.then_some(wait)
    }
}

//! The limiter's rule, as arithmetic: the same in this process as in the scripts of [`super::redis`].
//!
//! Up to [`EXACT_MAX`] admissions are remembered one by one, so that no window ever holds more than the quota. Beyond it two
//! counters stand for them, which may let a little more through around the turn of a window (`upstash-rest.md` 14).

mod log;
mod window;

use std::{num::NonZeroU32, time::Duration};

use super::{Admission, Quota};

use log::Log;
use window::Window;

/// The largest quota that is kept exactly: a log grows with it.
pub const EXACT_MAX: u32 = 500;

/// What is remembered of one key.
pub(super) struct History(Rule);

enum Rule {
    Exact(Log),
    Counted(Window),
}

impl History {
    /// Nothing yet, for a quota of `max`.
    pub(super) fn new(max: NonZeroU32) -> Self {
        Self(if max.get() <= EXACT_MAX { Rule::Exact(Log::default()) } else { Rule::Counted(Window::default()) })
    }

    /// Admits `cost` at `now`, in milliseconds of any clock, or does not. `cost` is at most the quota.
    pub(super) fn admit(&mut self, quota: Quota, cost: NonZeroU32, now: u64) -> Admission {
        match &mut self.0 {
            Rule::Exact(log) => log.admit(quota, cost, now),
            Rule::Counted(window) => window.admit(quota, cost, now),
        }
    }

    /// Takes down what was admitted elsewhere.
    pub(super) fn record(&mut self, quota: Quota, cost: NonZeroU32, now: u64) {
        match &mut self.0 {
            Rule::Exact(log) => log.record(quota, cost, now),
            Rule::Counted(window) => window.record(quota, cost, now),
        }
    }
}

impl Quota {
    /// The window in milliseconds.
    pub(super) fn window_ms(&self) -> u64 {
        u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX)
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

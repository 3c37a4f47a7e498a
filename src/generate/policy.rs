//! How old an answer may be: what a client accepts, and what a stored answer is.

use std::time::Duration;

/// What a client wants of the cache: the request directives of RFC 9111, section 5.2.1, and RFC 5861, section 4. All that are
/// given have to be met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// No stored answer, however fresh; the new one is kept.
    pub no_cache: bool,
    /// No stored answer, and the new one is not kept.
    pub no_store: bool,
    /// A stored answer, or none.
    pub only_if_cached: bool,
    /// No answer that is older.
    pub max_age: Option<Duration>,
    /// No answer that is not fresh for so long from now on.
    pub min_fresh: Option<Duration>,
    /// Also an answer that has been stale for so long. [`Duration::MAX`]: for however long.
    pub max_stale: Option<Duration>,
    /// When the call fails, an answer that has been stale for so long, whatever the others say.
    pub stale_if_error: Option<Duration>,
}

/// How a stored answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Since it was stored.
    pub age: Duration,
    /// How old it may be and still be fresh.
    pub lifetime: Duration,
}

impl Policy {
    /// Whether a stored answer will do without asking anyone.
    pub fn accepts(&self, stored: Freshness) -> bool {
        let is_refused = self.no_cache || self.no_store;
        let is_too_old = self.max_age.is_some_and(|oldest| stored.age > oldest);
        let ends_too_soon = self.min_fresh.is_some_and(|wanted| stored.left() < wanted);
        let is_too_stale = !stored.is_fresh() && self.max_stale.is_none_or(|longest| stored.stale_for() > longest);
        !(is_refused || is_too_old || ends_too_soon || is_too_stale)
    }

    /// Whether it is the service's affair how old an answer may be.
    pub fn is_silent(&self) -> bool {
        let Self { no_cache, no_store, only_if_cached: _, max_age, min_fresh, max_stale, stale_if_error: _ } = self;
        !(*no_cache || *no_store) && max_age.is_none() && min_fresh.is_none() && max_stale.is_none()
    }

    /// Whether a stored answer may stand in for a call that failed, where the service allows it to have been stale for
    /// `window`.
    ///
    /// Who has said how old an answer may be gets none that is older, unless it says `stale-if-error` too.
    pub fn allows_stand_in(&self, stored: Freshness, window: Duration) -> bool {
        let allowed = match self.stale_if_error {
            Some(longest) => longest.min(window),
            None if self.is_silent() => window,
            None => return false,
        };
        !self.no_store && stored.stale_for() <= allowed
    }
}

impl Freshness {
    /// Whether it is younger than its lifetime.
    pub fn is_fresh(self) -> bool {
        self.age < self.lifetime
    }

    /// How long it is still fresh. Zero: it is no longer.
    pub fn left(self) -> Duration {
        self.lifetime.saturating_sub(self.age)
    }

    /// How long it has been stale. Zero: it is fresh.
    pub fn stale_for(self) -> Duration {
        self.age.saturating_sub(self.lifetime)
    }

    /// How long it is still fresh in whole seconds, rounded down: what is stale has a negative number (RFC 9211, section 2.3).
    pub fn ttl_seconds(self) -> i64 {
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let stale_for = self.stale_for();
        if stale_for.is_zero() {
            return seconds(self.left());
        }
        -seconds(stale_for).saturating_add(i64::from(stale_for.subsec_nanos() > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stale_has_a_negative_time_to_live() {
        let ttl = |age_ms| {
            let (age, lifetime) = (Duration::from_millis(age_ms), Duration::from_secs(60));
            Freshness { age, lifetime }.ttl_seconds()
        };
        assert_eq!([0, 1, 59_999, 60_000, 60_001, 61_000, 90_000].map(ttl), [60, 59, 0, 0, -1, -1, -30]);
    }
}

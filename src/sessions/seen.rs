//! What this process knows of sessions without asking: whose an id was a moment ago, and that an id is none's.

use std::time::Duration;

use moka::{ops::compute::Op, policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::caller::UserId;

use super::{LiveSession, SessionId};

/// How long an answer of the store is taken for true: a session that is ended elsewhere lets nobody in after that.
const TRUSTED_FOR: Duration = Duration::from_secs(30);
/// How long an id that is unknown is not asked for again: ids are random, so none becomes one by and by.
pub(super) const UNKNOWN_FOR: Duration = Duration::from_secs(5);
/// How long an id that was ended here stays so, whatever a look-up that began before brings: longer than any store call.
pub(super) const ENDED_FOR: Duration = Duration::from_secs(90);
/// How many ids are remembered.
const MAX_IDS: u64 = 100_000;

/// The ids that were just looked up.
pub(super) struct Seen {
    ids: Cache<SessionId, Sighting>,
    /// After how long an id is written down under its user anew.
    enrolled_for: Duration,
}

#[derive(Clone)]
enum Sighting {
    Live { user: Option<UserId>, until: Instant, enrolled_until: Instant },
    Gone { until: Instant },
}

/// What is known of an id.
pub(super) enum Known {
    /// It is a session.
    Live(LiveSession),
    /// It was one, not long ago.
    Probably,
    /// It is none.
    Gone,
    /// Nothing.
    Nothing,
}

impl Seen {
    pub(super) fn new(enrolled_for: Duration) -> Self {
        let ids = Cache::builder().max_capacity(MAX_IDS).eviction_policy(EvictionPolicy::lru());
        Self { ids: ids.time_to_live(enrolled_for.max(ENDED_FOR)).build(), enrolled_for }
    }

    pub(super) fn known(&self, id: SessionId) -> Known {
        let now = Instant::now();
        match self.ids.get(&id) {
            Some(Sighting::Live { user, until, .. }) if now < until => Known::Live(LiveSession { user }),
            Some(Sighting::Live { .. }) => Known::Probably,
            Some(Sighting::Gone { until }) if now < until => Known::Gone,
            Some(Sighting::Gone { .. }) | None => Known::Nothing,
        }
    }

    /// Whose session `id` was when it was last seen.
    pub(super) fn user(&self, id: SessionId) -> Option<UserId> {
        match self.ids.get(&id) {
            Some(Sighting::Live { user, .. }) => user,
            Some(Sighting::Gone { .. }) | None => None,
        }
    }

    /// Whether `id` need not be written down under `user`.
    pub(super) fn is_enrolled(&self, id: SessionId, user: &UserId) -> bool {
        match self.ids.get(&id) {
            Some(Sighting::Live { user: Some(seen), enrolled_until, .. }) => {
                seen == *user && Instant::now() < enrolled_until
            }
            _ => false,
        }
    }

    /// `id` is a session of `user`, and was written down under it just now, or long enough ago; unless it has ended while that
    /// was found out.
    pub(super) fn live(&self, id: SessionId, user: Option<UserId>, was_enrolled: bool) {
        let now = Instant::now();
        self.ids.entry(id).and_compute_with(|entry| {
            let before = match entry.map(moka::Entry::into_value) {
                Some(Sighting::Gone { until }) if now < until => return Op::Nop,
                Some(Sighting::Live { enrolled_until, .. }) => enrolled_until,
                Some(Sighting::Gone { .. }) | None => now,
            };
            let enrolled_until = if was_enrolled { now + self.enrolled_for } else { before };
            Op::Put(Sighting::Live { user, until: now + TRUSTED_FOR, enrolled_until })
        });
    }

    /// `id` is no session, and will not be for so long.
    pub(super) fn gone(&self, id: SessionId, how_long: Duration) {
        let until = Instant::now() + how_long;
        self.ids.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(Sighting::Gone { until: other }) if until < other => Op::Nop,
            _ => Op::Put(Sighting::Gone { until }),
        });
    }

    /// Whose session `id` was may no longer be true. That it has ended stays true.
    pub(super) fn forget(&self, id: SessionId) {
        self.ids.entry(id).and_compute_with(|entry| match entry.map(moka::Entry::into_value) {
            Some(Sighting::Live { .. }) => Op::Remove,
            Some(Sighting::Gone { .. }) | None => Op::Nop,
        });
    }
}

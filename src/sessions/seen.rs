//! What this process knows of sessions without asking: whose an id was a moment ago.

use std::time::Duration;

use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::time::Instant;

use crate::caller::UserId;

use super::{LiveSession, SessionId};

/// How long an answer of the store is taken for true: a session that is ended elsewhere lets nobody in after that.
const TRUSTED_FOR: Duration = Duration::from_secs(30);
/// How many ids are remembered.
const MAX_IDS: u64 = 100_000;

/// The sessions that were just looked up.
pub(super) struct Seen {
    sessions: Cache<SessionId, Sighting>,
    /// After how long an id is written down under its user anew.
    enrolled_for: Duration,
}

#[derive(Clone)]
struct Sighting {
    user: Option<UserId>,
    until: Instant,
    enrolled_until: Instant,
}

impl Seen {
    pub(super) fn new(enrolled_for: Duration) -> Self {
        let sessions = Cache::builder().max_capacity(MAX_IDS).eviction_policy(EvictionPolicy::lru());
        Self { sessions: sessions.time_to_live(enrolled_for).build(), enrolled_for }
    }

    /// The session `id`, if it was just seen.
    pub(super) fn session(&self, id: SessionId) -> Option<LiveSession> {
        let sighting = self.sessions.get(&id).filter(|sighting| Instant::now() < sighting.until)?;
        Some(LiveSession { user: sighting.user })
    }

    /// Whether `id` need not be written down under `user`.
    pub(super) fn is_enrolled(&self, id: SessionId, user: &UserId) -> bool {
        let sighting = self.sessions.get(&id);
        sighting.is_some_and(|seen| seen.user.as_ref() == Some(user) && Instant::now() < seen.enrolled_until)
    }

    /// `id` is a session of `user`, and was written down under it just now, or long enough ago.
    pub(super) fn insert(&self, id: SessionId, user: Option<UserId>, was_enrolled: bool) {
        let now = Instant::now();
        let before = self.sessions.get(&id).map_or(now, |seen| seen.enrolled_until);
        let enrolled_until = if was_enrolled { now + self.enrolled_for } else { before };
        self.sessions.insert(id, Sighting { user, until: now + TRUSTED_FOR, enrolled_until });
    }

    /// `id` is no session, or may be another's now.
    pub(super) fn forget(&self, id: SessionId) {
        self.sessions.invalidate(&id);
    }
}

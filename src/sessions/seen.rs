//! What this process knows of sessions without asking: whose an id was a moment ago, and that an id is none's.

use std::time::Duration;

use tokio::time::Instant;

use crate::{caller::UserId, remembered::Remembered};

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
    ids: Remembered<SessionId, Sighting>,
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
        Self { ids: Remembered::new(MAX_IDS), enrolled_for }
    }

    /// What was seen of `id`, unless that was long ago.
    fn sighting(&self, id: SessionId, now: Instant) -> Option<Sighting> {
        let lasts = self.enrolled_for.max(ENDED_FOR).saturating_sub(TRUSTED_FOR);
        self.ids.get(&id).filter(|sighting| match sighting {
            Sighting::Live { until, .. } => now < *until + lasts,
            Sighting::Gone { until } => now < *until,
        })
    }

    pub(super) fn known(&self, id: SessionId) -> Known {
        let now = Instant::now();
        match self.sighting(id, now) {
            Some(Sighting::Live { user, until, .. }) if now < until => Known::Live(LiveSession { user }),
            Some(Sighting::Live { .. }) => Known::Probably,
            Some(Sighting::Gone { .. }) => Known::Gone,
            None => Known::Nothing,
        }
    }

    /// Whose session `id` was when it was last seen.
    pub(super) fn user(&self, id: SessionId) -> Option<UserId> {
        match self.sighting(id, Instant::now()) {
            Some(Sighting::Live { user, .. }) => user,
            Some(Sighting::Gone { .. }) | None => None,
        }
    }

    /// Whether `id` need not be written down under `user`.
    pub(super) fn is_enrolled(&self, id: SessionId, user: &UserId) -> bool {
        let now = Instant::now();
        match self.sighting(id, now) {
            Some(Sighting::Live { user: Some(seen), enrolled_until, .. }) => seen == *user && now < enrolled_until,
            _ => false,
        }
    }

    /// `id` is a session of `user`, and was written down under it just now, or long enough ago; unless it has ended while that
    /// was found out.
    pub(super) fn live(&self, id: SessionId, user: Option<UserId>, was_enrolled: bool) {
        let now = Instant::now();
        self.ids.change(id, |before| {
            let before = match before {
                Some(Sighting::Gone { until }) if now < until => return before,
                Some(Sighting::Live { user: ref seen, enrolled_until, .. }) if *seen == user => enrolled_until,
                Some(Sighting::Live { .. } | Sighting::Gone { .. }) | None => now,
            };
            let enrolled_until = if was_enrolled { now + self.enrolled_for } else { before };
            Some(Sighting::Live { user, until: now + TRUSTED_FOR, enrolled_until })
        });
    }

    /// `id` is no session, and will not be for so long.
    pub(super) fn gone(&self, id: SessionId, how_long: Duration) {
        let until = Instant::now() + how_long;
        self.ids.change(id, |before| match before {
            Some(Sighting::Gone { until: other }) if until < other => before,
            _ => Some(Sighting::Gone { until }),
        });
    }

    /// Whose session `id` was may no longer be true. That it has ended stays true.
    pub(super) fn forget(&self, id: SessionId) {
        self.ids.change(id, |before| before.filter(|sighting| matches!(sighting, Sighting::Gone { .. })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_id_that_was_ended_stays_so_whatever_is_looked_up_in_vain_meanwhile() {
        let (seen, id) = (Seen::new(Duration::ZERO), SessionId::random().unwrap());
        seen.gone(id, ENDED_FOR);
        seen.gone(id, UNKNOWN_FOR);
        tokio::time::advance(ENDED_FOR.saturating_sub(Duration::from_secs(1))).await;
        assert!(matches!(seen.known(id), Known::Gone));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(seen.known(id), Known::Nothing));
    }

    #[test]
    fn who_was_enrolled_under_another_user_is_not_under_this_one() {
        let (seen, id) = (Seen::new(Duration::from_hours(1)), SessionId::random().unwrap());
        let [ann, bob] = ["ann", "bob"].map(|user| UserId::new(user).unwrap());
        seen.live(id, Some(ann.clone()), true);
        seen.live(id, Some(ann.clone()), false);
        assert!(seen.is_enrolled(id, &ann));
        seen.live(id, Some(bob.clone()), false);
        assert!(!seen.is_enrolled(id, &bob) && !seen.is_enrolled(id, &ann));
    }
}

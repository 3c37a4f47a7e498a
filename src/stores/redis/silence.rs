//! Notices that a connection brings no answers any more although it is not broken: then only a new one helps.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long one must have waited in vain to tell silence from a client that left.
const NOTICEABLE: Duration = Duration::from_millis(100);

/// How often a connection is replaced at most.
const RENEWAL: Duration = Duration::from_secs(1);

/// What is known of a connection's answers.
pub(super) struct Silence {
    /// Whether all answers come from the same server, so that one shows that the others will come.
    is_one: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_answer: Option<Instant>,
    /// When someone gave up last, without a sign that the connection is alive.
    given_up: Option<Instant>,
    renewed: Option<Instant>,
}

impl Silence {
    pub(super) fn of_one_server() -> Self {
        Self { is_one: true, state: Mutex::default() }
    }

    pub(super) fn of_many() -> Self {
        Self { is_one: false, state: Mutex::default() }
    }

    /// Whether the connection should be replaced, which is said once for each that has fallen silent.
    pub(super) fn has_fallen(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let has_fallen = state.given_up.take().is_some();
        if has_fallen {
            state.renewed = Some(Instant::now());
        }
        has_fallen
    }
}

/// Someone who waits for an answer. Dropped without one, because the time is over, it leaves word.
pub(super) struct Waiting<'a> {
    silence: &'a Silence,
    since: Instant,
    is_answered: bool,
}

impl<'a> Waiting<'a> {
    /// From now on.
    pub(super) fn new(silence: &'a Silence) -> Self {
        Self { silence, since: Instant::now(), is_answered: false }
    }

    /// It came, whatever it says.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.silence.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_answered {
            state.last_answer = Some(now);
            return;
        }
        let is_served = self.silence.is_one && state.last_answer > Some(self.since);
        let is_fresh = state.renewed.is_some_and(|renewed| now < renewed + RENEWAL || renewed > self.since);
        if now - self.since >= NOTICEABLE && !is_served && !is_fresh {
            state.given_up = Some(now);
        }
    }
}

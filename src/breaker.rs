//! Skips who has failed many times in a row, for a while. Pure: the time is passed in.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long to wait while someone else finds out whether the pause can end.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// Counts failures in a row.
#[derive(Clone)]
pub struct Breaker {
    /// How many there may be. 0: any number.
    threshold: u32,
    pauses: Pauses,
    state: Arc<Mutex<State>>,
}

/// How long a breaker stays open.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The first time; each time that follows without a success it is twice as long.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Everyone may pass.
    Closed { failures: u32 },
    /// Nobody may until then; then one may, to find out.
    Open { until: Instant, pause: Duration },
    /// One is finding out.
    HalfOpen { pause: Duration },
}

/// Leave to try once. Dropped without a verdict it changes nothing.
pub struct Pass {
    breaker: Breaker,
    is_probe: bool,
}

impl Breaker {
    /// A closed breaker that opens at `threshold` failures in a row, for as long as `pauses` says. 0: never.
    pub fn new(threshold: u32, pauses: Pauses) -> Self {
        Self { threshold, pauses, state: Arc::new(Mutex::new(State::Closed { failures: 0 })) }
    }

    /// Leave to try, at the time `now`.
    ///
    /// # Errors
    /// How long to wait, when it is open.
    pub fn pass(&self, now: Instant) -> Result<Pass, Duration> {
        let mut state = self.state();
        let is_probe = match *state {
            State::Closed { .. } => false,
            State::Open { until, .. } if now < until => return Err(until - now),
            State::Open { pause, .. } => {
                *state = State::HalfOpen { pause };
                true
            }
            State::HalfOpen { .. } => return Err(PROBE_WAIT),
        };
        Ok(Pass { breaker: self.clone(), is_probe })
    }

    /// Whether it would refuse, at the time `now`.
    pub fn is_open(&self, now: Instant) -> bool {
        match *self.state() {
            State::Closed { .. } => false,
            State::Open { until, .. } => now < until,
            State::HalfOpen { .. } => true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// An answer has begun: that is what a probe wants to know. The next failure opens the breaker again.
    pub fn has_begun(&mut self) {
        if std::mem::take(&mut self.is_probe) {
            *self.breaker.state() = State::Closed { failures: self.breaker.threshold.saturating_sub(1) };
        }
    }

    /// It went well. Says whether the breaker had been open until then.
    pub fn succeeded(mut self) -> bool {
        let is_probe = self.is_probe;
        self.has_begun();
        let mut state = self.breaker.state();
        if let State::Closed { failures } = &mut *state {
            *failures = 0;
        }
        // Otherwise it began before the pause did, and says less than the failures since.
        is_probe
    }

    /// It failed, at the time `now`. Says whether the breaker was closed until then, and now is open.
    pub fn failed(mut self, now: Instant) -> bool {
        let opened = |pause| State::Open { until: now + pause, pause };
        let Pauses { first, longest } = self.breaker.pauses;
        let is_probe = std::mem::take(&mut self.is_probe);
        let mut state = self.breaker.state();
        let was_closed = matches!(*state, State::Closed { .. });
        *state = match *state {
            State::HalfOpen { pause } if is_probe => opened((pause * 2).min(longest)),
            State::Closed { failures } if failures + 1 == self.breaker.threshold => opened(first),
            State::Closed { failures } => State::Closed { failures: failures.saturating_add(1) },
            // It began before the pause did.
            other => other,
        };
        was_closed && matches!(*state, State::Open { .. })
    }

    /// It failed so that the next `pause` is lost, at the time `now`. Says whether the breaker was closed until then.
    pub fn failed_for(mut self, pause: Duration, now: Instant) -> bool {
        self.is_probe = false;
        let mut state = self.breaker.state();
        let was_closed = matches!(*state, State::Closed { .. });
        *state = State::Open { until: now + pause, pause: self.breaker.pauses.first };
        was_closed
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        if let (true, State::HalfOpen { pause }) = (self.is_probe, *state) {
            // The next one finds out.
            *state = State::Open { until: Instant::now(), pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const FIRST_PAUSE: Duration = Duration::from_secs(5);
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    fn breaker(threshold: u32) -> Breaker {
        Breaker::new(threshold, Pauses { first: FIRST_PAUSE, longest: LONGEST_PAUSE })
    }

    fn fail(breaker: &Breaker, times: u32) {
        for _ in 0..times {
            breaker.pass(Instant::now()).unwrap_or_else(|_| panic!("it is closed")).failed(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_half_opens_and_closes() {
        let breaker = breaker(3);
        fail(&breaker, 2);
        breaker.pass(Instant::now()).unwrap_or_else(|_| panic!("two are not three")).succeeded();
        fail(&breaker, 3);
        assert_eq!(breaker.pass(Instant::now()).err(), Some(FIRST_PAUSE));
        for pause in [5, 10, 20, 40, 60, 60] {
            advance(Duration::from_millis(pause * 1_000 - 1)).await;
            assert_eq!(breaker.pass(Instant::now()).err(), Some(Duration::from_millis(1)));
            advance(Duration::from_millis(1)).await;
            let probe = breaker.pass(Instant::now()).unwrap_or_else(|_| panic!("the pause is over"));
            assert_eq!(breaker.pass(Instant::now()).err(), Some(PROBE_WAIT), "one probe at a time");
            assert!(breaker.is_open(Instant::now()));
            probe.failed(Instant::now());
        }
        advance(LONGEST_PAUSE).await;
        breaker.pass(Instant::now()).unwrap_or_else(|_| panic!("the pause is over")).succeeded();
        fail(&breaker, 2);
        assert!(breaker.pass(Instant::now()).is_ok(), "it counts anew");
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_changes_nothing_and_gives_the_probe_back() {
        let breaker = breaker(1);
        drop(breaker.pass(Instant::now()));
        let [late, later] = [(); 2].map(|()| breaker.pass(Instant::now()).unwrap_or_else(|_| panic!("it is closed")));
        fail(&breaker, 1);
        late.failed(Instant::now());
        assert_eq!(breaker.pass(Instant::now()).err(), Some(FIRST_PAUSE), "a late failure is no further one");
        later.succeeded();
        assert_eq!(breaker.pass(Instant::now()).err(), Some(FIRST_PAUSE), "nor does a late success end the pause");
        advance(FIRST_PAUSE).await;
        drop(breaker.pass(Instant::now()));
        assert!(breaker.pass(Instant::now()).is_ok(), "the probe was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_knows_when_the_answer_begins_and_is_still_judged_by_its_end() {
        let breaker = breaker(3);
        fail(&breaker, 3);
        advance(FIRST_PAUSE).await;
        let mut probe = breaker.pass(Instant::now()).unwrap_or_else(|_| panic!("the pause is over"));
        probe.has_begun();
        drop(breaker.pass(Instant::now()).unwrap_or_else(|_| panic!("it works")));
        probe.failed(Instant::now());
        assert_eq!(breaker.pass(Instant::now()).err(), Some(FIRST_PAUSE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_is_known_begins_at_once_and_those_that_follow_grow_as_ever() {
        let (breaker, known) = (breaker(3), Duration::from_secs(30));
        let pass = || breaker.pass(Instant::now()).unwrap_or_else(|_| panic!("it lets through"));
        let late = pass();
        assert!(pass().failed_for(known, Instant::now()), "it was closed");
        assert!(!late.failed_for(known, Instant::now()), "it was open already");
        assert_eq!(breaker.pass(Instant::now()).err(), Some(known));
        for pause in [known, FIRST_PAUSE * 2] {
            advance(pause).await;
            pass().failed(Instant::now());
            let next = if pause == known { FIRST_PAUSE * 2 } else { FIRST_PAUSE * 4 };
            assert_eq!(breaker.pass(Instant::now()).err(), Some(next));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn zero_never_opens() {
        let breaker = breaker(0);
        fail(&breaker, 1_000);
        assert!(breaker.pass(Instant::now()).is_ok());
    }
}

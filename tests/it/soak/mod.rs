//! Soak and chaos: four real instances, two real stores, a crowd of clients, and everything that goes wrong, again and again.
//!
//! Among the tests it takes a minute, with every trouble once; `scripts/soak` gives it an hour and the release binary.

mod kinds;
mod phases;

mod chaos;
mod load;
mod pair;
mod provider;
mod relay;

mod exchange;
mod questions;

mod limits;
mod memory;
mod money;
mod tally;

mod report;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::support::PROGRAM;

use self::{
    chaos::Kill,
    exchange::{Asking, Manner},
    kinds::Kind,
    memory::Sample,
    money::{Account, Prices},
    pair::Pair,
    phases::{Pace, Phase, Timeline, Trouble},
    provider::{Call, End},
    tally::Tally,
};

/// How long the soak lasts, in seconds, which binary it is of, and where its report goes.
const SECONDS: &str = "SOAK_SECONDS";
const BINARY: &str = "SOAK_BINARY";
const REPORT: &str = "SOAK_REPORT";

/// How many of those that failed are looked up in the cache when the provider is well again.
const RECALLED: usize = 20;
/// Within which time what is booked is in the store: postings go every five seconds (`docs/money.md`).
const BOOKED_WITHIN: Duration = Duration::from_secs(12);
/// A log line that is no trouble of the store's or the provider's, whose own lines are warnings.
const FATAL: [&str; 2] = ["panic", "bookings are lost"];

/// All that takes part.
struct Soak {
    pairs: [Pair; 2],
    timeline: Timeline,
    tally: Mutex<Tally>,
    samples: Mutex<Vec<Sample>>,
    kills: Mutex<Vec<Kill>>,
    prices: Prices,
    /// Quiet times in which the store failed nobody: pair, begin, end.
    healthy: Mutex<Vec<(usize, Instant, Instant)>>,
    /// Requests under way.
    asking: TaskTracker,
    turns: AtomicU64,
    is_pausing: AtomicBool,
    is_over: AtomicBool,
}

/// What is known at the end.
struct Findings {
    begun: Instant,
    took: Duration,
    rounds: usize,
    quiet: usize,
    unhealthy: [usize; 2],
    calls: [Vec<Call>; 2],
    accounts: [Account; 2],
    asked_once: [usize; 2],
    pace: Pace,
}

#[expect(clippy::disallowed_methods, reason = "no setting of the gateway")]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_is_served_that_should_not_be() {
    let begun = Instant::now();
    let time = Duration::from_secs(told(SECONDS).map_or(60, |seconds| seconds.parse().unwrap()));
    let program = PathBuf::from(told(BINARY).unwrap_or_else(|| PROGRAM.to_owned()));
    let pairs = [Pair::start("Redis", program.clone()).await, Pair::start("REST", program).await];
    let soak = Arc::new(Soak {
        pairs,
        timeline: Timeline::new(),
        tally: Mutex::default(),
        samples: Mutex::default(),
        kills: Mutex::default(),
        prices: Prices::of_the_catalogue(),
        healthy: Mutex::default(),
        asking: TaskTracker::new(),
        turns: AtomicU64::new(0),
        is_pausing: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    });
    for pair in &soak.pairs {
        pair.sign_in().await;
    }
    let pace = Pace::for_a_soak_of(time);
    let rounds = soak.run(begun, time, pace).await;
    let findings = soak.conclude(begun, pace, rounds).await;
    let command = format!("scripts/soak {}", time.as_secs());
    let report = report::write(&soak, &findings, &command);
    match told(REPORT) {
        Some(path) => std::fs::write(path, &report).unwrap(),
        None => eprintln!("{report}"),
    }
    let tally = soak.tally.lock().unwrap();
    assert!(
        tally.violations.is_empty(),
        "{} violations: {:#?}",
        tally.violations.len() + tally.untold,
        tally.violations
    );
}

impl Soak {
    /// Round after round until the time is over, and at least one; says how many, and how many quiet times.
    async fn run(self: &Arc<Self>, begun: Instant, time: Duration, pace: Pace) -> (usize, usize) {
        load::fill(self).await;
        report::progress("every cache is full", begun.elapsed());
        let driving = tokio::spawn(load::drive(Arc::clone(self)));
        sleep(pace.quiet * 2).await;
        if pace.is_short() {
            self.pause_and_sample(Duration::ZERO).await;
        }
        let (mut rounds, mut quiet) = (0, 0);
        while rounds == 0 || begun.elapsed() < time && !pace.is_short() {
            for trouble in Trouble::ALL {
                report::progress(trouble.words(), begun.elapsed());
                self.timeline.enter(Phase::Trouble(trouble, chaos::REPLACED));
                chaos::strike(self, trouble, pace.lasts(trouble)).await;
                self.timeline.enter(Phase::Settling(trouble, chaos::REPLACED));
                sleep(pace.settles(trouble)).await;
                self.rest(pace.quiet).await;
                quiet += 1;
            }
            rounds += 1;
            let is_first_or_last = rounds == 1 || begun.elapsed() >= time;
            let silence = if is_first_or_last && !pace.is_short() { memory::SILENCE } else { Duration::ZERO };
            self.pause_and_sample(silence).await;
        }
        self.is_over.store(true, Ordering::SeqCst);
        driving.await.unwrap();
        (rounds, quiet)
    }

    /// A time in which nothing is wrong. What failed before it is recalled, and must not be there as an answer.
    async fn rest(self: &Arc<Self>, long: Duration) {
        self.timeline.enter(Phase::Quiet);
        let begun = Instant::now();
        let before = [self.pairs[0].store_failures().await, self.pairs[1].store_failures().await];
        for pair in 0..2 {
            let failed = std::mem::take(&mut self.tally.lock().unwrap().failed[pair]);
            for asking in failed.into_iter().rev().take(RECALLED) {
                let soak = Arc::clone(self);
                let recalled = Asking { manner: Manner::Recalls, ..asking };
                self.asking.spawn(async move { load::ask(&soak, pair, Kind::Recalled, recalled).await });
            }
        }
        sleep(long).await;
        let ended = Instant::now();
        for (pair, before) in before.into_iter().enumerate() {
            if self.pairs[pair].store_failures().await <= before {
                self.healthy.lock().unwrap().push((pair, begun, ended));
            }
        }
    }

    /// Looks at every process after so much `silence`.
    async fn pause_and_sample(self: &Arc<Self>, silence: Duration) {
        self.is_pausing.store(true, Ordering::SeqCst);
        memory::sample(self, silence).await;
        self.is_pausing.store(false, Ordering::SeqCst);
    }

    /// Looks at what is left, ends everything, and compares the books.
    async fn conclude(self: &Arc<Self>, begun: Instant, pace: Pace, (rounds, quiet): (usize, usize)) -> Findings {
        let took = begun.elapsed();
        let mut violations = memory::judge(&self.samples.lock().unwrap(), pace.is_short());
        let (mut calls, mut accounts, mut asked_once) = (Vec::new(), Vec::new(), [0; 2]);
        let (one, other) = tokio::join!(self.shown(0), self.shown(1));
        violations.extend(one.into_iter().chain(other));
        for (at, pair) in self.pairs.iter().enumerate() {
            for place in 0..2 {
                if pair.stop(place).await != Some(0) {
                    violations.push(format!("{} at place {place} did not end well", pair.name));
                }
            }
            let is_fatal = |error: &&serde_json::Value| FATAL.iter().any(|words| error.to_string().contains(words));
            violations.extend(
                pair.errors().iter().filter(is_fatal).map(|error| format!("{}: the log says {error}", pair.name)),
            );
            let its_calls = pair.provider.calls();
            violations.extend(limits::judge(pair.name, &self.tally.lock().unwrap().admissions[at]));
            let (asked, twice) = money::asked_twice(self, at, &its_calls);
            violations.extend(twice);
            asked_once[at] = asked;
            let account = self.account(at, &its_calls).await;
            violations.extend(account.judge(pair.name));
            let leases = pair.leases().await;
            if !leases.is_empty() {
                violations.push(format!("{}: leases are left: {leases:?}", pair.name));
            }
            accounts.push(account);
            calls.push(its_calls);
        }
        let healthy = self.healthy.lock().unwrap();
        let unhealthy = [0, 1].map(|pair| quiet - healthy.iter().filter(|(at, ..)| *at == pair).count());
        for violation in violations {
            self.tally.lock().unwrap().violation(violation);
        }
        let (calls, accounts) = (calls.try_into().unwrap(), accounts.try_into().unwrap());
        Findings { begun, took, rounds, quiet, unhealthy, calls, accounts, asked_once, pace }
    }

    async fn account(&self, pair: usize, calls: &[Call]) -> Account {
        let sheet = money::sheet(self, pair).await;
        let kills = self.kills.lock().unwrap();
        let kills: Vec<_> = kills.iter().filter(|kill| kill.pair == pair).collect();
        Account::of(&self.prices, calls, &kills, &sheet)
    }

    /// What `GET /llm/usage` says at each instance comes to be what is booked once all have posted.
    async fn shown(&self, pair: usize) -> Option<String> {
        let calls = self.pairs[pair].provider.calls();
        let whole = calls.iter().filter(|call| call.end == End::Whole).count() as u64;
        let by = Instant::now() + BOOKED_WITHIN;
        loop {
            let account = self.account(pair, &calls).await;
            let (least, most) = (whole - account.at_risk.answers, whole + account.cancelled);
            let mut shown = Vec::new();
            for place in 0..2 {
                let usage = self.pairs[pair].get(place, "/llm/usage").await;
                shown.push(usage.and_then(|usage| usage["totalRequests"].as_u64()));
            }
            if shown.iter().all(|shown| shown.is_some_and(|shown| (least..=most).contains(&shown)))
                && shown[0] == shown[1]
            {
                return None;
            }
            if Instant::now() > by {
                return Some(format!("{}: `/llm/usage` shows {shown:?} of {whole} answers", self.pairs[pair].name));
            }
            sleep(Duration::from_millis(250)).await;
        }
    }
}

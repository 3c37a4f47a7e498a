//! Books that are kept through the ends of periods, clocks that are set, and stores that are away.

use std::{
    collections::{HashSet, VecDeque},
    sync::atomic::Ordering,
};

use async_trait::async_trait;
use serde_json::Value;

use super::*;
use crate::stores::{Notes, Posting, Reservation, memory::MemoryBooks};

const DAY_MS: u64 = 86_400_000;
/// Friday, 2026-12-25, 23:59:00 UTC.
const CHRISTMAS_MS: u64 = 1_798_243_140_000;
/// Monday, 2028-02-28, 12:00 UTC: the day before a leap day.
const BEFORE_LEAP_DAY_MS: u64 = 1_835_352_000_000;

/// What happens to a call that writes.
#[derive(Clone, Copy)]
enum Fault {
    /// It does not arrive.
    Unreached,
    /// It is done, and nobody hears of that.
    AnswerLost,
}

/// A store that has faults, one a call that writes or reads, as long as there are any.
#[derive(Default)]
struct Faulty {
    inner: MemoryBooks,
    posted: Mutex<HashSet<String>>,
    faults: Mutex<VecDeque<Fault>>,
}

impl Faulty {
    fn fault(&self) -> Option<Fault> {
        self.faults.lock().unwrap().pop_front()
    }

    fn next(&self, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults);
    }

    async fn either<T>(&self, done: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        match self.fault() {
            None => done.await,
            Some(Fault::Unreached) => Err(StoreError::Unreached("no connection")),
            Some(Fault::AnswerLost) => {
                done.await?;
                Err(StoreError::Timeout)
            }
        }
    }
}

#[async_trait]
impl BookStore for Faulty {
    async fn post(&self, posting: &Posting, by: Instant) -> Result<(), StoreError> {
        self.either(async {
            // As every store that may be asked twice.
            if !self.posted.lock().unwrap().insert(posting.key.clone()) {
                return Ok(());
            }
            self.inner.post(posting, by).await
        })
        .await
    }

    async fn reserve(
        &self,
        sheet: &str,
        reservation: &Reservation<'_>,
        limits: &[(String, u64)],
        by: Instant,
    ) -> Result<crate::stores::Reserved, StoreError> {
        self.either(self.inner.reserve(sheet, reservation, limits, by)).await
    }

    async fn sheets(&self, keys: &[&str], by: Instant) -> Result<Vec<Sheet>, StoreError> {
        self.either(self.inner.sheets(keys, by)).await
    }

    async fn sheet_and_notes(&self, sheet: &str, notes: &str, by: Instant) -> Result<(Sheet, Notes), StoreError> {
        self.either(self.inner.sheet_and_notes(sheet, notes, by)).await
    }

    async fn note(&self, key: &str, notes: &[(String, String)], by: Instant) -> Result<(), StoreError> {
        self.inner.note(key, notes, by).await
    }

    async fn note_new(&self, key: &str, field: &str, text: &str, by: Instant) -> Result<bool, StoreError> {
        self.either(self.inner.note_new(key, field, text, by)).await
    }

    async fn forget(&self, key: &str, fields: &[String], by: Instant) -> Result<(), StoreError> {
        self.inner.forget(key, fields, by).await
    }
}

fn limits(daily: f64, weekly: f64, monthly: f64, hard_limit: bool) -> BudgetConfig {
    BudgetConfig { daily, weekly, monthly, hard_limit, webhook_url: None }
}

fn ledger(clock: Clock, config: &BudgetConfig, store: &Arc<Faulty>) -> Arc<Ledger> {
    let (patience, instances) = (Duration::from_millis(500), NonZeroU32::MIN);
    let store = Arc::clone(store) as _;
    Arc::new(Ledger::new(clock, config, store, patience, instances, TaskTracker::new(), None))
}

fn spend(ledger: &Arc<Ledger>, micro_dollars: u64) {
    let target = Target { provider: "openai".into(), model: "gpt-4o".into() };
    ledger.book(Kind::Client, &target, &Usage::default(), MicroDollars(micro_dollars));
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

/// In micro-dollars.
fn used(ledger: &Ledger) -> [u64; 3] {
    let status: Value = serde_json::from_slice(&ledger.status()).unwrap();
    ["daily", "weekly", "monthly"].map(|period| MicroDollars::of(status[period]["used"].as_f64().unwrap()).0)
}

fn reset_dates(ledger: &Ledger) -> [String; 3] {
    let status: Value = serde_json::from_slice(&ledger.status()).unwrap();
    ["daily", "weekly", "monthly"].map(|period| status[period]["resetDate"].as_str().unwrap()[..10].to_owned())
}

/// Until what was begun behind the bookings is done.
async fn settled(ledger: &Ledger) {
    ledger.tasks.close();
    ledger.tasks.wait().await;
    ledger.tasks.reopen();
}

#[tokio::test(start_paused = true)]
async fn each_period_ends_for_itself() {
    let store = Arc::default();
    let clock = Clock::at(std::time::UNIX_EPOCH + Duration::from_millis(CHRISTMAS_MS));
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    spend(&ledger, 900_000);
    let status: Value = serde_json::from_slice(&ledger.status()).unwrap();
    assert_eq!((&status["daily"]["isNearLimit"], &status["daily"]["percentage"]), (&true.into(), &90.0.into()));
    assert_eq!(reset_dates(&ledger), ["2026-12-26", "2026-12-28", "2027-01-01"]);
    ledger.flush().await;

    // Midnight; Monday; the first of January, which is in the same week.
    for (days, [day, week, month], dates) in [
        (1, [0, 900_000, 900_000], ["2026-12-27", "2026-12-28", "2027-01-01"]),
        (2, [0, 100_000, 1_000_000], ["2026-12-29", "2027-01-04", "2027-01-01"]),
        (4, [0, 200_000, 100_000], ["2027-01-02", "2027-01-04", "2027-02-01"]),
    ] {
        tokio::time::advance(Duration::from_hours(24 * days)).await;
        if days > 1 {
            spend(&ledger, 100_000);
        }
        let today = if days > 1 { 100_000 } else { day };
        assert_eq!(used(&ledger), [today, week, month], "after {days} days");
        assert_eq!(reset_dates(&ledger), dates);
        ledger.refresh(soon()).await.unwrap();
        assert_eq!(used(&ledger), [today, week, month], "as the store has it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leap_day_is_a_day_of_february() {
    let store = Arc::default();
    let (clock, hand) = Clock::steered(BEFORE_LEAP_DAY_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    for day in ["2028-02-29", "2028-03-01", "2028-03-02"] {
        spend(&ledger, 10_000);
        assert_eq!(reset_dates(&ledger)[0], day);
        hand.fetch_add(DAY_MS, Ordering::Relaxed);
    }
    // It is the second of March: two of the three days were in February.
    assert_eq!(used(&ledger), [0, 30_000, 10_000]);
    assert_eq!(reset_dates(&ledger), ["2028-03-03", "2028-03-06", "2028-04-01"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_finds_every_day_as_it_was_left() {
    let store = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    spend(&ledger, 100_000);
    // An hour ahead, and back: a day later, another week would be the third.
    hand.store(CHRISTMAS_MS + 3_600_000, Ordering::Relaxed);
    spend(&ledger, 20_000);
    assert_eq!(used(&ledger), [20_000, 120_000, 120_000]);
    ledger.flush().await;
    hand.store(CHRISTMAS_MS, Ordering::Relaxed);
    assert_eq!(used(&ledger), [100_000, 120_000, 120_000]);
    spend(&ledger, 3_000);
    ledger.refresh(soon()).await.unwrap();
    assert_eq!(used(&ledger), [103_000, 123_000, 123_000]);
    // Years ahead and back: nothing that counts today is forgotten for that.
    hand.store(CHRISTMAS_MS + 700 * DAY_MS, Ordering::Relaxed);
    spend(&ledger, 1);
    ledger.refresh(soon()).await.unwrap();
    spend(&ledger, 1);
    ledger.refresh(soon()).await.unwrap();
    assert_eq!(used(&ledger), [2; 3]);
    hand.store(CHRISTMAS_MS, Ordering::Relaxed);
    assert_eq!(used(&ledger), [103_000, 123_000, 123_000]);
    // Before any time that a clock should show.
    hand.store(0, Ordering::Relaxed);
    assert_eq!(used(&ledger), [0; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_is_forgotten_and_what_is_not_is_kept() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    for _ in 0..40 {
        spend(&ledger, 1_000);
        ledger.refresh(soon()).await.unwrap();
        hand.fetch_add(DAY_MS, Ordering::Relaxed);
    }
    let budget = store.inner.sheets(&[BUDGET], soon()).await.unwrap().remove(0);
    let days = budget.amounts.keys().filter(|field| field.starts_with("daily:")).count();
    assert!((10..=11).contains(&days), "{days}");
    assert!(budget.amounts.contains_key("monthly:2027-02"), "{budget:?}");
    assert!(!budget.amounts.contains_key("daily:2026-12-26"), "{budget:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_counted_twice_whatever_becomes_of_a_posting() {
    for faults in [
        &[Fault::Unreached][..],
        &[Fault::AnswerLost],
        &[Fault::AnswerLost, Fault::Unreached, Fault::AnswerLost],
        &[Fault::Unreached, Fault::Unreached, Fault::AnswerLost, Fault::AnswerLost],
    ] {
        let store: Arc<Faulty> = Arc::default();
        let (clock, _) = Clock::steered(CHRISTMAS_MS);
        let here = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
        store.next(faults);
        let mut booked = 0;
        for _ in 0..=faults.len() {
            spend(&here, 10_000);
            here.flush().await;
            booked += 10_000;
            assert_eq!(used(&here), [booked; 3]);
        }
        here.refresh(soon()).await.unwrap();
        assert_eq!(used(&here), [booked; 3]);
        let usage = here.usage(|_| true, soon()).await.unwrap();
        assert_eq!(usage.total_requests, faults.len() as u64 + 1);

        // One that begins now, and one that was there all the while, say the same.
        let there = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
        there.refresh(soon()).await.unwrap();
        assert_eq!(used(&there), used(&here));
    }
}

#[tokio::test(start_paused = true)]
async fn figures_are_those_of_the_store_and_what_is_not_posted_or_they_are_not_known() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let [one, other] = [(); 2].map(|()| ledger(clock, &limits(1.0, 10.0, 100.0, false), &store));
    spend(&one, 10_000);
    one.flush().await;
    spend(&one, 10_000);
    assert_eq!(other.usage(|_| true, soon()).await.unwrap().total_requests, 1);
    assert_eq!(one.usage(|_| true, soon()).await.unwrap().total_requests, 2);
    store.next(&[Fault::AnswerLost]);
    spend(&one, 10_000);
    assert!(one.usage(|_| true, soon()).await.is_err(), "the posting's answer was lost");
    assert_eq!(one.usage(|_| true, soon()).await.unwrap().total_requests, 3);
    assert_eq!(one.usage(|target| target.model.as_str() == "gpt-4", soon()).await.unwrap(), UsageStats::default());
}

#[tokio::test(start_paused = true)]
async fn each_threshold_is_told_once_in_a_period_whoever_crosses_it() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let config = limits(1.0, 10.0, 100.0, false);
    let [one, other] = [(); 2].map(|()| ledger(clock, &config, &store));
    let open = |ledger: &Ledger| -> Vec<String> {
        ledger.alerts().iter().map(|alert| format!("{:?} {}", alert.kind, alert.period)).collect()
    };
    spend(&one, 799_999);
    assert_eq!(open(&one), Vec::<String>::new());
    spend(&one, 1);
    assert_eq!(open(&one), ["Warning daily"]);
    assert_eq!(one.take_alerts().len(), 1, "the answer that brought it about tells it");
    assert_eq!(one.take_alerts().len(), 0);
    settled(&one).await;
    one.flush().await;
    // Another instance, which adds to it, knows of it.
    other.refresh(soon()).await.unwrap();
    spend(&other, 100_000);
    settled(&other).await;
    assert_eq!((open(&other), other.take_alerts().len()), (vec!["Warning daily".to_owned()], 0));
    spend(&other, 100_001);
    settled(&other).await;
    assert_eq!(open(&other), ["Warning daily", "LimitExceeded daily"]);
    assert!(other.alerts()[1].message.contains("$1.00"), "{:?}", other.alerts());

    // An operator has seen one; so says every instance.
    let id = other.alerts()[0].id.clone();
    assert!(other.acknowledge(&id, soon()).await.unwrap());
    assert!(!other.acknowledge("warning-daily-1", soon()).await.unwrap());
    one.refresh(soon()).await.unwrap();
    assert_eq!(open(&one), ["LimitExceeded daily"]);
    spend(&one, 1);
    assert_eq!(open(&one), ["LimitExceeded daily"], "once");

    // The next day is another period.
    hand.fetch_add(DAY_MS, Ordering::Relaxed);
    spend(&one, 900_000);
    settled(&one).await;
    assert_eq!(open(&one), ["LimitExceeded daily", "Warning daily"]);
    // Begun anew, it counts from zero.
    hand.fetch_add(1, Ordering::Relaxed);
    one.reset(Period::Daily, soon()).await.unwrap();
    hand.fetch_add(1, Ordering::Relaxed);
    assert_eq!((used(&one)[0], used(&one)[1] > 1_000_000), (0, true));
    spend(&one, 900_000);
    settled(&one).await;
    assert_eq!(open(&one), ["LimitExceeded daily", "Warning daily", "BudgetReset daily", "Warning daily"]);
    assert_eq!(one.usage(|_| true, soon()).await.unwrap().total_requests, 7, "what was spent was spent");
    // Whoever wants no alerts gets none.
    one.set(&Changes { enable_alerts: Some(false), ..Changes::default() }, soon()).await.unwrap();
    spend(&one, 5_000_000);
    assert_eq!(open(&one).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_the_store_did_not_take_is_kept() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    store.next(&[Fault::Unreached]);
    spend(&ledger, 900_000);
    settled(&ledger).await;
    assert_eq!(store.inner.sheet_and_notes(BUDGET, NOTES, soon()).await.unwrap().1.len(), 0);
    ledger.refresh(soon()).await.unwrap();
    assert_eq!(ledger.alerts().len(), 1);
    ledger.tick().await;
    assert_eq!(store.inner.sheet_and_notes(BUDGET, NOTES, soon()).await.unwrap().1.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn settings_hold_for_all_and_outlive_a_restart() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let config = limits(1.0, 10.0, 100.0, false);
    let [one, other] = [(); 2].map(|()| ledger(clock, &config, &store));
    let changes = Changes { daily_limit: Some(2.5), monthly_threshold: Some(10.0), ..Changes::default() };
    let set = one.set(&changes, soon()).await.unwrap();
    let thresholds = Thresholds { daily: 80.0, weekly: 75.0, monthly: 10.0 };
    assert_eq!(set, Settings { daily_limit: 2.5, alert_thresholds: thresholds, ..Settings::new(&config) });
    other.refresh(soon()).await.unwrap();
    assert_eq!(other.settings(), set);
    let restarted = ledger(clock, &limits(7.0, 7.0, 7.0, true), &store);
    restarted.refresh(soon()).await.unwrap();
    let own = Settings::new(&limits(2.5, 7.0, 7.0, true));
    assert_eq!(restarted.settings(), Settings { alert_thresholds: thresholds, ..own });
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_counts_until_it_is_settled_or_over() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let config = limits(1.0, 10.0, 100.0, true);
    let [one, other] = [(); 2].map(|()| ledger(clock, &config, &store));
    let lasts = Duration::from_mins(5);
    let reserve = |ledger: &Arc<Ledger>, micro_dollars| {
        let ledger = Arc::clone(ledger);
        async move { ledger.reserve(MicroDollars(micro_dollars), lasts, soon()).await }
    };
    let reserved = reserve(&one, 600_000).await.ok().unwrap();
    let refused = reserve(&other, 600_000).await.err().unwrap();
    let daily = Periods { daily: true, ..Default::default() };
    assert_eq!(refused.kind, crate::generate::ErrorKind::OverBudget(daily));
    assert_eq!(refused.retry_after, Some(Duration::from_secs(5)), "only what is under way stands in the way");
    assert_eq!(other.alerts().len(), 0);
    let second = reserve(&other, 400_000).await.ok().unwrap();

    // Less was spent than was reserved.
    spend(&one, 100_000);
    drop(reserved);
    settled(&one).await;
    let third = reserve(&other, 500_000).await.ok().unwrap();
    assert!(reserve(&one, 1).await.is_err());

    // Whoever holds the third is gone for good: it is over when its time is.
    std::mem::forget(third);
    drop(second);
    settled(&other).await;
    assert!(reserve(&one, 400_001).await.is_err());
    hand.fetch_add(30_000, Ordering::Relaxed);
    assert!(reserve(&one, 400_001).await.is_err());

    // What was spent stands in the way until the period ends: in 30 seconds.
    let refused = reserve(&one, 900_001).await.err().unwrap();
    assert_eq!(refused.retry_after, Some(Duration::from_secs(30)));
    settled(&one).await;
    assert_eq!(one.alerts().len(), 1);
    hand.fetch_add(5 * 60_000, Ordering::Relaxed);
    assert!(reserve(&one, 1_000_000).await.is_ok(), "another day, and nobody holds anything");
    assert!(reserve(&one, 1_000_001).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn alone_an_instance_has_its_share_of_what_was_left() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let (patience, instances) = (Duration::from_millis(500), NonZeroU32::new(2).unwrap());
    let config = limits(1.0, 10.0, 100.0, true);
    let tasks = TaskTracker::new();
    let ledger = Arc::new(Ledger::new(clock, &config, Arc::clone(&store) as _, patience, instances, tasks, None));
    spend(&ledger, 200_000);
    ledger.refresh(soon()).await.unwrap();
    store.next(&[Fault::Unreached; 9]);
    // 0.80 are left, 0.40 of them to this one.
    let mine = ledger.reserve(MicroDollars(300_000), patience, soon()).await.ok().unwrap();
    let refused = ledger.reserve(MicroDollars(100_001), patience, soon()).await.err().unwrap();
    assert_eq!(refused.retry_after, Some(Duration::from_secs(5)));
    let last = ledger.reserve(MicroDollars(100_000), patience, soon()).await.ok().unwrap();
    spend(&ledger, 300_000);
    drop(mine);
    settled(&ledger).await;
    assert!(ledger.reserve(MicroDollars(1), patience, soon()).await.is_err());
    drop(last);
    settled(&ledger).await;
    let back = ledger.reserve(MicroDollars(100_000), patience, soon()).await.ok().unwrap();

    // The store is back, and has not heard of what was spent meanwhile: that counts all the same.
    store.faults.lock().unwrap().clear();
    assert!(ledger.reserve(MicroDollars(400_001), patience, soon()).await.is_err());
    drop(back);
    settled(&ledger).await;
    assert!(ledger.reserve(MicroDollars(500_001), patience, soon()).await.is_err());
    // So does the other's share, until it must have posted what it has spent of it.
    assert!(ledger.reserve(MicroDollars(100_001), patience, soon()).await.is_err());
    drop(ledger.reserve(MicroDollars(100_000), patience, soon()).await.ok().unwrap());
    hand.fetch_add(15_000, Ordering::Relaxed);
    assert!(ledger.reserve(MicroDollars(500_000), patience, soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_was_reserved_alone_counts_when_the_store_is_asked_again() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, true), &store);
    let lasts = Duration::from_mins(5);
    ledger.refresh(soon()).await.unwrap();
    for fault in [Fault::Unreached, Fault::AnswerLost] {
        store.next(&[fault]);
        let alone = ledger.reserve(MicroDollars(700_000), lasts, soon()).await.ok().unwrap();
        assert!(ledger.reserve(MicroDollars(300_001), lasts, soon()).await.is_err());
        // A posting in between changes nothing about that.
        ledger.book(Kind::Hit, &Target { provider: "p".into(), model: "m".into() }, &Usage::default(), MicroDollars(0));
        ledger.flush().await;
        assert!(ledger.reserve(MicroDollars(300_001), lasts, soon()).await.is_err());
        drop(alone);
        settled(&ledger).await;
        drop(ledger.reserve(MicroDollars(1_000_000), lasts, soon()).await.ok().unwrap());
        settled(&ledger).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reservation_whose_answer_was_lost_and_that_is_refused_is_held_by_nobody() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let (lasts, patience) = (Duration::from_mins(5), Duration::from_millis(500));
    let tasks = TaskTracker::new();
    let instances = NonZeroU32::new(10).unwrap();
    let config = limits(1.0, 10.0, 100.0, true);
    let one = Arc::new(Ledger::new(clock, &config, Arc::clone(&store) as _, patience, instances, tasks, None));
    // It is reserved at the store, which nobody hears of; alone this instance may not spend so much.
    store.next(&[Fault::AnswerLost]);
    assert!(one.reserve(MicroDollars(900_000), lasts, soon()).await.is_err());
    settled(&one).await;
    hand.fetch_add(15_000, Ordering::Relaxed);
    assert!(one.reserve(MicroDollars(1_000_000), lasts, soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_would_be_refused_hears_first_what_was_set_elsewhere() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let config = limits(1.0, 10.0, 100.0, true);
    let [one, other] = [(); 2].map(|()| ledger(clock, &config, &store));
    let lasts = Duration::from_mins(5);
    spend(&one, 900_000);
    other.refresh(soon()).await.unwrap();
    one.refresh(soon()).await.unwrap();
    hand.fetch_add(2_000, Ordering::Relaxed);
    assert!(other.reserve(MicroDollars(200_000), lasts, soon()).await.is_err());
    hand.fetch_add(2_000, Ordering::Relaxed);
    one.reset(Period::Daily, soon()).await.unwrap();
    assert!(other.reserve(MicroDollars(200_000), lasts, soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_a_while_for_a_store_that_is_away() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    spend(&ledger, 10_000);
    store.next(&[Fault::Unreached; 20]);
    let begun = Instant::now();
    ledger.finish(Duration::from_secs(6)).await;
    assert_eq!(begun.elapsed(), 20 * LAST_ATTEMPTS);
    let budget = store.inner.sheets(&[BUDGET], soon()).await.unwrap().remove(0);
    assert_eq!(budget.amounts["daily:2026-12-25"], 10_000);
    spend(&ledger, 10_000);
    store.next(&[Fault::Unreached; 99]);
    let begun = Instant::now();
    ledger.finish(Duration::from_secs(6)).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_more_than_there_ever_is_is_no_alert() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, true), &store);
    let lasts = Duration::from_mins(5);
    assert!(ledger.reserve(MicroDollars(1_000_001), lasts, soon()).await.is_err());
    assert_eq!(ledger.alerts().len(), 0);
    spend(&ledger, 700_000);
    ledger.flush().await;
    assert!(ledger.reserve(MicroDollars(300_001), lasts, soon()).await.is_err());
    assert_eq!(ledger.alerts().len(), 1);
    assert_eq!(ledger.alerts_of(Periods { daily: true, ..Periods::default() }).len(), 1);
    assert_eq!(ledger.alerts_of(Periods { weekly: true, ..Periods::default() }).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn names_that_brought_nothing_are_not_kept() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    let book = |kind, model: &str, usage: &Usage| {
        ledger.book(kind, &Target { provider: "groq".into(), model: model.into() }, usage, MicroDollars(0));
    };
    for at in 0..1_500 {
        book(Kind::Failed, &format!("invented {at}"), &Usage::default());
    }
    let some = Usage { input_tokens: 1, ..Usage::default() };
    for at in 0..1_500 {
        book(Kind::Client, &format!("real {at}"), &some);
    }
    book(Kind::Failed, "real 7", &Usage::default());
    ledger.flush().await;
    let sheet = store.inner.sheets(&["llm:{ledger}:all"], soon()).await.unwrap().remove(0);
    assert_eq!(sheet.amounts["failed:requests:groq:(other)"], 1_500);
    assert_eq!(sheet.amounts["client:requests:groq:(other)"], 500);
    assert_eq!(sheet.amounts["failed:requests:groq:real 7"], 1);
}

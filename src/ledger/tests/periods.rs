//! The ends of periods, and clocks that are set.

use super::*;

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

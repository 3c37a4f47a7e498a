//! Alerts and settings, which all instances share.

use super::*;

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
async fn an_alert_whose_saving_was_unsure_is_told_once_by_whose_it_is() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let [one, other] = [(); 2].map(|()| ledger(clock, &limits(1.0, 10.0, 100.0, false), &store));
    let unsaved = |ledger: &Ledger| ledger.books().unsaved.clone();
    // It is saved, and nobody hears of that. Another instance raises it too, a moment later, and does not hear that it is kept.
    store.next(&[Fault::AnswerLost]);
    spend(&one, 900_000);
    settled(&one).await;
    hand.fetch_add(1, Ordering::Relaxed);
    store.next(&[Fault::AnswerLost]);
    spend(&other, 900_000);
    settled(&other).await;
    for (ledger, is_own) in [(&other, false), (&one, true)] {
        let alert = unsaved(ledger).remove(0);
        assert!(ledger.books().unsure.contains(&alert.id));
        assert_eq!(ledger.save(&alert, true).await, Ok(is_own));
        // Had it been sure that it is not kept yet, it would be another's.
        assert_eq!(ledger.save(&alert, false).await, Ok(false));
        ledger.save_alerts().await;
        assert!(unsaved(ledger).is_empty() && ledger.books().unsure.is_empty(), "that is settled");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_hold_for_all_and_outlive_a_restart() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let config = limits(1.0, 10.0, 100.0, false);
    let [one, other] = [(); 2].map(|()| ledger(clock, &config, &store));
    assert_eq!(one.set(&Changes::default(), soon()).await.unwrap(), Settings::new(&config), "nothing to set");
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

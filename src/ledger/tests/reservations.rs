//! What is under way, at the store and without it.

use super::*;

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
async fn what_was_left_is_what_the_last_reservation_was_told() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let config = limits(1.0, 10.0, 100.0, true);
    let [one, other] = [(); 2].map(|()| ledger(clock, &config, &store));
    let lasts = Duration::from_mins(5);
    one.refresh(soon()).await.unwrap();
    spend(&other, 700_000);
    other.flush().await;
    drop(one.reserve(MicroDollars(100_000), lasts, soon()).await.ok().unwrap());
    settled(&one).await;
    store.next(&[Fault::Unreached; 9]);
    assert_eq!(used(&one)[0], 0, "nobody has asked for all of it");
    assert!(one.reserve(MicroDollars(300_001), lasts, soon()).await.is_err());
    assert!(one.reserve(MicroDollars(300_000), lasts, soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_posted_after_the_store_was_heard_counts_besides() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let config = limits(1.0, 10.0, 100.0, true);
    let [one, other] = [(); 2].map(|()| ledger(clock, &config, &store));
    let lasts = Duration::from_mins(5);
    spend(&other, 480_000);
    other.flush().await;
    let reserved = one.reserve(MicroDollars(320_000), lasts, soon()).await.ok().unwrap();
    spend(&one, 320_000);
    drop(reserved);
    settled(&one).await;
    store.next(&[Fault::Unreached; 9]);
    let refused = one.reserve(MicroDollars(200_001), lasts, soon()).await.err().unwrap();
    // It names the budget that does not allow it, and when that ends: in a minute.
    let daily = Periods { daily: true, ..Default::default() };
    assert_eq!(refused.kind, crate::generate::ErrorKind::OverBudget(daily));
    assert_eq!(refused.retry_after, Some(Duration::from_mins(1)));
    assert!(one.reserve(MicroDollars(200_000), lasts, soon()).await.is_ok());
    // A refusal is heard too.
    settled(&one).await;
    store.faults.lock().unwrap().clear();
    one.refresh(soon()).await.unwrap();
    spend(&other, 150_000);
    other.flush().await;
    assert!(one.reserve(MicroDollars(100_000), lasts, soon()).await.is_err());
    store.next(&[Fault::Unreached; 9]);
    assert!(one.reserve(MicroDollars(50_001), lasts, soon()).await.is_err());
    assert!(one.reserve(MicroDollars(50_000), lasts, soon()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_others_had_reserved_counts_when_the_store_is_away_as_long_as_it_may_last() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(BEFORE_LEAP_DAY_MS);
    let config = limits(1.0, 10.0, 100.0, true);
    let [one, other] = [(); 2].map(|()| ledger(clock, &config, &store));
    let lasts = Duration::from_mins(5);
    let theirs = other.reserve(MicroDollars(500_000), lasts, soon()).await.ok().unwrap();
    let first = one.reserve(MicroDollars(100_000), lasts, soon()).await.ok().unwrap();
    let second = one.reserve(MicroDollars(100_000), lasts, soon()).await.ok().unwrap();
    store.next(&[Fault::Unreached; 9]);
    let refused = one.reserve(MicroDollars(300_001), lasts, soon()).await.err().unwrap();
    assert_eq!(refused.retry_after, Some(Duration::from_secs(5)), "only what is under way stands in the way");
    drop(one.reserve(MicroDollars(300_000), lasts, soon()).await.ok().unwrap());
    hand.fetch_add(5 * 60_000, Ordering::Relaxed);
    assert!(one.reserve(MicroDollars(800_000), lasts, soon()).await.is_ok());
    drop((theirs, first, second));
}

#[tokio::test(start_paused = true)]
async fn what_an_instance_reserved_itself_is_not_of_others() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(BEFORE_LEAP_DAY_MS);
    let one = ledger(clock, &limits(1.0, 10.0, 100.0, true), &store);
    let lasts = Duration::from_mins(5);
    let reserve = async |amount| one.reserve(MicroDollars(amount), lasts, soon()).await.ok();
    // At once, and it takes the store a moment to answer; one more when one is over and the store was not told.
    store.next(&[Fault::Slow; 2]);
    let (first, second) = tokio::join!(reserve(200_000), reserve(200_000));
    drop(first.unwrap());
    let third = reserve(200_000).await.unwrap();
    store.next(&[Fault::Unreached; 9]);
    assert!(reserve(600_001).await.is_none());
    assert!(reserve(600_000).await.is_some());

    // What others have reserved is heard with all else, too.
    settled(&one).await;
    store.faults.lock().unwrap().clear();
    let other = ledger(clock, &limits(1.0, 10.0, 100.0, true), &store);
    let theirs = other.reserve(MicroDollars(100_000), lasts, soon()).await.ok().unwrap();
    one.refresh(soon()).await.unwrap();
    store.next(&[Fault::Unreached; 9]);
    assert!(reserve(500_001).await.is_none());
    assert!(reserve(500_000).await.is_some());
    drop((second, third, theirs));
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

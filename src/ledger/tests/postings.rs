//! Stores that are away, and what becomes of postings.

use proptest::prelude::*;

use super::*;

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
async fn what_is_booked_while_the_store_is_asked_is_shown_once() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let here = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    spend(&here, 10_000);
    here.flush().await;
    store.next(&[Fault::Slow]);
    let (usage, ()) = tokio::join!(here.usage(|_| true, soon()), async { spend(&here, 10_000) });
    assert_eq!(usage.unwrap().total_requests, 2);
    assert_eq!(here.usage(|_| true, soon()).await.unwrap().total_requests, 2, "and so it is when it is posted");
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

#[tokio::test(start_paused = true)]
async fn the_end_waits_a_while_for_a_store_that_is_away() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, _) = Clock::steered(CHRISTMAS_MS);
    let ledger = ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
    // What cost nothing is waited for as well.
    spend(&ledger, 0);
    store.next(&[Fault::Unreached; 3]);
    ledger.finish(Duration::from_secs(6)).await;
    assert_eq!(ledger.usage(|_| true, soon()).await.unwrap().total_requests, 1);
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

/// What may happen to one of two instances, or between them and the store.
#[derive(Clone, Debug)]
enum Step {
    Spend(usize, u64),
    Flush(usize),
    /// It ends in good order, and another begins in its place.
    Restart(usize),
    Fault(Fault),
    Arrive,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![Just(Fault::Unreached), Just(Fault::AnswerLost), Just(Fault::Late)];
    let step = prop_oneof![
        3 => (0..2_usize, 1..1_000_u64).prop_map(|(at, amount)| Step::Spend(at, amount)),
        3 => (0..2_usize).prop_map(Step::Flush),
        1 => (0..2_usize).prop_map(Step::Restart),
        2 => fault.prop_map(Step::Fault),
        1 => Just(Step::Arrive),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_booking_counts_once(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let store: Arc<Faulty> = Arc::default();
            let (clock, _) = Clock::steered(CHRISTMAS_MS);
            let new = || ledger(clock, &limits(1.0, 10.0, 100.0, false), &store);
            let mut instances = [new(), new()];
            let (mut bookings, mut booked) = (0, 0);
            for step in steps {
                match step {
                    Step::Spend(at, amount) => {
                        spend(&instances[at], amount);
                        (bookings, booked) = (bookings + 1, booked + amount);
                    }
                    Step::Flush(at) => instances[at].flush().await,
                    Step::Restart(at) => {
                        store.faults.lock().unwrap().clear();
                        instances[at].flush().await;
                        instances[at] = new();
                    }
                    Step::Fault(fault) => store.next(&[fault]),
                    Step::Arrive => store.arrive().await,
                }
            }
            store.faults.lock().unwrap().clear();
            for instance in &instances {
                instance.flush().await;
            }
            store.arrive().await;
            for instance in &instances {
                instance.refresh(soon()).await.unwrap();
                prop_assert_eq!(used(instance), [booked; 3]);
                prop_assert_eq!(instance.usage(|_| true, soon()).await.unwrap().total_requests, bookings);
            }
            Ok(())
        })?;
    }
}

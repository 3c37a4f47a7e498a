//! Stores that are away, and what becomes of postings.

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

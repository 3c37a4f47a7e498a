//! Who looks, and how often the store is asked for it.

use super::*;

#[tokio::test(start_paused = true)]
async fn who_looks_again_within_a_second_costs_the_store_nothing() {
    let store: Arc<Faulty> = Arc::default();
    let (clock, hand) = Clock::steered(CHRISTMAS_MS);
    let [one, other] = [(); 2].map(|()| ledger(clock, &limits(1.0, 10.0, 100.0, false), &store));
    let spent = async |ledger: &Ledger| ledger.usage(|_| true, soon()).await.unwrap().total_cost;
    spend(&one, 100_000);
    one.flush().await;
    other.look(soon()).await.unwrap();
    assert_eq!((used(&other)[0], spent(&other).await), (100_000, 0.1));

    spend(&one, 200_000);
    one.flush().await;
    hand.fetch_add(999, Ordering::Relaxed);
    // Whoever asked would hear of that.
    store.next(&[Fault::Unreached]);
    other.look(soon()).await.unwrap();
    assert_eq!((used(&other)[0], spent(&other).await), (100_000, 0.1));
    hand.fetch_add(2, Ordering::Relaxed);
    assert!(other.look(soon()).await.is_err());
    other.look(soon()).await.unwrap();
    assert_eq!((used(&other)[0], spent(&other).await), (300_000, 0.3));

    // What was booked here is seen at once.
    spend(&other, 400_000);
    assert_eq!((used(&other)[0], spent(&other).await), (700_000, 0.7));
}

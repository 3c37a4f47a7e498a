//! Sheets, reservations and notes: what every store promises of them.

use std::time::Duration;

use futures_util::future::join_all;
use llm_gateway::stores::{BookStore, Entry, POSTERS_KEPT, Posting, Reservation, redis::Redis};

use crate::{
    stores::{Subject, clock, resp, rest, soon, subjects},
    support::{Fault, RedisServer, Upstash},
};

const POSTER: &str = "llm:{ledger}:poster:1";
const BUDGET: &str = "llm:{ledger}:budget";
const DAY: &str = "llm:{ledger}:daily:2026-11-24";

fn posting(number: u64, entries: Vec<Entry>) -> Posting {
    Posting { poster: POSTER.to_owned(), number, entries }
}

fn adds(sheet: &str, amounts: &[(&str, u64)]) -> Entry {
    let amounts = amounts.iter().map(|(field, amount)| ((*field).to_owned(), *amount)).collect();
    Entry { sheet: sheet.to_owned(), amounts, ..Entry::default() }
}

fn reservation(field: &str, amount: u64, now_ms: u64) -> Reservation<'_> {
    Reservation { field, amount, now_ms, until_ms: now_ms + 1_000, besides: 0 }
}

async fn amount(books: &dyn BookStore, sheet: &str, field: &str) -> Option<u64> {
    let sheets = books.sheets(&[sheet], soon()).await.unwrap();
    sheets[0].amounts.get(field).copied()
}

#[tokio::test]
async fn a_posting_is_done_once_and_as_a_whole() {
    for Subject { name, books, _alive, .. } in subjects().await {
        let model = "client:cost:openai:org/model: v2 ✅";
        let kept = Entry { keep: Some(Duration::from_secs(3600)), ..adds(DAY, &[(model, 7), ("x", 1)]) };
        let first = posting(1, vec![adds(BUDGET, &[("daily:2026-11-24", 7), ("old", 3)]), kept]);
        for _ in 0..3 {
            books.post(&first, soon()).await.unwrap();
        }
        let sheets = books.sheets(&[DAY, "llm:{ledger}:nothing", BUDGET], soon()).await.unwrap();
        assert_eq!((sheets[0].amounts[model], sheets[0].amounts["x"]), (7, 1), "{name}");
        assert_eq!((sheets[1].amounts.len(), sheets[2].amounts["daily:2026-11-24"]), (0, 7), "{name}");

        let large = 9_000_000_000_000_001;
        let drops =
            Entry { dropped: vec!["old".into(), "never".into()], ..adds(BUDGET, &[("daily:2026-11-24", large)]) };
        let many: Vec<(String, u64)> = (0..600).map(|at| (format!("field {at}"), at)).collect();
        let many = Entry { sheet: DAY.to_owned(), amounts: many, ..Entry::default() };
        books.post(&posting(2, vec![drops, many]), soon()).await.unwrap();
        assert_eq!(amount(&*books, BUDGET, "daily:2026-11-24").await, Some(large + 7), "{name}");
        assert_eq!(amount(&*books, BUDGET, "old").await, None, "{name}");
        assert_eq!(amount(&*books, DAY, "field 599").await, Some(599), "{name}");
    }
}

#[tokio::test]
async fn of_many_reservations_at_once_no_more_are_made_than_fit() {
    for Subject { name, books, _alive, .. } in subjects().await {
        books.post(&posting(1, vec![adds(BUDGET, &[("d", 100), ("w", 700)])]), soon()).await.unwrap();
        let limits = [("d".to_owned(), 300), ("w".to_owned(), 900), ("m".to_owned(), 10_000)];
        let fields: Vec<String> = (0..50).map(|at| format!("reserved:{at}")).collect();
        let reserving = fields.iter().map(|field| {
            let (books, limits) = (&books, &limits);
            async move { books.reserve(BUDGET, &reservation(field, 20, 1_000), limits, soon()).await.unwrap() }
        });
        let reserved = join_all(reserving).await;
        let made: Vec<&String> =
            fields.iter().zip(&reserved).filter(|(_, reserved)| reserved.is_reserved).map(|(field, _)| field).collect();
        assert_eq!(made.len(), 10, "{name}");
        assert!(reserved.iter().all(|reserved| reserved.amounts == [100, 700, 0]), "{name}");
        let refused = reserved.iter().find(|reserved| !reserved.is_reserved).unwrap();
        assert_eq!(refused.others, 200, "{name}");

        // The same again is the same reservation; whatever else is reserved counts too.
        let again = books.reserve(BUDGET, &reservation(made[0], 20, 1_000), &limits, soon()).await.unwrap();
        assert_eq!((again.is_reserved, again.others), (true, 180), "{name}");
        let besides = Reservation { besides: 1, ..reservation(made[0], 20, 1_000) };
        assert!(!books.reserve(BUDGET, &besides, &limits, soon()).await.unwrap().is_reserved, "{name}");
        let sheet = books.sheets(&[BUDGET], soon()).await.unwrap().remove(0);
        assert_eq!(sheet.reservations.get(made[0]), None, "{name}: what is refused is held no longer");
        assert!(books.reserve(BUDGET, &reservation(made[0], 20, 1_000), &limits, soon()).await.unwrap().is_reserved);
        let sheet = books.sheets(&[BUDGET], soon()).await.unwrap().remove(0);
        assert_eq!((sheet.reservations.len(), sheet.reservations[made[0]]), (10, (20, 2_000)), "{name}");

        // Settled: what was spent takes its place.
        let settled = Entry { dropped: vec![made[0].clone()], ..adds(BUDGET, &[("d", 5), ("w", 5)]) };
        books.post(&posting(2, vec![settled]), soon()).await.unwrap();
        let next = |amount, now_ms| {
            let (books, limits) = (&books, &limits);
            async move {
                books.reserve(BUDGET, &reservation("reserved:next", amount, now_ms), limits, soon()).await.unwrap()
            }
        };
        assert!(!next(16, 1_000).await.is_reserved, "{name}");
        assert!(next(15, 1_000).await.is_reserved, "{name}");
        // Over: their owners are gone.
        assert!(!next(195, 1_999).await.is_reserved, "{name}");
        let last = next(195, 2_000).await;
        assert_eq!((last.is_reserved, last.others), (true, 0), "{name}");
    }
}

#[tokio::test]
async fn notes_are_kept_and_some_only_once() {
    for Subject { name, books, _alive, .. } in subjects().await {
        let key = "llm:{ledger}:notes";
        assert_eq!(books.sheet_and_notes(BUDGET, key, soon()).await.unwrap().1.len(), 0, "{name}");
        let notes = [("dailyLimit".to_owned(), "2.5".to_owned()), ("hardLimit".to_owned(), "true".to_owned())];
        books.note(key, &notes, soon()).await.unwrap();
        let alerts = (0..9).map(|at| {
            let books = &books;
            async move { books.note_new(key, "alert.x", &format!("OK, naïve ✅ {at}"), soon()).await.unwrap() }
        });
        assert_eq!(join_all(alerts).await.iter().filter(|is_new| **is_new).count(), 1, "{name}");
        let kept = books.sheet_and_notes(BUDGET, key, soon()).await.unwrap().1;
        assert_eq!((kept.len(), &*kept["dailyLimit"]), (3, &b"2.5"[..]), "{name}");
        assert!(kept["alert.x"].starts_with("OK, naïve ✅ ".as_bytes()), "{name}");
        books.forget(key, &["alert.x".to_owned(), "never".to_owned()], soon()).await.unwrap();
        assert_eq!(books.sheet_and_notes(BUDGET, key, soon()).await.unwrap().1.len(), 2, "{name}");
    }
}

#[tokio::test]
async fn a_posting_whose_answer_was_lost_counts_once() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let over_rest = Redis::new(rest(&upstash), clock());
    let add = |number, amount| posting(number, vec![adds(BUDGET, &[("d", amount)])]);
    over_rest.post(&add(1, 1), soon()).await.unwrap();
    for (number, fault) in (2..).zip([Fault::DropAfter, Fault::ShortBody, Fault::MalformedJson]) {
        upstash.fail(fault, &["EVALSHA"], 1);
        over_rest.post(&add(number, 10), soon()).await.unwrap();
        upstash.heal();
    }
    assert_eq!(amount(&over_rest, BUDGET, "d").await, Some(31));
}

#[tokio::test]
async fn of_each_poster_only_what_is_new_is_done() {
    for Subject { name, books, _alive, .. } in subjects().await {
        let mut done = 0;
        for (poster, number, is_new) in [
            ("a", 1, true),
            ("b", 1, true),
            ("a", 2, true),
            ("a", 1, false),
            ("b", 1, false),
            ("b", 9, true),
            ("b", 10, true),
            ("b", 9, false),
            ("a", 3, true),
            ("a", 2, false),
            ("a", 3, false),
        ] {
            let entries = vec![adds(BUDGET, &[("d", 1)])];
            let posting = Posting { poster: format!("llm:{{ledger}}:poster:{poster}"), number, entries };
            books.post(&posting, soon()).await.unwrap();
            done += u64::from(is_new);
            assert_eq!(amount(&*books, BUDGET, "d").await, Some(done), "{name}: {number} of {poster}");
        }
    }
}

#[tokio::test]
async fn a_poster_is_one_key_however_much_it_posts_and_is_remembered_from_its_last_on() {
    let redis = RedisServer::start().await;
    let store = Redis::new(resp(&redis.url(), None), clock());
    let mut connection = redis.connection().await;
    let kept = i64::try_from(POSTERS_KEPT.as_secs()).unwrap();
    for number in 1..=20 {
        store.post(&posting(number, vec![adds(BUDGET, &[("d", 1)])]), soon()).await.unwrap();
        let ttl: i64 = redis::cmd("TTL").arg(POSTER).query_async(&mut connection).await.unwrap();
        assert!((kept - 10..=kept).contains(&ttl), "{ttl}");
        redis::cmd("EXPIRE").arg(POSTER).arg(100).exec_async(&mut connection).await.unwrap();
    }
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, 2, "the sheet and the poster");
}

#[tokio::test]
async fn the_time_of_a_sheet_runs_from_its_beginning_and_costs_later_postings_nothing() {
    let redis = RedisServer::start().await;
    let store = Redis::new(resp(&redis.url(), None), clock());
    let mut connection = redis.connection().await;
    let post = async |number, field: &str| {
        let entry = Entry { keep: Some(Duration::from_secs(3600)), ..adds(DAY, &[(field, 1)]) };
        store.post(&posting(number, vec![entry]), soon()).await.unwrap();
    };
    let mut ttl = async || -> i64 { redis::cmd("TTL").arg(DAY).query_async(&mut connection).await.unwrap() };
    post(1, "x").await;
    assert!((3_590..=3_600).contains(&ttl().await));
    redis::cmd("EXPIRE").arg(DAY).arg(100).exec_async(&mut redis.connection().await).await.unwrap();
    post(2, "x").await;
    assert!((1..=100).contains(&ttl().await), "not renewed");
    post(3, "y").await;
    assert!((3_590..=3_600).contains(&ttl().await), "what it got for the first time may be its beginning");
}

#[tokio::test]
async fn a_posting_to_what_is_no_sheet_changes_nothing() {
    let redis = RedisServer::start().await;
    let store = Redis::new(resp(&redis.url(), None), clock());
    let mut connection = redis.connection().await;
    redis::cmd("SET").arg(DAY).arg("someone else's").exec_async(&mut connection).await.unwrap();
    let both = posting(1, vec![adds(BUDGET, &[("d", 1)]), adds(DAY, &[("x", 1)])]);
    store.post(&both, soon()).await.unwrap_err();
    assert_eq!(amount(&store, BUDGET, "d").await, None);
    redis::cmd("DEL").arg(DAY).exec_async(&mut connection).await.unwrap();
    store.post(&both, soon()).await.unwrap();
    assert_eq!(amount(&store, BUDGET, "d").await, Some(1));
    // What is neither an amount nor a reservation is not ours.
    redis::cmd("HSET").arg(BUDGET).arg("x").arg("1:2:3").exec_async(&mut connection).await.unwrap();
    let sheet = store.sheets(&[BUDGET], soon()).await.unwrap().remove(0);
    assert_eq!((sheet.amounts.len(), sheet.reservations.len()), (1, 0));
}

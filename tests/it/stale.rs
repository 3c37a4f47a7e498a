//! Answers that are no longer fresh: they stand in when the provider fails, or answer while they are refreshed.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use llm_gateway::generate::{ErrorKind, FinishReason};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::{advance, sleep};

use crate::support::{Gateway, Reply, Scripted, Step, post, post_from};

const STALE: Duration = Duration::from_secs(3_630);

fn whole(text: &'static str) -> Vec<Step> {
    vec![Step::Text(text), Step::Finish(FinishReason::Stop)]
}

/// Answers once, and from then on does as `then` says.
async fn once<const N: usize>(settings: [(&str, &str); N], then: impl Into<Vec<Step>>) -> Arc<Gateway> {
    let gateway = Gateway::with(settings, Scripted::in_turn([whole("stored"), then.into()]));
    gateway.generate("x").await.expect(200);
    advance(STALE).await;
    Arc::new(gateway)
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_stands_in_for_a_provider_that_fails_and_for_none_that_refuses() {
    for (kind, status) in [
        (ErrorKind::ServerError, None),
        (ErrorKind::Overloaded, None),
        (ErrorKind::RateLimited, None),
        (ErrorKind::Timeout, None),
        (ErrorKind::Connection, None),
        (ErrorKind::BadResponse, None),
        (ErrorKind::EmptyAnswer, None),
        (ErrorKind::Authentication, None),
        (ErrorKind::Permission, None),
        (ErrorKind::QuotaExhausted, None),
        (ErrorKind::InvalidRequest, Some(400)),
        (ErrorKind::ContextLengthExceeded, Some(400)),
        (ErrorKind::ContentFilter, Some(400)),
        (ErrorKind::PayloadTooLarge, Some(413)),
        (ErrorKind::ModelNotFound, Some(404)),
    ] {
        let gateway = once([], [Step::Fail(kind)]).await;
        let (reply, stream) = (gateway.generate("x").await, gateway.stream("x").await.finish().await);
        match status {
            None => {
                assert_eq!(reply.expect(200).json()["code"], "stored", "{kind:?}");
                assert_eq!(reply.header("cache-status"), "llm-gateway; fwd=stale; detail=stale-if-error", "{kind:?}");
                assert_eq!((reply.header("age"), &reply.json()["metadata"]["cached"]), ("3630", &json!(true)));
                assert_eq!(reply.json()["metadata"]["estimatedCost"], json!(0.0));
                assert_eq!(stream.header("cache-status"), "llm-gateway; fwd=stale");
                assert_eq!((&stream.last()["code"], &stream.last()["cached"]), (&json!("stored"), &json!(true)));
                assert_eq!(stream.deltas(), "", "it has no pieces");
                // The call would have cost nothing either.
                let stats = gateway.get("/llm/cache/stats?detail=true").await.json();
                assert_eq!((&stats["estimatedSavings"], &stats["stale"]), (&json!("$0.00"), &json!(2)));
            }
            Some(status) => {
                reply.expect(status);
                assert_eq!(stream.last()["type"], "ERROR", "{kind:?}");
            }
        }
    }
    let gateway = once([], [Step::Refuse("I must not")]).await;
    gateway.generate("x").await.expect(400);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_has_failed_when_its_time_is_over() {
    let gateway = once([], [Step::Hang]).await;
    let begun = tokio::time::Instant::now();
    let (json, stream) = (gateway.generate("x"), async { gateway.stream("x").await.finish().await });
    let (json, stream) = tokio::join!(json, stream);
    assert_eq!(json.expect(200).header("cache-status"), "llm-gateway; fwd=stale; detail=stale-if-error");
    assert_eq!(
        begun.elapsed(),
        Duration::from_secs(11),
        "a fifth of what it may take, so that they do not crowd out others"
    );
    assert_eq!(stream.last()["metadata"]["cache"], "llm-gateway; fwd=stale; detail=stale-if-error");
}

#[tokio::test(start_paused = true)]
async fn nothing_stands_in_once_there_was_text() {
    let steps = [Step::Text("half"), Step::Pause(Duration::from_secs(1)), Step::Fail(ErrorKind::ServerError)];
    let gateway = once([], steps).await;
    let stream = gateway.stream("x").await.finish().await;
    assert_eq!((stream.deltas(), &stream.last()["type"]), ("half".to_owned(), &json!("ERROR")));
    // Who waits for the whole has seen none of it.
    assert_eq!(gateway.generate("x").await.expect(200).json()["code"], "stored");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_old_is_of_no_use() {
    for (stale, late, status) in [("0", 1, 502), ("60", 59, 200), ("60", 61, 502)] {
        let scripts = [whole("stored"), vec![Step::Fail(ErrorKind::ServerError)]];
        let gateway = Gateway::with([("CACHE_STALE_SECONDS", stale)], Scripted::in_turn(scripts));
        gateway.generate("x").await.expect(200);
        advance(Duration::from_secs(3_600 + late)).await;
        gateway.generate("x").await.expect(status);
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_provider_is_down_what_was_seen_is_answered_and_what_is_new_is_refused_at_once() {
    let mut scripts = vec![whole("stored"); 40];
    scripts.push(vec![Step::Pause(Duration::from_millis(200)), Step::Fail(ErrorKind::Connection)]);
    let gateway = Gateway::with([("RATE_LIMIT_MAX", "0")], Scripted::in_turn(scripts));
    let seen: Vec<String> = (0..40).map(|n| format!("seen {n}")).collect();
    for prompt in &seen {
        gateway.generate(prompt).await.expect(200);
    }
    advance(Duration::from_hours(23)).await;
    let before = gateway.provider.calls();
    let mut statuses = std::collections::BTreeMap::<u16, u32>::new();
    for second in 0..60 {
        let asking = seen.iter().map(|prompt| gateway.generate(prompt));
        for reply in join_all(asking).await {
            assert_eq!(reply.expect(200).json()["cached"], true);
            let marked = reply.header("cache-status");
            assert!(marked.ends_with("; detail=stale-if-error") || marked.contains("; hit; ttl=-"), "{marked}");
        }
        let begun = tokio::time::Instant::now();
        let new = gateway.generate(&format!("new {second}")).await;
        *statuses.entry(new.status.as_u16()).or_default() += 1;
        if new.status == 503 {
            assert!(begun.elapsed() < Duration::from_millis(1), "at once");
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert!(statuses.keys().all(|status| [502, 503].contains(status)) && statuses[&503] > 40, "{statuses:?}");
    // The first wave, three attempts each, and then one probe a pause.
    assert!(gateway.provider.calls() - before < 160, "{}", gateway.provider.calls() - before);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_one_call_however_many_ask_and_nobody_waits_for_it() {
    let anew = [Step::Pause(Duration::from_secs(2)), Step::Text("anew"), Step::Finish(FinishReason::Stop)];
    let settings = [("CACHE_REVALIDATE_SECONDS", "60"), ("RATE_LIMIT_MAX", "0"), ("ON_ABANDON", "cancel")];
    let gateway = once(settings, anew).await;
    for _ in 0..5 {
        for reply in join_all((0..40).map(|_| gateway.generate("x"))).await {
            assert_eq!(reply.expect(200).json()["code"], "stored");
            assert!(reply.header("cache-status").starts_with("llm-gateway; hit; ttl=-3"));
        }
        sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(gateway.provider.calls(), 2);
    sleep(Duration::from_secs(1)).await;
    let fresh = gateway.generate("x").await;
    assert_eq!((fresh.json()["code"].as_str(), gateway.provider.calls()), (Some("anew"), 2));
    assert!(gateway.app.tasks.is_empty());
    let stats = gateway.get("/llm/cache/stats?detail=true").await.json();
    assert_eq!((&stats["stale"], &stats["hits"], &stats["requests"]), (&json!(200), &json!(1), &json!(202)));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_failed_is_not_tried_again_by_everyone() {
    for then in
        [vec![Step::Fail(ErrorKind::ServerError)], vec![Step::Text("cut off"), Step::Finish(FinishReason::Length)]]
    {
        let settings = [("CACHE_REVALIDATE_SECONDS", "600"), ("PROVIDER_RETRIES", "0"), ("RATE_LIMIT_MAX", "0")];
        let gateway = once(settings, then).await;
        for _ in 0..29 {
            assert_eq!(gateway.generate("x").await.expect(200).json()["code"], "stored");
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(gateway.provider.calls(), 2);
        sleep(Duration::from_secs(2)).await;
        gateway.generate("x").await.expect(200);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(gateway.provider.calls(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_went_well_may_follow_another_soon() {
    let gateway = Gateway::with([("CACHE_TTL_SECONDS", "2"), ("CACHE_REVALIDATE_SECONDS", "60")], Scripted::hello());
    gateway.generate("x").await.expect(200);
    for calls in 2..6 {
        sleep(Duration::from_millis(2_500)).await;
        assert_eq!(gateway.generate("x").await.header("cache-status"), "llm-gateway; hit; ttl=-1");
        sleep(Duration::from_millis(10)).await;
        assert_eq!(gateway.provider.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_asks_nobody_else() {
    let (gateway, xai) = Gateway::with_two(
        [("CACHE_REVALIDATE_SECONDS", "60")],
        Scripted::in_turn([whole("stored"), vec![Step::Fail(ErrorKind::ServerError)]]),
        Scripted::new(whole("another's")),
    );
    gateway.generate("x").await.expect(200);
    advance(STALE).await;
    assert_eq!(gateway.generate("x").await.expect(200).json()["code"], "stored");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(xai.calls(), 0, "what it says could not be kept");
    // Beyond the window it answers instead, and is better than what is stale.
    advance(Duration::from_secs(60)).await;
    assert_eq!(gateway.generate("x").await.expect(200).json()["code"], "another's");
}

/// Something that happens to a gateway.
#[derive(Clone, Debug)]
enum Act {
    Ask { prompt: u8, directives: usize, streaming: bool, leaves_ms: Option<u64> },
    Pass { tenths: u64 },
}

const DIRECTIVES: [&str; 10] = [
    "",
    "",
    "",
    "no-cache",
    "no-store",
    "only-if-cached",
    "max-age=20",
    "max-stale",
    "no-cache, stale-if-error=600",
    "min-fresh=30",
];

fn act() -> impl Strategy<Value = Act> {
    let ask = (0..3_u8, 0..DIRECTIVES.len(), any::<bool>(), prop::option::weighted(0.2, 1..3_000_u64))
        .prop_map(|(prompt, directives, streaming, leaves_ms)| Act::Ask { prompt, directives, streaming, leaves_ms });
    prop_oneof![4 => ask, 1 => (1..900_u64).prop_map(|tenths| Act::Pass { tenths })]
}

fn script() -> impl Strategy<Value = Vec<Step>> {
    let pause = |ms| Step::Pause(Duration::from_millis(ms));
    prop_oneof![
        4 => Just(vec![pause(700), Step::Text("a"), pause(900), Step::Finish(FinishReason::Stop)]),
        1 => Just(vec![Step::Text("cut"), Step::Finish(FinishReason::Length)]),
        1 => Just(vec![pause(300), Step::Fail(ErrorKind::ServerError)]),
        1 => Just(vec![pause(300), Step::Text("a"), Step::Fail(ErrorKind::ServerError)]),
        1 => Just(vec![Step::Fail(ErrorKind::ContentFilter)]),
        1 => Just(vec![Step::Hang]),
        1 => Just(vec![pause(100), Step::Panic]),
    ]
}

/// What an answer says that became of its request.
fn verdict(reply: &Reply) -> &'static str {
    let last = if reply.header("content-type") == "text/event-stream" { reply.last() } else { Value::Null };
    let status = last["metadata"]["cache"].as_str().unwrap_or(reply.header("cache-status")).to_owned();
    let is_fresh_stand_in = |age: &str| age.parse().is_ok_and(|age: u64| age < 60);
    match status {
        status if status.contains("stale-if-error") && last.is_null() && is_fresh_stand_in(reply.header("age")) => {
            "hits"
        }
        // A stream's head has no age yet.
        status if status.contains("fwd=request; detail=stale-if-error") => "hits or stale",
        status if status.contains("hit; ttl=-") || status.contains("stale-if-error") => "stale",
        status if status.contains("hit;") => "hits",
        status if status.contains("collapsed") => "joined",
        status if status.contains("bypass") => "bypassed",
        status => {
            assert!(status.contains("fwd=") || status.contains("only-if-cached"), "{status}");
            "misses"
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_request_is_counted_once_as_what_it_says_it_was(
        acts in prop::collection::vec(act(), 1..60),
        scripts in prop::collection::vec(script(), 1..12),
        revalidate in prop_oneof![Just("0"), Just("20")],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let settings = [
                ("CACHE_TTL_SECONDS", "60"),
                ("CACHE_STALE_SECONDS", "90"),
                ("CACHE_REVALIDATE_SECONDS", revalidate),
                ("RATE_LIMIT_MAX", "0"),
                ("PROVIDER_BREAKER_FAILURES", "3"),
            ];
            let gateway = Arc::new(Gateway::with(settings, Scripted::in_turn(scripts)));
            let mut asking = Vec::new();
            for act in acts {
                match act {
                    // Never quite a whole second: what is fresh to the millisecond shows no seconds.
                    Act::Pass { tenths } => sleep(Duration::from_millis(tenths * 100 + 37)).await,
                    Act::Ask { prompt, directives, streaming, leaves_ms } => {
                        let body = json!({"prompt": prompt.to_string(), "model": "gpt-4o", "streaming": streaming});
                        let mut request = post("/llm/generate", &body);
                        request.headers_mut().insert("cache-control", DIRECTIVES[directives].parse().unwrap());
                        let gateway = Arc::clone(&gateway);
                        let reply = async move { gateway.send(request).await };
                        let leaves = Duration::from_millis(leaves_ms.unwrap_or(1_000_000));
                        asking.push(tokio::spawn(tokio::time::timeout(leaves, reply)));
                        tokio::task::yield_now().await;
                    }
                }
            }
            let total = asking.len() as u64;
            let mut said = std::collections::BTreeMap::<_, u64>::new();
            let mut left = 0;
            for reply in asking {
                match reply.await.unwrap() {
                    Ok(reply) => *said.entry(verdict(&reply)).or_default() += 1,
                    Err(_) => left += 1,
                }
            }
            // The refreshes are no requests.
            let tasks = gateway.app.tasks.clone();
            tasks.close();
            tasks.wait().await;
            let counted = gateway.get("/llm/cache/stats?detail=true").await.json();
            let of = |name: &str| counted[name].as_u64().unwrap();
            let names = ["hits", "misses", "joined", "stale", "bypassed"];
            prop_assert_eq!(names.map(of).iter().sum::<u64>(), total);
            prop_assert_eq!(of("requests"), total);
            for name in names {
                let least = said.get(name).copied().unwrap_or_default();
                let either = said.get("hits or stale").copied().unwrap_or_default();
                prop_assert!((least..=least + left + either).contains(&of(name)), "{}: {} {:?} {}", name, least, said, counted);
            }
            let models = counted["instance"]["models"].as_array().unwrap();
            let by_model: u64 = models.iter().flat_map(|model| names.map(|name| model[name].as_u64().unwrap())).sum();
            prop_assert_eq!(by_model, total);
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_for_its_caller_alone() {
    let gateway = Gateway::with([("CACHE_SCOPE", "caller")], Scripted::hello());
    let body = json!({"prompt": "x", "model": "gpt-4o"});
    for (peer, cached) in [("10.0.0.1:1", false), ("10.0.0.2:1", false), ("10.0.0.1:2", true), ("10.0.0.2:3", true)] {
        let reply = gateway.send(post_from(peer, "/llm/generate", &body)).await;
        assert_eq!(reply.expect(200).json()["cached"], cached, "{peer}");
    }
    // Nor do they share a call.
    let gateway = Gateway::with([("CACHE_SCOPE", "caller")], Scripted::slow(Duration::from_secs(1)));
    join_all(["10.0.0.1:1", "10.0.0.2:1"].map(|peer| gateway.send(post_from(peer, "/llm/generate", &body)))).await;
    assert_eq!(gateway.provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_kind_of_a_question_may_decide_how_long_its_answer_is_fresh() {
    let gateway = Gateway::with([("CACHE_TTL_BY_PROMPT", "true"), ("CACHE_TTL_SECONDS", "60")], Scripted::hello());
    for (prompt, ttl) in [("Explain it", 7_200), ("my page", 900), ("Create a page", 2_700), ("a page", 60)] {
        gateway.generate(prompt).await.expect(200);
        let hit = gateway.generate(prompt).await;
        assert_eq!(hit.header("cache-status"), format!("llm-gateway; hit; ttl={ttl}"), "{prompt}");
    }
}

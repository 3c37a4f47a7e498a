//! A shared store as clients see it: one for many instances, cheap, and its outages unnoticed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Method, Request},
};
use futures_util::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use serde_json::json;
use tokio::time::{interval, sleep};

use crate::support::{Fault, Gateway, RedisServer, Reply, Scripted, Upstash, post_from, until};

/// Beyond what the store may delay a request, on a busy machine.
const SLACK: Duration = Duration::from_secs(1);

const STORE_TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) async fn ask(gateway: &Gateway, client: u8, prompt: &str) -> Reply {
    let question = json!({"prompt": prompt, "model": "gpt-4o"});
    gateway.send(post_from(&format!("10.0.0.{client}:1"), "/llm/generate", &question)).await
}

fn on_upstash(upstash: &Upstash, limit: &str, instances: &str) -> Gateway {
    on_upstash_with(upstash, &[("RATE_LIMIT_MAX", limit), ("INSTANCES", instances)])
}

fn on_upstash_with(upstash: &Upstash, settings: &[(&str, &str)]) -> Gateway {
    let url = upstash.url();
    let store = [("UPSTASH_REDIS_REST_URL", url.as_str()), ("UPSTASH_REDIS_REST_TOKEN", upstash.token())];
    Gateway::with_all(&[&store[..], settings].concat(), Scripted::hello())
}

pub(crate) fn on_redis(url: &str, limit: &str) -> Gateway {
    Gateway::with([("REDIS_URL", url), ("RATE_LIMIT_MAX", limit)], Scripted::hello())
}

/// Until what goes on behind the answers is done.
pub(crate) async fn settled(gateway: &Gateway) {
    let tasks = gateway.app.tasks.clone();
    tasks.close();
    tasks.wait().await;
    tasks.reopen();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_share_one_limit_and_one_cache() {
    let (redis, behind) = (RedisServer::start().await, RedisServer::start().await);
    let upstash = Upstash::start(&behind).await;
    for [one, other] in [
        [on_redis(&redis.url(), "20"), on_redis(&redis.url(), "20")],
        [on_upstash(&upstash, "20", "2"), on_upstash(&upstash, "20", "2")],
    ] {
        let asking = (0..60).map(|n| ask(if n % 2 == 0 { &one } else { &other }, 1, "the same"));
        let statuses: Vec<u16> = join_all(asking).await.iter().map(|reply| reply.status.as_u16()).collect();
        let count = |status| statuses.iter().filter(|s| **s == status).count();
        assert_eq!((count(200), count(429)), (20, 40));

        ask(&one, 2, "fetched here").await.expect(200);
        settled(&one).await;
        let calls = other.provider.calls();
        let there = ask(&other, 3, "fetched here").await;
        assert_eq!((there.expect(200).json()["cached"].as_bool(), other.provider.calls()), (Some(true), calls));
        let hit = there.header("cache-status");
        assert!(hit.starts_with("llm-gateway; hit; ttl="), "{hit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_costs_the_store_no_more_than_it_must() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    // What is too late for the store is asked again, or not at all.
    let patient = [("RATE_LIMIT_MAX", "20"), ("INSTANCES", "1"), ("STORE_TIMEOUT_MS", "10000")];
    let gateway = on_upstash_with(&upstash, &patient);
    // Teaches the server the script.
    ask(&gateway, 1, "first").await.expect(200);
    settled(&gateway).await;
    let cost = |what: &str| {
        let cost = (upstash.requests(), upstash.units());
        let commands = upstash.commands();
        upstash.reset_counts();
        (what.to_owned(), cost, commands)
    };
    let commands = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 1)).collect::<BTreeMap<_, _>>();
    upstash.reset_counts();

    assert_eq!(ask(&gateway, 1, "first").await.expect(200).json()["cached"], true);
    assert_eq!(cost("near hit"), ("near hit".to_owned(), (1, 3), commands(&["EVALSHA", "GET", "SET"])));

    let elsewhere = on_upstash_with(&upstash, &patient);
    assert_eq!(ask(&elsewhere, 1, "first").await.expect(200).json()["cached"], true);
    let (_, remote_hit, _) = cost("remote hit");
    assert_eq!(remote_hit, (2, 4));

    assert_eq!(ask(&gateway, 1, "second").await.expect(200).json()["cached"], false);
    settled(&gateway).await;
    let (_, miss, spent) = cost("miss");
    // The limit, the look-up, and the lease with a second look in one; behind the answer its own, and the lease's end.
    assert_eq!((miss, spent["SET"]), ((5, 8), 3));
    let alone = on_upstash_with(&upstash, &[&patient[..], &[("COALESCE", "local")]].concat());
    // It asks how budgets stand before its first call, and now and then.
    ask(&alone, 1, "alone").await.expect(200);
    settled(&alone).await;
    upstash.reset_counts();
    assert_eq!(ask(&alone, 1, "still alone").await.expect(200).json()["cached"], false);
    settled(&alone).await;
    let (_, miss, spent) = cost("miss without a lease");
    assert_eq!((miss, spent["SET"]), ((3, 5), 2));

    upstash.fail(Fault::Latency(Duration::from_secs(1)), &["GET"], usize::MAX);
    let asking = (0..10).map(|_| ask(&gateway, 1, "third"));
    join_all(asking).await;
    upstash.heal();
    settled(&gateway).await;
    let (_, _, spent) = cost("many at once");
    assert_eq!((spent["EVALSHA"], spent["GET"]), (10, 12), "ten limits, one look-up for all, and one by the lease");

    for _ in 0..30 {
        ask(&gateway, 1, "first").await;
    }
    let (_, refused, _) = cost("until refused");
    for _ in 0..30 {
        ask(&gateway, 1, "first").await.expect(429);
    }
    assert_eq!(cost("refused"), ("refused".to_owned(), (0, 0), BTreeMap::new()), "after {refused:?}");

    assert_eq!(gateway.get("/health").await.body, r#"{"status":"ok"}"#);
    assert_eq!(upstash.requests(), 0, "health waits on nothing");

    let stats = gateway.get("/llm/cache/stats").await.json();
    upstash.reset_counts();
    gateway.app.chores.finish().await;
    assert_eq!(cost("flush"), ("flush".to_owned(), (1, 3), BTreeMap::from([("INCRBY".to_owned(), 3)])));
    assert_eq!(gateway.get("/llm/cache/stats").await.json(), stats, "flushed or not");
}

#[tokio::test]
async fn counts_whose_answer_was_lost_are_not_sent_twice_and_those_that_never_left_are_kept() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let gateway = on_upstash(&upstash, "0", "1");
    let hits = async || gateway.get("/llm/cache/stats").await.json()["hits"].clone();
    for _ in 0..4 {
        ask(&gateway, 1, "x").await.expect(200);
    }
    upstash.fail(Fault::DropAfter, &["INCRBY"], 1);
    gateway.app.chores.finish().await;
    gateway.app.chores.finish().await;
    assert_eq!((upstash.commands()["INCRBY"], hits().await), (2, json!(3)), "once each");

    ask(&gateway, 1, "x").await.expect(200);
    upstash.close().await;
    // The store is back while the last bookings still wait for it.
    tokio::join!(gateway.app.chores.finish(), async {
        sleep(Duration::from_secs(2)).await;
        upstash.reopen().await;
    });
    let other = on_upstash(&upstash, "0", "1");
    assert_eq!(other.get("/llm/cache/stats").await.json()["hits"], 4);
}

/// Asks fifty times a second for `time`, half of it the same, and says how long each took. Nobody is refused.
async fn load(gateway: &Gateway, time: Duration, what: &str) -> Vec<Duration> {
    let (begun, mut ticks) = (Instant::now(), interval(Duration::from_millis(20)));
    let (mut asking, mut took, mut n) = (FuturesUnordered::new(), Vec::new(), 0_u32);
    loop {
        tokio::select! {
            _ = ticks.tick(), if begun.elapsed() < time => {
                n += 1;
                let prompt = if n % 2 == 0 { "again".to_owned() } else { format!("{what} {n}") };
                let client = u8::try_from(n % 200).unwrap();
                asking.push(async move {
                    let begun = Instant::now();
                    (ask(gateway, client, &prompt).await, begun.elapsed())
                });
            }
            Some((reply, time)) = asking.next() => {
                assert_eq!(reply.status, 200, "{what}: {}", reply.body);
                took.push(time);
            }
            else => return took,
        }
    }
}

/// While the store fails nobody is kept waiting, and once it is back it is used again.
async fn weathers(gateway: &Gateway, what: &str, end: impl AsyncFnOnce()) {
    let mut took = load(gateway, Duration::from_secs(2), what).await;
    took.sort_unstable();
    // A few may meet a machine that has stopped for a moment.
    let slow = took[took.len() * 9 / 10];
    assert!(slow < STORE_TIMEOUT + SLACK, "{what}: {took:?}");
    let mode = ask(gateway, 201, "again").await.header("x-ratelimit-mode").to_owned();
    assert_eq!(mode, "local", "{what}");
    end().await;
    load(gateway, Duration::from_millis(4_500), what).await;
    let is_used = async || ask(gateway, 202, "again").await.header("x-ratelimit-mode").is_empty();
    until(&format!("{what}: it is used again"), is_used).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_what_goes_wrong_between_here_and_upstash() {
    let faults = [
        ("slow", Fault::Latency(Duration::from_secs(2))),
        ("silent", Fault::NoAnswer),
        ("garbage", Fault::MalformedJson),
        ("cut short", Fault::ShortBody),
        ("trickling", Fault::Trickle),
        ("401", Fault::Unauthorized),
        ("429", Fault::TooManyRequests { retry_after: 1 }),
        ("500", Fault::ServerError(500)),
        ("full", Fault::Full),
        ("dropped before", Fault::DropBefore),
        ("dropped after", Fault::DropAfter),
    ];
    let behind = RedisServer::start().await;
    for faults in faults.chunks(4) {
        let weather = faults.iter().map(async |(what, fault)| {
            let upstash = Upstash::start(&behind).await;
            let gateway = on_upstash(&upstash, "500", "1");
            ask(&gateway, 1, "again").await.expect(200);
            upstash.fail(*fault, &[], usize::MAX);
            weathers(&gateway, what, async || upstash.heal()).await;
        });
        join_all(weather).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_a_store_is_away() {
    let redis = [RedisServer::start().await, RedisServer::start().await];
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let [killed, frozen] = [on_redis(&redis[0].url(), "500"), on_redis(&redis[1].url(), "500")];
    let closed = on_upstash(&upstash, "500", "1");
    for gateway in [&killed, &frozen, &closed] {
        ask(gateway, 1, "again").await.expect(200);
    }
    redis[0].kill();
    redis[1].freeze();
    upstash.close().await;
    tokio::join!(
        weathers(&killed, "killed", async || redis[0].restart().await),
        weathers(&frozen, "frozen", async || redis[1].thaw()),
        weathers(&closed, "closed", async || upstash.reopen().await),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_each_instance_admits_its_share_of_what_it_knows() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let gateway = on_upstash(&upstash, "20", "2");
    for _ in 0..6 {
        ask(&gateway, 1, "x").await.expect(200);
    }
    upstash.close().await;
    let mut admitted = 0;
    for _ in 0..30 {
        let reply = ask(&gateway, 1, "x").await;
        assert_eq!((reply.header("x-ratelimit-mode"), reply.header("x-ratelimit-limit")), ("local", "10"));
        admitted += u32::from(reply.status == 200);
    }
    assert_eq!(admitted, 4, "its half, of which six are used");
}

#[tokio::test]
async fn a_store_that_is_full_still_answers_from_the_cache() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let gateway = on_upstash(&upstash, "500", "1");
    ask(&gateway, 1, "x").await.expect(200);
    settled(&gateway).await;
    upstash.fail(Fault::Full, &[], usize::MAX);
    let elsewhere = on_upstash(&upstash, "500", "1");
    for _ in 0..10 {
        let hit = ask(&elsewhere, 1, "x").await;
        assert_eq!((hit.expect(200).json()["cached"].clone(), hit.header("x-ratelimit-mode")), (json!(true), "local"));
    }
}

#[tokio::test]
async fn whoever_monitors_it_is_told_of_store_and_providers_apart() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let gateway = on_upstash(&upstash, "500", "1");
    let ready = gateway.get("/health/ready").await;
    let body = ready.expect(200).json();
    assert_eq!((&body["healthy"], &body["redis"], &body["memory"]), (&json!(true), &json!(true), &json!(true)));
    assert_eq!((&body["store"]["kind"], &body["providers"]["openai"]["ok"]), (&json!("Upstash"), &json!(true)));
    assert!(body["uptime"].is_f64() && body["version"].is_string());

    let broken = on_upstash(&upstash, "500", "1");
    upstash.fail(Fault::ServerError(503), &[], usize::MAX);
    for most in [3, 0] {
        upstash.reset_counts();
        let body = broken.get("/health/ready").await.expect(503).json();
        assert_eq!((&body["status"], &body["redis"]), (&json!("degraded"), &json!(false)));
        assert!(upstash.requests() <= most, "asked at most every ten seconds");
    }
    assert_eq!(broken.get("/health").await.body, r#"{"status":"ok"}"#);

    // What was well within these ten seconds is not, once nobody asks it any more, until it has been asked again.
    until("it is left alone", async || {
        gateway.generate("x").await;
        gateway.get("/health/ready").await.status == 503
    })
    .await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        gateway.get("/health/ready").await.expect(503);
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn who_looks_is_told_that_the_store_is_left_alone_and_the_administrator_that_nothing_is_certain() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let gateway = on_upstash_with(&upstash, &[("RATE_LIMIT_MAX", "0"), ("ADMIN_TOKEN", "right")]);
    let send = async |method: Method, path: &str, body: &str| {
        let request = Request::builder().method(method).uri(path).header("authorization", "Bearer right");
        let request = request.header("content-type", "application/json").body(Body::from(body.to_owned()));
        gateway.send(request.unwrap()).await
    };
    let mode = async || send(Method::GET, "/llm/status", "").await.expect(200).json()["limiter"]["mode"].clone();
    assert_eq!(mode().await, "shared");
    upstash.close().await;
    // Each look at the status asks it too, and it is tried again every now and then.
    until("it is left alone, and the status says so", async || mode().await == "local").await;
    until("whoever monitors it hears why", async || {
        mode().await;
        gateway.get("/health/ready").await.expect(503).json()["store"]["error"] == "it is not asked for a while"
    })
    .await;
    for (method, path, body) in [
        (Method::DELETE, "/llm/cache", ""),
        (Method::DELETE, "/llm/cache/llm:cache:openai:gpt-4o:00", ""),
        (Method::POST, "/llm/cache/explain", r#"{"prompt":"never asked","model":"gpt-4o"}"#),
    ] {
        let reply = send(method, path, body).await;
        assert_eq!(reply.expect(503).json()["error"], "The store does not answer", "{path}");
        assert_eq!(reply.header("retry-after"), "5", "{path}");
    }
}

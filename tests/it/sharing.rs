//! One call for many across instances, by a lease in a real Redis.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use llm_gateway::generate::{ErrorKind, FinishReason};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    outage::settled,
    support::{Binary, Fault, Gateway, RedisServer, Reply, Scripted, Step, Upstash, http, post, until},
};

fn instance<const N: usize>(redis: &RedisServer, settings: [(&str, &str); N], provider: Scripted) -> Arc<Gateway> {
    let url = redis.url();
    // The machine may be busy, and this is about who calls.
    let always = [("REDIS_URL", url.as_str()), ("RATE_LIMIT_MAX", "0"), ("STORE_TIMEOUT_MS", "10000")];
    let all: Vec<_> = always.into_iter().chain(settings).collect();
    Arc::new(Gateway::with_all(&all, provider))
}

async fn ask(gateway: &Gateway, streaming: bool) -> Reply {
    let reply = gateway.send(post("/llm/generate", &json!({"prompt": "x", "model": "gpt-4o", "streaming": streaming})));
    reply.await
}

fn text(reply: &Reply) -> String {
    let answer = if reply.body.starts_with("data: ") { reply.last() } else { reply.json() };
    answer["code"].as_str().unwrap_or_else(|| panic!("{}", reply.body)).to_owned()
}

fn calls(instances: &[Arc<Gateway>]) -> usize {
    instances.iter().map(|gateway| gateway.provider.calls()).sum()
}

/// Where the answer to that question is kept, as an instance with the `ADMIN_TOKEN` of `secret` explains it.
async fn key(gateway: &Gateway) -> String {
    let mut request = post("/llm/cache/explain", &json!({"prompt": "x", "model": "gpt-4o"}));
    request.headers_mut().insert("authorization", "Bearer secret".parse().unwrap());
    gateway.send(request).await.expect(200).json()["key"].as_str().unwrap().to_owned()
}

async fn until_leased(redis: &RedisServer) {
    until("somebody has the lease", async || !leases(redis).await.is_empty()).await;
}

async fn leases(redis: &RedisServer) -> Vec<String> {
    redis::cmd("KEYS").arg("llm:lease:*").query_async(&mut redis.connection().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_who_ask_the_same_at_two_instances_cause_one_call() {
    let redis = RedisServer::start().await;
    let slow = || Scripted::slow(Duration::from_millis(400));
    let instances = [instance(&redis, [], slow()), instance(&redis, [], slow())];
    let asking = (0..200).map(|n: usize| {
        let gateway = Arc::clone(&instances[n % 2]);
        tokio::spawn(async move { ask(&gateway, n % 4 < 2).await })
    });
    for reply in join_all(asking).await {
        assert_eq!(text(&reply.unwrap()), "Hello, world!");
    }
    assert_eq!(calls(&instances), 1);
    let mut requests = 0;
    for gateway in &instances {
        settled(gateway).await;
        let stats = gateway.get("/llm/cache/stats?detail=true").await.json();
        let models = stats["instance"]["models"][0].clone();
        let sum = |names: &[&str]| names.iter().map(|name| models[*name].as_u64().unwrap()).sum::<u64>();
        requests += sum(&["hits", "misses", "joined"]);
        assert_eq!(sum(&["stale", "bypassed"]), 0);
    }
    assert_eq!(requests, 200);
    assert_eq!(leases(&redis).await, [""; 0], "a lease ends with its call");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_another_instance_is_told_so_and_pays_nothing() {
    let redis = RedisServer::start().await;
    let slow = || Scripted::slow(Duration::from_secs(2));
    let [one, other] = [instance(&redis, [], slow()), instance(&redis, [], slow())];
    let (first, joined) = tokio::join!(ask(&one, false), async {
        until_leased(&redis).await;
        ask(&other, false).await
    });
    assert_eq!(first.header("cache-status"), "llm-gateway; fwd=miss; stored");
    assert_eq!(joined.header("cache-status"), "llm-gateway; fwd=miss; collapsed");
    assert_eq!(joined.json()["metadata"]["estimatedCost"], json!(0.0));
    assert_eq!(other.provider.calls(), 0);
    let stats = other.get("/llm/cache/stats?detail=true").await.json();
    assert_eq!((&stats["joined"], &stats["estimatedSavings"]), (&json!(1), &json!("$0.01")));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_store_killed_in_between_everyone_is_answered() {
    let redis = RedisServer::start().await;
    let slow = || Scripted::slow(Duration::from_millis(700));
    let instances = [instance(&redis, [], slow()), instance(&redis, [], slow())];
    let asking: Vec<_> = (0..200)
        .map(|n: usize| {
            let gateway = Arc::clone(&instances[n % 2]);
            tokio::spawn(async move { ask(&gateway, n % 4 < 2).await })
        })
        .collect();
    sleep(Duration::from_millis(500)).await;
    redis.kill();
    for reply in join_all(asking).await {
        assert_eq!(text(&reply.unwrap()), "Hello, world!");
    }
    assert!(calls(&instances) <= 2, "each instance calls once at most: {}", calls(&instances));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_call_fails_another_instance_makes_its_own() {
    let redis = RedisServer::start().await;
    let fails = [Step::Pause(Duration::from_secs(2)), Step::Fail(ErrorKind::InvalidRequest)];
    let one = instance(&redis, [], Scripted::new(fails));
    let other = instance(&redis, [], Scripted::hello());
    let (failed, answered) = tokio::join!(ask(&one, false), async {
        until_leased(&redis).await;
        ask(&other, false).await
    });
    failed.expect(400);
    assert_eq!((text(&answered), other.provider.calls()), ("Hello, world!".to_owned(), 1));
    settled(&other).await;
    assert_eq!(leases(&redis).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_bounded() {
    let redis = RedisServer::start().await;
    let timeout = [("PROVIDER_TIMEOUT_SECONDS", "6")];
    let endless = instance(&redis, [], Scripted::new([Step::Text("on and on"), Step::Hang]));
    let other = instance(&redis, timeout, Scripted::hello());
    let reading = tokio::spawn(async move { endless.stream("x").await.until("on and on").await });
    reading.await.unwrap();
    let begun = Instant::now();
    // Its own call comes in the second half of what an answer may take.
    assert_eq!(text(&ask(&other, true).await), "Hello, world!");
    assert!(begun.elapsed() >= Duration::from_millis(2_900), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_nobody_renews_ends() {
    let redis = RedisServer::start().await;
    let gateway = instance(&redis, [("ADMIN_TOKEN", "secret")], Scripted::hello());
    // Whoever took it was killed.
    let lease = format!("llm:lease:{{{}}}", key(&gateway).await);
    let begun = Instant::now();
    let mut take = redis::cmd("SET");
    take.arg(lease).arg(1).arg("PX").arg(1_500).exec_async(&mut redis.connection().await).await.unwrap();
    assert_eq!((text(&ask(&gateway, false).await), gateway.provider.calls()), ("Hello, world!".to_owned(), 1));
    assert!(begun.elapsed() >= Duration::from_millis(1_400), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_takes_longer_than_a_lease_is_waited_for() {
    let redis = RedisServer::start().await;
    let slow = || Scripted::slow(Duration::from_secs(4));
    let [one, other] = [instance(&redis, [], slow()), instance(&redis, [], slow())];
    let (first, joined) = tokio::join!(ask(&one, false), async {
        until_leased(&redis).await;
        ask(&other, false).await
    });
    assert_eq!((text(&first), text(&joined)), ("Hello, world!".to_owned(), "Hello, world!".to_owned()));
    assert_eq!(other.provider.calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_while_waiting_leaves_nothing_behind() {
    let redis = RedisServer::start().await;
    let slow = || Scripted::slow(Duration::from_secs(2));
    let [one, other] = [instance(&redis, [], slow()), instance(&redis, [], slow())];
    let first = tokio::spawn(async move { ask(&one, false).await });
    until_leased(&redis).await;
    assert!(tokio::time::timeout(Duration::from_millis(200), ask(&other, false)).await.is_err());
    settled(&other).await;
    assert!(other.app.flights.is_empty());
    assert_eq!((text(&first.await.unwrap()), other.provider.calls()), ("Hello, world!".to_owned(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_is_one_call_for_all_instances() {
    let (redis, behind) = (RedisServer::start().await, RedisServer::start().await);
    let upstash = Upstash::start(&behind).await;
    let (url, rest) = (redis.url(), upstash.url());
    for address in [
        vec![("REDIS_URL", url.as_str())],
        vec![("UPSTASH_REDIS_REST_URL", rest.as_str()), ("UPSTASH_REDIS_REST_TOKEN", upstash.token())],
    ] {
        let settings = [("CACHE_TTL_SECONDS", "1"), ("CACHE_REVALIDATE_SECONDS", "60"), ("STORE_TIMEOUT_MS", "10000")];
        let settings: Vec<_> = address.into_iter().chain(settings).collect();
        let provider = || {
            let pause = Step::Pause(Duration::from_millis(300));
            Scripted::new([pause, Step::Text("Hello, world!"), Step::Finish(FinishReason::Stop)])
        };
        let instances: Vec<_> = (0..3).map(|_| Arc::new(Gateway::with_all(&settings, provider()))).collect();
        ask(&instances[0], false).await.expect(200);
        settled(&instances[0]).await;
        sleep(Duration::from_millis(1_300)).await;
        for reply in join_all(instances.iter().map(|gateway| ask(gateway, false))).await {
            assert!(reply.expect(200).header("cache-status").starts_with("llm-gateway; hit; ttl=-"), "{reply:?}");
        }
        for gateway in &instances {
            settled(gateway).await;
        }
        assert_eq!(calls(&instances), 2, "the first, and one refresh");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_no_longer_fresh_hides_no_newer_answer() {
    let redis = RedisServer::start().await;
    let ttl = [("CACHE_TTL_SECONDS", "2"), ("COALESCE", "local")];
    let [one, other] = [instance(&redis, ttl, Scripted::hello()), instance(&redis, ttl, Scripted::hello())];
    ask(&one, false).await.expect(200);
    settled(&one).await;
    assert_eq!(ask(&other, false).await.json()["cached"], true);
    sleep(Duration::from_millis(2_100)).await;
    assert_eq!(ask(&one, false).await.json()["cached"], false);
    settled(&one).await;
    assert_eq!((ask(&other, false).await.json()["cached"].as_bool(), other.provider.calls()), (Some(true), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_read_is_fetched_anew() {
    let redis = RedisServer::start().await;
    let gateway = instance(&redis, [("ADMIN_TOKEN", "secret")], Scripted::hello());
    let key = key(&gateway).await;
    let mut connection = redis.connection().await;
    for (calls, garbage) in ["an answer of the old service", "~not packed", "{\"v\":99}\n\"x\"", ""].iter().enumerate()
    {
        redis::cmd("SET").arg(&key).arg(garbage).exec_async(&mut connection).await.unwrap();
        let elsewhere = instance(&redis, [], Scripted::hello());
        assert_eq!(text(&ask(&elsewhere, false).await), "Hello, world!", "{garbage} {calls}");
        settled(&elsewhere).await;
        assert_eq!(elsewhere.provider.calls(), 1);
        // And is readable from then on.
        let third = instance(&redis, [], Scripted::hello());
        assert_eq!(ask(&third, false).await.json()["cached"], true);
    }
    let ttl: i64 = redis::cmd("TTL").arg(&key).query_async(&mut connection).await.unwrap();
    assert!((3_600 + 86_400 - 60..=3_600 + 86_400).contains(&ttl), "its time and the longer window: {ttl}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_when_the_service_is_told_to_stop_is_stored_before_it_ends() {
    let redis = RedisServer::start().await;
    let upstash = Upstash::start(&redis).await;
    let url = upstash.url();
    let settings = [
        ("UPSTASH_REDIS_REST_URL", url.as_str()),
        ("UPSTASH_REDIS_REST_TOKEN", upstash.token()),
        ("RATE_LIMIT_MAX", "0"),
        ("STORE_TIMEOUT_MS", "10000"),
        // A lease has a task of its own, for which the service waits anyway.
        ("COALESCE", "local"),
    ];
    let mut gateway = Binary::start(&settings);
    let question = json!({"prompt": "x", "model": "demo:slow"});
    let asking = tokio::spawn(http().post(gateway.url("/llm/generate")).json(&question).send());
    gateway.until_under_way(1).await;
    // Longer than anything else that is left to do.
    upstash.fail(Fault::Latency(Duration::from_millis(1_500)), &["SET"], usize::MAX);
    gateway.terminate();
    assert_eq!(asking.await.unwrap().unwrap().status(), 200);
    assert_eq!(gateway.ended(Duration::from_secs(20)).await.code(), Some(0));
    let stored: Vec<String> =
        redis::cmd("KEYS").arg("llm:cache:*").query_async(&mut redis.connection().await).await.unwrap();
    assert_eq!(stored.len(), 1, "{stored:?}");
}

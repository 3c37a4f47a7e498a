//! Vectors: what is asked for, what is kept, what it costs.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::Request};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use llm_gateway::generate::{ErrorKind, FinishReason, MicroDollars};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    outage::settled,
    support::{
        Gateway, RedisServer, Reply, Scripted, Step, post, post_from, stats,
        vectors::{TOKENS, vector},
    },
};

const MODEL: &str = "text-embedding-3-small";
/// What one input costs, in micro-dollars: 1,000 tokens at $0.02 for a million.
const COST: u64 = 20;

fn request(input: &Value) -> Request<Body> {
    post("/v1/embeddings", &json!({"model": MODEL, "input": input}))
}

fn with_cache_control(input: &Value, value: &str) -> Request<Body> {
    let mut request = request(input);
    request.headers_mut().insert("cache-control", value.parse().unwrap());
    request
}

async fn embed(gateway: &Gateway, input: Value) -> Reply {
    gateway.send(request(&input)).await
}

/// The vectors of a reply, in its order.
fn vectors(reply: &Reply) -> Vec<Vec<f64>> {
    let json = reply.expect(200).json();
    let data = json["data"].as_array().unwrap();
    assert!(data.iter().enumerate().all(|(at, item)| item["index"] == at && item["object"] == "embedding"));
    data.iter().map(|item| serde_json::from_value(item["embedding"].clone()).unwrap()).collect()
}

/// Those that the scripted provider gives.
fn expected(texts: &[&str]) -> Vec<Vec<f64>> {
    let numbers = |text: &&str| vector(text).iter().map(|number| number.to_string().parse().unwrap()).collect();
    texts.iter().map(numbers).collect()
}

fn good() -> Vec<Step> {
    vec![Step::Finish(FinishReason::Stop)]
}

async fn booked(gateway: &Gateway, kind: &str) -> (u64, u64) {
    let analytics = gateway.get("/llm/budget/analytics").await.expect(200).json();
    let share =
        if analytics["spent"].get(kind).is_some() { &analytics["spent"][kind] } else { &analytics["avoided"][kind] };
    (share["requests"].as_u64().unwrap(), MicroDollars::of(share["cost"].as_f64().unwrap()).0)
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_what_was_never_seen_is_asked_for() {
    let gateway = Gateway::start();
    let first = embed(&gateway, json!(["one", "two"])).await;
    assert_eq!(vectors(&first), expected(&["one", "two"]));
    assert_eq!(first.header("cache-status"), "llm-gateway; fwd=miss; stored");
    let json = first.json();
    assert_eq!((&json["object"], &json["model"]), (&json!("list"), &json!(MODEL)));
    assert_eq!(json["usage"], json!({"prompt_tokens": 2 * TOKENS, "total_tokens": 2 * TOKENS}));

    let second = embed(&gateway, json!(["two", "three", "one"])).await;
    assert_eq!(vectors(&second), expected(&["two", "three", "one"]));
    assert_eq!(second.header("cache-status"), "llm-gateway; fwd=miss; stored; detail=partial-hit");
    assert_eq!(second.json()["usage"]["prompt_tokens"], 3 * TOKENS, "what was counted then and now");
    assert_eq!(gateway.provider.questions().await, ["one|two", "three"]);

    sleep(Duration::from_secs(60)).await;
    let third = embed(&gateway, json!(["three", "two"])).await;
    assert_eq!(vectors(&third), expected(&["three", "two"]));
    assert_eq!((third.header("cache-status"), third.header("age")), ("llm-gateway; hit; ttl=3540", "60"));
    assert_eq!(third.json()["usage"]["total_tokens"], 2 * TOKENS);
    assert_eq!(gateway.provider.calls(), 2);
    let stats = stats(&gateway).await;
    assert_eq!((&stats["hits"], &stats["misses"]), (&json!(1), &json!(2)));
}

#[tokio::test(start_paused = true)]
async fn equal_inputs_are_asked_for_once() {
    let gateway = Gateway::start();
    let reply = embed(&gateway, json!(["b", "a", "b", "b", "a"])).await;
    assert_eq!(vectors(&reply), expected(&["b", "a", "b", "b", "a"]));
    assert_eq!(gateway.provider.questions().await, ["b|a"]);
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 2 * TOKENS);
    let hit = embed(&gateway, json!(["a", "a"])).await;
    assert_eq!((vectors(&hit), hit.json()["usage"]["prompt_tokens"].as_u64()), (expected(&["a", "a"]), Some(TOKENS)));
}

#[tokio::test(start_paused = true)]
async fn a_text_and_its_tokens_other_dimensions_and_another_model_are_other_vectors() {
    let gateway = Gateway::start();
    for body in [
        json!({"model": MODEL, "input": "x"}),
        json!({"model": MODEL, "input": [1, 2]}),
        json!({"model": MODEL, "input": [[1], [2]]}),
        json!({"model": MODEL, "input": "x", "dimensions": 256}),
        json!({"model": "text-embedding-3-large", "input": "x"}),
    ] {
        for _ in 0..2 {
            gateway.send(post("/v1/embeddings", &body)).await.expect(200);
        }
    }
    assert_eq!(gateway.provider.questions().await, ["x", "[1, 2]", "[1]|[2]", "x", "x"]);
}

#[tokio::test(start_paused = true)]
async fn the_encoding_and_the_spelling_of_the_model_change_no_vector() {
    let gateway = Gateway::start();
    embed(&gateway, json!("hello")).await.expect(200);
    let body =
        json!({"model": format!("openai/{MODEL}"), "input": ["hello"], "encoding_format": "base64", "user": "ann"});
    let reply = gateway.send(post("/v1/embeddings", &body)).await;
    let bytes = BASE64_STANDARD.decode(reply.expect(200).json()["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let numbers: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    assert_eq!(numbers, *vector("hello"));
    assert!(reply.header("cache-status").starts_with("llm-gateway; hit"));
    assert_eq!(gateway.provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_client_decides_what_is_stored_and_what_of_it_will_do() {
    let gateway = Gateway::start();
    let ask = |value: &'static str| gateway.send(with_cache_control(&json!("x"), value));
    let refused = ask("only-if-cached").await;
    assert_eq!(refused.expect(504).header("cache-status"), "llm-gateway; detail=only-if-cached");
    assert_eq!(ask("no-store").await.expect(200).header("cache-status"), "llm-gateway; fwd=bypass");
    assert_eq!(ask("").await.expect(200).header("cache-status"), "llm-gateway; fwd=miss; stored");
    assert_eq!(ask("no-store").await.expect(200).header("cache-status"), "llm-gateway; fwd=bypass");
    assert_eq!(ask("no-cache").await.expect(200).header("cache-status"), "llm-gateway; fwd=request; stored");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(ask("max-age=5").await.expect(200).header("cache-status"), "llm-gateway; fwd=request; stored");
    assert_eq!(ask("only-if-cached").await.expect(200).header("cache-status"), "llm-gateway; hit; ttl=3600");
    assert_eq!(gateway.provider.calls(), 5);
    sleep(Duration::from_secs(3_601)).await;
    ask("").await.expect(200);
    assert_eq!(gateway.provider.calls(), 6);
    gateway.send(with_cache_control(&json!(["x", "never seen"]), "only-if-cached")).await.expect(504);
}

#[tokio::test(start_paused = true)]
async fn without_a_cache_all_is_asked_for() {
    let gateway = Gateway::with([("CACHE_ENABLED", "false")], Scripted::hello());
    for _ in 0..2 {
        assert_eq!(embed(&gateway, json!("x")).await.expect(200).header("cache-status"), "llm-gateway; fwd=bypass");
    }
    assert_eq!(gateway.provider.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn vectors_may_be_one_callers_alone() {
    let gateway = Gateway::with([("CACHE_SCOPE", "caller")], Scripted::hello());
    for (peer, calls) in [("10.0.0.1:1", 1), ("10.0.0.1:2", 1), ("10.0.0.2:1", 2)] {
        let body = json!({"model": MODEL, "input": "x"});
        gateway.send(post_from(peer, "/v1/embeddings", &body)).await.expect(200);
        assert_eq!(gateway.provider.calls(), calls, "{peer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_batch_goes_in_several_calls_and_what_came_of_it_is_kept() {
    let failing = vec![Step::Fail(ErrorKind::InvalidRequest)];
    let gateway = Gateway::with([], Scripted::in_turn([good(), good(), failing, good()]));
    let texts: Vec<String> = (0..10).map(|at| format!("text {at}")).collect();
    embed(&gateway, json!(texts)).await.expect(400);
    let questions = ["text 0|text 1|text 2|text 3", "text 4|text 5|text 6|text 7", "text 8|text 9"];
    assert_eq!(gateway.provider.questions().await, questions);
    assert_eq!((booked(&gateway, "clients").await, booked(&gateway, "failed").await), ((2, 8 * COST), (1, 0)));

    let reply = embed(&gateway, json!(texts)).await;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(vectors(&reply), expected(&texts));
    assert_eq!(gateway.provider.questions().await[3..], ["text 8|text 9"]);
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 10 * TOKENS);
    assert_eq!((booked(&gateway, "clients").await, booked(&gateway, "hits").await), ((3, 10 * COST), (1, 8 * COST)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_tried_again_and_another_model_is_never_asked() {
    let overloaded = || vec![Step::Fail(ErrorKind::Overloaded)];
    let (gateway, xai) =
        Gateway::with_two([], Scripted::in_turn([overloaded(), overloaded(), good(), overloaded()]), Scripted::hello());
    embed(&gateway, json!("x")).await.expect(200);
    assert_eq!(gateway.provider.calls(), 3);
    embed(&gateway, json!("y")).await.expect(503);
    assert_eq!((gateway.provider.calls(), xai.calls()), (6, 0));
    assert_eq!(booked(&gateway, "clients").await, (1, COST));
    // Who wants a longer wait than anybody has is not waited for.
    let refer = vec![Step::Refer(ErrorKind::RateLimited, Duration::from_secs(90))];
    let gateway = Gateway::with([], Scripted::new(refer));
    assert_eq!(embed(&gateway, json!("x")).await.expect(429).header("retry-after"), "90");
    assert_eq!(gateway.provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_keeps_failing_is_skipped_and_who_is_too_slow_is_given_up() {
    let settings = [("PROVIDER_RETRIES", "0"), ("PROVIDER_BREAKER_FAILURES", "2"), ("PROVIDER_TIMEOUT_SECONDS", "10")];
    let gateway = Gateway::with(
        settings,
        Scripted::in_turn([vec![Step::Hang], vec![Step::Fail(ErrorKind::ServerError)], good()]),
    );
    embed(&gateway, json!("x")).await.expect(504);
    assert_eq!(gateway.provider.ended(), 1);
    embed(&gateway, json!("x")).await.expect(502);
    let skipped = embed(&gateway, json!("x")).await;
    assert_eq!(skipped.expect(503).header("retry-after"), "5");
    // For answers it is skipped, too.
    gateway.post(json!({"prompt": "x", "model": "gpt-4o", "allowFailover": false})).await.expect(503);
    assert_eq!(gateway.provider.calls(), 2);
    sleep(Duration::from_secs(6)).await;
    embed(&gateway, json!("x")).await.expect(200);
    // The one that hung may have cost something, by a guess: a quarter of a byte is a token.
    assert_eq!(booked(&gateway, "failed").await.0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_requests_500() {
    let gateway = Gateway::with([], Scripted::in_turn([vec![Step::Panic], good()]));
    let reply = embed(&gateway, json!("x")).await;
    let error = reply.expect(500).json()["error"].clone();
    assert_eq!((&error["code"], &error["type"]), (&json!("internal_error"), &json!("server_error")), "{error}");
    assert!(!reply.header("x-request-id").is_empty() && !reply.body.contains("as told"), "{reply:?}");
    embed(&gateway, json!("x")).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_any_more_is_booked() {
    let gateway = Arc::new(Gateway::with([], Scripted::new([Step::Hang])));
    let leaves = Arc::clone(&gateway);
    let text = "x".repeat(4_000_000 / 10);
    let asking = tokio::spawn(async move { embed(&leaves, json!(text)).await });
    while gateway.provider.calls() == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    assert_eq!((gateway.provider.ended(), booked(&gateway, "abandoned").await), (1, (1, 100_000 * 2 / 100)));
}

#[tokio::test(start_paused = true)]
async fn what_might_exceed_a_hard_limit_is_not_begun() {
    // Each byte may be a token, and four come on top: 1,004 tokens cost 20 micro-dollars.
    let settings = [("BUDGET_HARD_LIMIT", "true"), ("BUDGET_DAILY_USD", "0.00003")];
    let gateway = Gateway::with(settings, Scripted::hello());
    let text = |letter: &str| json!(letter.repeat(1_000));
    embed(&gateway, text("a")).await.expect(200);
    let refused = embed(&gateway, text("b")).await;
    assert_eq!(refused.expect(429).json()["error"]["code"], "insufficient_quota");
    assert_eq!(gateway.provider.calls(), 1);
    embed(&gateway, text("a")).await.expect(200);
    assert_eq!((booked(&gateway, "clients").await, booked(&gateway, "hits").await), ((1, COST), (1, COST)));
}

#[tokio::test(start_paused = true)]
async fn stored_vectors_stand_in_for_a_call_that_fails() {
    let failing = vec![Step::Fail(ErrorKind::ServerError)];
    let settings = [("CACHE_TTL_SECONDS", "60"), ("CACHE_STALE_SECONDS", "600"), ("PROVIDER_RETRIES", "0")];
    let gateway = Gateway::with(settings, Scripted::in_turn([good(), failing]));
    embed(&gateway, json!(["a", "b"])).await.expect(200);
    sleep(Duration::from_secs(90)).await;
    let reply = embed(&gateway, json!(["b", "a"])).await;
    assert_eq!(vectors(&reply), expected(&["b", "a"]));
    assert_eq!(reply.header("cache-status"), "llm-gateway; fwd=stale; detail=stale-if-error");
    embed(&gateway, json!(["b", "c"])).await.expect(502);
    gateway.send(with_cache_control(&json!("a"), "max-age=5")).await.expect(502);
}

#[tokio::test]
async fn instances_share_what_they_have_and_what_is_no_entry_is_fetched_anew() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let instance = || Gateway::with([("REDIS_URL", url.as_str()), ("STORE_TIMEOUT_MS", "10000")], Scripted::hello());
    let (one, other) = (instance(), instance());
    let texts = ["first", "second", "third", "fourth", "fifth"];
    embed(&one, json!(texts)).await.expect(200);
    settled(&one).await;
    let reply = embed(&other, json!(texts)).await;
    assert_eq!(vectors(&reply), expected(&texts));
    assert!(reply.header("cache-status").starts_with("llm-gateway; hit; ttl="));
    assert_eq!(other.provider.calls(), 0);

    let mut connection = redis.connection().await;
    let pattern = format!("llm:cache:openai:{MODEL}:*");
    let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
    assert_eq!(keys.len(), 5);
    assert!(keys.iter().all(|key| key.len() - key.rfind(':').unwrap() == 65));
    for (at, key) in keys.iter().enumerate() {
        let value: String = redis::cmd("GET").arg(key).query_async(&mut connection).await.unwrap();
        let spoilt = match at {
            0 => value.replace("\"vector\":1", "\"vector\":2"),
            1 => value[..value.len() - 4].to_owned(),
            2 => "what somebody else put there".to_owned(),
            3 => String::new(),
            _ => continue,
        };
        redis::cmd("SET").arg(key).arg(spoilt).exec_async(&mut connection).await.unwrap();
    }
    let third = instance();
    assert_eq!(vectors(&embed(&third, json!(texts)).await), expected(&texts));
    let asked = third.provider.questions().await;
    assert_eq!((asked.len(), asked[0].split('|').count()), (1, 4), "{asked:?}");
    // And put right.
    settled(&third).await;
    let fourth = instance();
    embed(&fourth, json!(texts)).await.expect(200);
    assert_eq!(fourth.provider.calls(), 0);
}

#[tokio::test]
async fn a_store_that_is_away_costs_a_call_and_nothing_else() {
    let settings = [("REDIS_URL", "redis://127.0.0.1:9"), ("STORE_TIMEOUT_MS", "200")];
    let gateway = Gateway::with(settings, Scripted::hello());
    for (texts, calls) in [(["a", "b"], 1), (["b", "c"], 2)] {
        assert_eq!(vectors(&embed(&gateway, json!(texts)).await), expected(&texts));
        assert_eq!(gateway.provider.calls(), calls);
    }
    // What this process has itself it still has.
    assert_eq!(gateway.provider.questions().await, ["a|b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn they_are_limited_together_with_answers() {
    let gateway = Gateway::with([("RATE_LIMIT_MAX", "2")], Scripted::hello());
    gateway.generate("x").await.expect(200);
    assert_eq!(embed(&gateway, json!("x")).await.expect(200).header("x-ratelimit-remaining"), "0");
    embed(&gateway, json!("x")).await.expect(429);
    gateway.generate("x").await.expect(429);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_is_said_and_what_is_left_out_is_named() {
    let gateway = Gateway::start();
    let ask = |body: Value| {
        let request = post("/v1/embeddings", &body);
        gateway.send(request)
    };
    for (body, status, param, says) in [
        (json!({"input": "x"}), 400, "model", "`model`"),
        (json!({"model": MODEL}), 400, "input", "is missing"),
        (json!({"model": MODEL, "input": ["a", ""]}), 400, "input", "no empty string"),
        (json!({"model": MODEL, "input": "x", "encoding_format": "int8"}), 400, "encoding_format", "`base64`"),
        (json!({"model": MODEL, "input": "x", "dimensions": 1_537}), 400, "dimensions", "at most 1536"),
        (json!({"model": MODEL, "input": vec![7; 8_193]}), 400, "input", "at most 8192 tokens"),
        (json!({"model": "anthropic/claude-opus-5", "input": "x"}), 404, "model", "is not configured"),
        (json!({"model": "gpt-4o", "input": "x"}), 404, "model", "does not offer it"),
    ] {
        let reply = ask(body).await;
        let error = &reply.expect(status).json()["error"];
        assert!(error["message"].as_str().unwrap().contains(says), "{says}: {error}");
        assert_eq!((&error["param"], &error["type"]), (&json!(param), &json!("invalid_request_error")), "{says}");
    }
    assert_eq!(gateway.provider.calls(), 0);
    let reply = ask(json!({"model": MODEL, "input": "x", "input_type": "query", "a-b": 1, "truncate": true})).await;
    assert_eq!(reply.expect(200).header("x-gateway-dropped"), "a-b,input_type,truncate");
    assert_eq!(gateway.get("/v1/embeddings").await.status, 405);
}

#[tokio::test]
async fn the_demo_provider_makes_them_up_and_they_cost_nothing() {
    let gateway = Gateway::configured([]);
    let ask = |body: Value| gateway.send(post("/v1/embeddings", &body));
    let one = vectors(&ask(json!({"model": MODEL, "input": ["a", "b"]})).await);
    assert_eq!((one[0].len(), one[1].len()), (1_536, 1_536));
    assert!(one[0] != one[1]);
    let norm: f64 = one[0].iter().map(|number| number * number).sum();
    assert!((norm - 1.0).abs() < 1e-3);
    let short = vectors(&ask(json!({"model": "acme/whatever", "input": "a", "dimensions": 8})).await);
    assert_eq!(short[0].len(), 8);
    let texts: Vec<String> = (0..22).map(|at| at.to_string()).collect();
    // So many numbers are written elsewhere than on the thread that answers.
    let many = vectors(&ask(json!({"model": MODEL, "input": texts})).await);
    let last = vectors(&ask(json!({"model": MODEL, "input": "21"})).await);
    assert_eq!((many.len(), &many[21]), (22, &last[0]));
    ask(json!({"model": "demo:unauthorized", "input": "a"})).await.expect(502);
    ask(json!({"model": "demo:x", "input": "a", "dimensions": 60_000})).await.expect(400);
    assert_eq!(booked(&gateway, "clients").await, (3, 0));
}

#[tokio::test]
async fn nobody_is_answered_by_a_model_that_makes_vectors() {
    let gateway = Gateway::start();
    gateway.post(json!({"prompt": "x", "model": MODEL})).await.expect(422);
    assert!(!gateway.get("/llm/models").await.body.contains("embed"));
    assert_eq!(gateway.provider.calls(), 0);
}

//! Budgets: how they stand, who sets them, who is told, and that they hold.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Request, StatusCode},
    routing::post as posted,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    outage::settled,
    support::{Fault, Gateway, RedisServer, Reply, Scripted, Upstash, post},
};

const TOKEN: &str = "right";

/// After that, what the store said is no news to who looks.
const NEWS: Duration = Duration::from_millis(1_010);

async fn admin(gateway: &Gateway, method: Method, path: &str, body: Option<&Value>) -> Reply {
    let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {TOKEN}"));
    let request = request.header("content-type", "application/json");
    gateway.send(request.body(body.map_or_else(Body::empty, |body| body.to_string().into())).unwrap()).await
}

async fn put(gateway: &Gateway, body: Value) -> Reply {
    admin(gateway, Method::PUT, "/llm/budget/config", Some(&body)).await
}

async fn alerts(gateway: &Gateway) -> Vec<Value> {
    gateway.get("/llm/budget/alerts").await.expect(200).json()["alerts"].as_array().unwrap().clone()
}

fn kinds(alerts: &[Value]) -> Vec<String> {
    alerts
        .iter()
        .map(|alert| format!("{} {}", alert["type"].as_str().unwrap(), alert["period"].as_str().unwrap()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_budget_stands_in_the_originals_form() {
    let gateway = Gateway::start();
    gateway.generate("x").await.expect(200);
    let status = gateway.get("/llm/budget/status").await.expect(200).body.clone();
    let period = |name: &str, limit: f64, reset: &str| {
        json!({"period": name, "used": 0.0075, "limit": limit, "remaining": limit - 0.0075,
            "percentage": 0.0075 / limit * 100.0, "isOverLimit": false, "isNearLimit": false,
            "resetDate": format!("{reset}T00:00:00.000Z")})
    };
    let expected = json!({"daily": period("daily", 50.0, "2026-11-25"), "weekly": period("weekly", 300.0, "2026-11-30"),
        "monthly": period("monthly", 1000.0, "2026-12-01")});
    assert_eq!(serde_json::from_str::<Value>(&status).unwrap(), expected);
    let config = gateway.get("/llm/budget/config").await.expect(200).json();
    assert_eq!(
        config,
        json!({"dailyLimit": 50.0, "weeklyLimit": 300.0, "monthlyLimit": 1000.0,
            "alertThresholds": {"daily": 80.0, "weekly": 75.0, "monthly": 70.0}, "enableAlerts": true, "hardLimit": false})
    );
    assert_eq!(gateway.get("/llm/budget/alerts").await.expect(200).body, r#"{"alerts":[]}"#);
}

#[tokio::test(start_paused = true)]
async fn only_the_administrator_sets_and_all_or_nothing() {
    let gateway = Gateway::with([("ADMIN_TOKEN", TOKEN)], Scripted::hello());
    let closed = Gateway::start();
    let paths = [
        (Method::PUT, "/llm/budget/config"),
        (Method::POST, "/llm/budget/reset/daily"),
        (Method::POST, "/llm/budget/alerts/x/acknowledge"),
    ];
    for (method, path) in &paths {
        let request = || Request::builder().method(method).uri(*path).body(Body::from("{}")).unwrap();
        gateway.send(request()).await.expect(401);
        closed.send(request()).await.expect(404);
    }
    closed.get("/llm/budget/config").await.expect(200);

    let good = put(&gateway, json!({"dailyLimit": 0.01, "alertThresholds": {"weekly": 1}, "hardLimit": true})).await;
    let config = good.expect(200).json();
    assert_eq!((&config["success"], &config["config"]["dailyLimit"]), (&json!(true), &json!(0.01)));
    assert_eq!(config["config"]["alertThresholds"], json!({"daily": 80.0, "weekly": 1.0, "monthly": 70.0}));
    let bad = put(&gateway, json!({"weeklyLimit": 5, "dailyLimit": "lots", "yearlyLimit": 1})).await;
    let errors = bad.expect(400).json()["errors"].clone();
    assert_eq!(
        (&errors[0]["path"], &errors[0]["value"], &errors[1]["path"]),
        (&json!("dailyLimit"), &json!("lots"), &json!("yearlyLimit"))
    );
    assert_eq!(gateway.get("/llm/budget/config").await.json(), config["config"], "nothing of it was set");
    for body in [json!([]), json!(null), json!(7)] {
        put(&gateway, body).await.expect(400);
    }
    let invalid = admin(&gateway, Method::POST, "/llm/budget/reset/yearly", None).await;
    assert_eq!(invalid.expect(400).json()["error"], "Invalid period");
    let unknown = admin(&gateway, Method::POST, "/llm/budget/alerts/warning-daily-1/acknowledge", None).await;
    assert_eq!(unknown.expect(404).json()["error"], "Alert not found");
}

#[tokio::test(start_paused = true)]
async fn the_answer_that_crosses_a_threshold_tells_of_it_and_an_operator_sees_it_off() {
    let settings = [("ADMIN_TOKEN", TOKEN), ("BUDGET_DAILY_USD", "0.01")];
    let gateway = Gateway::with(settings, Scripted::hello());
    // Three quarters, then one and a half.
    assert_eq!(gateway.generate("1").await.expect(200).json()["budget"]["alerts"], json!([]));
    let over = gateway.generate("2").await.expect(200).json();
    let told = over["budget"]["alerts"].as_array().unwrap();
    assert_eq!(kinds(told), ["warning daily", "limit_exceeded daily"]);
    let status = &over["budget"]["status"]["daily"];
    assert_eq!(
        (&status["isOverLimit"], &status["isNearLimit"], &status["remaining"]),
        (&json!(true), &json!(true), &json!(0.0))
    );
    assert_eq!(gateway.generate("3").await.expect(200).json()["budget"]["alerts"], json!([]), "once");
    settled(&gateway).await;
    let open = alerts(&gateway).await;
    assert_eq!(&open, told);
    assert_eq!(open[0]["acknowledged"], false);
    assert_eq!(open[0]["timestamp"].as_str().unwrap().len(), "2026-11-24T01:55:06.112Z".len());

    let path = format!("/llm/budget/alerts/{}/acknowledge", open[0]["id"].as_str().unwrap());
    assert_eq!(admin(&gateway, Method::POST, &path, None).await.expect(200).body, r#"{"success":true}"#);
    admin(&gateway, Method::POST, &path, None).await.expect(200);
    assert_eq!(kinds(&alerts(&gateway).await), ["limit_exceeded daily"]);

    sleep(Duration::from_millis(1)).await;
    assert_eq!(
        admin(&gateway, Method::POST, "/llm/budget/reset/daily", None).await.expect(200).body,
        r#"{"success":true}"#
    );
    assert_eq!(kinds(&alerts(&gateway).await), ["limit_exceeded daily", "budget_reset daily"]);
    let status = gateway.get("/llm/budget/status").await.json();
    assert_eq!((&status["daily"]["used"], &status["weekly"]["used"]), (&json!(0.0), &json!(0.0225)));
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_nothing_lets_nothing_be_spent_and_hits_are_free() {
    let gateway = Gateway::with([("ADMIN_TOKEN", TOKEN)], Scripted::hello());
    gateway.generate("stored").await.expect(200);
    put(&gateway, json!({"weeklyLimit": 0, "hardLimit": true})).await.expect(200);
    let calls = gateway.provider.calls();
    for streaming in [false, true] {
        let refused = gateway.post(json!({"prompt": "new", "model": "gpt-4o", "streaming": streaming})).await;
        let body = refused.expect(429).json();
        assert_eq!(body["error"], "Budget limit exceeded");
        assert_eq!(
            (&body["reason"], &body["wouldExceed"]),
            (&json!("Would exceed budget limits: weekly"), &json!(["weekly"]))
        );
        assert_eq!(kinds(body["alerts"].as_array().unwrap()).last().unwrap(), "limit_exceeded weekly");
        // From Tuesday to Monday.
        assert_eq!((&body["retryAfter"], refused.header("retry-after")), (&json!(6 * 86_400), "518400"));
        assert_eq!(refused.header("content-type"), "application/json");
        let hit = gateway.post(json!({"prompt": "stored", "model": "gpt-4o", "streaming": streaming})).await;
        assert!(hit.expect(200).header("cache-status").starts_with("llm-gateway; hit"));
    }
    assert_eq!(gateway.provider.calls(), calls);
    let test = gateway.send(post("/llm/test-provider", &json!({"providerName": "openai"}))).await.expect(200).json();
    assert_eq!((&test["success"], &test["error"]), (&json!(false), &json!("Budget limit exceeded")));

    sleep(Duration::from_hours(24 * 6)).await;
    gateway.generate("another week").await.expect(429);
    put(&gateway, json!({"weeklyLimit": 1})).await.expect(200);
    gateway.generate("another week").await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_does_not_stand_in_for_a_budget() {
    let settings = [("ADMIN_TOKEN", TOKEN), ("CACHE_TTL_SECONDS", "10")];
    let gateway = Gateway::with(settings, Scripted::hello());
    gateway.generate("x").await.expect(200);
    put(&gateway, json!({"dailyLimit": 0, "hardLimit": true})).await.expect(200);
    sleep(Duration::from_secs(20)).await;
    for streaming in [false, true] {
        let refused = gateway.post(json!({"prompt": "x", "model": "gpt-4o", "streaming": streaming})).await;
        let refused = refused.expect(429).json();
        assert_eq!(kinds(refused["alerts"].as_array().unwrap()).last().unwrap(), "limit_exceeded daily");
    }
}

fn settings<'a>(url: &'a str, limit: &'a str) -> [(&'a str, &'a str); 7] {
    [
        ("REDIS_URL", url),
        ("BUDGET_HARD_LIMIT", "true"),
        ("BUDGET_DAILY_USD", limit),
        ("RATE_LIMIT_MAX", "0"),
        ("PROMPT_STYLE", "plain"),
        ("INSTANCES", "2"),
        // On a busy machine too none of them goes on alone.
        ("STORE_TIMEOUT_MS", "10000"),
    ]
}

/// A prompt of 4,000 bytes, and so of up to 4,016 tokens: at $2.50 and $10 for a million, with up to 500 tokens of answer, it may
/// cost $0.01504, and costs $0.0075.
fn prompt(number: usize) -> Value {
    json!({"prompt": format!("{number:04000}"), "model": "gpt-4o", "maxTokens": 500, "allowFailover": false})
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_let_exactly_ten_of_a_hundred_through_where_ten_fit() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    // After nine, $0.0675 are spent and a tenth fits; after ten, $0.075 are, and no other does.
    let instance = || Arc::new(Gateway::with(settings(&url, "0.085"), Scripted::slow(Duration::from_millis(30))));
    let instances = [instance(), instance()];
    let until = Instant::now() + Duration::from_secs(30);
    let asking = (0..100).map(|number| {
        let gateway = Arc::clone(&instances[number % 2]);
        tokio::spawn(async move {
            loop {
                let reply = gateway.post(prompt(number)).await;
                if reply.status == StatusCode::OK {
                    return (number, true);
                }
                let wait: u64 = reply.expect(429).header("retry-after").parse().unwrap();
                // What is under way takes seconds, what is spent lasts until midnight.
                if wait > 60 || Instant::now() > until {
                    return (number, false);
                }
                sleep(Duration::from_millis(fastrand::u64(10..60))).await;
            }
        })
    });
    let answered: Vec<usize> = join_all(asking)
        .await
        .into_iter()
        .map(Result::unwrap)
        .filter(|(_, is)| *is)
        .map(|(number, _)| number)
        .collect();
    assert!(Instant::now() < until, "all were told when to come back");
    let calls = || instances.iter().map(|gateway| gateway.provider.calls()).sum::<usize>();
    assert_eq!((answered.len(), calls()), (10, 10));
    for gateway in &instances {
        settled(gateway).await;
    }
    sleep(NEWS).await;
    // What was paid for answers on, at either instance.
    for gateway in &instances {
        let hit = gateway.post(prompt(answered[0])).await;
        assert_eq!(hit.expect(200).json()["cached"], true);
        let status = gateway.get("/llm/budget/status").await.json();
        assert_eq!((&status["daily"]["used"], &status["daily"]["isOverLimit"]), (&json!(0.075), &json!(false)));
        let mut told = kinds(&alerts(gateway).await);
        told.sort_unstable();
        assert_eq!(told, ["limit_exceeded daily", "warning daily"]);
    }
    assert_eq!(calls(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_outlives_a_restart_and_an_outage() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let url = upstash.url();
    let start = || {
        let settings = [("UPSTASH_REDIS_REST_URL", url.as_str()), ("UPSTASH_REDIS_REST_TOKEN", upstash.token())];
        Gateway::with(settings, Scripted::hello())
    };
    let used = async |gateway: &Gateway| gateway.get("/llm/budget/status").await.expect(200).json();
    let gateway = start();
    gateway.generate("1").await.expect(200);
    // Stopped, as at SIGTERM.
    gateway.app.chores.finish().await;

    let gateway = start();
    assert_eq!(used(&gateway).await["daily"]["used"], 0.0075);
    gateway.generate("2").await.expect(200);
    upstash.fail(Fault::DropAfter, &["EVALSHA", "EVAL"], 3);
    gateway.app.chores.finish().await;
    upstash.heal();
    upstash.fail(Fault::ServerError(503), &[], usize::MAX);
    gateway.generate("3").await.expect(200);
    sleep(NEWS).await;
    let away = used(&gateway).await;
    assert_eq!(away["daily"]["used"], 0.0225, "what is known here");
    assert!(away["asOf"].is_string(), "{away}");
    for path in ["/llm/usage", "/llm/budget/analytics", "/llm/budget/alerts", "/llm/budget/config"] {
        let unknown = gateway.get(path).await;
        assert_eq!(unknown.expect(503).json()["error"], "The store does not answer", "{path}");
    }
    assert_eq!(gateway.get("/llm/models").await.expect(200).json()["usageStats"], Value::Null);
    upstash.heal();
    // The store is left alone for a while after all those failures.
    let until = Instant::now() + Duration::from_secs(20);
    while gateway.get("/llm/usage").await.status != StatusCode::OK {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(100)).await;
    }
    let there = start();
    for gateway in [&gateway, &there] {
        let status = used(gateway).await;
        assert_eq!((&status["daily"]["used"], status.get("asOf")), (&json!(0.0225), None));
        assert_eq!(gateway.get("/llm/usage").await.expect(200).json()["totalRequests"], 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_first_attempt_may_have_reserved_is_free_again_after_the_call() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    let url = upstash.url();
    let start = || {
        let [_, others @ ..] = settings("", "0.04");
        let store = [("UPSTASH_REDIS_REST_URL", url.as_str()), ("UPSTASH_REDIS_REST_TOKEN", upstash.token())];
        Gateway::with_all(&[store.as_slice(), &others].concat(), Scripted::hello())
    };
    let [gateway, other] = [start(), start()];
    gateway.post(prompt(1)).await.expect(200);
    settled(&gateway).await;
    // Reserved, and nobody hears of it; the second attempt is not even made.
    upstash.fail(Fault::DropAfter, &["EVALSHA"], 1);
    upstash.fail(Fault::ServerError(503), &[], usize::MAX);
    gateway.post(prompt(2)).await.expect(200);
    upstash.heal();
    gateway.app.chores.finish().await;
    // $0.015 are spent: there is room for one more, if nothing is reserved any more.
    other.post(prompt(3)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_only_looks_finds_the_store_again() {
    let redis = RedisServer::start().await;
    let url = redis.url();
    let gateway = Gateway::with([("REDIS_URL", url.as_str())], Scripted::hello());
    let is_known = async || gateway.get("/llm/budget/status").await.expect(200).json().get("asOf").is_none();
    assert!(is_known().await);
    redis.kill();
    sleep(NEWS).await;
    // It is left alone after so many.
    for _ in 0..8 {
        assert!(!is_known().await);
    }
    redis.restart().await;
    let until = Instant::now() + Duration::from_secs(10);
    while !is_known().await {
        assert!(Instant::now() < until, "it is never asked again");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn an_alert_is_posted_to_the_webhook_and_again_until_it_is_taken() {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let took = Arc::clone(&seen);
    let hook = Router::new().fallback(posted(move |body: Bytes| async move {
        let mut seen = took.lock().unwrap();
        seen.push(serde_json::from_slice(&body).unwrap());
        // The first is refused for the moment, the second taken, all others refused for good.
        [StatusCode::SERVICE_UNAVAILABLE, StatusCode::NO_CONTENT, StatusCode::NOT_FOUND][seen.len().min(3) - 1]
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?token=secret", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, hook).await });
    let settings = [("BUDGET_WEBHOOK_URL", url.as_str()), ("BUDGET_DAILY_USD", "0.009"), ("BUDGET_WEEKLY_USD", "0.02")];
    let gateway = Gateway::with(settings, Scripted::hello());
    gateway.generate("1").await.expect(200);
    settled(&gateway).await;
    let came = seen.lock().unwrap().clone();
    assert_eq!((came.len(), &came[0]), (2, &came[1]));
    let (open, alert) = (alerts(&gateway).await, &came[0]);
    assert_eq!(
        (&alert["id"], &alert["type"], &alert["text"]),
        (&open[0]["id"], &json!("warning"), &open[0]["message"])
    );
    gateway.generate("2").await.expect(200);
    settled(&gateway).await;
    let types: Vec<Value> = seen.lock().unwrap().iter().skip(2).map(|alert| alert["type"].clone()).collect();
    assert!(types.contains(&json!("limit_exceeded")), "{types:?}");
}

//! A client's fair rate.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{body::Body, http::Request};
use llm_gateway::stores::{Admission, CounterStore, Quota, StoreError, Stores};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Gateway, Scripted, TODAY, post_from};

#[tokio::test(start_paused = true)]
async fn the_twenty_first_generation_within_a_minute_is_refused() {
    let gateway = Gateway::start();
    for left in (0..20).rev() {
        let reply = gateway.generate("x").await;
        assert_eq!(reply.expect(200).header("x-ratelimit-remaining"), left.to_string());
        assert_eq!(reply.header("x-ratelimit-limit"), "20");
        assert_eq!(reply.header("ratelimit-policy"), "\"generate\";q=20;w=60");
    }
    tokio::time::advance(Duration::from_millis(100)).await;
    let reply = gateway.stream("x").await.finish().await;
    assert_eq!(
        reply.expect(429).json(),
        json!({
            "error": "Rate limit exceeded",
            "message": "Too many LLM requests, please wait before trying again.",
            "retryAfter": 60,
            "requestId": reply.header("x-request-id"),
        })
    );
    assert_eq!(reply.header("retry-after"), "60");
    assert_eq!(reply.header("x-ratelimit-remaining"), "0");
    assert_eq!(reply.header("ratelimit"), "\"generate\";r=0;t=60");
}

#[tokio::test(start_paused = true)]
async fn refused_requests_do_not_count_and_the_wait_is_real() {
    let gateway = Gateway::with([("RATE_LIMIT_MAX", "2"), ("RATE_LIMIT_WINDOW_SECONDS", "10")], Scripted::hello());
    gateway.generate("x").await.expect(200);
    tokio::time::advance(Duration::from_secs(4)).await;
    gateway.generate("x").await.expect(200);
    for _ in 0..50 {
        assert_eq!(gateway.generate("x").await.expect(429).header("retry-after"), "6");
    }
    tokio::time::advance(Duration::from_millis(5_999)).await;
    assert_eq!(gateway.generate("x").await.expect(429).header("retry-after"), "1");
    tokio::time::advance(Duration::from_millis(1)).await;
    let reply = gateway.generate("x").await;
    let reset: u64 = reply.expect(200).header("x-ratelimit-reset").parse().unwrap();
    // Ten seconds after the start, and four more until the second one leaves.
    assert_eq!(reset, TODAY.as_secs() * 1000 + 14_000);
}

#[tokio::test(start_paused = true)]
async fn it_is_one_bucket_for_a_client_however_the_path_is_spelled() {
    let gateway = Gateway::with([("RATE_LIMIT_MAX", "3")], Scripted::hello());
    let body = json!({"prompt": "x", "model": "gpt-4o"});
    for path in ["/llm/generate", "/llm/generate/", "/LLM/Generate"] {
        gateway.send(post_from("1.2.3.4:5", path, &body)).await.expect(200);
    }
    gateway.send(post_from("1.2.3.4:6", "/llm/generate?x", &body)).await.expect(429);
    gateway.send(post_from("1.2.3.5:5", "/llm/generate", &body)).await.expect(200);
}

#[tokio::test(start_paused = true)]
async fn it_decides_before_the_body_is_read() {
    let gateway = Gateway::with([("RATE_LIMIT_MAX", "1")], Scripted::hello());
    let request = |body| Request::post("/llm/generate").header("content-type", "application/json").body(body).unwrap();
    gateway.send(request(Body::from("{broken"))).await.expect(400);
    let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    gateway.send(request(never)).await.expect(429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_hundred_at_once_exactly_twenty_pass() {
    let gateway = Arc::new(Gateway::start());
    let asking: Vec<_> = (0..200)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.generate("x").await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for one in asking {
        statuses.push(one.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 20);
    assert_eq!(statuses.iter().filter(|&&status| status == 429).count(), 180);
}

#[tokio::test(start_paused = true)]
async fn zero_turns_it_off() {
    let gateway = Gateway::with([("RATE_LIMIT_MAX", "0")], Scripted::hello());
    for _ in 0..50 {
        assert_eq!(gateway.generate("x").await.expect(200).header("x-ratelimit-limit"), "");
    }
}

/// Cannot say whom it admits.
struct Silent;

#[async_trait]
impl CounterStore for Silent {
    async fn admit(&self, _: &str, _: Quota, _: NonZeroU32, _: Instant) -> Result<Admission, StoreError> {
        Err(StoreError::Timeout)
    }
}

#[tokio::test(start_paused = true)]
async fn whom_nobody_can_count_is_answered() {
    let gateway = Gateway::with_stores(&[("RATE_LIMIT_MAX", "1")], Scripted::hello(), |stores| Stores {
        counters: Arc::new(Silent),
        ..stores
    });
    for _ in 0..2 {
        assert_eq!(gateway.generate("x").await.expect(200).header("x-ratelimit-limit"), "");
    }
    let metrics = gateway.get("/metrics").await.body;
    let unchecked = r#"llm_gateway_rate_limit_decisions_total{decision="unchecked",mode="local"} 2"#;
    assert!(metrics.lines().any(|line| line == unchecked), "{metrics}");
}

//! `GET /metrics`: what happens is counted, under names that are documented, in a form that Prometheus takes.

#![expect(clippy::float_cmp, reason = "what is compared is counted in whole numbers")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    process::Stdio,
};

use axum::{body::Body, http::Request};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{Gateway, RedisServer, Scripted, post, stats};

/// What a scrape of `gateway` says, by the whole name of each series.
async fn scraped(gateway: &Gateway) -> HashMap<String, f64> {
    let reply = gateway.get("/metrics").await;
    assert_eq!(reply.expect(200).header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    series(&reply.body)
}

fn series(text: &str) -> HashMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

async fn everything_that_happens() -> (Gateway, RedisServer) {
    let redis = RedisServer::start().await;
    let gateway =
        Gateway::configured_by(&[("REDIS_URL", &redis.url()), ("DEMO_PROVIDER", "on"), ("PROVIDER_RETRIES", "1")]);
    gateway.generate("hello").await.expect(200);
    gateway.generate("hello").await.expect(200);
    gateway.stream("hello again").await.finish().await.expect(200);
    gateway.post(json!({"prompt": "fails", "model": "demo:error", "allowFailover": false})).await.expect(502);
    let inputs = json!({"input": ["a", "b"], "model": "text-embedding-3-small"});
    gateway.send(post("/v1/embeddings", &inputs)).await.expect(200);
    gateway.get("/nowhere").await.expect(404);
    (gateway, redis)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted() {
    let (gateway, _redis) = everything_that_happens().await;
    let scraped = scraped(&gateway).await;
    let count =
        |series: &str| scraped.get(series).copied().unwrap_or_else(|| panic!("{series} is not in {scraped:#?}"));
    assert_eq!(count(r#"llm_gateway_cache_requests_total{result="hit"}"#), 1.0);
    assert_eq!(count(r#"llm_gateway_cache_requests_total{result="miss"}"#), 4.0);
    let generate = |status| {
        let labels = r#"http_request_method="POST",http_route="/llm/generate""#;
        count(&format!(
            r#"http_server_request_duration_seconds_count{{{labels},http_response_status_code="{status}"}}"#
        ))
    };
    assert_eq!((generate(200), generate(502)), (3.0, 1.0));
    let nowhere = r#"{http_request_method="GET",http_route="",http_response_status_code="404"}"#;
    assert_eq!(count(&format!("http_server_request_duration_seconds_count{nowhere}")), 1.0);
    let calls = |operation, model, error| {
        let labels = format!(
            r#"gen_ai_operation_name="{operation}",gen_ai_provider_name="demo",gen_ai_request_model="{model}""#
        );
        count(&format!(r#"gen_ai_client_operation_duration_seconds_count{{{labels},error_type="{error}"}}"#))
    };
    assert_eq!(calls("chat", "_OTHER", "server_error"), 2.0, "one attempt and another");
    assert_eq!(calls("embeddings", "text-embedding-3-small", ""), 1.0);
    assert_eq!(count(r#"llm_gateway_time_to_first_text_seconds_count{cache="miss"}"#), 1.0);
    assert_eq!(count(r#"llm_gateway_rate_limit_decisions_total{decision="admitted",mode="store"}"#), 5.0);
    let admitted = r#"{db_system_name="redis",db_operation_name="counter.admit",error_type=""}"#;
    assert_eq!(count(&format!("db_client_operation_duration_seconds_count{admitted}")), 5.0);
    // The scrape itself is under way.
    assert_eq!(count("http_server_active_requests"), 1.0);
    assert_eq!((count("llm_gateway_store_breaker_open"), count("llm_gateway_in_flight_limit")), (0.0, 1024.0));
    assert_eq!(count(r#"llm_gateway_provider_breaker_open{gen_ai_provider_name="demo"}"#), 0.0);
    assert!(count("process_resident_memory_bytes") > 1e6 && count("process_start_time_seconds") > 1.7e9);
}

#[tokio::test]
async fn money_and_tokens_agree_with_the_ledger() {
    let gateway = Gateway::with([("OPENAI_API_KEY", "sk-test")], Scripted::hello());
    gateway.generate("hello").await.expect(200);
    gateway.generate("hello").await.expect(200);
    let scraped = scraped(&gateway).await;
    let sum =
        |name: &str| scraped.iter().filter(|(series, _)| series.starts_with(name)).map(|(_, value)| value).sum::<f64>();
    let usage = gateway.get("/llm/usage").await.json();
    let cost = usage["totalCost"].as_f64().unwrap();
    assert!(cost > 0.0, "{usage}");
    assert!((sum("llm_gateway_cost_dollars_total") - cost).abs() < 1e-9, "{usage} {scraped:#?}");
    assert!((sum("llm_gateway_saved_dollars_total") - cost).abs() < 1e-9, "the same again would have cost the same");
    let stats = stats(&gateway).await;
    assert_eq!(stats["hits"].as_f64().unwrap(), sum(r#"llm_gateway_cache_requests_total{result="hit""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_to_mend() {
    let (gateway, _redis) = everything_that_happens().await;
    let text = gateway.get("/metrics").await.expect(200).body.clone();
    let mut promtool = tokio::process::Command::new("promtool");
    let mut promtool = promtool.args(["check", "metrics", "--extended"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    promtool = promtool.stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("scripts/install-test-tools installs promtool");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = promtool.wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_with_its_labels_and_no_other() {
    let (gateway, _redis) = everything_that_happens().await;
    let text = gateway.get("/metrics").await.expect(200).body.clone();
    let documented = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| row.split_once('`').unwrap());
    let rows: BTreeMap<String, BTreeSet<String>> = rows
        .map(|(name, rest)| {
            let labels = rest.split('|').nth(2).unwrap().split('`').skip(1).step_by(2);
            (name.to_owned(), labels.map(str::to_owned).collect())
        })
        .collect();
    assert_eq!(labels(&text), rows);
}

/// The metrics of a scrape, each with the names of its labels.
fn labels(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let types =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| line.split_once(' ').unwrap().0);
    types
        .map(|name| {
            let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.split_once('{'));
            let samples = samples.filter(|(suffix, _)| ["", "_bucket", "_count", "_sum"].contains(suffix));
            let labels = samples.flat_map(|(_, rest)| rest.rsplit_once('}').unwrap().0.split("\","));
            let labels = labels.map(|label| label.split_once('=').unwrap().0.to_owned()).filter(|label| label != "le");
            (name.to_owned(), labels.collect())
        })
        .collect()
}

#[tokio::test]
async fn where_there_is_an_administrator_nobody_else_sees_them() {
    let gateway = Gateway::configured([("ADMIN_TOKEN", "s3cr3t-admin"), ("API_KEYS", "web:0123456789abcdef")]);
    for path in ["/metrics", "/llm/status"] {
        gateway.get(path).await.expect(401);
        for (token, status) in [("0123456789abcdef", 401), ("s3cr3t-admin", 200)] {
            let request = Request::get(path).header("authorization", format!("Bearer {token}"));
            gateway.send(request.body(Body::empty()).unwrap()).await.expect(status);
        }
    }
    let gateway = Gateway::configured([("API_KEYS", "web:0123456789abcdef")]);
    gateway.get("/metrics").await.expect(200);
    gateway.get("/llm/status").await.expect(401);
}

#[tokio::test]
async fn a_label_has_only_so_many_values() {
    let gateway = Gateway::configured([("COMPATIBLE_ANY_BASE_URL", "http://127.0.0.1:1/v1"), ("RATE_LIMIT_MAX", "0")]);
    let before = gateway.get("/metrics").await.body.lines().count();
    for n in 0..50 {
        gateway.post(json!({"prompt": "x", "model": format!("any:made-up-{n}"), "allowFailover": false})).await;
        let request = Request::builder().method(format!("M{n}").as_str()).uri(format!("/nowhere/{n}"));
        gateway.send(request.body(Body::empty()).unwrap()).await;
    }
    let text = gateway.get("/metrics").await.body.clone();
    assert!(!text.contains("made-up") && !text.contains("M7"), "{text}");
    assert!(text.lines().count() < before + 250, "{before} and {}", text.lines().count());
}

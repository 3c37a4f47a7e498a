//! What the log and the status page tell of requests when they have ended.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Binary, Gateway, Scripted, post, stats};

const ADMIN: &str = "s3cr3t-admin";

/// The lines of `log` whose message begins with `message`.
fn told<'a>(log: &'a [Value], message: &str) -> Vec<&'a Value> {
    let begins = |line: &&Value| line["message"].as_str().is_some_and(|said| said.starts_with(message));
    log.iter().filter(begins).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generations_line_says_all_that_is_known_and_an_administrators_act_is_audited() {
    let mut gateway = Binary::start(&[("ADMIN_TOKEN", ADMIN), ("API_KEYS", "web:0123456789abcdef")]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask =
        |body: Value| client.post(gateway.url("/llm/generate")).bearer_auth("0123456789abcdef").json(&body).send();
    for streaming in [false, false, true] {
        let prompt = if streaming { "another pr1vate question" } else { "a pr1vate question" };
        let reply = ask(json!({"prompt": prompt, "streaming": streaming})).await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.bytes().await.unwrap();
    }
    let failed = ask(json!({"prompt": "x", "model": "demo:unauthorized", "allowFailover": false})).await.unwrap();
    assert_eq!(failed.status(), 502);
    let forget = |token| client.delete(gateway.url("/llm/cache")).bearer_auth(token).send();
    assert_eq!(forget("wrong").await.unwrap().status(), 401);
    assert_eq!(forget(ADMIN).await.unwrap().status(), 200);
    gateway.terminate();
    gateway.ended(Duration::from_secs(10)).await;
    let log = gateway.log();

    let misses = told(&log, "LLM Cache MISS: llm:cache:demo:");
    let hits = told(&log, "LLM Cache HIT: llm:cache:demo:");
    assert_eq!((misses.len(), hits.len()), (3, 1), "{log:#?}");
    for line in misses.iter().chain(&hits) {
        assert_eq!(
            (&line["caller"], &line["provider"], &line["path"]),
            (&json!("key"), &json!("demo"), &json!("/llm/generate"))
        );
        assert!(
            line["model"].is_string() && line["request_id"].is_string() && line["ms"].as_f64() > Some(0.0),
            "{line}"
        );
    }
    let (miss, hit, stream, failed) = (misses[0], hits[0], misses[1], misses[2]);
    assert_eq!((&miss["cache"], &miss["attempts"], &miss["status"]), (&json!("miss"), &json!(1), &json!(200)));
    assert!(miss["input_tokens"].as_u64() > Some(0) && miss["output_tokens"].as_u64() > Some(0), "{miss}");
    assert!(miss["cost"].is_number() && miss.get("first_text_ms").is_none(), "{miss}");
    assert_eq!((&hit["cache"], &hit["attempts"], hit["cost"].as_f64()), (&json!("hit"), &json!(0), Some(0.0)));
    assert!(stream["first_text_ms"].as_f64() > Some(0.0), "{stream}");
    assert_eq!(
        (&failed["cache"], &failed["error"], &failed["status"]),
        (&json!("failed"), &json!("authentication"), &json!(502))
    );

    let (refused, done) = (told(&log, "audit: not the administrator"), told(&log, "audit: administrator"));
    assert_eq!((refused.len(), done.len()), (1, 1), "{log:#?}");
    assert_eq!((&done[0]["method"], &done[0]["path"]), (&json!("DELETE"), &json!("/llm/cache")));
    assert_eq!((&done[0]["address"], &done[0]["status"]), (&json!("127.0.0.1"), &json!(200)));
    let all = Value::Array(log).to_string();
    for secret in ["pr1vate", ADMIN, "0123456789abcdef"] {
        assert!(!all.contains(secret), "`{secret}` is in the log");
    }
}

#[tokio::test]
async fn an_open_page_does_not_fill_the_log() {
    let mut gateway = Binary::start(&[]);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in ["/", "/assets/page.js", "/assets/none.js", "/llm/status", "/health", "/metrics", "/llm/models"] {
        client.get(gateway.url(path)).send().await.unwrap().bytes().await.unwrap();
    }
    gateway.terminate();
    gateway.ended(Duration::from_secs(10)).await;
    let log = gateway.log();
    let paths: Vec<_> = told(&log, "answered").iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/", "/llm/models"]);
}

#[tokio::test]
async fn the_status_agrees_with_what_the_other_routes_say() {
    let gateway = Gateway::with([], Scripted::hello());
    for _ in 0..3 {
        gateway.generate("a pr1vate question").await.expect(200);
    }
    gateway.stream("another").await.finish().await.expect(200);
    gateway.post(json!({"prompt": ""})).await.expect(400);
    let reply = gateway.get("/llm/status").await;
    assert!(!reply.expect(200).body.contains("pr1vate"), "{}", reply.body);
    let status = reply.json();
    let counted = stats(&gateway).await;
    for number in ["hits", "misses", "hitRate", "estimatedSavings"] {
        assert_eq!(status["cache"][number], counted[number], "{number}");
    }
    assert_eq!(status["budget"], gateway.get("/llm/budget/status").await.json());
    let slice = status["slices"].as_array().unwrap().last().unwrap();
    assert_eq!(slice["endings"], json!({"hit": 2, "miss": 2, "refused": 1}));
    assert!(slice["medianMilliseconds"].is_number() && slice["p95Milliseconds"].is_number(), "{slice}");
    let spent = status["budget"]["daily"]["used"].as_f64().unwrap();
    assert!(spent > 0.0 && (slice["spent"].as_f64().unwrap() - spent).abs() < 1e-9, "{slice}");
    // Two of the same, and the call cost half of what two calls did.
    assert!((slice["saved"].as_f64().unwrap() - spent).abs() < 1e-9, "{slice}");
    let recent = status["recent"].as_array().unwrap();
    let endings: Vec<_> = recent.iter().map(|one| one["ending"].as_str().unwrap()).collect();
    assert_eq!(endings, ["miss", "hit", "hit", "miss"], "the newest comes first");
    assert_eq!(
        (&recent[0]["isStream"], &recent[3]["attempts"], &recent[2]["attempts"]),
        (&json!(true), &json!(1), &json!(0))
    );
    // There may be a thousand of them.
    assert!(status["cache"]["instance"].get("models").is_none() && status["cache"]["instance"]["entries"].is_u64());
    assert_eq!((&status["limiter"]["mode"], &status["store"]["kind"]), (&json!("memory"), &json!("memory")));
}

#[tokio::test]
async fn vectors_are_told_of_too() {
    let gateway = Gateway::configured([("DEMO_PROVIDER", "on")]);
    let inputs = json!({"input": ["a", "b"], "model": "text-embedding-3-small"});
    for _ in 0..2 {
        gateway.send(post("/v1/embeddings", &inputs)).await.expect(200);
    }
    let recent = gateway.get("/llm/status").await.json()["recent"].clone();
    let told = |at: usize| (recent[at]["ending"].clone(), recent[at]["attempts"].clone(), recent[at]["route"].clone());
    assert_eq!(told(0), (json!("hit"), json!(0), json!("/v1/embeddings")));
    assert_eq!(told(1), (json!("miss"), json!(1), json!("/v1/embeddings")));
}

#[tokio::test]
async fn calls_that_came_to_nothing_are_counted_too() {
    let gateway = Gateway::configured([("DEMO_PROVIDER", "on")]);
    for (model, streaming, status) in [("refusal", false, 400), ("refusal", true, 200), ("panic", true, 200)] {
        let question = json!({"prompt": "x", "model": format!("demo:{model}"), "streaming": streaming});
        gateway.send(post("/llm/generate", &question)).await.expect(status);
    }
    let recent = gateway.get("/llm/status").await.json()["recent"].clone();
    let attempts: Vec<_> = recent.as_array().unwrap().iter().map(|one| one["attempts"].clone()).collect();
    assert_eq!(attempts, [1, 1, 1], "{recent}");
    let metrics = gateway.get("/metrics").await.body;
    let panicked = r#"gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="demo",gen_ai_request_model="_OTHER",error_type="internal"} 1"#;
    assert!(metrics.contains(panicked) && !metrics.contains("cancelled"), "{metrics}");
}

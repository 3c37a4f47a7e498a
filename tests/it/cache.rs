//! What was answered once is not paid for twice.

use std::time::Duration;

use serde_json::json;

use crate::support::{Gateway, Scripted, stats};

#[tokio::test(start_paused = true)]
async fn the_second_identical_request_is_a_hit_in_either_form() {
    let gateway = Gateway::start();
    gateway.generate("x").await.expect(200);
    let hit = gateway.generate("x").await;
    assert_eq!(hit.expect(200).json()["cached"], true);
    assert_eq!(hit.json()["metadata"]["cached"], true);
    assert_eq!(hit.json()["code"], "Hello, world!");
    assert_eq!(hit.json()["metadata"]["estimatedCost"].as_f64(), Some(0.0));
    assert_eq!(hit.json()["metadata"]["usage"]["inputTokens"], 1000);
    assert_eq!(hit.header("cache-status"), "llm-gateway; hit; ttl=3600");
    assert_eq!(hit.header("age"), "0");
    gateway.stream("x").await.finish().await;
    assert_eq!(gateway.provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_fresh_for_its_ttl_and_no_longer() {
    let gateway = Gateway::with([("CACHE_TTL_SECONDS", "10")], Scripted::hello());
    gateway.generate("x").await;
    tokio::time::advance(Duration::from_millis(9_990)).await;
    assert_eq!(gateway.generate("x").await.json()["cached"], true);
    tokio::time::advance(Duration::from_millis(11)).await;
    assert_eq!(gateway.generate("x").await.json()["cached"], false);
}

#[tokio::test(start_paused = true)]
async fn spellings_of_one_question_share_an_entry() {
    let gateway = Gateway::start();
    gateway.post(json!({"prompt": "x", "model": "openai:gpt-4o"})).await.expect(200);
    for body in [
        json!({"prompt": "x", "model": "gpt-4o", "activeProvider": "openai"}),
        json!({"prompt": "x", "model": " GPT-4o "}),
        json!({"prompt": "x", "model": "openai/gpt-4o", "routingMode": "single-model", "priority": "high"}),
        json!({"prompt": "x"}),
    ] {
        assert_eq!(gateway.post(body.clone()).await.expect(200).json()["cached"], true, "{body}");
    }
    for body in [
        json!({"prompt": "x ", "model": "gpt-4o"}),
        json!({"prompt": "x", "model": "gpt-4o-mini"}),
        json!({"prompt": "x", "model": "gpt-4o", "temperature": 0}),
        json!({"prompt": "x", "model": "gpt-4o", "maxTokens": 100}),
    ] {
        assert_eq!(gateway.post(body.clone()).await.expect(200).json()["cached"], false, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn hits_misses_and_savings_are_counted() {
    let gateway = Gateway::start();
    let empty = gateway.get("/llm/cache/stats").await;
    assert_eq!(empty.body, r#"{"hits":0,"misses":0,"hitRate":0,"estimatedSavings":"$0.00"}"#);
    for prompt in ["x", "x", "x", "y"] {
        gateway.generate(prompt).await.expect(200);
    }
    let stats = stats(&gateway).await;
    assert_eq!((&stats["hits"], &stats["misses"], &stats["hitRate"]), (&json!(2), &json!(2), &json!(50)));
    // Twice $0.0075.
    assert_eq!(stats["estimatedSavings"], "$0.02");
    // What was refused was never looked up.
    gateway.post(json!({"prompt": ""})).await.expect(400);
    assert_eq!(crate::support::stats(&gateway).await, stats);
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_neither_answers_nor_keeps() {
    let gateway = Gateway::with([("CACHE_ENABLED", "false")], Scripted::hello());
    for calls in 1..=2 {
        let reply = gateway.generate("x").await;
        assert_eq!(reply.json()["cached"], false);
        assert_eq!(reply.header("cache-status"), "llm-gateway; fwd=bypass");
        assert_eq!(gateway.provider.calls(), calls);
    }
    assert_eq!(stats(&gateway).await["misses"], 0);
}

#[tokio::test(start_paused = true)]
async fn what_looks_like_json_comes_back_as_text() {
    use llm_gateway::generate::FinishReason;

    use crate::support::Step;
    for text in ["{\"answer\":42}", "12345", "true", "null", "\"quoted\"", "line\nbreak \u{2028} 🦀 \u{0} \\"] {
        let gateway = Gateway::with([], Scripted::new([Step::Text(text), Step::Finish(FinishReason::Stop)]));
        assert_eq!(gateway.generate("x").await.json()["code"], text);
        assert_eq!(gateway.generate("x").await.json()["code"], text);
        assert_eq!(gateway.stream("x").await.finish().await.last()["code"], text);
        assert_eq!(gateway.provider.calls(), 1);
    }
}

//! One question, one stream of events.

use std::time::Duration;

use llm_gateway::generate::{ErrorKind, FinishReason};
use serde_json::json;

use crate::support::{Gateway, Scripted, Step};

#[tokio::test(start_paused = true)]
async fn a_miss_tells_everything_in_the_order_of_the_contract() {
    let gateway = Gateway::start();
    let reply = gateway.stream("Say hello").await.finish().await;
    assert_eq!(
        reply.outline(),
        ["user", "planning", "researching", "executing", "DELTA", "drafting", "summary", "COMPLETE"]
    );
    assert_eq!(reply.header("content-type"), "text/event-stream");
    assert_eq!(reply.header("cache-control"), "no-cache, no-transform");
    assert_eq!(reply.header("x-accel-buffering"), "no");
    assert_eq!(reply.header("cache-status"), "llm-gateway; fwd=miss");
    assert_eq!(reply.deltas(), "Hello, world!");
    let complete = reply.last();
    assert_eq!(complete["code"], "Hello, world!");
    assert_eq!(complete["metadata"]["cache"], "llm-gateway; fwd=miss; stored");
    assert_eq!(complete["metadata"]["estimatedCost"], 0.0075);
    assert!(complete["budget"]["status"]["monthly"]["limit"].is_number());
    for event in reply.events() {
        match event["kind"].as_str() {
            Some("user") => assert_eq!(event["text"], "Prompt: Say hello"),
            Some(_) => assert!(!event["items"].as_array().unwrap().is_empty()),
            None => continue,
        }
        let ts = event["ts"].as_str().unwrap();
        assert!(ts.len() == 8 && (ts.ends_with(" AM") || ts.ends_with(" PM")), "{ts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_is_told_without_a_call() {
    let gateway = Gateway::start();
    let miss = gateway.stream("x").await.finish().await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let hit = gateway.stream("x").await.finish().await;
    assert_eq!(hit.outline(), ["user", "planning", "researching", "drafting", "summary", "COMPLETE"]);
    assert_eq!(hit.header("cache-status"), "llm-gateway; hit; ttl=3540");
    assert_eq!(hit.header("age"), "60");
    assert_eq!(hit.last()["code"], miss.last()["code"]);
    assert_eq!(hit.last()["cached"], true);
    assert_eq!(hit.last()["metadata"]["estimatedCost"].as_f64(), Some(0.0));
    assert!(hit.events()[2]["items"][0].as_str().unwrap().contains("60 s old"));
    assert_eq!(gateway.provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn text_flows_as_it_comes_and_silence_is_filled() {
    let gateway = Gateway::with([], Scripted::slow(Duration::from_secs(25)));
    let mut stream = gateway.stream("x").await;
    let head = stream.until("executing").await;
    assert!(!head.contains("DELTA"));
    let first = stream.until("Hello, ").await;
    assert_eq!(first.matches(": ping").count(), 2, "a comment every 10 s: {first}");
    assert!(!first.contains("world"));
    assert_eq!(stream.finish().await.last()["type"], "COMPLETE");
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_the_stream_with_its_reason() {
    let gateway = Gateway::with([], Scripted::new([Step::Fail(ErrorKind::Overloaded)]));
    let reply = gateway.stream("x").await.finish().await;
    assert_eq!(reply.expect(200).outline(), ["user", "planning", "researching", "executing", "ERROR"]);
    let error = reply.last();
    assert_eq!(error["error"], "The provider is overloaded");
    assert_eq!(error["message"], "Try again later, or choose another provider.");
    assert_eq!((&error["provider"], &error["model"]), (&json!("openai"), &json!("gpt-4o")));
    assert_eq!(error["requestId"], reply.header("x-request-id"));
}

#[tokio::test(start_paused = true)]
async fn the_draft_names_the_files_of_the_answer() {
    let text = "Two:\n```tsx src/App.tsx\na\nb\n```\n```css src/app.css\nc\n```\nAnd then:\n```sh\nls\n```\n";
    let gateway = Gateway::with([], Scripted::new([Step::Text(text), Step::Finish(FinishReason::Stop)]));
    let reply = gateway.stream("x").await.finish().await;
    let drafting = reply.events().into_iter().find(|event| event["kind"] == "drafting").unwrap();
    let files =
        ["src/App.tsx: 2 lines of tsx.", "src/app.css: 1 lines of css.", "A block of 1 lines of sh without a path."];
    assert_eq!(drafting["items"], json!(files));
}

#[tokio::test(start_paused = true)]
async fn when_the_service_stops_a_stream_says_so() {
    let gateway = Gateway::with([], Scripted::new([Step::Text("Half"), Step::Hang]));
    let mut stream = gateway.stream("x").await;
    stream.until("Half").await;
    gateway.app.stopping.cancel();
    let reply = stream.finish().await;
    assert_eq!(reply.last()["error"], "The service is stopping");
}

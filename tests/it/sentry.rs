//! What Sentry is told.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Binary, Sink, Taken, until};

/// The event in an envelope: a line for the envelope, a line for the item, and the item.
fn event(taken: &Taken) -> Value {
    let text = std::str::from_utf8(&taken.body).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let [_, item, event] = lines[..] else { panic!("{text}") };
    assert_eq!(serde_json::from_str::<Value>(item).unwrap()["type"], "event", "{text}");
    serde_json::from_str(event).unwrap()
}

async fn ask(gateway: &Binary, model: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({"prompt": "a pr1vate question", "model": model, "allowFailover": false});
    client.post(gateway.url("/llm/generate")).bearer_auth("0123456789abcdef").json(&body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_told_with_its_place_and_its_request_and_nothing_else() {
    let sentry = Sink::answering(Some(200)).await;
    let dsn = format!("http://k3y@{}/42", sentry.address);
    // Whatever the log is told.
    let log = "off,llm_gateway=info,llm_gateway::http=off";
    let settings = [("SENTRY_DSN", dsn.as_str()), ("API_KEYS", "web:0123456789abcdef"), ("LOG_LEVEL", log)];
    let mut gateway = Binary::start(&settings);
    assert_eq!(ask(&gateway, "demo:any").await.status(), 200);
    let reply = ask(&gateway, "demo:panic").await;
    assert_eq!(reply.status(), 500);
    let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
    until("it is told at once", async || !sentry.taken().is_empty()).await;
    gateway.terminate();
    assert!(gateway.ended(Duration::from_secs(60)).await.success());

    let taken = sentry.taken();
    let [taken] = &taken[..] else { panic!("{} were told", taken.len()) };
    assert_eq!(taken.path, "/api/42/envelope/");
    assert!(taken.headers["x-sentry-auth"].to_str().unwrap().contains("sentry_key=k3y"));
    let event = event(taken);
    assert!(event["culprit"].as_str().unwrap().starts_with("src/providers/demo.rs:"), "{event}");
    assert_eq!((&event["message"], &event["tags"]), (&json!("panic"), &json!({"request_id": id})));
    assert_eq!(event["release"], concat!("llm-gateway@", env!("CARGO_PKG_VERSION")));
    assert_eq!(event["environment"], "development");
    let known =
        ["event_id", "timestamp", "message", "culprit", "fingerprint", "release", "environment", "tags", "extra"];
    assert!(event.as_object().unwrap().keys().all(|name| known.contains(&name.as_str())), "{event}");
    for secret in ["pr1vate", "0123456789abcdef", "asked to panic"] {
        assert!(!sentry.holds(secret), "`{secret}` was told: {event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentry_that_does_not_answer_or_wants_no_more_troubles_nobody() {
    for status in [None, Some(429)] {
        let sentry = Sink::answering(status).await;
        let dsn = format!("http://k3y@{}/42", sentry.address);
        let mut gateway = Binary::start(&[("SENTRY_DSN", &dsn), ("RATE_LIMIT_MAX", "0")]);
        for _ in 0..10 {
            assert_eq!(ask(&gateway, "demo:panic").await.status(), 500);
            assert_eq!(ask(&gateway, "demo:any").await.status(), 200);
        }
        gateway.terminate();
        assert!(gateway.ended(Duration::from_secs(20)).await.success(), "{status:?}");
        let told = sentry.taken().len();
        // One that was told that it is enough tells no more.
        assert!(told == 1 || (told > 1 && status.is_none()), "{status:?}: {told}");
    }
}

#[test]
fn a_wrong_dsn_stops_the_start_and_is_not_repeated() {
    let output = Binary::command(&[("SENTRY_DSN", "k3y@sentry.io/42")]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), told.lines().count(), told.contains("k3y")), (Some(78), 1, false), "{told}");
}

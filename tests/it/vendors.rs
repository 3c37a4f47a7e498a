//! Every vendor over real sockets: how it fails, and what the client is told.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_util::sync::CancellationToken;

use crate::support::{Gateway, Vendor, Vendors, post, until};

/// Each vendor with the settings that put it at an address, and one of its models.
const VENDORS: [(&str, &str, &str, &str); 6] = [
    ("OPENAI_API_KEY", "OPENAI_BASE_URL", "openai", "gpt-5.5"),
    ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "anthropic", "claude-sonnet-5-5"),
    ("GOOGLE_API_KEY", "GOOGLE_BASE_URL", "google", "gemini-3.8-flash"),
    ("PORT", "OLLAMA_BASE_URL", "ollama", "llama3.2"),
    ("XAI_API_KEY", "XAI_BASE_URL", "xai", "grok-4.7"),
    ("COMPATIBLE_LOCAL_API_KEY", "COMPATIBLE_LOCAL_BASE_URL", "local", "any"),
];

const SECRET: &str = "9000";

fn json_headers(more: &[(&'static str, &'static str)]) -> HeaderMap {
    let json = [("content-type", "application/json")];
    json.iter().chain(more).map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

#[tokio::test]
async fn every_status_of_every_vendor_has_its_status_and_its_number_of_attempts() {
    let body = Bytes::from(r#"{"error":{"message":"vendor words about sk-secret","status":"X","type":"x"}}"#);
    for (key, address, provider, model) in VENDORS {
        for (status, expected, attempts) in [
            (400, 400, 1),
            (401, 502, 1),
            (403, 502, 1),
            (404, 404, 1),
            (408, 504, 2),
            (413, 413, 1),
            (429, 429, 2),
            (500, 502, 2),
            (502, 502, 2),
            (503, 503, 2),
            (504, 504, 2),
            (529, 503, 2),
        ] {
            for is_html in [false, true] {
                // A wait that is short, so that the test is.
                let headers = if is_html {
                    [("content-type", "text/html"), ("retry-after-ms", "1")]
                        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                        .into_iter()
                        .collect()
                } else {
                    json_headers(&[("retry-after-ms", "1")])
                };
                let body = if is_html { Bytes::from("<html>vendor words</html>") } else { body.clone() };
                let vendor = Vendor::serving(status, headers, body, usize::MAX).await;
                let root = vendor.base_url.trim_end_matches("/v1");
                let gateway = Gateway::configured([(key, SECRET), (address, root), ("PROVIDER_RETRIES", "1")]);
                let question = json!({
                    "prompt": "x", "model": format!("{provider}:{model}"), "allowFailover": false,
                });
                let reply = gateway.send(post("/llm/generate", &question)).await;
                let name = format!("{provider} {status}: {}", reply.body);
                assert_eq!((reply.status.as_u16(), vendor.calls()), (expected, attempts), "{name}");
                assert!(!reply.body.contains("vendor words") && !reply.body.contains("sk-secret"), "{name}");
                assert_eq!(reply.json()["provider"], provider, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_success_that_is_no_answer_is_an_error() {
    for (key, address, provider, model) in VENDORS {
        for (content_type, body) in [
            ("text/html", "<html>captive portal</html>"),
            ("application/json", ""),
            ("application/json", "{}"),
            ("application/json", "[]"),
            ("application/json", r#"{"choices":[],"candidates":[],"content":[]}"#),
            ("text/event-stream", ""),
            ("text/event-stream", "data: {}\n\n"),
        ] {
            let headers = [("content-type".parse().unwrap(), HeaderValue::from_static(content_type))];
            let vendor = Vendor::serving(200, headers.into_iter().collect(), body.into(), usize::MAX).await;
            let root = vendor.base_url.trim_end_matches("/v1");
            let gateway = Gateway::configured([(key, SECRET), (address, root), ("PROVIDER_RETRIES", "0")]);
            let question = json!({"prompt": "x", "model": format!("{provider}:{model}"), "allowFailover": false});
            for calls in [1, 2] {
                let reply = gateway.send(post("/llm/generate", &question)).await;
                assert_eq!(reply.status, 502, "{provider} `{body}`: {}", reply.body);
                assert_eq!(vendor.calls(), calls, "nothing of it is kept");
            }
        }
    }
}

#[tokio::test]
async fn an_empty_refusal_is_none() {
    let body = r#"{"choices":[{"message":{"content":"Hi","refusal":""},"finish_reason":"stop"}]}"#;
    let vendor = Vendor::serving(200, json_headers(&[]), body.into(), usize::MAX).await;
    let gateway = Gateway::configured([("COMPATIBLE_LOCAL_BASE_URL", vendor.base_url.as_str())]);
    let reply = gateway.send(post("/llm/generate", &json!({"prompt": "x", "model": "local:any"}))).await;
    let answer = reply.expect(200).json();
    assert_eq!((&answer["code"], &answer["metadata"]["finishReason"]), (&json!("Hi"), &json!("stop")));
}

/// A vendor that reads a request, writes `begins`, and resets the connection.
async fn resetting(begins: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (root, calls) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&calls);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 64 << 10];
            if stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, Ordering::SeqCst);
            }
            stream.write_all(begins.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            // Time for what was written to be read before the reset discards it.
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.set_zero_linger().unwrap();
        }
    });
    (root, calls)
}

#[tokio::test]
async fn a_reset_before_any_text_is_tried_again_and_then_an_error() {
    let half = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"half";
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 900\r\n\r\ndata: {\"ha";
    for (key, address, provider, model) in VENDORS {
        for (begins, streaming) in [("", false), ("", true), (half, false), (stream, true)] {
            let (root, calls) = resetting(begins).await;
            let gateway = Gateway::configured([(key, SECRET), (address, root.as_str()), ("PROVIDER_RETRIES", "1")]);
            let question = json!({
                "prompt": "x", "model": format!("{provider}:{model}"), "allowFailover": false, "streaming": streaming,
            });
            let reply = gateway.send(post("/llm/generate", &question)).await;
            let name = format!("{provider} `{begins}`: {}", reply.body);
            if streaming {
                assert_eq!(reply.last()["type"], "ERROR", "{name}");
            } else {
                assert_eq!(reply.status, 502, "{name}");
            }
            assert_eq!(calls.load(Ordering::SeqCst), 2, "{name}");
        }
    }
}

#[tokio::test]
async fn who_has_its_own_list_of_models_is_asked_for_it_while_the_service_serves() {
    let vendors = Vendors::start().await;
    let settings = vendors.settings();
    let (_, url) = settings.iter().find(|(name, _)| *name == "OLLAMA_BASE_URL").unwrap();
    let gateway = Gateway::configured([("OLLAMA_BASE_URL", url.as_str())]);
    let models = async || {
        let lists = gateway.get("/llm/models").await.expect(200).json();
        let lists = lists["providers"].as_array().unwrap();
        let ollama = lists.iter().find(|list| list["name"] == "Ollama (Local)").unwrap();
        ollama["models"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>()
    };
    assert!(models().await.is_empty());
    let over = CancellationToken::new();
    let running = tokio::spawn(gateway.app.chores.clone().run(over.clone()));
    let expected = ["gemma4", "llama3.2"].map(str::to_owned).into();
    until("it has said which it has, and those that make vectors are not among them", async || {
        models().await == expected
    })
    .await;
    over.cancel();
    running.await.unwrap();
}

//! The backend that is replaced, with its faults: small, but true to what was recorded of it.

mod generate;
mod lists;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What it refuses of a body.
const LIMIT_BYTES: usize = 100 * 1024;
const ORIGIN: &str = "http://localhost:3000";

/// The old backend, for as long as the test lasts.
pub(super) struct OldBackend {
    pub(super) url: String,
}

/// What the process remembers.
#[derive(Default)]
pub(super) struct Memory {
    /// Generations by the path as it was sent.
    counts: HashMap<String, u64>,
    cache: HashMap<String, String>,
    hits: u32,
    misses: u32,
    most: u64,
}

type Shared = Arc<Mutex<Memory>>;

impl OldBackend {
    /// Lets `most` generations through.
    pub(super) async fn start(most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let memory: Shared = Arc::new(Mutex::new(Memory { most, ..Memory::default() }));
        let router = Router::new().fallback(take).with_state(memory);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url }
    }
}

fn json_reply(status: u16, body: &Value) -> Response {
    let headers = [("content-type", "application/json; charset=utf-8"), ("etag", "W/\"2a-old\"")];
    (StatusCode::from_u16(status).unwrap(), headers, body.to_string()).into_response()
}

const HTML: &str = "text/html; charset=utf-8";

/// An error page, as Express has them.
fn page(status: u16, said: &str) -> Response {
    let page = format!("<!DOCTYPE html>\n<html lang=\"en\"><body><pre>{said}</pre></body></html>\n");
    let headers = [
        ("content-type", HTML),
        ("content-security-policy", "default-src 'none'"),
        ("x-content-type-options", "nosniff"),
    ];
    (StatusCode::from_u16(status).unwrap(), headers, page).into_response()
}

async fn take(State(memory): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (mut reply, is_early) = answer(&memory, &method, &uri, &headers, &body);
    let told = reply.headers_mut();
    told.insert("x-powered-by", HeaderValue::from_static("Express"));
    told.insert("vary", HeaderValue::from_static("Origin"));
    if headers.get("origin").is_some_and(|origin| origin == ORIGIN) {
        told.insert("access-control-allow-origin", HeaderValue::from_static(ORIGIN));
    }
    if !is_early {
        let made = HeaderValue::from_static("req-1795485306112-abcdefghi");
        told.insert("x-request-id", headers.get("x-request-id").cloned().unwrap_or(made));
    }
    let unchanged =
        reply.status() == 200 && headers.contains_key("if-none-match") && reply.headers().contains_key("etag");
    if unchanged {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        *reply.body_mut() = Body::empty();
        reply.headers_mut().remove("content-type");
    }
    reply
}

/// The reply, and whether it was given before there was an id.
fn answer(memory: &Shared, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> (Response, bool) {
    if method == Method::OPTIONS {
        return (preflight(headers), true);
    }
    let is_json = headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let parsed = match serde_json::from_slice::<Value>(body) {
        _ if !is_json || body.is_empty() => None,
        _ if body.len() > LIMIT_BYTES => return (page(413, "PayloadTooLargeError: request entity too large"), true),
        Ok(body @ (Value::Object(_) | Value::Array(_))) => Some(body),
        Ok(_) | Err(_) => return (page(400, "SyntaxError: Unexpected token in JSON at position 1"), true),
    };
    (routed(memory, method, uri, headers, parsed.as_ref()), false)
}

fn preflight(headers: &HeaderMap) -> Response {
    let mut reply = StatusCode::NO_CONTENT.into_response();
    let told = reply.headers_mut();
    told.insert("access-control-allow-methods", HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE"));
    if let Some(asked) = headers.get("access-control-request-headers") {
        told.insert("access-control-allow-headers", asked.clone());
    }
    reply
}

fn routed(memory: &Shared, method: &Method, uri: &Uri, headers: &HeaderMap, body: Option<&Value>) -> Response {
    let path = uri.path().trim_end_matches('/').to_lowercase();
    let mut memory = memory.lock().unwrap();
    // To HEAD the same is said, without a body.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    match (method, path.as_str()) {
        ("GET", "") => ([("content-type", HTML), ("etag", "W/\"17-old\"")], "The backend is running.").into_response(),
        ("GET", "/health") => {
            json_reply(503, &json!({"healthy": false, "redis": true, "memory": false, "uptime": 34.959}))
        }
        ("GET", "/metrics") => {
            let times = json!({"count": 13, "avg": 19.1, "min": 2, "max": 72, "p50": 16, "p95": 72, "p99": 72});
            json_reply(200, &json!({"httpRequests": times, "memory": {"rss": 83_046_400}}))
        }
        ("POST", "/llm/generate") => generate::generate(&mut memory, uri.path(), headers, body),
        ("GET", "/llm/models") => json_reply(200, &lists::models()),
        ("GET", "/llm/providers") => json_reply(200, &lists::providers()),
        ("GET", "/llm/usage") => json_reply(200, &lists::usage()),
        ("GET", "/llm/cache/stats") => json_reply(200, &lists::stats(memory.hits, memory.misses)),
        ("POST", "/llm/test-provider") => test_provider(body),
        ("GET", "/llm/budget/status") => json_reply(200, &lists::periods(&json!(0.1))),
        ("GET", "/llm/budget/config") => json_reply(200, &lists::config()),
        ("PUT", "/llm/budget/config") => json_reply(200, &json!({"success": true, "config": lists::config()})),
        ("GET", "/llm/budget/analytics") => json_reply(200, &lists::analytics()),
        ("GET", "/llm/budget/alerts") => json_reply(200, &json!({"alerts": []})),
        ("POST", "/llm/budget/reset/daily") => json_reply(200, &json!({"success": true})),
        ("POST", path) if path.starts_with("/llm/budget/reset/") => {
            json_reply(400, &json!({"error": "Invalid period"}))
        }
        ("POST", path) if path.ends_with("/acknowledge") => json_reply(404, &json!({"error": "Alert not found"})),
        _ => page(404, &format!("Cannot {method} {}", uri.path())),
    }
}

fn test_provider(body: Option<&Value>) -> Response {
    let Some(body) = body else {
        let details = "Cannot destructure property 'providerName' of 'req.body' as it is undefined.";
        return json_reply(500, &json!({"error": "Failed to test provider", "details": details}));
    };
    match body["providerName"].as_str() {
        None | Some("") => json_reply(400, &json!({"error": "Provider name is required"})),
        Some("openai") => json_reply(200, &json!({"provider": "openai", "success": true, "responseTime": 412})),
        Some(other) => json_reply(200, &json!({"provider": other, "success": false, "error": "Provider not found"})),
    }
}

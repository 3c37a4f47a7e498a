//! Requests and replies as data, with the few shapes that most of them have.

#![expect(clippy::needless_pass_by_value, reason = "cases are read, not run")]

use llm_gateway::compare::{Body, Recorded, Reply};
use serde_json::{Value, json};

/// What is sent, and what both answer.
pub(super) struct Case {
    pub(super) rule: &'static str,
    pub(super) request: Value,
    pub(super) old: Value,
    pub(super) new: Value,
    /// The same with one thing changed, for which the rule is not meant.
    pub(super) near: Near,
}

pub(super) enum Near {
    Request(Value),
    Old(Value),
    New(Value),
}

pub(super) fn recorded(request: &Value) -> Recorded {
    Recorded::read(&request.to_string()).unwrap().remove(0)
}

/// `{"status", "headers"?}` with a body that is `body` (JSON), `events`, `page`, `text` or none.
pub(super) fn reply(reply: &Value) -> Reply {
    let status = reply["status"].as_u64().unwrap() as u16;
    let headers = reply["headers"].as_object().cloned().unwrap_or_default();
    let headers = headers.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned()));
    let text = |field: &str| reply[field].as_str().map(str::to_owned);
    let body = match (reply.get("body"), reply.get("events"), text("page"), text("text")) {
        (Some(body), ..) => Body::Json(body.clone()),
        (_, Some(events), ..) => Body::Events(events.as_array().unwrap().clone()),
        (.., Some(page), _) => Body::Page(page),
        (.., Some(text)) => Body::Text(text),
        _ => Body::Nothing,
    };
    Reply { status, headers: headers.collect(), body }
}

pub(super) fn get(path: &str) -> Value {
    json!({"method": "GET", "path": path})
}

pub(super) fn generate(body: Value) -> Value {
    json!({"method": "POST", "path": "/llm/generate", "body": body})
}

pub(super) fn says(status: u16, body: Value) -> Value {
    json!({"status": status, "body": body})
}

/// An error page, as Express has them.
pub(super) fn page(status: u16) -> Value {
    let page = json!({"status": status, "page": "<!DOCTYPE html><pre>Cannot GET</pre>"});
    with(page, "content-security-policy", "default-src 'none'")
}

/// What HEAD is told of a body of this type.
pub(super) fn would_be(status: u16, kind: &str) -> Value {
    with(json!({"status": status}), "content-type", kind)
}

pub(super) fn streams(events: Value) -> Value {
    json!({"status": 200, "events": events})
}

/// The same reply with another header.
pub(super) fn with(mut reply: Value, name: &str, value: &str) -> Value {
    reply["headers"][name] = value.into();
    reply
}

/// An answer of the old, with these fields of its metadata changed.
pub(super) fn answer(changes: Value) -> Value {
    let mut answer = json!({
        "code": "x",
        "metadata": {"model": "gpt-4o", "provider": "openai", "estimatedTokens": 2, "estimatedCost": 0.1,
                     "routingMode": "manual", "mock": false, "cached": false},
        "budget": {"alerts": [], "status": periods()},
    });
    answer["metadata"].as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    answer
}

/// The same of the new.
pub(super) fn answered(changes: Value) -> Value {
    let mut answer = answer(json!({}));
    let usage = json!({"inputTokens": 1, "outputTokens": 1, "cachedInputTokens": 0, "reasoningTokens": 0});
    let more = json!({"cache": "llm-gateway; fwd=miss; stored", "usage": usage, "finishReason": "stop", "attempts": 1, "requestId": "id"});
    let metadata = answer["metadata"].as_object_mut().unwrap();
    metadata.extend(more.as_object().unwrap().clone());
    metadata.extend(changes.as_object().unwrap().clone());
    answer["cached"] = answer["metadata"]["cached"].clone();
    answer
}

pub(super) fn periods() -> Value {
    let period = |name: &str| {
        json!({"period": name, "used": 0.1, "limit": 50, "remaining": 49.9, "percentage": 0.2, "isOverLimit": false,
               "isNearLimit": false, "resetDate": "2026-11-26T00:00:00.000Z"})
    };
    json!({"daily": period("daily"), "weekly": period("weekly"), "monthly": period("monthly")})
}

pub(super) fn complete(answer: Value) -> Value {
    let mut event = json!({"type": "COMPLETE"});
    event.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
    event
}

pub(super) fn thought(kind: &str) -> Value {
    match kind {
        "user" => json!({"type": "THINKING", "kind": kind, "ts": "01:55 AM", "text": "Prompt: x"}),
        _ => json!({"type": "THINKING", "kind": kind, "ts": "01:55 AM", "items": ["So it is."]}),
    }
}

/// Thoughts of these kinds, then `last`.
pub(super) fn thoughts(kinds: &[&str], last: Value) -> Value {
    kinds
        .iter()
        .map(|kind| if *kind == "DELTA" { json!({"type": "DELTA", "text": "x"}) } else { thought(kind) })
        .chain([last])
        .collect()
}

pub(super) fn error(said: &str) -> Value {
    json!({"error": said, "message": "Do this.", "requestId": "id"})
}

/// A provider's failure.
pub(super) fn failure() -> Value {
    json!({"error": "The provider failed", "message": "Try again.", "provider": "openai", "model": "gpt-4o", "requestId": "id"})
}

/// What stands in `errors`.
pub(super) fn errors(path: &str) -> Value {
    json!({"error": "Invalid request", "requestId": "id",
           "errors": [{"type": "field", "value": " ", "msg": "No.", "path": path, "location": "body"}]})
}

//! Its generations: what a provider says is decided by the prompt.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    http::{HeaderMap, HeaderValue},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::{Memory, json_reply, lists};

const MODES: [&str; 5] = ["manual", "heuristic", "cost-aware", "orchestrated", "single-model"];
/// What is said in place of an answer.
const CANNED: &str = "// OPENAI_API_KEY is not set\nexport default function App() {}";

/// Where a question goes, or the event and the status of its refusal.
type Target = Result<(String, String), Value>;

pub(super) fn generate(memory: &mut Memory, path: &str, _: &HeaderMap, body: Option<&Value>) -> Response {
    let count = memory.counts.entry(path.to_owned()).or_default();
    *count += 1;
    let left = memory.most.saturating_sub(*count);
    let mut reply = if *count > memory.most {
        let message = "Too many LLM requests, please wait before trying again.";
        json_reply(429, &json!({"error": "Rate limit exceeded", "message": message, "retryAfter": 60}))
    } else {
        answered(memory, body.unwrap_or(&Value::Null))
    };
    let told = reply.headers_mut();
    told.insert("x-ratelimit-limit", HeaderValue::from(memory.most));
    told.insert("x-ratelimit-remaining", HeaderValue::from(left));
    let resets = (UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(60)).as_millis();
    told.insert("x-ratelimit-reset", resets.to_string().parse().unwrap());
    reply
}

fn answered(memory: &mut Memory, body: &Value) -> Response {
    let errors = errors(body);
    if !errors.is_empty() {
        return json_reply(400, &json!({"errors": errors}));
    }
    // Only the value `false` turns streaming off.
    let is_streamed = body["streaming"] != false;
    let prompt = body["prompt"].as_str().unwrap_or_default();
    let (provider, model) = match target(body) {
        Ok(target) => target,
        Err(refusal) if is_streamed => {
            let mut events = vec![user(prompt)];
            events.push(thought("planning"));
            let mut error = json!({"type": "ERROR"});
            error.as_object_mut().unwrap().extend(refusal.as_object().unwrap().clone());
            events.push(error);
            return stream(&events);
        }
        Err(refusal) => return json_reply(422, &refusal),
    };
    let key = format!("{provider}:{model}:{prompt}");
    let stored = memory.cache.get(&key).cloned();
    let cached = stored.is_some();
    *if cached { &mut memory.hits } else { &mut memory.misses } += 1;
    let said = stored.or_else(|| says(prompt));
    if said.as_deref() == Some("") {
        let error = json!({"error": "Failed to generate code", "details": "No response generated from model"});
        return json_reply(500, &error);
    }
    if let (Some(text), false) = (&said, cached) {
        memory.cache.insert(key, text.clone());
    }
    let is_mock = said.is_none();
    let text = said.unwrap_or_else(|| CANNED.to_owned());
    // Whatever parses is parsed when it comes out of the store.
    let parsed = Some(&text).filter(|_| cached).and_then(|text| serde_json::from_str::<Value>(text).ok());
    let amount = if parsed.is_some() { Value::Null } else { json!(0.00012) };
    let tokens = if parsed.is_some() { Value::Null } else { json!(24) };
    let mode = body["routingMode"].as_str().unwrap_or("manual");
    let mut metadata = json!({"model": model, "provider": provider, "estimatedTokens": tokens, "estimatedCost": amount,
                              "routingMode": mode, "mock": is_mock, "cached": cached});
    if is_mock {
        metadata["error"] = "500 {\"error\":{\"message\":\"boom\"}}".into();
    }
    let budget = json!({"alerts": [], "status": lists::periods(&amount)});
    let answer = json!({"code": parsed.unwrap_or_else(|| text.into()), "metadata": metadata, "budget": budget});
    if !is_streamed {
        return json_reply(200, &answer);
    }
    let mut events = vec![user(prompt), thought("planning"), thought("researching")];
    events.extend((!cached).then(|| thought("executing")));
    events.extend((!is_mock).then(|| thought("drafting")));
    events.push(thought("summary"));
    let mut complete = json!({"type": "COMPLETE"});
    complete.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
    events.push(complete);
    stream(&events)
}

/// What the provider says. `None`: it fails.
fn says(prompt: &str) -> Option<String> {
    match prompt {
        prompt if prompt.contains("fail") => None,
        prompt if prompt.contains("empty") => Some(String::new()),
        prompt if prompt.contains("JSON") => Some(r#"{"answer":42}"#.to_owned()),
        _ => Some("```tsx\n// src/Login.tsx\nexport const Login = () => null;\n```".to_owned()),
    }
}

fn target(body: &Value) -> Target {
    let text = |name: &str| body[name].as_str().filter(|text| !text.trim().is_empty());
    let (provider, model) = match text("model") {
        Some(model) => {
            let (provider, model) =
                model.split_once(':').unwrap_or((text("activeProvider").unwrap_or("openai"), model));
            (provider.to_lowercase(), model.to_owned())
        }
        // What the router returns is a name for people.
        None if ["heuristic", "cost-aware", "orchestrated"].contains(&text("routingMode").unwrap_or_default()) => {
            ("openai".to_owned(), "GPT-4o".to_owned())
        }
        None => ("openai".to_owned(), "gpt-4o".to_owned()),
    };
    if provider != "openai" {
        let hint = if provider == "xai" { "Set XAI_API_KEY in .env.local" } else { "Check provider setup" };
        return Err(json!({"error": "Provider not configured", "provider": provider, "hint": hint}));
    }
    if !lists::OFFERED.contains(&model.as_str()) {
        let error = "Model not supported for provider";
        return Err(json!({"error": error, "provider": provider, "model": model, "availableModels": lists::OFFERED}));
    }
    Ok((provider, model))
}

/// A field, whether a value is right for it, and what is said of one that is not.
type Check<'a> = (&'a str, &'a dyn Fn(&Value) -> bool, &'a str);

fn errors(body: &Value) -> Vec<Value> {
    let mut errors = Vec::new();
    let mut refuse = |path: &str, value: Option<&Value>, said: &str| {
        let mut error = json!({"type": "field", "msg": said, "path": path, "location": "body"});
        if let Some(value) = value {
            error["value"] = value.clone();
        }
        errors.push(error);
    };
    let prompt = body.get("prompt");
    if !prompt.is_some_and(Value::is_string) {
        refuse("prompt", prompt, "Invalid value");
    }
    if !prompt.is_some_and(|prompt| prompt.as_str().is_some_and(|text| !text.is_empty()) || prompt.is_array()) {
        refuse("prompt", prompt, "Prompt must be a non-empty string.");
    }
    let is_mode = |value: &Value| value.as_str().is_some_and(|mode| MODES.contains(&mode));
    let is_priority = |value: &Value| ["low", "medium", "high"].contains(&value.as_str().unwrap_or_default());
    let checks: [Check<'_>; 6] = [
        ("model", &Value::is_string, "Model must be a string."),
        ("routingMode", &is_mode, "Invalid routing mode."),
        ("capabilities", &Value::is_array, "Capabilities must be an array."),
        ("priority", &is_priority, "Invalid priority."),
        ("maxCost", &Value::is_number, "Max cost must be a number."),
        ("activeProvider", &Value::is_string, "Active provider must be a string."),
    ];
    for (name, is_right, said) in checks {
        if let Some(value) = body.get(name).filter(|value| !is_right(value)) {
            refuse(name, Some(value), said);
        }
    }
    errors
}

fn user(prompt: &str) -> Value {
    // Cut by units of UTF-16, whatever they are halves of.
    let units: Vec<u16> = prompt.encode_utf16().collect();
    let (told, more) = if units.len() > 100 { (&units[..100], "...") } else { (&units[..], "") };
    let text = format!("Prompt: {}{more}", String::from_utf16_lossy(told));
    json!({"type": "THINKING", "kind": "user", "ts": "01:55 AM", "text": text})
}

fn thought(kind: &str) -> Value {
    json!({"type": "THINKING", "kind": kind, "ts": "01:55 AM", "items": ["server/services/llm.ts says so."]})
}

fn stream(events: &[Value]) -> Response {
    let body = events.iter().fold(String::new(), |body, event| body + &format!("data: {event}\n\n"));
    ([("content-type", "text/event-stream"), ("cache-control", "no-cache")], body).into_response()
}

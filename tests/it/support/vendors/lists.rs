//! The models that each vendor has: every one of the catalogue that it still serves, told only to who has the key.

use axum::response::Response;
use serde_json::{Value, json};

use super::{
    Anthropic, Gemini, KEY, OpenAiChat, Request, fail,
    reading::{Read, key, must},
    reply,
    script::{Fault, FaultKind},
};

/// What is at the path of a question without a body.
pub(super) fn answer(request: &Request) -> Response {
    let Request { path, headers, .. } = request;
    let bearer = || key(headers, "authorization", &format!("Bearer {KEY}"));
    let (vendor, method) = path[1..].split_once('/').unwrap_or_default();
    match (vendor, method) {
        ("ollama", "api/tags") => {
            let names = ["llama3.2:latest", "gemma4:latest", "nomic-embed-text:latest"];
            reply::whole(&json!({"models": names.map(|name| json!({"name": name}))}))
        }
        ("anthropic", "v1/models") => {
            let version = |()| must(headers.contains_key("anthropic-version"), "anthropic-version is required");
            // It tells the whole name of what it takes by a shorter one.
            let model = |id: &str| json!({"type": "model", "id": format!("{id}-20250929"), "display_name": id});
            listed(
                Anthropic,
                key(headers, "x-api-key", KEY).and_then(version),
                || json!({"data": models(vendor).iter().map(|id| model(id)).collect::<Vec<_>>(), "has_more": false}),
            )
        }
        ("google", "v1/models") => listed(Gemini, key(headers, "x-goog-api-key", KEY), || {
            let model = |id: &String| json!({"name": format!("models/{id}")});
            json!({"models": models(vendor).iter().map(model).collect::<Vec<_>>()})
        }),
        ("xai", "v1/models") => listed(OpenAiChat::Xai, bearer(), || list(&models(vendor))),
        ("openai", "v1/models") => listed(OpenAiChat::OpenAi, bearer(), || list(&models(vendor))),
        ("local", "v1/models") => listed(OpenAiChat::Compatible, bearer(), || list(&["gpt-4o".to_owned()])),
        _ if method.ends_with("/models/gpt-4o") => reply::whole(&model("gpt-4o")),
        _ => fail(OpenAiChat::OpenAi, &Fault::new(FaultKind::NotFound, "The model does not exist")),
    }
}

fn listed<D: super::Dialect>(dialect: D, allowed: Read<()>, body: impl FnOnce() -> Value) -> Response {
    match allowed {
        Ok(()) => reply::whole(&body()),
        // Vendors do quote the key.
        Err(fault) => fail(dialect, &Fault { message: format!("{}: you sent {KEY}-wrong", fault.message), ..fault }),
    }
}

fn list(models: &[String]) -> Value {
    json!({"object": "list", "data": models.iter().map(|id| model(id)).collect::<Vec<_>>()})
}

fn model(id: &str) -> Value {
    json!({"id": id, "object": "model", "created": 1_715_367_049, "owned_by": "system"})
}

fn models(provider: &str) -> Vec<String> {
    let catalogue: Value = serde_json::from_str(include_str!("../../../../src/catalogue/models.json")).unwrap();
    let all = catalogue["models"].as_array().unwrap().iter().filter(|model| model["provider"] == provider);
    all.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

//! `POST /llm/cache/explain`: why a request hits or misses.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::{
    caller::Caller,
    error::ApiError,
    generate::{Effort, Format, GenerateRequest, Message, Outcome, Part, Receipt, Sampling, Target},
    layers::cache::Explained,
};

use super::{
    Api,
    ask::{Ask, Fields},
    by,
    cache::unavailable,
    cache_status::{NOT_CACHED, cache_status},
    parameter,
    resolve::resolve,
};

/// What the cache would say, and why.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    key: String,
    /// What a generation with this body and this `Cache-Control` would begin with.
    cache_status: String,
    stored: bool,
    /// Seconds since it was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u64>,
    /// Seconds until it is no longer fresh; negative: since.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
    /// Seconds that an answer stored now would be fresh.
    lifetime: u64,
    /// What the key is made of: two requests share it when all of this is equal.
    #[schema(value_type = Object)]
    fields: Value,
}

/// Explains why a request hits or misses: what `POST /llm/generate` would do with the same body and headers.
///
/// # Errors
/// As for a generation; 503 when the store does not answer.
#[utoipa::path(
    post,
    path = "/llm/cache/explain",
    tag = "cache",
    params(
        ("caller" = Option<String>, Query, description = "With `CACHE_SCOPE=caller`: for this caller instead, an IP address, \
            `key:<name>`, `user:<id>` or `user:<key>:<id>`."),
        ("Cache-Control" = Option<String>, Header, description = "As the generation would have it."),
    ),
    request_body(content = Fields, example = json!({"prompt": "Create a login form", "model": "gpt-4o"})),
    responses(
        (status = 200, description = "What the cache would say, and why.", body = Explanation, example = json!({
            "key": "llm:cache:openai:gpt-4o:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "cacheStatus": "llm-gateway; hit; ttl=3540", "stored": true, "age": 60, "ttl": 3540, "lifetime": 3600,
            "fields": {"provider": "openai", "model": "gpt-4o", "messages": [], "sampling": {}, "format": "text", "tools": [],
                "caller": null}
        })),
        (status = 422, description = "The model or its provider cannot be asked."),
        (status = 503, description = "The store does not answer."),
    ),
)]
pub async fn explain(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Explanation>, ApiError> {
    let (head, body) = request.into_parts();
    let body = api.bodies.read_json(&head.headers, body).await?;
    let (_, mut request) = resolve(&api, Ask::read(&body)?, &head, api.store_timeout)?;
    if let (Some(caller), Some(private_to)) = (parameter(head.uri.query(), "caller"), &mut request.private_to) {
        *private_to = bucket(&caller)?.into();
    }
    let explained = api.shelf.explain(&request, by(&api, None)).await;
    let Explained { key, stored, says, lifetime } = explained.map_err(|error| unavailable(&error))?;
    let says = says.map(|cache| cache_status(&Receipt { cache, ..Receipt::bypass() }, Outcome::NotStored));
    Ok(Json(Explanation {
        key: key.to_string(),
        cache_status: says.map_or_else(|| NOT_CACHED.to_owned(), Into::into),
        stored: stored.is_some(),
        age: stored.map(|freshness| freshness.age.as_secs()),
        ttl: stored.map(crate::generate::Freshness::ttl_seconds),
        lifetime: lifetime.as_secs(),
        fields: fields(&request),
    }))
}

/// A caller by its address, however that is written, by the network that callers of IPv6 share, or as limits name it.
fn bucket(text: &str) -> Result<String, ApiError> {
    if text.starts_with("key:") || text.starts_with("user:") {
        return Ok(text.to_owned());
    }
    let address = text.split('/').next().unwrap_or_default().trim().parse::<IpAddr>();
    address.map(|address| Caller::at(address.to_canonical()).to_string()).map_err(|_| {
        ApiError::new(StatusCode::BAD_REQUEST, "Not a caller")
            .message("`caller` wants an IP address, such as 1.2.3.4, or `key:<name>`, `user:<id>`, `user:<key>:<id>`.")
    })
}

/// The fields that count, as [`crate::generate::Fingerprint`] takes them. Texts stand for themselves by length and hash, so
/// that a prompt goes nowhere that it has not been.
fn fields(request: &GenerateRequest) -> Value {
    let GenerateRequest { target, messages, sampling, format, tools, private_to, .. } = request;
    let Target { provider, model } = target;
    let format = match format {
        Format::Text => "text",
        Format::JsonObject => "json_object",
        Format::JsonSchema { .. } => "json_schema",
    };
    let tools: Vec<&str> = tools.definitions.iter().map(|tool| tool.name.as_str()).collect();
    json!({
        "provider": provider,
        "model": model,
        "messages": messages.iter().map(message).collect::<Vec<_>>(),
        "sampling": sampled(sampling),
        "format": format,
        "tools": tools,
        "caller": private_to.as_deref(),
    })
}

fn message(message: &Message) -> Value {
    let (role, texts): (_, Vec<&str>) = match message {
        Message::System(text) => ("system", vec![text]),
        Message::User(parts) => ("user", parts.iter().map(part).collect()),
        Message::Assistant { text, tool_calls } => {
            let calls = tool_calls.iter().flat_map(|call| [call.name.as_str(), call.arguments.as_str()]);
            ("assistant", std::iter::once(text.as_str()).chain(calls).collect())
        }
        Message::Tool { call_id: _, content } => ("tool", vec![content]),
    };
    let mut hash = Sha256::new();
    for text in &texts {
        hash.update(text);
    }
    json!({"role": role, "bytes": texts.iter().map(|text| text.len()).sum::<usize>(), "sha256": hex::encode(hash.finalize())})
}

fn part(part: &Part) -> &str {
    match part {
        Part::Text(text) => text,
        Part::Image { url, .. } => url,
    }
}

/// What is set of it, by the names of the API.
fn sampled(sampling: &Sampling) -> Map<String, Value> {
    let Sampling { temperature, top_p, max_tokens, seed, presence_penalty, frequency_penalty, stop, effort } = sampling;
    let all = [
        ("temperature", json!(temperature)),
        ("topP", json!(top_p)),
        ("maxTokens", json!(max_tokens)),
        ("seed", json!(seed)),
        ("presencePenalty", json!(presence_penalty)),
        ("frequencyPenalty", json!(frequency_penalty)),
        ("stop", if stop.is_empty() { Value::Null } else { json!(stop) }),
        ("effort", json!(effort.map(Effort::as_str))),
    ];
    all.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
}

//! `POST /v1/embeddings`: vectors, as `OpenAI` gives them.

use std::{io::Write as _, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use tokio::{task::spawn_blocking, time::Instant};
use tower::ServiceExt as _;
use utoipa::ToSchema;

use crate::{
    catalogue::NoEmbedding,
    embed::{EmbedRequest, Embeddings, Input, Vector},
    error::ApiError,
    generate::{ModelId, Target},
    http::{
        Api,
        cache_control::policy,
        cache_status::cache_status,
        check::short,
        exchange::{CACHE_STATUS, Exchange, lookup_time, with_body},
        resolve::private_to,
    },
    json,
    metrics::Operation,
    telemetry::Answered,
};

use super::{
    body::refuse,
    embed_request::{EmbedAsk, EmbeddingsRequest, Encoding},
    resolve::not_found,
};

/// Turns texts into vectors: `OpenAI`'s embeddings.
///
/// Each input is cached for itself: of a batch, only those that were never seen are asked for.
///
/// # Errors
/// A status and JSON: 400 for what is wrong with the request, 404 for a model that nobody has, and whatever a provider's failure
/// means.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    tag = "generation",
    request_body(content = EmbeddingsRequest, examples(
        ("One text" = (value = json!({"model": "text-embedding-3-small", "input": "What is a monad?"}))),
        ("Several" = (value = json!({
            "model": "openai/text-embedding-3-large", "input": ["one text", "another"], "dimensions": 256, "encoding_format": "base64"
        }))),
    )),
    responses((status = 200, description = "One vector for each input, in their order.", body = EmbeddingList, example = json!({
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.013, -0.27, 0.0021]}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 5, "total_tokens": 5}
    }))),
)]
pub async fn embeddings(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    with_body(api, request, answer).await
}

async fn answer(api: Arc<Api>, head: &Parts, body: Bytes) -> Result<Response, ApiError> {
    let EmbedAsk { model, inputs, encoding, dimensions, dropped } = EmbedAsk::read(&body)?;
    // What was read need not be held while it is answered.
    drop(body);
    let target = api.catalogue.resolve_embedding(&model).map_err(|why| unknown(&model, why))?;
    check(&api, &target, &inputs, dimensions)?;
    let called = Instant::now();
    let request = EmbedRequest {
        target: target.clone(),
        inputs,
        dimensions,
        policy: policy(&head.headers),
        private_to: private_to(api.cache.scope, head),
        lookup_time: lookup_time(&api, head),
        begun: called,
    };
    let exchange = Exchange::new(api, head, Operation::Embeddings, target.clone(), false)?;
    let embeddings = match exchange.in_time(exchange.api.embed.clone().oneshot(request)).await {
        Ok(embeddings) => embeddings,
        Err(error) => return Ok(exchange.refused(error)),
    };
    let Embeddings { vectors, usage, receipt, outcome, is_partial_hit, attempts, cost } = embeddings;
    exchange.record.take_down(|generating| {
        generating.decided(&receipt);
        generating.answered(Answered { served: target.clone(), attempts, usage, outcome, cost: Some(cost) });
    });
    let provider = (!receipt.is_hit()).then(|| called.elapsed().saturating_sub(receipt.lookup));
    let json = written(vectors, encoding, target.model, usage.input_tokens).await?;
    let mut response = Response::new(json.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    exchange.set_headers(headers, &receipt, outcome, provider);
    if is_partial_hit {
        let cache_status = [&cache_status(&receipt, outcome), "; detail=partial-hit"].concat();
        if let Ok(value) = HeaderValue::try_from(cache_status) {
            headers.insert(CACHE_STATUS, value);
        }
    }
    dropped.set_header(headers, &[]);
    Ok(response)
}

/// What is known to fail, so that it need not be asked for.
fn check(api: &Api, target: &Target, inputs: &[Input], dimensions: Option<u32>) -> Result<(), ApiError> {
    let has_tokens = inputs.iter().any(|input| matches!(input, Input::Tokens(_)));
    if has_tokens && !api.catalogue.takes_tokens(target) {
        return Err(refuse("input", format!("`input` must be texts for {}: it takes no tokens.", target.model)));
    }
    let Some(model) = api.catalogue.embedding(target) else { return Ok(()) };
    if dimensions.is_some_and(|dimensions| dimensions > model.dimensions) {
        let (id, most) = (&model.id, model.dimensions);
        return Err(refuse("dimensions", format!("`dimensions` must be at most {most} for {id}.")));
    }
    let is_long =
        |input: &Input| matches!(input, Input::Tokens(tokens) if tokens.len() as u64 > model.max_input_tokens);
    if inputs.iter().any(is_long) {
        let (id, most) = (&model.id, model.max_input_tokens);
        return Err(refuse("input", format!("An `input` of {id} must hold at most {most} tokens.")));
    }
    Ok(())
}

/// What [`json`] writes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written by hand")]
struct EmbeddingList {
    /// `list`.
    object: String,
    data: Vec<Embedding>,
    /// The model that made them, by its vendor's name.
    model: String,
    usage: EmbeddingUsage,
}

/// One vector.
#[derive(ToSchema)]
#[expect(dead_code, clippy::struct_field_names, reason = "describes what is written by hand, by the vendor's names")]
struct Embedding {
    /// `embedding`.
    object: String,
    /// The place of its input.
    index: u32,
    embedding: Numbers,
}

/// As `encoding_format` wants them.
#[derive(serde::Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what is written by hand")]
enum Numbers {
    /// JSON numbers.
    Float(Vec<f32>),
    /// Base64, four bytes a number, the least significant first.
    Base64(String),
}

/// What was counted for all inputs, each once, whenever that was.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what is written by hand")]
struct EmbeddingUsage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// From here on it takes more than a millisecond to write so many numbers, and others want the thread.
const MANY_NUMBERS: usize = 32_768;

async fn written(vectors: Vec<Vector>, encoding: Encoding, model: ModelId, tokens: u64) -> Result<Vec<u8>, ApiError> {
    let numbers: usize = vectors.iter().map(|vector| vector.len()).sum();
    if numbers < MANY_NUMBERS {
        return Ok(json(&vectors, encoding, &model, tokens));
    }
    let writing = spawn_blocking(move || json(&vectors, encoding, &model, tokens));
    writing.await.map_err(|_| ApiError::internal())
}

/// The body. Written by hand: there may be millions of numbers, and they need no tree.
fn json(vectors: &[Vector], encoding: Encoding, model: &ModelId, tokens: u64) -> Vec<u8> {
    /// What a number takes in words, about.
    const NUMBER_BYTES: usize = 14;
    let numbers: usize = vectors.iter().map(|vector| vector.len()).sum();
    let number_bytes = match encoding {
        Encoding::Float => NUMBER_BYTES,
        Encoding::Base64 => 6,
    };
    let mut json = Vec::with_capacity(numbers * number_bytes + vectors.len() * 64 + 256);
    json.extend_from_slice(br#"{"object":"list","data":["#);
    let mut digits = itoa::Buffer::new();
    for (at, vector) in vectors.iter().enumerate() {
        let comma: &[u8] = if at > 0 { b"," } else { b"" };
        for part in [comma, br#"{"object":"embedding","index":"#, digits.format(at).as_bytes(), br#","embedding":"#] {
            json.extend_from_slice(part);
        }
        match encoding {
            Encoding::Float => json::append(&mut json, &**vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json.push(b'"');
                json.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
                json.push(b'"');
            }
        }
        json.push(b'}');
    }
    json.extend_from_slice(br#"],"model":"#);
    json::append(&mut json, model);
    let written = write!(json, r#","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#);
    written.unwrap_or_else(|_| unreachable!("a Vec takes all of it"));
    json
}

/// What is said of a model that cannot be asked for vectors.
fn unknown(model: &str, why: NoEmbedding) -> ApiError {
    let short = short(model);
    let error = match why {
        NoEmbedding::Vendor(name) => {
            return refuse("model", format!("{name} has no embeddings: name a model of another provider"))
                .code("model_not_found");
        }
        NoEmbedding::WhoseModel => {
            let message = "Put its provider in front of it, such as `openai/text-embedding-3-small`";
            ApiError::new(StatusCode::NOT_FOUND, format!("Nobody is known to have the embedding model `{short}`"))
                .message(message)
        }
        NoEmbedding::Other(unresolved) => return not_found(model, &unresolved),
    };
    error.code("model_not_found").param("model")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_has_the_form_that_sdks_expect() {
        let vectors: [Vector; 2] = [[0.1, -2.0].into(), [1e-10, 3.0].into()];
        let model = ModelId::from("m\"");
        let read =
            |encoding| -> serde_json::Value { serde_json::from_slice(&json(&vectors, encoding, &model, 7)).unwrap() };
        let floats = read(Encoding::Float);
        assert_eq!(
            floats,
            serde_json::json!({
                "object": "list",
                "data": [
                    {"object": "embedding", "index": 0, "embedding": [0.1, -2.0]},
                    {"object": "embedding", "index": 1, "embedding": [1e-10, 3.0]},
                ],
                "model": "m\"",
                "usage": {"prompt_tokens": 7, "total_tokens": 7},
            })
        );
        assert_eq!(read(Encoding::Base64)["data"][0]["embedding"], "zczMPQAAAMA=");
    }
}

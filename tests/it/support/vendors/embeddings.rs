//! Vectors, in the formats of those vendors that make them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    KEY, Request,
    reading::{Read, key, list, must, only, string},
    script::Fault,
};

/// Who is asked.
#[derive(Clone, Copy)]
pub(super) enum Embeddings {
    OpenAi,
    Gemini,
    Ollama,
}

const DIMENSIONS: usize = 8;
/// What each text counts.
const TOKENS: usize = 3;

/// The vector of a text, in numbers that have no rounding in any format. The scripts of the SDKs know the rule.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let sum: usize = text.bytes().map(usize::from).sum::<usize>() + 7 * text.len();
    (0..dimensions).map(|at| f32::from(u8::try_from((sum + 13 * at) % 256).unwrap()) / 256.0 - 0.5).collect()
}

fn dimensions(value: &Value) -> Read<usize> {
    if value.is_null() {
        return Ok(DIMENSIONS);
    }
    let wanted = value.as_u64().and_then(|wanted| usize::try_from(wanted).ok());
    wanted.filter(|wanted| (1..=DIMENSIONS).contains(wanted)).ok_or_else(|| Fault::invalid("no such dimensions"))
}

/// One text or several.
fn texts(input: &Value) -> Read<Vec<&str>> {
    let texts = match input {
        Value::String(text) => vec![text.as_str()],
        Value::Array(texts) => {
            let text = |text: &'_ Value| text.as_str().is_some();
            must(texts.iter().all(text), "`input` holds something that is no string")?;
            texts.iter().filter_map(Value::as_str).collect()
        }
        other => return Err(Fault::invalid(format!("`input` must be text, not {other}"))),
    };
    must(!texts.is_empty() && texts.iter().all(|text| !text.is_empty()), "`input` cannot be an empty string")?;
    Ok(texts)
}

impl Embeddings {
    pub(super) fn answer(self, request: &Request) -> Read<Value> {
        match self {
            Embeddings::OpenAi => openai(request),
            Embeddings::Gemini => gemini(request),
            Embeddings::Ollama => ollama(&request.body),
        }
    }
}

fn openai(request: &Request) -> Read<Value> {
    key(&request.headers, "authorization", &format!("Bearer {KEY}"))?;
    let body = &request.body;
    only(body, "body", &["model", "input", "dimensions", "encoding_format", "user"])?;
    let (texts, dimensions) = (texts(&body["input"])?, dimensions(&body["dimensions"])?);
    let is_base64 = match body["encoding_format"].as_str() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => return Err(Fault::invalid(format!("no encoding: {other}"))),
    };
    let data = texts.iter().enumerate().map(|(index, text)| {
        let vector = vector(text, dimensions);
        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        let embedding = if is_base64 { json!(STANDARD.encode(bytes)) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    });
    let tokens = TOKENS * texts.len();
    Ok(json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": string(body, "model")?,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
}

fn gemini(request: &Request) -> Read<Value> {
    key(&request.headers, "x-goog-api-key", KEY)?;
    only(&request.body, "body", &["requests"])?;
    let requests = list(&request.body, "requests")?;
    must(!requests.is_empty(), "requests must not be empty")?;
    let embeddings = requests.iter().map(|each| {
        only(each, "request", &["model", "content", "taskType", "title", "outputDimensionality"])?;
        let model = format!("models/{}", request.model());
        must(each["model"] == json!(model), "every request of a batch names the model of its path")?;
        let parts = list(&each["content"], "parts")?;
        let text: String = parts.iter().map(|part| string(part, "text")).collect::<Read<_>>()?;
        must(!text.is_empty(), "content is empty")?;
        Ok(json!({"values": vector(&text, dimensions(&each["outputDimensionality"])?)}))
    });
    Ok(json!({"embeddings": embeddings.collect::<Read<Vec<_>>>()?}))
}

fn ollama(body: &Value) -> Read<Value> {
    only(body, "body", &["model", "input", "truncate", "options", "keep_alive", "dimensions"])?;
    let (texts, dimensions) = (texts(&body["input"])?, dimensions(&body["dimensions"])?);
    let embeddings: Vec<_> = texts.iter().map(|text| vector(text, dimensions)).collect();
    Ok(json!({
        "model": string(body, "model")?,
        "embeddings": embeddings,
        "total_duration": 14_143_917,
        "load_duration": 1_019_500,
        "prompt_eval_count": TOKENS * texts.len(),
    }))
}

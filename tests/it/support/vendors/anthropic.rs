//! Anthropic's messages.

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

use super::{
    Dialect, KEY, Request, anthropic_reply as reply,
    asked::{Asked, Format, Picture, Turn},
    reading::{Pending, Read, inline, key, list, must, named, only, string},
    reply::Frame,
    schema::{closed, unlimited},
    script::{Fault, FaultKind, Said},
};

#[derive(Clone, Copy)]
pub(super) struct Anthropic;

const FIELDS: [&str; 14] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "thinking",
    "output_config",
    "tools",
    "tool_choice",
    "metadata",
];

impl Dialect for Anthropic {
    const STREAM_TYPE: &'static str = "text/event-stream";

    fn read(self, request: &Request) -> Read<Asked> {
        key(&request.headers, "x-api-key", KEY)?;
        let body = &request.body;
        let fields = only(body, "body", &FIELDS)?;
        settings(&request.headers, fields)?;
        let tools: Vec<String> = list(body, "tools")?.iter().map(tool).collect::<Read<_>>()?;
        if let Some(choice) = fields.get("tool_choice") {
            must(!tools.is_empty(), "tool_choice may only be specified while providing tools")?;
            only(choice, "tool_choice", &["type", "name", "disable_parallel_tool_use"])?;
            let is_free = ["auto", "none"].contains(&string(choice, "type")?);
            must(is_free, "this model cannot be made to use a tool")?;
        }
        let names = [
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("max_tokens", "max_tokens"),
            ("stop_sequences", "stop"),
        ];
        let mut sampling: Map<_, _> = named(fields, &names).collect();
        if let Some(config) = fields.get("output_config") {
            only(config, "output_config", &["effort", "format"])?;
            sampling.extend(config.get("effort").map(|effort| ("reasoning_effort".to_owned(), effort.clone())));
        }
        Ok(Asked {
            model: string(body, "model")?.to_owned(),
            is_streamed: body["stream"] == json!(true),
            system: system(&body["system"])?,
            turns: turns(list(body, "messages")?, !tools.is_empty())?,
            tools,
            sampling,
            format: format(body)?,
        })
    }

    fn whole(self, asked: &Asked, said: &Said) -> Value {
        reply::whole(asked, said)
    }

    fn stream(self, _: &Request, asked: &Asked, said: &Said) -> Vec<Frame> {
        reply::stream(asked, said)
    }

    fn fault(self, fault: &Fault) -> (u16, Vec<(&'static str, &'static str)>, Value) {
        let (status, kind) = match fault.kind {
            FaultKind::Invalid => (400, "invalid_request_error"),
            FaultKind::Unauthorized => (401, "authentication_error"),
            FaultKind::NotFound => (404, "not_found_error"),
            FaultKind::RateLimited => (429, "rate_limit_error"),
            FaultKind::Overloaded => (529, "overloaded_error"),
            FaultKind::Internal => (500, "api_error"),
        };
        let headers = if status == 429 { vec![("retry-after", "1")] } else { Vec::new() };
        let error = json!({"type": kind, "message": fault.message});
        (status, headers, json!({"type": "error", "error": error, "request_id": "req_1"}))
    }
}

fn settings(headers: &HeaderMap, fields: &Map<String, Value>) -> Read<()> {
    let version = headers.get("anthropic-version").and_then(|version| version.to_str().ok());
    let is_old = match version {
        Some("2026-10-21") => false,
        Some("2023-06-01") => true,
        other => return Err(Fault::invalid(format!("no anthropic-version: {other:?}"))),
    };
    for field in ["temperature", "top_p", "top_k"] {
        let is_default = field == "temperature" && fields.get(field) == Some(&json!(1.0));
        must(!fields.contains_key(field) || (is_old && is_default), format!("{field}: not supported"))?;
    }
    let max_tokens = fields.get("max_tokens").and_then(Value::as_u64);
    must(max_tokens.is_some_and(|tokens| tokens >= 1), "max_tokens: Field required")?;
    for stop in fields.get("stop_sequences").and_then(Value::as_array).into_iter().flatten() {
        must(stop.as_str().is_some_and(|stop| !stop.trim().is_empty()), "stop_sequences: blank")?;
    }
    match fields.get("metadata") {
        Some(metadata) => only(metadata, "metadata", &["user_id"]).map(drop),
        None => Ok(()),
    }
}

fn tool(tool: &Value) -> Read<String> {
    only(tool, "tool", &["name", "description", "input_schema", "type", "cache_control", "strict"])?;
    must(tool["input_schema"]["type"] == "object", "tools.input_schema.type: Field required")?;
    Ok(string(tool, "name")?.to_owned())
}

fn system(system: &Value) -> Read<String> {
    match system {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Array(blocks) => blocks.iter().map(|block| string(block, "text")).collect(),
        other => Err(Fault::invalid(format!("system: {other}"))),
    }
}

fn format(body: &Value) -> Read<Format> {
    let format = &body["output_config"]["format"];
    if format.is_null() {
        // It has no JSON mode, so it is asked for it in words.
        let is_asked = body["system"].to_string().contains("JSON object");
        return Ok(if is_asked { Format::Json } else { Format::Text });
    }
    only(format, "format", &["type", "schema"])?;
    must(format["type"] == "json_schema", "output_config.format.type: json_schema")?;
    closed(&format["schema"], false)?;
    unlimited(&format["schema"])?;
    Ok(Format::Schema(format["schema"].clone()))
}

fn turns(messages: &[Value], has_tools: bool) -> Read<Vec<Turn>> {
    must(!messages.is_empty(), "messages: at least one message is required")?;
    let (mut turns, mut pending) = (Vec::new(), Pending::default());
    for (at, message) in messages.iter().enumerate() {
        only(message, "message", &["role", "content"])?;
        let role = string(message, "role")?;
        must(role == ["user", "assistant"][at % 2], "roles must alternate between user and assistant")?;
        let text = message["content"].as_str().map(|text| vec![json!({"type": "text", "text": text})]);
        let blocks = text.as_deref().map_or_else(|| list(message, "content"), Ok)?;
        must(!blocks.is_empty(), "messages must have non-empty content")?;
        if role == "user" {
            user(blocks, &mut pending, &mut turns)?;
        } else {
            must(at + 1 < messages.len(), "This model does not support assistant message prefill.")?;
            turns.push(assistant(blocks, &mut pending, has_tools)?);
        }
    }
    pending.none()?;
    Ok(turns)
}

/// Results of all calls first, then what the person says.
fn user(blocks: &[Value], pending: &mut Pending, turns: &mut Vec<Turn>) -> Read<()> {
    let (mut text, mut pictures, mut has_said) = (String::new(), Vec::new(), false);
    for block in blocks {
        match string(block, "type")? {
            "tool_result" => {
                must(!has_said, "tool_result blocks must come first in the content of a user message")?;
                only(block, "tool_result", &["type", "tool_use_id", "content", "is_error"])?;
                let name = pending.result(string(block, "tool_use_id")?)?;
                turns.push(Turn::Result { name, content: string(block, "content")?.to_owned() });
                continue;
            }
            "text" => text.push_str(words(block)?),
            "image" => pictures.push(image(&block["source"])?),
            other => return Err(Fault::invalid(format!("there is no block `{other}`"))),
        }
        has_said = true;
    }
    pending.none()?;
    if has_said {
        turns.push(Turn::User { text, pictures });
    }
    Ok(())
}

fn assistant(blocks: &[Value], pending: &mut Pending, has_tools: bool) -> Read<Turn> {
    let (mut text, mut calls) = (String::new(), Vec::new());
    for block in blocks {
        match string(block, "type")? {
            "text" => text.push_str(words(block)?),
            "tool_use" => {
                must(has_tools, "`tools` must be defined where messages hold tool_use blocks")?;
                only(block, "tool_use", &["type", "id", "name", "input"])?;
                let (id, name, input) = (string(block, "id")?, string(block, "name")?, &block["input"]);
                let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
                must(is_plain && !id.is_empty(), "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")?;
                must(input.is_object(), "tool_use.input: Input should be an object")?;
                pending.call(id, name);
                calls.push((name.to_owned(), input.clone()));
            }
            other => return Err(Fault::invalid(format!("there is no block `{other}`"))),
        }
    }
    Ok(Turn::Model { text, calls })
}

fn words(block: &Value) -> Read<&str> {
    let text = string(block, "text")?;
    must(!text.trim().is_empty(), "text content blocks must contain non-whitespace text")?;
    Ok(text)
}

fn image(source: &Value) -> Read<Picture> {
    if source["type"] == "base64" {
        only(source, "source", &["type", "media_type", "data"])?;
        return inline(string(source, "media_type")?, string(source, "data")?);
    }
    only(source, "source", &["type", "url"])?;
    let url = string(source, "url")?;
    must(source["type"] == "url" && url.starts_with("https://"), "only HTTPS URLs are supported")?;
    Ok(Picture::Url(url.to_owned()))
}

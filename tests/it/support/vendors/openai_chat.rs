//! Chat completions, as `OpenAI`, xAI and compatible servers take them.

use serde_json::{Map, Value, json};

use super::{
    Dialect, KEY, Request,
    asked::{Asked, Format, Turn},
    openai_chat_reply as reply,
    reading::{Pending, Read, by_url, key, list, must, named, only, string},
    reply::Frame,
    schema::closed,
    script::{Fault, FaultKind, Said},
};

/// Who speaks the dialect.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum OpenAiChat {
    OpenAi,
    Xai,
    Compatible,
}

const FIELDS: [&str; 22] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "safety_identifier",
    "user",
    "metadata",
    "store",
];

impl Dialect for OpenAiChat {
    const STREAM_TYPE: &'static str = "text/event-stream";

    fn read(self, request: &Request) -> Read<Asked> {
        key(&request.headers, "authorization", &format!("Bearer {KEY}"))?;
        let body = &request.body;
        let fields = only(body, "body", &FIELDS)?;
        let model = string(body, "model")?;
        self.settings(model, fields)?;
        let tools: Vec<String> = list(body, "tools")?.iter().map(tool).collect::<Read<_>>()?;
        for field in ["tool_choice", "parallel_tool_calls"] {
            must(!tools.is_empty() || !fields.contains_key(field), format!("`{field}` is only allowed with `tools`"))?;
        }
        if self == Self::OpenAi && model.starts_with("gpt-6.2") && !tools.is_empty() {
            return Err(Fault::invalid("Function tools are not supported for this model here. Use /v1/responses."));
        }
        let (system, turns) = self.messages(list(body, "messages")?)?;
        let names = [
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("max_completion_tokens", "max_tokens"),
            ("max_tokens", "max_tokens"),
            ("stop", "stop"),
            ("seed", "seed"),
            ("presence_penalty", "presence_penalty"),
            ("frequency_penalty", "frequency_penalty"),
            ("reasoning_effort", "reasoning_effort"),
        ];
        Ok(Asked {
            model: model.to_owned(),
            is_streamed: body["stream"] == json!(true),
            system,
            turns,
            tools,
            sampling: named(fields, &names).collect(),
            format: format(body)?,
        })
    }

    fn whole(self, asked: &Asked, said: &Said) -> Value {
        reply::whole(self, asked, said)
    }

    fn stream(self, request: &Request, asked: &Asked, said: &Said) -> Vec<Frame> {
        let wants_usage = request.body["stream_options"]["include_usage"] == json!(true);
        reply::stream(self, asked, said, wants_usage)
    }

    fn fault(self, fault: &Fault) -> (u16, Vec<(&'static str, &'static str)>, Value) {
        let (status, kind, code) = match fault.kind {
            FaultKind::Invalid => (400, "invalid_request_error", None),
            FaultKind::Unauthorized => (401, "invalid_request_error", Some("invalid_api_key")),
            FaultKind::NotFound => (404, "invalid_request_error", Some("model_not_found")),
            FaultKind::RateLimited => (429, "requests", Some("rate_limit_exceeded")),
            FaultKind::Overloaded => (503, "server_error", Some("overloaded")),
            FaultKind::Internal => (500, "server_error", None),
        };
        let headers = if status == 429 { vec![("retry-after", "1")] } else { Vec::new() };
        let message = &fault.message;
        match self {
            Self::Xai if fault.kind == FaultKind::Unauthorized => {
                (400, headers, json!({"code": "Client specified an invalid argument", "error": "Incorrect API key"}))
            }
            Self::Xai => (status, headers, json!({"code": kind, "error": message})),
            Self::OpenAi | Self::Compatible => {
                let error = json!({"message": message, "type": kind, "param": null, "code": code});
                (status, headers, json!({"error": error}))
            }
        }
    }
}

impl OpenAiChat {
    /// What this model refuses.
    fn settings(self, model: &str, fields: &Map<String, Value>) -> Read<()> {
        let refused: &[&str] = match self {
            Self::OpenAi if is_reasoning(model) => {
                &["temperature", "top_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty"]
            }
            Self::OpenAi => &["reasoning_effort"],
            Self::Xai => &["stop", "presence_penalty", "frequency_penalty"],
            // An older server, which knows neither.
            Self::Compatible => &["max_completion_tokens", "safety_identifier"],
        };
        for field in refused {
            must(!fields.contains_key(*field), format!("Unsupported parameter: '{field}' for this model."))?;
        }
        let is_streamed = fields.get("stream") == Some(&json!(true));
        must(is_streamed || !fields.contains_key("stream_options"), "`stream_options` is only allowed with `stream`")?;
        let temperature = fields.get("temperature").map_or(Some(1.0), Value::as_f64);
        must(temperature.is_some_and(|value| (0.0..=2.0).contains(&value)), "`temperature` is from 0 to 2")
    }

    fn messages(self, messages: &[Value]) -> Read<(String, Vec<Turn>)> {
        must(!messages.is_empty(), "`messages` is empty")?;
        let (mut system, mut turns, mut pending) = (Vec::new(), Vec::new(), Pending::default());
        for message in messages {
            let role = string(message, "role")?;
            if role != "tool" {
                pending.none()?;
            }
            match role {
                "developer" if self != Self::OpenAi => return Err(Fault::invalid("there is no role `developer`")),
                "system" | "developer" => {
                    only(message, "message", &["role", "content", "name"])?;
                    system.push(text(&message["content"])?);
                }
                "user" => {
                    only(message, "message", &["role", "content", "name"])?;
                    turns.push(user(&message["content"])?);
                }
                "assistant" => turns.push(assistant(message, &mut pending)?),
                "tool" => {
                    only(message, "message", &["role", "content", "tool_call_id"])?;
                    let name = pending.result(string(message, "tool_call_id")?)?;
                    turns.push(Turn::Result { name, content: text(&message["content"])? });
                }
                other => return Err(Fault::invalid(format!("there is no role `{other}`"))),
            }
        }
        pending.none()?;
        Ok((system.join("\n\n"), turns))
    }
}

fn is_reasoning(model: &str) -> bool {
    ["gpt-5", "gpt-6", "o1", "o3", "o4"].iter().any(|family| model.starts_with(family))
}

fn tool(tool: &Value) -> Read<String> {
    only(tool, "tool", &["type", "function"])?;
    must(tool["type"] == "function", "a tool is a function")?;
    let function = only(&tool["function"], "function", &["name", "description", "parameters", "strict"])?;
    if function.get("strict") == Some(&json!(true)) {
        closed(&tool["function"]["parameters"], true)?;
    }
    Ok(string(&tool["function"], "name")?.to_owned())
}

fn format(body: &Value) -> Read<Format> {
    let format = &body["response_format"];
    match format["type"].as_str() {
        None if format.is_null() => Ok(Format::Text),
        Some("text") => Ok(Format::Text),
        Some("json_object") => {
            let mentioned = body["messages"].to_string().to_lowercase().contains("json");
            must(mentioned, "'messages' must contain the word 'json' in some form")?;
            Ok(Format::Json)
        }
        Some("json_schema") => {
            let wrapped = &format["json_schema"];
            only(wrapped, "json_schema", &["name", "description", "schema", "strict"])?;
            string(wrapped, "name")?;
            if wrapped["strict"] == json!(true) {
                closed(&wrapped["schema"], true)?;
            }
            Ok(Format::Schema(wrapped["schema"].clone()))
        }
        _ => Err(Fault::invalid(format!("no format: {format}"))),
    }
}

/// Content that is a string, or parts that are all text.
fn text(content: &Value) -> Read<String> {
    if let Some(text) = content.as_str() {
        return Ok(text.to_owned());
    }
    let parts = content.as_array().ok_or_else(|| Fault::invalid("`content` is neither a string nor a list"))?;
    parts.iter().map(|part| string(part, "text")).collect()
}

fn user(content: &Value) -> Read<Turn> {
    let (mut said, mut pictures) = (String::new(), Vec::new());
    match content.as_array() {
        None => said = text(content)?,
        Some(parts) => {
            for part in parts {
                match part["type"].as_str() {
                    Some("text") => said.push_str(string(part, "text")?),
                    Some("image_url") => {
                        only(&part["image_url"], "image_url", &["url", "detail"])?;
                        pictures.push(by_url(string(&part["image_url"], "url")?)?);
                    }
                    _ => return Err(Fault::invalid(format!("no part: {part}"))),
                }
            }
        }
    }
    Ok(Turn::User { text: said, pictures })
}

fn assistant(message: &Value, pending: &mut Pending) -> Read<Turn> {
    // The last two it ignores: SDKs send back what they were sent, and what they made of it.
    only(message, "message", &["role", "content", "name", "refusal", "tool_calls", "annotations", "parsed"])?;
    let mut calls = Vec::new();
    for call in list(message, "tool_calls")? {
        only(call, "tool_call", &["id", "type", "function"])?;
        must(call["type"] == "function", "a call is of a function")?;
        let (name, arguments) = (string(&call["function"], "name")?, string(&call["function"], "arguments")?);
        let arguments = serde_json::from_str(arguments).map_err(|_| Fault::invalid("the arguments are no JSON"))?;
        pending.call(string(call, "id")?, name);
        calls.push((name.to_owned(), arguments));
    }
    let content = &message["content"];
    must(!content.is_null() || !calls.is_empty(), "an assistant message has content or calls")?;
    let text = if content.is_null() { String::new() } else { text(content)? };
    Ok(Turn::Model { text, calls })
}

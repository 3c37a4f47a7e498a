//! `OpenAI`'s responses.

use serde_json::{Value, json};

use super::{
    Dialect, KEY, Request,
    asked::{Asked, Format, Turn},
    reading::{Pending, Read, by_url, key, list, must, named, only, string},
    reply::Frame,
    schema::closed,
    script::{CACHED_TOKENS, End, Fault, INPUT_TOKENS, OUTPUT_TOKENS, Piece, REASONING_TOKENS, Said, pieces},
};

#[derive(Clone, Copy)]
pub(super) struct OpenAiResponses;

const FIELDS: [&str; 16] = [
    "model",
    "input",
    "instructions",
    "stream",
    "max_output_tokens",
    "temperature",
    "top_p",
    "reasoning",
    "text",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "store",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
];

impl Dialect for OpenAiResponses {
    const STREAM_TYPE: &'static str = "text/event-stream";

    fn read(self, request: &Request) -> Read<Asked> {
        key(&request.headers, "authorization", &format!("Bearer {KEY}"))?;
        let body = &request.body;
        let fields = only(body, "body", &FIELDS)?;
        must(body["store"] == json!(false), "`store` would keep the answer for 30 days")?;
        for field in ["temperature", "top_p"] {
            must(!fields.contains_key(field), format!("Unsupported parameter: '{field}' for this model."))?;
        }
        let tools = list(body, "tools")?.iter().map(|tool| {
            only(tool, "tool", &["type", "name", "description", "parameters", "strict"])?;
            must(tool["type"] == "function", "a tool is a function")?;
            must(tool["strict"].is_boolean(), "who says nothing of `strict` has every property required")?;
            if tool["strict"] == json!(true) {
                closed(&tool["parameters"], true)?;
            }
            Ok(string(tool, "name")?.to_owned())
        });
        let (mut system, turns) = turns(list(body, "input")?)?;
        if let Some(instructions) = fields.get("instructions") {
            system.insert(0, instructions.as_str().unwrap_or_default().to_owned());
        }
        let mut sampling: serde_json::Map<_, _> = named(fields, &[("max_output_tokens", "max_tokens")]).collect();
        if let Some(effort) = body["reasoning"].get("effort") {
            sampling.insert("reasoning_effort".to_owned(), effort.clone());
        }
        Ok(Asked {
            model: string(body, "model")?.to_owned(),
            is_streamed: body["stream"] == json!(true),
            system: system.join("\n\n"),
            turns,
            tools: tools.collect::<Read<_>>()?,
            sampling,
            format: format(&body["text"]["format"])?,
        })
    }

    fn whole(self, asked: &Asked, said: &Said) -> Value {
        response(asked, said, &output(said))
    }

    fn stream(self, _: &Request, asked: &Asked, said: &Said) -> Vec<Frame> {
        stream(asked, said)
    }

    fn fault(self, fault: &Fault) -> (u16, Vec<(&'static str, &'static str)>, Value) {
        super::openai_chat::OpenAiChat::OpenAi.fault(fault)
    }
}

fn turns(items: &[Value]) -> Read<(Vec<String>, Vec<Turn>)> {
    must(!items.is_empty(), "`input` is empty")?;
    let (mut system, mut turns, mut pending) = (Vec::new(), Vec::new(), Pending::default());
    for item in items {
        match item["type"].as_str() {
            None | Some("message") => {
                pending.none()?;
                only(item, "item", &["type", "role", "content"])?;
                match string(item, "role")? {
                    "user" => turns.push(user(&item["content"])?),
                    "assistant" => {
                        let text = texts(&item["content"], "output_text")?;
                        turns.push(Turn::Model { text, calls: Vec::new() });
                    }
                    "system" | "developer" => system.push(texts(&item["content"], "input_text")?),
                    other => return Err(Fault::invalid(format!("there is no role `{other}`"))),
                }
            }
            Some("function_call") => {
                only(item, "function_call", &["type", "call_id", "name", "arguments"])?;
                let (name, arguments) = (string(item, "name")?, string(item, "arguments")?);
                pending.call(string(item, "call_id")?, name);
                let arguments: Value =
                    serde_json::from_str(arguments).map_err(|_| Fault::invalid("the arguments are no JSON"))?;
                // Items of one turn stand apart here.
                let call = (name.to_owned(), arguments);
                match turns.last_mut() {
                    Some(Turn::Model { calls, .. }) => calls.push(call),
                    _ => turns.push(Turn::Model { text: String::new(), calls: vec![call] }),
                }
            }
            Some("function_call_output") => {
                only(item, "function_call_output", &["type", "call_id", "output"])?;
                let name = pending.result(string(item, "call_id")?)?;
                turns.push(Turn::Result { name, content: string(item, "output")?.to_owned() });
            }
            Some(other) => return Err(Fault::invalid(format!("there is no item `{other}`"))),
        }
    }
    pending.none()?;
    Ok((system, turns))
}

fn texts(content: &Value, kind: &str) -> Read<String> {
    if let Some(text) = content.as_str() {
        return Ok(text.to_owned());
    }
    let parts = content.as_array().into_iter().flatten();
    let texts = parts.map(|part| {
        must(part["type"] == kind, format!("this part must be `{kind}`: {part}"))?;
        string(part, "text")
    });
    texts.collect()
}

fn user(content: &Value) -> Read<Turn> {
    let Some(parts) = content.as_array() else {
        return Ok(Turn::User { text: texts(content, "input_text")?, pictures: Vec::new() });
    };
    let (mut text, mut pictures) = (String::new(), Vec::new());
    for part in parts {
        match part["type"].as_str() {
            Some("input_text") => text.push_str(string(part, "text")?),
            Some("input_image") => {
                only(part, "input_image", &["type", "image_url", "detail"])?;
                pictures.push(by_url(string(part, "image_url")?)?);
            }
            _ => return Err(Fault::invalid(format!("no part: {part}"))),
        }
    }
    Ok(Turn::User { text, pictures })
}

fn format(format: &Value) -> Read<Format> {
    match format["type"].as_str() {
        None | Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => {
            only(format, "format", &["type", "name", "description", "schema", "strict"])?;
            string(format, "name")?;
            if format["strict"] == json!(true) {
                closed(&format["schema"], true)?;
            }
            Ok(Format::Schema(format["schema"].clone()))
        }
        Some(other) => Err(Fault::invalid(format!("there is no format `{other}`"))),
    }
}

/// The items of an answer: what the model thought, what it said, what it calls.
fn output(said: &Said) -> Vec<Value> {
    let mut items = vec![json!({"id": "rs_1", "type": "reasoning", "summary": []})];
    let text = said.text();
    let part = match said.refusal() {
        Some(words) => Some(json!({"type": "refusal", "refusal": words})),
        None if text.is_empty() => None,
        None => Some(json!({"type": "output_text", "text": text, "annotations": []})),
    };
    items.extend(part.map(
        |part| json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}),
    ));
    items.extend(said.calls().iter().map(|call| {
        json!({
            "id": format!("fc_{}", call.id), "type": "function_call", "status": "completed", "call_id": call.id,
            "name": call.name, "arguments": call.arguments.to_string(),
        })
    }));
    items
}

fn response(asked: &Asked, said: &Said, output: &[Value]) -> Value {
    let is_long = said.end == End::Length;
    json!({
        "id": "resp_1",
        "object": "response",
        "created_at": 1_795_478_400,
        "status": if is_long { "incomplete" } else { "completed" },
        "error": null,
        "incomplete_details": if is_long { json!({"reason": "max_output_tokens"}) } else { Value::Null },
        "model": asked.model,
        "output": output,
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "input_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "output_tokens": OUTPUT_TOKENS,
            "output_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    })
}

fn stream(asked: &Asked, said: &Said) -> Vec<Frame> {
    let items = output(said);
    let mut begun = response(asked, said, &[]);
    begun["status"] = json!("in_progress");
    begun["usage"] = Value::Null;
    let mut frames = vec![Frame::event(&json!({"type": "response.created", "response": begun}))];
    for (at, item) in items.iter().enumerate() {
        let (id, mut opened) = (&item["id"], item.clone());
        match item["type"].as_str() {
            Some("function_call") => opened["arguments"] = json!(""),
            Some("message") => opened["content"] = json!([]),
            _ => {}
        }
        frames.push(Frame::event(&json!({"type": "response.output_item.added", "output_index": at, "item": opened})));
        let delta = |kind: &str, text: &str| {
            Frame::event(&json!({"type": kind, "item_id": id, "output_index": at, "delta": text}))
        };
        match item["type"].as_str() {
            Some("function_call") => {
                let parts = pieces(item["arguments"].as_str().unwrap_or_default());
                frames.extend(parts.iter().map(|part| delta("response.function_call_arguments.delta", part)));
                frames.push(Frame::event(&json!({
                    "type": "response.function_call_arguments.done", "item_id": id, "output_index": at,
                    "name": item["name"], "arguments": item["arguments"],
                })));
            }
            Some("message") => match said.refusal() {
                Some(words) => frames.extend(pieces(words).iter().map(|part| delta("response.refusal.delta", part))),
                None => frames.extend(said.pieces.iter().filter_map(|piece| match piece {
                    Piece::Text(text) => Some(delta("response.output_text.delta", text)),
                    Piece::Pause(pause) => Some(Frame::Pause(*pause)),
                    Piece::Call(_) => None,
                })),
            },
            _ => {}
        }
        if said.end == End::Cut && item["type"] == "message" {
            frames.push(Frame::Cut);
            return frames;
        }
        frames.push(Frame::event(&json!({"type": "response.output_item.done", "output_index": at, "item": item})));
    }
    let kind = if said.end == End::Length { "response.incomplete" } else { "response.completed" };
    frames.push(Frame::event(&json!({"type": kind, "response": response(asked, said, &items)})));
    frames
}

//! Ollama's own chat.

use serde_json::{Map, Value, json};

use super::{
    Dialect, Request,
    asked::{Asked, Format, Turn},
    reading::{Read, inline, list, must, named, only, string},
    reply::Frame,
    script::{End, Fault, FaultKind, INPUT_TOKENS, OUTPUT_TOKENS, Piece, Said},
};

#[derive(Clone, Copy)]
pub(super) struct Ollama;

const OPTIONS: [&str; 8] =
    ["num_predict", "num_ctx", "temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty"];

impl Dialect for Ollama {
    const STREAM_TYPE: &'static str = "application/x-ndjson";

    fn read(self, request: &Request) -> Read<Asked> {
        let body = &request.body;
        only(body, "body", &["model", "messages", "stream", "think", "format", "options", "tools", "keep_alive"])?;
        let nothing = Value::Object(Map::new());
        let options = only(body.get("options").unwrap_or(&nothing), "options", &OPTIONS)?;
        let stop = options.get("stop").is_none_or(Value::is_array);
        must(stop, "option \"stop\" must be of type array")?;
        let names = [
            ("num_predict", "max_tokens"),
            ("temperature", "temperature"),
            ("top_p", "top_p"),
            ("stop", "stop"),
            ("seed", "seed"),
            ("presence_penalty", "presence_penalty"),
            ("frequency_penalty", "frequency_penalty"),
        ];
        let tools = list(body, "tools")?.iter().map(|tool| {
            must(tool["type"] == "function", "a tool is a function")?;
            Ok(string(&tool["function"], "name")?.to_owned())
        });
        let (system, turns) = turns(list(body, "messages")?)?;
        Ok(Asked {
            model: string(body, "model")?.to_owned(),
            // Left out it means yes.
            is_streamed: body["stream"] != json!(false),
            system,
            turns,
            tools: tools.collect::<Read<_>>()?,
            sampling: named(options, &names).collect(),
            format: match &body["format"] {
                Value::Null => Format::Text,
                Value::String(json) if json == "json" => Format::Json,
                schema @ Value::Object(_) => Format::Schema(schema.clone()),
                other => return Err(Fault::invalid(format!("invalid format: {other}"))),
            },
        })
    }

    fn whole(self, asked: &Asked, said: &Said) -> Value {
        let calls = calls(said);
        let mut message = json!({"role": "assistant", "content": text(said)});
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        line(asked, said, &message, true)
    }

    fn stream(self, _: &Request, asked: &Asked, said: &Said) -> Vec<Frame> {
        let frame = |message: Value, is_last: bool| Frame::Data(format!("{}\n", line(asked, said, &message, is_last)));
        let mut frames = Vec::new();
        for piece in &said.pieces {
            frames.push(match piece {
                Piece::Text(text) => frame(json!({"role": "assistant", "content": text}), false),
                Piece::Pause(pause) => Frame::Pause(*pause),
                Piece::Call(call) => {
                    let function = json!({"name": call.name, "arguments": call.arguments});
                    frame(json!({"role": "assistant", "content": "", "tool_calls": [{"function": function}]}), false)
                }
            });
        }
        if said.end == End::Cut {
            frames.push(Frame::Cut);
            return frames;
        }
        if let Some(words) = said.refusal() {
            frames.push(frame(json!({"role": "assistant", "content": words}), false));
        }
        frames.push(frame(json!({"role": "assistant", "content": ""}), true));
        frames
    }

    fn fault(self, fault: &Fault) -> (u16, Vec<(&'static str, &'static str)>, Value) {
        let status = match fault.kind {
            FaultKind::Invalid => 400,
            FaultKind::Unauthorized => 401,
            FaultKind::NotFound => 404,
            FaultKind::RateLimited => 429,
            FaultKind::Overloaded => 503,
            FaultKind::Internal => 500,
        };
        let headers = if status == 429 { vec![("retry-after", "1")] } else { Vec::new() };
        (status, headers, json!({"error": fault.message}))
    }
}

fn turns(messages: &[Value]) -> Read<(String, Vec<Turn>)> {
    must(!messages.is_empty(), "`messages` is empty")?;
    let (mut system, mut turns) = (Vec::new(), Vec::new());
    let mut pending: Vec<String> = Vec::new();
    for message in messages {
        only(message, "message", &["role", "content", "images", "tool_calls", "tool_name", "thinking"])?;
        let (role, content) = (string(message, "role")?, string(message, "content")?.to_owned());
        must(role == "tool" || pending.is_empty(), "a call has no result after it")?;
        match role {
            "system" => system.push(content),
            "user" => {
                let pictures = list(message, "images")?.iter().map(|image| {
                    // It looks into the picture for its kind.
                    let kind =
                        if image.as_str().is_some_and(|data| data.starts_with("iVBOR")) { "png" } else { "jpeg" };
                    inline(&format!("image/{kind}"), image.as_str().unwrap_or("not a string"))
                });
                turns.push(Turn::User { text: content, pictures: pictures.collect::<Read<_>>()? });
            }
            "assistant" => {
                let calls = list(message, "tool_calls")?.iter().map(|call| {
                    let (name, arguments) = (string(&call["function"], "name")?, &call["function"]["arguments"]);
                    must(arguments.is_object(), "the arguments of a call are an object")?;
                    pending.push(name.to_owned());
                    Ok((name.to_owned(), arguments.clone()))
                });
                turns.push(Turn::Model { text: content, calls: calls.collect::<Read<_>>()? });
            }
            "tool" => {
                let name = string(message, "tool_name")?.to_owned();
                let called = pending.iter().position(|pending| *pending == name);
                pending.remove(called.ok_or_else(|| Fault::invalid(format!("nobody called `{name}`")))?);
                turns.push(Turn::Result { name, content });
            }
            other => return Err(Fault::invalid(format!("there is no role `{other}`"))),
        }
    }
    must(pending.is_empty(), "a call has no result after it")?;
    Ok((system.join("\n\n"), turns))
}

/// It has no refusals: they are answers like others.
fn text(said: &Said) -> String {
    said.refusal().map_or_else(|| said.text(), str::to_owned)
}

fn calls(said: &Said) -> Vec<Value> {
    let calls = said.calls();
    calls.iter().map(|call| json!({"function": {"name": call.name, "arguments": call.arguments}})).collect()
}

fn line(asked: &Asked, said: &Said, message: &Value, is_last: bool) -> Value {
    let created = "2026-11-24T00:00:00.000000Z";
    let mut line = json!({"model": asked.model, "created_at": created, "message": message, "done": is_last});
    if is_last {
        line["done_reason"] = json!(if said.end == End::Length { "length" } else { "stop" });
        line["prompt_eval_count"] = json!(INPUT_TOKENS);
        line["eval_count"] = json!(OUTPUT_TOKENS);
    }
    line
}

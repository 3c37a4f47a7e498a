//! What chat completions answer.

use serde_json::{Value, json};

use super::{
    asked::Asked,
    openai_chat::OpenAiChat,
    reply::Frame,
    script::{CACHED_TOKENS, End, INPUT_TOKENS, OUTPUT_TOKENS, Piece, REASONING_TOKENS, Said, pieces},
};

pub(super) fn whole(server: OpenAiChat, asked: &Asked, said: &Said) -> Value {
    let calls: Vec<Value> = said
        .calls()
        .iter()
        .map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
            json!({"id": call.id, "type": "function", "function": function})
        })
        .collect();
    let text = said.text();
    let content = if text.is_empty() { Value::Null } else { json!(text) };
    let mut message = json!({"role": "assistant", "content": content, "refusal": said.refusal()});
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_795_478_400,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason(&said.end)}],
        "usage": usage(server),
    })
}

pub(super) fn stream(server: OpenAiChat, asked: &Asked, said: &Said, wants_usage: bool) -> Vec<Frame> {
    let chunk = |choices: Value, usage: Value| {
        Frame::data(&json!({
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_795_478_400,
            "model": asked.model,
            "choices": choices,
            "usage": usage,
        }))
    };
    let delta = |mut delta: Value, reason: Option<&str>| {
        if server == OpenAiChat::Xai {
            delta["role"] = json!("assistant");
        }
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": reason}]), Value::Null)
    };
    let mut frames = vec![delta(json!({"role": "assistant", "content": "", "refusal": null}), None)];
    let mut index = 0;
    for piece in &said.pieces {
        match piece {
            Piece::Text(text) => frames.push(delta(json!({"content": text}), None)),
            Piece::Pause(pause) => frames.push(Frame::Pause(*pause)),
            Piece::Call(call) => {
                let arguments = call.arguments.to_string();
                let (first, rest) = match server {
                    OpenAiChat::Xai => (arguments, Vec::new()),
                    OpenAiChat::OpenAi | OpenAiChat::Compatible => (String::new(), pieces(&arguments)),
                };
                let function = json!({"name": call.name, "arguments": first});
                let opening = json!({"index": index, "id": call.id, "type": "function", "function": function});
                frames.push(delta(json!({"tool_calls": [opening]}), None));
                frames.extend(rest.iter().map(|piece| {
                    delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}), None)
                }));
                index += 1;
            }
        }
    }
    if let Some(words) = said.refusal() {
        frames.extend(pieces(words).iter().map(|piece| delta(json!({"refusal": piece}), None)));
    }
    if said.end == End::Cut {
        frames.push(Frame::Cut);
        return frames;
    }
    frames.push(delta(json!({}), Some(reason(&said.end))));
    if wants_usage {
        frames.push(chunk(json!([]), usage(server)));
    }
    frames.push(Frame::Data("data: [DONE]\n\n".to_owned()));
    frames
}

fn reason(end: &End) -> &'static str {
    match end {
        // A refusal ends as any other answer.
        End::Stop | End::Refused(_) | End::Cut => "stop",
        End::Length => "length",
        End::Calls => "tool_calls",
    }
}

fn usage(server: OpenAiChat) -> Value {
    // xAI does not count reasoning among what it said.
    let said = if server == OpenAiChat::Xai { OUTPUT_TOKENS - REASONING_TOKENS } else { OUTPUT_TOKENS };
    json!({
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": said,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
        "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
    })
}

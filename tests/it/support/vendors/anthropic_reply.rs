//! What Anthropic's messages answer.

use serde_json::{Value, json};

use super::{
    asked::Asked,
    reply::Frame,
    script::{CACHED_TOKENS, End, INPUT_TOKENS, OUTPUT_TOKENS, Piece, REASONING_TOKENS, Said, pieces},
};

pub(super) fn whole(asked: &Asked, said: &Said) -> Value {
    let mut content = vec![json!({"type": "thinking", "thinking": "", "signature": "c2ln"})];
    let text = said.text();
    // Some answers come in several blocks.
    let middle = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let (first, second) = text.split_at(middle);
    content.extend(
        [first, second].iter().filter(|text| !text.is_empty()).map(|text| json!({"type": "text", "text": text})),
    );
    content.extend(
        said.calls()
            .iter()
            .map(|call| json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})),
    );
    let mut message = message(asked, &content, &usage(OUTPUT_TOKENS));
    let (reason, details) = ending(said);
    message["stop_reason"] = json!(reason);
    message["stop_details"] = details;
    message
}

pub(super) fn stream(asked: &Asked, said: &Said) -> Vec<Frame> {
    let mut frames = vec![
        Frame::event(&json!({"type": "message_start", "message": message(asked, &[], &usage(1))})),
        Frame::event(&json!({"type": "ping"})),
    ];
    let start = |index: usize, block: Value| {
        Frame::event(&json!({"type": "content_block_start", "index": index, "content_block": block}))
    };
    let delta = |index: usize, delta: Value| {
        Frame::event(&json!({"type": "content_block_delta", "index": index, "delta": delta}))
    };
    let stop = |index: usize| Frame::event(&json!({"type": "content_block_stop", "index": index}));
    frames.push(start(0, json!({"type": "thinking", "thinking": "", "signature": ""})));
    frames.push(delta(0, json!({"type": "signature_delta", "signature": "c2ln"})));
    frames.push(stop(0));
    let (mut index, mut is_text) = (0, false);
    for piece in &said.pieces {
        match piece {
            Piece::Text(text) => {
                if !is_text {
                    (index, is_text) = (index + 1, true);
                    frames.push(start(index, json!({"type": "text", "text": ""})));
                }
                frames.push(delta(index, json!({"type": "text_delta", "text": text})));
            }
            Piece::Pause(pause) => frames.push(Frame::Pause(*pause)),
            Piece::Call(call) => {
                if is_text {
                    frames.push(stop(index));
                }
                (index, is_text) = (index + 1, false);
                let block = json!({"type": "tool_use", "id": call.id, "name": call.name, "input": {}});
                frames.push(start(index, block));
                let parts = pieces(&call.arguments.to_string());
                frames.extend(
                    parts.iter().map(|part| delta(index, json!({"type": "input_json_delta", "partial_json": part}))),
                );
                frames.push(stop(index));
            }
        }
    }
    if said.end == End::Cut {
        frames.push(Frame::Cut);
        return frames;
    }
    if is_text {
        frames.push(stop(index));
    }
    let (reason, details) = ending(said);
    let end = json!({"stop_reason": reason, "stop_sequence": null, "stop_details": details, "container": null});
    frames.push(Frame::event(&json!({"type": "message_delta", "delta": end, "usage": usage(OUTPUT_TOKENS)})));
    frames.push(Frame::event(&json!({"type": "message_stop"})));
    frames
}

fn message(asked: &Asked, content: &[Value], usage: &Value) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": asked.model, "content": content,
        "stop_reason": null, "stop_sequence": null, "stop_details": null, "container": null, "usage": usage,
    })
}

fn ending(said: &Said) -> (&'static str, Value) {
    match said.end {
        End::Stop | End::Cut => ("end_turn", Value::Null),
        End::Length => ("max_tokens", Value::Null),
        End::Calls => ("tool_use", Value::Null),
        End::Refused(words) => ("refusal", json!({"type": "refusal", "category": null, "explanation": words})),
    }
}

/// What was read from its cache is not among the input here.
fn usage(output: u64) -> Value {
    json!({
        "input_tokens": INPUT_TOKENS - CACHED_TOKENS,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": CACHED_TOKENS,
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": REASONING_TOKENS.min(output)},
    })
}

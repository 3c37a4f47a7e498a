//! What `generateContent` answers.

use serde_json::{Value, json};

use super::{
    asked::Asked,
    reply::Frame,
    script::{CACHED_TOKENS, Call, End, INPUT_TOKENS, OUTPUT_TOKENS, Piece, REASONING_TOKENS, Said},
};

/// What the first call of a turn carries, and is to bring back.
pub(crate) const SIGNATURE: &str = "c2lnbmF0dXJlIG9mIHRoZSB0aG91Z2h0";

pub(super) fn whole(asked: &Asked, said: &Said) -> Value {
    let mut parts = vec![json!({"text": "**Planning**", "thought": true})];
    let mut is_first = true;
    for piece in &said.pieces {
        match piece {
            Piece::Text(text) => parts.push(json!({"text": text})),
            Piece::Call(call) => parts.push(function_call(call, std::mem::take(&mut is_first))),
            Piece::Pause(_) => {}
        }
    }
    reply(asked, said, &parts, true)
}

/// Lines end as in HTTP, and the last chunk is the one with a reason.
pub(super) fn stream(asked: &Asked, said: &Said) -> Vec<Frame> {
    let frame = |body: &Value| Frame::Data(format!("data: {body}\r\n\r\n"));
    let thought = json!({"text": "**Planning**", "thought": true});
    let mut frames = vec![frame(&reply(asked, said, &[thought], false))];
    let mut is_first = true;
    for piece in &said.pieces {
        frames.push(match piece {
            Piece::Text(text) => frame(&reply(asked, said, &[json!({"text": text})], false)),
            Piece::Call(call) => {
                frame(&reply(asked, said, &[function_call(call, std::mem::take(&mut is_first))], false))
            }
            Piece::Pause(pause) => Frame::Pause(*pause),
        });
    }
    frames.push(if said.end == End::Cut {
        Frame::Cut
    } else {
        frame(&reply(asked, said, &[json!({"text": ""})], true))
    });
    frames
}

/// Calls have no ids here.
fn function_call(call: &Call, is_first: bool) -> Value {
    let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
    if is_first {
        part["thoughtSignature"] = json!(SIGNATURE);
    }
    part
}

fn reply(asked: &Asked, said: &Said, parts: &[Value], is_last: bool) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if is_last {
        candidate["finishReason"] = json!(match said.end {
            End::Stop | End::Calls | End::Cut => "STOP",
            End::Length => "MAX_TOKENS",
            End::Refused(_) => "SAFETY",
        });
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": INPUT_TOKENS,
            "cachedContentTokenCount": CACHED_TOKENS,
            "candidatesTokenCount": OUTPUT_TOKENS - REASONING_TOKENS,
            "thoughtsTokenCount": REASONING_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        },
        "modelVersion": asked.model,
        "responseId": "response-1",
    })
}

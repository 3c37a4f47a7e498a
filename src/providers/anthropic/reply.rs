//! What comes back when all is well: one message, or a stream of events that build it.

use std::ops::ControlFlow;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    generate::{ErrorKind, Finish, FinishReason, Usage},
    providers::{
        Decoder, Delta, ProviderError,
        counts::plausible,
        tool_calls::{CallPart, Calls},
    },
};

use super::fault::Fault;

/// What a body says that came in one piece.
///
/// # Errors
/// When it holds no answer.
pub(super) fn whole(body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|_| ErrorKind::BadResponse)?;
    let usage = reply.usage.and_then(WireUsage::read).and_then(WireUsage::usage);
    let said = match reply.error {
        Some(_) => Err(Fault::read(body).error(StatusCode::OK)),
        None => reply.content.ok_or(ErrorKind::BadResponse).and_then(said).map_err(ProviderError::from),
    };
    let mut deltas = said.map_err(|error| error.with_usage(usage))?;
    deltas.push(Delta::Finish(reply.stop.finish(usage)));
    Ok(deltas)
}

fn said(content: Vec<Block>) -> Result<Vec<Delta>, ErrorKind> {
    let (mut text, mut calls, mut tools) = (String::new(), Calls::default(), Vec::new());
    for (at, block) in content.into_iter().enumerate() {
        match block {
            Block::Text { text: more } => text.push_str(&more),
            Block::ToolUse { id, name, input } => {
                let arguments = input.map(|input| input.to_string()).unwrap_or_default();
                calls.add(at, CallPart { id, name, signature: None, arguments: &arguments }, &mut tools)?;
            }
            Block::Unknown => {}
        }
    }
    let mut deltas = Vec::new();
    if !text.is_empty() {
        deltas.push(Delta::Text(Bytes::from(text)));
    }
    calls.end(&mut tools)?;
    deltas.extend(tools);
    Ok(deltas)
}

#[derive(Deserialize)]
struct Reply {
    error: Option<Value>,
    content: Option<Vec<Block>>,
    #[serde(flatten)]
    stop: Stop,
    usage: Option<Value>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: Option<String>,
        name: Option<String>,
        input: Option<Value>,
    },
    /// Thoughts too.
    #[serde(other)]
    Unknown,
}

/// Why it ended.
#[derive(Default, Deserialize)]
struct Stop {
    stop_reason: Option<String>,
    stop_details: Option<Value>,
}

impl Stop {
    fn finish(self, usage: Option<Usage>) -> Finish {
        // A body that is valid JSON has come whole, whatever its server leaves out.
        let reason = match self.stop_reason.as_deref().unwrap_or("end_turn") {
            "end_turn" | "stop_sequence" | "pause_turn" => FinishReason::Stop,
            "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
            "tool_use" => FinishReason::ToolCalls,
            "refusal" => FinishReason::ContentFilter,
            _ => FinishReason::Other,
        };
        let explanation = self.stop_details.as_ref().and_then(|details| details.get("explanation")?.as_str());
        let refusal = explanation.filter(|words| reason == FinishReason::ContentFilter && !words.is_empty());
        Finish { reason, refusal: refusal.map(str::to_owned), usage }
    }
}

#[derive(Clone, Copy, Deserialize)]
struct WireUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl WireUsage {
    /// `None` where it cannot be read: the answer is good all the same.
    fn read(wire: Value) -> Option<Self> {
        serde_json::from_value(wire).ok()
    }

    /// What was counted last, and where that says nothing of the input, what was counted first.
    fn or(self, first: Option<Self>) -> Self {
        Self {
            input_tokens: self.input_tokens.or(first.and_then(|first| first.input_tokens)),
            cache_creation_input_tokens: self
                .cache_creation_input_tokens
                .or(first.and_then(|first| first.cache_creation_input_tokens)),
            cache_read_input_tokens: self
                .cache_read_input_tokens
                .or(first.and_then(|first| first.cache_read_input_tokens)),
            ..self
        }
    }

    fn usage(self) -> Option<Usage> {
        let read = self.cache_read_input_tokens.unwrap_or_default();
        let written = self.cache_creation_input_tokens.unwrap_or_default();
        plausible(Usage {
            input_tokens: self.input_tokens?.saturating_add(read).saturating_add(written),
            output_tokens: self.output_tokens?,
            cached_input_tokens: read,
            cache_write_tokens: written,
            reasoning_tokens: self.output_tokens_details.and_then(|d| d.thinking_tokens).unwrap_or_default(),
            estimated: false,
        })
    }
}

/// Reads a stream of message events.
#[derive(Default)]
pub struct MessagesDecoder {
    calls: Calls,
    stop: Stop,
    first_usage: Option<WireUsage>,
    usage: Option<WireUsage>,
    is_done: bool,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: usize,
        content_block: Block,
    },
    ContentBlockDelta {
        index: usize,
        delta: Piece,
    },
    MessageDelta {
        delta: Stop,
        usage: Option<Value>,
    },
    MessageStop,
    Error,
    /// Pings too.
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct Start {
    usage: Option<Value>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece {
    TextDelta {
        text: String,
    },
    InputJsonDelta {
        partial_json: String,
    },
    #[serde(other)]
    Unknown,
}

impl Decoder for MessagesDecoder {
    fn frame(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<ControlFlow<()>, ProviderError> {
        match serde_json::from_slice(data).map_err(|_| ErrorKind::BadResponse)? {
            Event::MessageStart { message } => self.first_usage = message.usage.and_then(WireUsage::read),
            Event::ContentBlockStart { content_block: Block::Text { text }, .. }
            | Event::ContentBlockDelta { delta: Piece::TextDelta { text }, .. } => {
                if !text.is_empty() {
                    out.push(Delta::Text(Bytes::from(text)));
                }
            }
            // Its input follows in pieces.
            Event::ContentBlockStart { index, content_block: Block::ToolUse { id, name, input: _ } } => {
                self.calls.add(index, CallPart { id, name, ..CallPart::default() }, out)?;
            }
            Event::ContentBlockDelta { index, delta: Piece::InputJsonDelta { partial_json } } => {
                self.calls.add(index, CallPart { arguments: &partial_json, ..CallPart::default() }, out)?;
            }
            Event::MessageDelta { delta, usage } => {
                if delta.stop_reason.is_some() {
                    self.stop = delta;
                }
                let last = usage.and_then(WireUsage::read);
                self.usage = last.map(|last| last.or(self.usage.or(self.first_usage))).or(self.usage);
            }
            Event::MessageStop => {
                self.is_done = true;
                return Ok(ControlFlow::Break(()));
            }
            Event::Error => return Err(Fault::read(data).error(StatusCode::OK)),
            Event::ContentBlockStart { content_block: Block::Unknown, .. }
            | Event::ContentBlockDelta { delta: Piece::Unknown, .. }
            | Event::Unknown => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        if !self.is_done || self.stop.stop_reason.is_none() {
            return Err(ErrorKind::StreamInterrupted.into());
        }
        self.calls.end(out)?;
        let usage = self.usage.and_then(WireUsage::usage);
        out.push(Delta::Finish(std::mem::take(&mut self.stop).finish(usage)));
        Ok(())
    }

    /// What it counts at the beginning is the question, and nothing of the answer yet: of one that broke off, better than a guess.
    fn usage(&self) -> Option<Usage> {
        let question = self.first_usage.map(|first| WireUsage { output_tokens: Some(0), ..first });
        self.usage.or(question).and_then(WireUsage::usage)
    }
}

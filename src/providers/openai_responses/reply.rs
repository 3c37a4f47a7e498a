//! What comes back: one object, or a stream of events that ends with it.

use std::ops::ControlFlow;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    generate::{ErrorKind, Finish, FinishReason},
    providers::{Decoder, Delta, ProviderError, openai_chat::Fault, openai_usage::usage, tool_calls::PartialCalls},
};

/// What a body says that came in one piece.
///
/// # Errors
/// When it holds no answer.
pub(super) fn whole(body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|_| ErrorKind::BadResponse)?;
    if reply.error.is_some() || reply.status.as_deref() == Some("failed") {
        return Err(Fault::read(body).error(StatusCode::OK));
    }
    let mut said = Said::default();
    let output = reply.output.as_ref().ok_or(ErrorKind::BadResponse)?;
    output.iter().enumerate().for_each(|(at, item)| said.add(at, item));
    let mut deltas = Vec::new();
    said.end(reply, &mut deltas)?;
    Ok(deltas)
}

#[derive(Deserialize)]
struct Reply {
    status: Option<String>,
    error: Option<Value>,
    incomplete_details: Option<Value>,
    output: Option<Vec<Item>>,
    usage: Option<Value>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Item {
    Message {
        content: Option<Vec<Part>>,
    },
    FunctionCall {
        call_id: Option<String>,
        name: Option<String>,
        arguments: Option<String>,
        status: Option<String>,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    OutputText {
        text: String,
    },
    Refusal {
        refusal: String,
    },
    #[serde(other)]
    Unknown,
}

/// What an answer is made of.
#[derive(Default)]
struct Said {
    text: String,
    refusal: String,
    calls: PartialCalls,
}

impl Said {
    fn add(&mut self, at: usize, item: &Item) {
        match item {
            Item::Message { content } => {
                for part in content.iter().flatten() {
                    match part {
                        Part::OutputText { text } => self.text.push_str(text),
                        Part::Refusal { refusal } => self.refusal.push_str(refusal),
                        Part::Unknown => {}
                    }
                }
            }
            // The limit came in the middle of it.
            Item::FunctionCall { status: Some(status), .. } if status == "incomplete" => {}
            Item::FunctionCall { call_id, name, arguments, status: _ } => {
                if let Some(call) = self.calls.begin(at) {
                    call.add(call_id.clone(), name.clone(), arguments.as_deref().unwrap_or_default());
                }
            }
            Item::Unknown => {}
        }
    }

    /// Says it all, and why it ended.
    fn end(self, reply: Reply, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let Self { text, refusal, calls } = self;
        let reason = match reply.status.as_deref().unwrap_or("completed") {
            "queued" | "in_progress" => return Err(ErrorKind::BadResponse.into()),
            _ if !refusal.is_empty() => FinishReason::ContentFilter,
            _ if !calls.is_empty() => FinishReason::ToolCalls,
            "completed" => FinishReason::Stop,
            "incomplete" => match reply.incomplete_details.as_ref().and_then(|details| details.get("reason")?.as_str())
            {
                Some("max_output_tokens") => FinishReason::Length,
                Some("content_filter") => FinishReason::ContentFilter,
                _ => FinishReason::Other,
            },
            _ => FinishReason::Other,
        };
        if !text.is_empty() {
            out.push(Delta::Text(Bytes::from(text)));
        }
        out.extend(calls.whole());
        let refusal = Some(refusal).filter(|refusal| !refusal.is_empty());
        out.push(Delta::Finish(Finish { reason, refusal, usage: reply.usage.and_then(usage) }));
        Ok(())
    }
}

/// Reads a stream of response events.
#[derive(Default)]
pub struct ResponsesDecoder {
    had_text: bool,
    /// What came in pieces, its text left out.
    said: Said,
    /// The whole object, with which the stream ends.
    last: Option<Reply>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Event {
    #[serde(rename = "response.output_text.delta")]
    Text { delta: String },
    #[serde(rename = "response.refusal.delta")]
    Refusal { delta: String },
    #[serde(rename = "response.output_item.done")]
    Item { output_index: usize, item: Item },
    #[serde(rename = "response.completed", alias = "response.incomplete")]
    End { response: Reply },
    #[serde(rename = "response.failed")]
    Failed { response: Value },
    #[serde(rename = "error")]
    Error,
    #[serde(other)]
    Unknown,
}

impl Decoder for ResponsesDecoder {
    fn frame(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<ControlFlow<()>, ProviderError> {
        match serde_json::from_slice(data).map_err(|_| ErrorKind::BadResponse)? {
            Event::Text { delta } if delta.is_empty() => {}
            Event::Text { delta } => {
                self.had_text = true;
                out.push(Delta::Text(Bytes::from(delta)));
            }
            Event::Refusal { delta } => self.said.refusal.push_str(&delta),
            // What a message says has come before it was done.
            Event::Item { output_index, item: item @ Item::FunctionCall { .. } } => self.said.add(output_index, &item),
            Event::Item { .. } | Event::Unknown => {}
            Event::End { response } => {
                self.last = Some(response);
                return Ok(ControlFlow::Break(()));
            }
            Event::Failed { response } => return Err(Fault::of(&response).error(StatusCode::OK)),
            Event::Error => return Err(Fault::read(data).error(StatusCode::OK)),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let reply = self.last.take().ok_or(ErrorKind::StreamInterrupted)?;
        let pieces = std::mem::take(&mut self.said);
        let mut said = Said::default();
        reply.output.iter().flatten().enumerate().for_each(|(at, item)| said.add(at, item));
        // Some servers say at the end no more than that it is the end.
        if self.had_text {
            said.text.clear();
        }
        if said.refusal.is_empty() {
            said.refusal = pieces.refusal;
        }
        if said.calls.is_empty() {
            said.calls = pieces.calls;
        }
        said.end(reply, out)
    }
}

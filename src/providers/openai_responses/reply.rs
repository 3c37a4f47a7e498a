//! What comes back: one object, or a stream of events that ends with it.

use std::ops::ControlFlow;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    generate::{ErrorKind, Finish, FinishReason, Usage},
    providers::{
        Decoder, Delta, ProviderError,
        openai_chat::Fault,
        openai_usage::usage,
        tool_calls::{CallPart, Calls, MAX_REFUSAL_BYTES},
    },
};

/// What a body says that came in one piece.
///
/// # Errors
/// When it holds no answer.
pub(super) fn whole(body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|_| ErrorKind::BadResponse)?;
    let (usage, mut deltas) = (reply.usage.as_ref().and_then(usage), Vec::new());
    let said = if reply.error.is_some() || reply.status.as_deref() == Some("failed") {
        Err(Fault::read(body).error(StatusCode::OK))
    } else if reply.output.is_none() {
        Err(ErrorKind::BadResponse.into())
    } else {
        Said::default().end(&reply, usage, &mut deltas)
    };
    said.map(|()| deltas).map_err(|error| error.with_usage(usage))
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

/// What has come of an answer.
#[derive(Default)]
struct Said {
    had_text: bool,
    refusal: String,
    calls: Calls,
}

impl Said {
    fn call(&mut self, at: usize, item: &Item, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
        match item {
            // The limit came in the middle of it: what came in pieces has been passed on.
            Item::FunctionCall { status: Some(status), .. } if status == "incomplete" => Ok(()),
            Item::FunctionCall { call_id, name, arguments, status: _ } => {
                let (id, name, arguments) = (call_id.clone(), name.clone(), arguments.as_deref().unwrap_or_default());
                self.calls.add_whole(at, CallPart { id, name, signature: None, arguments }, out)
            }
            Item::Message { .. } | Item::Unknown => Ok(()),
        }
    }

    /// Where a call stands that has come in pieces. Some servers leave out at the end what came before it, such as thoughts, so its
    /// id says more than its place.
    fn place(&self, at: usize, item: &Item) -> usize {
        match item {
            Item::FunctionCall { call_id: Some(id), .. } => self.calls.place_of(id).unwrap_or(at),
            Item::FunctionCall { call_id: None, .. } | Item::Message { .. } | Item::Unknown => at,
        }
    }

    /// Says what has not been said so far, and why it ended.
    fn end(&mut self, reply: &Reply, usage: Option<Usage>, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let (mut text, mut refusal) = (String::new(), String::new());
        let parts = reply.output.iter().flatten().filter_map(|item| match item {
            Item::Message { content } => content.as_ref(),
            Item::FunctionCall { .. } | Item::Unknown => None,
        });
        for part in parts.flatten() {
            match part {
                Part::OutputText { text: more } => text.push_str(more),
                Part::Refusal { refusal: more } => refusal.push_str(more),
                Part::Unknown => {}
            }
        }
        // Some servers say at the end no more than that it is the end.
        if refusal.is_empty() {
            refusal = std::mem::take(&mut self.refusal);
        }
        if !text.is_empty() && !self.had_text {
            out.push(Delta::Text(Bytes::from(text)));
        }
        let items = reply.output.iter().flatten().enumerate();
        // All of them before any call is added: what one body says twice is two.
        let placed: Vec<_> = items.map(|(at, item)| (self.place(at, item), item)).collect();
        placed.into_iter().try_for_each(|(at, item)| self.call(at, item, out))?;
        self.calls.end(out)?;
        let reason = match reply.status.as_deref().unwrap_or("completed") {
            "queued" | "in_progress" | "cancelled" => return Err(ErrorKind::BadResponse.into()),
            _ if !refusal.is_empty() => FinishReason::ContentFilter,
            "incomplete" => match reply.incomplete_details.as_ref().and_then(|details| details.get("reason")?.as_str())
            {
                Some("max_output_tokens") => FinishReason::Length,
                Some("content_filter") => FinishReason::ContentFilter,
                _ => FinishReason::Other,
            },
            _ if !self.calls.is_empty() => FinishReason::ToolCalls,
            "completed" => FinishReason::Stop,
            _ => FinishReason::Other,
        };
        let refusal = Some(refusal).filter(|refusal| !refusal.is_empty());
        out.push(Delta::Finish(Finish { reason, refusal, usage }));
        Ok(())
    }
}

/// Reads a stream of response events.
#[derive(Default)]
pub struct ResponsesDecoder {
    said: Said,
    /// The whole object, with which the stream ends.
    last: Option<Reply>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Event {
    #[serde(rename = "response.output_text.delta")]
    Text { delta: String },
    #[serde(rename = "response.refusal.delta")]
    Refusal { delta: String },
    #[serde(rename = "response.output_item.added")]
    ItemBegins { output_index: usize, item: Item },
    #[serde(rename = "response.function_call_arguments.delta")]
    Arguments { output_index: usize, delta: String },
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
                self.said.had_text = true;
                out.push(Delta::Text(Bytes::from(delta)));
            }
            Event::Refusal { delta } => {
                self.said.refusal.push_str(&delta);
                if self.said.refusal.len() > MAX_REFUSAL_BYTES {
                    return Err(ErrorKind::AnswerTooLong.into());
                }
            }
            Event::ItemBegins { output_index, item: Item::FunctionCall { call_id: id, name, .. } } => {
                self.said.calls.add(output_index, CallPart { id, name, ..CallPart::default() }, out)?;
            }
            Event::Arguments { output_index, delta } => {
                self.said.calls.add(output_index, CallPart { arguments: &delta, ..CallPart::default() }, out)?;
            }
            // What a message says has come before it was done.
            Event::Item { output_index, item } => self.said.call(output_index, &item, out)?,
            Event::ItemBegins { .. } | Event::Unknown => {}
            Event::End { response } => {
                self.usage = response.usage.as_ref().and_then(usage);
                self.last = Some(response);
                return Ok(ControlFlow::Break(()));
            }
            Event::Failed { response } => {
                self.usage = response.get("usage").and_then(usage);
                return Err(Fault::of(&response).error(StatusCode::OK));
            }
            Event::Error => return Err(Fault::read(data).error(StatusCode::OK)),
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let reply = self.last.take().ok_or(ErrorKind::StreamInterrupted)?;
        self.said.end(&reply, self.usage, out)
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

//! What comes back when all is well: one body, or a stream of chunks.

use std::{borrow::Cow, ops::ControlFlow};

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    generate::{ErrorKind, Finish, FinishReason, Usage},
    providers::{
        Decoder, Delta, ProviderError,
        openai_usage::usage,
        tool_calls::{CallPart, Calls, MAX_REFUSAL_BYTES},
    },
};

use super::fault::Fault;

/// What a body says that came in one piece.
///
/// # Errors
/// When it holds no answer.
pub(super) fn whole(body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|_| ErrorKind::BadResponse)?;
    let usage = reply.usage.and_then(usage);
    if reply.error.is_some_and(|error| error.get() != "null") {
        return Err(Fault::read(body).error(StatusCode::OK).with_usage(usage));
    }
    let choice = reply.choices.unwrap_or_default().into_iter().next().ok_or(ErrorKind::BadResponse);
    let said = choice.and_then(|choice| said(choice, usage));
    said.map_err(|error| ProviderError::from(error).with_usage(usage))
}

fn said(choice: Choice<'_>, usage: Option<Usage>) -> Result<Vec<Delta>, ErrorKind> {
    let (message, finish) = (choice.message.ok_or(ErrorKind::BadResponse)?, choice.finish_reason);
    let mut deltas = Vec::new();
    let text = message.content.unwrap_or_default();
    if !text.is_empty() {
        deltas.push(Delta::Text(Bytes::from(text.into_owned())));
    }
    let mut calls = Calls::default();
    for (at, call) in message.tool_calls.into_iter().flatten().enumerate() {
        // Where all are there, their order is their place.
        add(&mut calls, WireCall { index: Some(at), ..call }, &mut deltas)?;
    }
    calls.end(&mut deltas)?;
    let refusal = message.refusal.map(Cow::into_owned).filter(|refusal| !refusal.is_empty());
    // A body that is valid JSON has come whole, whatever its server leaves out.
    let word = finish.as_deref().filter(|word| !word.is_empty()).unwrap_or("stop");
    let reason = with_calls(finish_reason(word, refusal.is_some())?, &calls);
    deltas.push(Delta::Finish(Finish { reason, refusal, usage }));
    Ok(deltas)
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    refusal: Option<Cow<'a, str>>,
    tool_calls: Option<Vec<WireCall>>,
}

#[derive(Deserialize)]
struct WireCall {
    index: Option<usize>,
    id: Option<String>,
    function: Option<WireFunction>,
}

#[derive(Deserialize)]
struct WireFunction {
    name: Option<String>,
    /// A text, but for servers that send the object itself.
    arguments: Option<Value>,
}

/// Calls come in pieces, told apart by their index; one without an index follows on, or begins with an id or a name.
fn add(calls: &mut Calls, call: WireCall, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
    let WireCall { index, id, function } = call;
    let (name, arguments) = function.map_or((None, None), |function| (function.name, function.arguments));
    let begins = id.is_some() || name.is_some();
    let at = index.unwrap_or_else(|| calls.last().map_or(0, |last| last + usize::from(begins)));
    let arguments = match arguments {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(object) => object.to_string(),
    };
    calls.add(at, CallPart { id, name, signature: None, arguments: &arguments }, out)
}

/// What servers say that pass on the answers of others, and some that make them, where half an answer is all there is. The last is
/// `DeepSeek`'s.
const GIVEN_UP: [&str; 7] =
    ["error", "abort", "aborted", "cancelled", "canceled", "timeout", "insufficient_system_resource"];

/// # Errors
/// When it says that the answer was given up.
fn finish_reason(word: &str, is_refusal: bool) -> Result<FinishReason, ErrorKind> {
    if GIVEN_UP.iter().any(|given_up| word.eq_ignore_ascii_case(given_up)) {
        return Err(ErrorKind::BadResponse);
    }
    match word {
        // A refusal ends with `stop`; the refusal itself is what marks it.
        _ if is_refusal => Ok(FinishReason::ContentFilter),
        // The words behind the first are those of other servers of this format.
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Ok(FinishReason::Stop),
        "length" | "model_length" | "max_tokens" => Ok(FinishReason::Length),
        "tool_calls" | "function_call" => Ok(FinishReason::ToolCalls),
        "content_filter" => Ok(FinishReason::ContentFilter),
        _ => Ok(FinishReason::Other),
    }
}

/// Some servers say that they are done where they want tools to be called.
fn with_calls(reason: FinishReason, calls: &Calls) -> FinishReason {
    if reason == FinishReason::Stop && !calls.is_empty() { FinishReason::ToolCalls } else { reason }
}

/// Reads a stream of chat completion chunks.
#[derive(Default)]
pub struct ChatDecoder {
    /// Whether the stream may end after its finish reason, with neither `[DONE]` nor a count.
    is_lenient: bool,
    calls: Calls,
    refusal: Option<String>,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    is_done: bool,
}

impl ChatDecoder {
    pub(super) fn new(is_lenient: bool) -> Self {
        Self { is_lenient, ..Self::default() }
    }
}

impl Decoder for ChatDecoder {
    fn frame(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<ControlFlow<()>, ProviderError> {
        if data == b"[DONE]" {
            self.is_done = true;
            return Ok(ControlFlow::Break(()));
        }
        let chunk: Reply = serde_json::from_slice(data).map_err(|_| ErrorKind::BadResponse)?;
        self.usage = chunk.usage.and_then(usage).or(self.usage);
        if chunk.error.is_some_and(|error| error.get() != "null") {
            return Err(Fault::read(data).error(StatusCode::OK));
        }
        let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() else {
            return Ok(ControlFlow::Continue(()));
        };
        if let Some(said) = choice.delta.or(choice.message) {
            let text = said.content.unwrap_or_default();
            if !text.is_empty() {
                out.push(Delta::Text(Bytes::copy_from_slice(text.as_bytes())));
            }
            if let Some(refusal) = said.refusal.filter(|refusal| !refusal.is_empty()) {
                let so_far = self.refusal.get_or_insert_default();
                so_far.push_str(&refusal);
                if so_far.len() > MAX_REFUSAL_BYTES {
                    return Err(ErrorKind::AnswerTooLong.into());
                }
            }
            said.tool_calls.into_iter().flatten().try_for_each(|call| add(&mut self.calls, call, out))?;
        }
        // Some servers say nothing in place of `null`.
        if let Some(word) = choice.finish_reason.filter(|word| !word.is_empty()) {
            self.finish_reason = Some(word.into_owned());
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let word = match self.finish_reason.take() {
            Some(word) => word,
            // A lenient server may say that it is done, and not why. What passes its answers on may say so though they were cut: such
            // a one is not kept.
            None if self.is_lenient && self.is_done => "unsaid".to_owned(),
            None => return Err(ErrorKind::StreamInterrupted.into()),
        };
        // The last chunk that a vendor sends before `[DONE]` counts the tokens: with it, nothing was lost.
        if !(self.is_done || self.usage.is_some() || self.is_lenient) {
            return Err(ErrorKind::StreamInterrupted.into());
        }
        self.calls.end(out)?;
        let refusal = self.refusal.take();
        let reason = with_calls(finish_reason(&word, refusal.is_some())?, &self.calls);
        out.push(Delta::Finish(Finish { reason, refusal, usage: self.usage }));
        Ok(())
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

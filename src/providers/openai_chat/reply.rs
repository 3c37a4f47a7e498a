//! What comes back when all is well: one body, or a stream of chunks.

use std::{borrow::Cow, ops::ControlFlow};

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    generate::{ErrorKind, Finish, FinishReason, ToolCall, Usage},
    providers::{Decoder, Delta, ProviderError},
};

use super::fault::Fault;

/// What a body says that came in one piece.
///
/// # Errors
/// When it holds no answer.
pub(super) fn whole(body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
    let reply: Reply = serde_json::from_slice(body).map_err(|_| ErrorKind::BadResponse)?;
    if reply.error.is_some_and(|error| error.get() != "null") {
        return Err(Fault::read(body).error(StatusCode::OK));
    }
    let choice = reply.choices.unwrap_or_default().into_iter().next().ok_or(ErrorKind::BadResponse)?;
    let (message, finish) = (choice.message.ok_or(ErrorKind::BadResponse)?, choice.finish_reason);
    let mut deltas = Vec::new();
    let text = message.content.unwrap_or_default();
    if !text.is_empty() {
        deltas.push(Delta::Text(Bytes::from(text.into_owned())));
    }
    let calls = message.tool_calls.unwrap_or_default().into_iter().enumerate();
    deltas.extend(calls.map(|(at, call)| Delta::ToolCall(PartialCall::from(call).whole(at))));
    let refusal = message.refusal.map(Cow::into_owned);
    // A body that is valid JSON has come whole, whatever its server leaves out.
    let reason = finish_reason(finish.as_deref().unwrap_or("stop"), refusal.is_some());
    deltas.push(Delta::Finish(Finish { reason, refusal, usage: reply.usage.and_then(usage) }));
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
    arguments: Option<String>,
}

/// What a vendor counted. `None`, and so an estimate, where that cannot be read: the answer is good all the same.
fn usage(raw: &RawValue) -> Option<Usage> {
    let wire: WireUsage = serde_json::from_str(raw.get()).ok()?;
    // More than any model reads or writes is no count.
    let is_plausible = |tokens: u64| u32::try_from(tokens).is_ok();
    let counts = [wire.prompt_tokens?, wire.completion_tokens?, wire.total_tokens.unwrap_or_default()];
    counts.into_iter().all(is_plausible).then(|| wire.into())
}

#[derive(Deserialize)]
struct WireUsage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let reasoning_tokens = wire.completion_tokens_details.and_then(|d| d.reasoning_tokens).unwrap_or_default();
        let (prompt, completion) = (wire.prompt_tokens.unwrap_or_default(), wire.completion_tokens.unwrap_or_default());
        // xAI counts reasoning apart from the completion, and its total tells.
        let apart = completion.saturating_add(reasoning_tokens);
        let is_apart = wire.total_tokens == Some(prompt.saturating_add(apart));
        let (cached, written) = wire
            .prompt_tokens_details
            .map_or((None, None), |details| (details.cached_tokens, details.cache_write_tokens));
        Self {
            input_tokens: prompt,
            output_tokens: if is_apart { apart } else { completion },
            cached_input_tokens: cached.unwrap_or_default(),
            cache_write_tokens: written.unwrap_or_default(),
            reasoning_tokens,
            estimated: false,
        }
    }
}

fn finish_reason(word: &str, is_refusal: bool) -> FinishReason {
    match word {
        // A refusal ends with `stop`; the refusal itself is what marks it.
        _ if is_refusal => FinishReason::ContentFilter,
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}

/// Reads a stream of chat completion chunks.
#[derive(Default)]
pub struct ChatDecoder {
    /// Whether the stream may end after its finish reason, with neither `[DONE]` nor a count.
    is_lenient: bool,
    calls: Vec<PartialCall>,
    refusal: Option<String>,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    is_done: bool,
}

#[derive(Default)]
struct PartialCall {
    id: String,
    name: String,
    arguments: String,
}

impl PartialCall {
    fn add(&mut self, call: WireCall) {
        let WireCall { index: _, id, function } = call;
        if let Some(id) = id.filter(|_| self.id.is_empty()) {
            self.id = id;
        }
        if let Some(WireFunction { name, arguments }) = function {
            if let Some(name) = name.filter(|_| self.name.is_empty()) {
                self.name = name;
            }
            self.arguments.push_str(&arguments.unwrap_or_default());
        }
    }

    fn whole(self, at: usize) -> ToolCall {
        let Self { id, name, arguments } = self;
        ToolCall {
            id: if id.is_empty() { format!("call_{at}") } else { id },
            name,
            arguments: if arguments.is_empty() { "{}".to_owned() } else { arguments },
            signature: None,
        }
    }
}

impl From<WireCall> for PartialCall {
    fn from(call: WireCall) -> Self {
        let mut partial = Self::default();
        partial.add(call);
        partial
    }
}

impl ChatDecoder {
    pub(super) fn new(is_lenient: bool) -> Self {
        Self { is_lenient, ..Self::default() }
    }

    /// Calls come in pieces, told apart by their index; one without an index follows on, or begins with an id.
    fn tool_call(&mut self, call: WireCall) {
        /// More calls at once than any vendor makes: an index beyond it is nonsense, not a reason to fill memory.
        const MAX_CALLS: usize = 128;
        let follows = self.calls.len().saturating_sub(usize::from(call.id.is_none()));
        let at = call.index.unwrap_or(follows);
        if at >= MAX_CALLS {
            return;
        }
        if self.calls.len() <= at {
            self.calls.resize_with(at + 1, PartialCall::default);
        }
        if let Some(partial) = self.calls.get_mut(at) {
            partial.add(call);
        }
    }
}

impl Decoder for ChatDecoder {
    fn frame(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<ControlFlow<()>, ProviderError> {
        if data == b"[DONE]" {
            self.is_done = true;
            return Ok(ControlFlow::Break(()));
        }
        let chunk: Reply = serde_json::from_slice(data).map_err(|_| ErrorKind::BadResponse)?;
        if chunk.error.is_some_and(|error| error.get() != "null") {
            return Err(Fault::read(data).error(StatusCode::OK));
        }
        self.usage = chunk.usage.and_then(usage).or(self.usage);
        let Some(choice) = chunk.choices.unwrap_or_default().into_iter().next() else {
            return Ok(ControlFlow::Continue(()));
        };
        if let Some(said) = choice.delta.or(choice.message) {
            let text = said.content.unwrap_or_default();
            if !text.is_empty() {
                out.push(Delta::Text(Bytes::copy_from_slice(text.as_bytes())));
            }
            if let Some(refusal) = said.refusal.filter(|refusal| !refusal.is_empty()) {
                self.refusal.get_or_insert_default().push_str(&refusal);
            }
            said.tool_calls.into_iter().flatten().for_each(|call| self.tool_call(call));
        }
        if let Some(word) = choice.finish_reason {
            self.finish_reason = Some(word.into_owned());
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let word = self.finish_reason.take().ok_or(ErrorKind::StreamInterrupted)?;
        // The last chunk that a vendor sends before `[DONE]` counts the tokens: with it, nothing was lost.
        if !(self.is_done || self.usage.is_some() || self.is_lenient) {
            return Err(ErrorKind::StreamInterrupted.into());
        }
        let calls = std::mem::take(&mut self.calls).into_iter().enumerate();
        out.extend(calls.map(|(at, call)| Delta::ToolCall(call.whole(at))));
        let refusal = self.refusal.take();
        let reason = finish_reason(&word, refusal.is_some());
        out.push(Delta::Finish(Finish { reason, refusal, usage: self.usage }));
        Ok(())
    }
}

//! The wire format of OpenAI's chat completions, which xAI and many others speak too (`providers.md` 3, 7, 8).

use std::{borrow::Cow, ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use crate::generate::{
    Delivery, ErrorKind, Finish, FinishReason, GenerateRequest, Message, ModelId, Part, Sampling, Target, ToolCall,
    ToolChoice, Tools, Usage,
};

use super::{Decoder, Delta, Dialect, ProviderError, WireRequest};

/// Chat completions, as a vendor of the catalogue or a compatible server speaks them.
pub struct OpenAiChat {
    /// Vendors name the limit `max_completion_tokens` and end a stream by the book: usage, then `[DONE]`. Compatible
    /// servers want the older `max_tokens`, and some leave out both endings.
    is_vendor: bool,
}

impl OpenAiChat {
    /// The dialect of a vendor, or of a compatible server.
    pub fn new(is_vendor: bool) -> Self {
        Self { is_vendor }
    }
}

impl Dialect for OpenAiChat {
    type Decoder = ChatDecoder;

    fn request(&self, request: &GenerateRequest) -> WireRequest {
        let GenerateRequest { target, messages, sampling, tools, delivery, allow_failover: _ } = request;
        let Target { provider: _, model } = target;
        let Sampling { temperature, max_tokens } = *sampling;
        let Tools { definitions, choice, parallel } = tools;
        let stream = *delivery == Delivery::Stream;
        let has_tools = !definitions.is_empty();
        let body = WireBody {
            model,
            messages: messages.iter().map(wire_message).collect(),
            temperature,
            max_completion_tokens: max_tokens.filter(|_| self.is_vendor),
            max_tokens: max_tokens.filter(|_| !self.is_vendor),
            tools: definitions
                .iter()
                .map(|tool| {
                    let function = json!({"name": tool.name, "parameters": tool.parameters});
                    let mut wire = json!({"type": "function", "function": function});
                    if let (Some(description), Some(function)) = (&tool.description, wire.get_mut("function")) {
                        function["description"] = json!(description);
                    }
                    wire
                })
                .collect(),
            tool_choice: has_tools.then(|| match choice {
                ToolChoice::Auto => json!("auto"),
                ToolChoice::None => json!("none"),
                ToolChoice::Required => json!("required"),
                ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
            }),
            parallel_tool_calls: parallel.filter(|_| has_tools),
            stream: stream.then_some(true),
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        };
        let body = serde_json::to_vec(&body).unwrap_or_else(|_| unreachable!("strings, numbers and JSON are JSON"));
        WireRequest { path: "/chat/completions".to_owned(), body }
    }

    fn decoder(&self) -> ChatDecoder {
        ChatDecoder { is_lenient: !self.is_vendor, ..ChatDecoder::default() }
    }

    fn whole(&self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        let reply: Reply = serde_json::from_slice(body).map_err(|_| ErrorKind::BadResponse)?;
        if reply.error.is_some_and(|error| error.get() != "null") {
            return Err(self.fault(StatusCode::OK, body));
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

    fn fault(&self, status: StatusCode, body: &[u8]) -> ProviderError {
        let fault = Fault::read(body);
        ProviderError { param: fault.param(), ..ProviderError::from(fault.kind(status.as_u16())) }
    }
}

#[derive(Serialize)]
struct WireBody<'a> {
    model: &'a ModelId,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum WireMessage<'a> {
    System {
        content: &'a str,
    },
    User {
        content: WireContent<'a>,
    },
    Assistant {
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Value>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireContent<'a> {
    Text(&'a str),
    Parts(Vec<Value>),
}

fn wire_message(message: &Message) -> WireMessage<'_> {
    match message {
        Message::System(text) => WireMessage::System { content: text },
        Message::User(parts) => WireMessage::User {
            content: match parts.as_slice() {
                [Part::Text(text)] => WireContent::Text(text),
                parts => WireContent::Parts(
                    parts
                        .iter()
                        .map(|part| match part {
                            Part::Text(text) => json!({"type": "text", "text": text}),
                            Part::Image { url } => json!({"type": "image_url", "image_url": {"url": url}}),
                        })
                        .collect(),
                ),
            },
        },
        Message::Assistant { text, tool_calls } => WireMessage::Assistant {
            content: (!text.is_empty() || tool_calls.is_empty()).then_some(text),
            tool_calls: tool_calls
                .iter()
                .map(|ToolCall { id, name, arguments }| {
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
                })
                .collect(),
        },
        Message::Tool { call_id, content } => WireMessage::Tool { tool_call_id: call_id, content },
    }
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
            return Err(Fault::read(data).kind(StatusCode::OK.as_u16()).into());
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

/// What a vendor says went wrong: `{"error":{"message","type","param","code"}}`, or `{"code","error"}` with two texts.
///
/// Read for its kind, and then forgotten: it may quote the key or name the account.
#[derive(Default)]
struct Fault {
    message: String,
    kind: String,
    code: String,
    param: Option<String>,
}

impl Fault {
    fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        match body.get("error") {
            Some(Value::Object(error)) => Self {
                message: text(error.get("message")).to_lowercase(),
                kind: text(error.get("type")),
                code: text(error.get("code")),
                param: error.get("param").and_then(Value::as_str).map(str::to_owned),
            },
            error => Self {
                message: text(error).to_lowercase(),
                code: text(body.get("code")).to_lowercase(),
                ..Self::default()
            },
        }
    }

    /// The refused field, if that is what it looks like.
    fn param(&self) -> Option<Arc<str>> {
        let is_name =
            |text: &&str| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.[]".contains(&b));
        self.param.as_deref().filter(is_name).map(Arc::from)
    }

    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.message.contains(word) || self.code.contains(word) || self.kind.contains(word))
    }

    fn kind(&self, status: u16) -> ErrorKind {
        const SPENT: [&str; 5] = ["insufficient_quota", "credit", "spend_limit", "usage_limit", "spending limit"];
        match status {
            401 => ErrorKind::Authentication,
            402 => ErrorKind::QuotaExhausted,
            403 | 429 if self.says(&SPENT) => ErrorKind::QuotaExhausted,
            403 => ErrorKind::Permission,
            404 => ErrorKind::ModelNotFound,
            408 | 504 => ErrorKind::Timeout,
            413 => ErrorKind::PayloadTooLarge,
            429 => ErrorKind::RateLimited,
            400..=499 if self.says(&["context_length", "context length", "context window"]) => {
                ErrorKind::ContextLengthExceeded
            }
            400..=499 if self.says(&["content_policy", "content_filter", "invalid_prompt"]) => ErrorKind::ContentFilter,
            400..=499 if self.says(&["incorrect api key", "invalid_api_key"]) => ErrorKind::Authentication,
            400..=499 => ErrorKind::InvalidRequest,
            503 | 529 => ErrorKind::Overloaded,
            500..=599 => ErrorKind::ServerError,
            // An error where an answer was promised: only its words tell.
            _ if self.says(&SPENT) => ErrorKind::QuotaExhausted,
            _ if self.says(&["rate_limit", "slow_down"]) => ErrorKind::RateLimited,
            _ if self.says(&["overloaded", "unavailable", "at capacity"]) => ErrorKind::Overloaded,
            _ => ErrorKind::ServerError,
        }
    }
}

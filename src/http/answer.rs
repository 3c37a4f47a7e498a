//! One answer as JSON: the body of a reply, or the last event of a stream. The text is copied, never escaped again.

use std::time::Duration;

use axum::http::HeaderValue;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    catalogue::RoutingMode,
    generate::{Completion, ErrorKind, FinishReason, GenerateError, MicroDollars, ModelId, Usage},
    json,
    ledger::{Alert, BudgetStatus},
};

/// What a reply says besides the text.
pub(super) struct Answered<'a> {
    /// The answer.
    pub(super) completion: &'a Completion,
    /// Whether it had been stored before.
    pub(super) is_cached: bool,
    /// What `Cache-Status` says of it now.
    pub(super) cache_status: &'a str,
    /// The model that was asked for.
    pub(super) model: &'a ModelId,
    /// What this request cost; nothing for a hit or a joined call.
    pub(super) cost: MicroDollars,
    /// As sent, or `manual`.
    pub(super) routing_mode: &'static str,
    /// Settings that the model asked first refuses.
    pub(super) ignored: &'a [&'static str],
    /// The request's id.
    pub(super) request_id: &'a str,
    /// What operators are told of because of it.
    pub(super) alerts: &'a [Alert],
    /// What is left to spend, as JSON.
    pub(super) budget: &'a Bytes,
}

/// What an answer of `/llm/generate` must be: text, not refused. Cut off by length is delivered, and marked.
///
/// # Errors
/// [`ErrorKind::ContentFilter`] or [`ErrorKind::EmptyAnswer`].
pub(super) fn deliverable(completion: &Completion) -> Result<(), GenerateError> {
    let target = || completion.served.target.clone();
    let is_refused = completion.refusal.is_some() || completion.reason == FinishReason::ContentFilter;
    if is_refused {
        return Err(GenerateError::from(ErrorKind::ContentFilter).at(target()));
    }
    if !completion.has_text() {
        return Err(GenerateError::from(ErrorKind::EmptyAnswer).at(target()));
    }
    Ok(())
}

impl Answered<'_> {
    /// The JSON object. `head` stands before its first field, such as `"type":"COMPLETE",`.
    pub(super) fn to_json(&self, head: &str) -> Vec<u8> {
        let Completion { text_json, reason, usage, served, .. } = self.completion;
        let Usage { input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, estimated, .. } = *usage;
        let cached = self.is_cached;
        let mut json = Vec::with_capacity(text_json.len() + self.budget.len() + 640);
        json.push(b'{');
        json.extend_from_slice(head.as_bytes());
        json.extend_from_slice(b"\"code\":");
        json.extend_from_slice(text_json);
        member(&mut json, ",\"cached\":", &cached);

        member(&mut json, ",\"metadata\":{\"model\":", self.model);
        member(&mut json, ",\"provider\":", &served.target.provider);
        if served.target.model != *self.model {
            member(&mut json, ",\"servedModel\":", &served.target.model);
        }
        member(&mut json, ",\"estimatedTokens\":", &input_tokens.saturating_add(output_tokens));
        member(&mut json, ",\"estimatedCost\":", &self.cost.dollars());
        member(&mut json, ",\"routingMode\":", self.routing_mode);
        member(&mut json, ",\"mock\":", &served.mock);
        member(&mut json, ",\"cached\":", &cached);
        member(&mut json, ",\"cache\":", self.cache_status);
        member(&mut json, ",\"usage\":{\"inputTokens\":", &input_tokens);
        member(&mut json, ",\"outputTokens\":", &output_tokens);
        member(&mut json, ",\"cachedInputTokens\":", &cached_input_tokens);
        member(&mut json, ",\"reasoningTokens\":", &reasoning_tokens);
        if estimated {
            member(&mut json, ",\"estimated\":", &true);
        }
        member(&mut json, "},\"finishReason\":", reason.as_str());
        member(&mut json, ",\"attempts\":", if cached { &0 } else { &served.attempts });
        let ignored = served.ignored.as_deref().unwrap_or(self.ignored);
        if !ignored.is_empty() {
            member(&mut json, ",\"ignored\":", ignored);
        }
        member(&mut json, ",\"requestId\":", self.request_id);

        member(&mut json, "},\"budget\":{\"alerts\":", self.alerts);
        json.extend_from_slice(b",\"status\":");
        json.extend_from_slice(self.budget);
        json.extend_from_slice(b"}}");
        json
    }
}

/// The form of what [`Answered::to_json`] writes, for the API's description.
#[derive(ToSchema)]
#[schema(as = GenerateAnswer)]
#[expect(dead_code, reason = "it describes what is written by hand")]
pub(super) struct AnswerForm {
    /// The answer's text.
    code: String,
    /// Whether it was stored before.
    cached: bool,
    metadata: AnswerMetadata,
    budget: AnswerBudget,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written by hand")]
struct AnswerMetadata {
    /// The model that was asked for.
    model: String,
    /// The provider that answered.
    provider: String,
    /// The model that answered, where it is another one.
    #[schema(required = false)]
    served_model: String,
    estimated_tokens: u64,
    /// What this request cost, in dollars: nothing for a hit or a joined call.
    estimated_cost: f64,
    routing_mode: RoutingMode,
    /// Whether the demo provider made it up.
    mock: bool,
    cached: bool,
    /// As `Cache-Status`, when all is known.
    cache: String,
    usage: AnswerUsage,
    finish_reason: AnswerEnd,
    /// Calls that were made for it; 0 when it was stored before.
    attempts: u32,
    /// Settings that the model does not take.
    #[schema(required = false)]
    ignored: Vec<String>,
    request_id: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is written by hand")]
struct AnswerUsage {
    input_tokens: u64,
    output_tokens: u64,
    cached_input_tokens: u64,
    reasoning_tokens: u64,
    /// Whether the provider did not count, and this service did.
    #[schema(required = false)]
    estimated: bool,
}

/// What is left to spend.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is written by hand")]
struct AnswerBudget {
    /// What operators are told of because of this request.
    alerts: Vec<Alert>,
    status: BudgetStatus<'static>,
}

/// Why an answer ended.
#[derive(ToSchema)]
#[schema(as = FinishReason, rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes what is written by hand")]
pub(super) enum AnswerEnd {
    Stop,
    Length,
    ContentFilter,
    ToolCalls,
}

/// Writes what leads to a value, its name included, and the value.
fn member(json: &mut Vec<u8>, lead: &str, value: &(impl Serialize + ?Sized)) {
    json.extend_from_slice(lead.as_bytes());
    json::append(json, value);
}

/// The value of `Server-Timing`: milliseconds.
pub(super) struct ServerTiming {
    pub(super) limiter: Option<Duration>,
    pub(super) cache: Duration,
    /// `None`: nobody was asked, or it has not answered yet.
    pub(super) provider: Option<Duration>,
    pub(super) total: Duration,
}

impl ServerTiming {
    /// The header's value. Written by hand: every answer has it, and formatting floats is slow.
    pub(super) fn to_header(&self) -> HeaderValue {
        let Self { limiter, cache, provider, total } = *self;
        let mut value = Vec::with_capacity(96);
        let entries = [("limiter", limiter), ("cache", Some(cache)), ("provider", provider), ("total", Some(total))];
        for (name, took) in entries {
            let Some(took) = took else { continue };
            if !value.is_empty() {
                value.extend_from_slice(b", ");
            }
            value.extend_from_slice(name.as_bytes());
            value.extend_from_slice(b";dur=");
            let us = took.as_micros();
            value.extend_from_slice(itoa::Buffer::new().format(us / 1000).as_bytes());
            // Behind the point, a thousand stands for the zeros that lead.
            let thousandths = us % 1000 + 1000;
            let mut digits = itoa::Buffer::new();
            value.push(b'.');
            value.extend(digits.format(thousandths).bytes().skip(1));
        }
        HeaderValue::from_maybe_shared(Bytes::from(value)).unwrap_or_else(|_| unreachable!("words and numbers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_with_three_decimals() {
        let (us, ms) = (Duration::from_micros, Duration::from_millis);
        let timing = ServerTiming { limiter: Some(us(7)), cache: us(1_050), provider: None, total: ms(61_000) };
        assert_eq!(timing.to_header(), "limiter;dur=0.007, cache;dur=1.050, total;dur=61000.000");
    }
}

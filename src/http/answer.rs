//! One answer as JSON: the body of a reply, or the last event of a stream. The text is copied, never escaped again.

use std::{fmt, time::Duration};

use axum::http::HeaderValue;
use bytes::Bytes;
use serde::Serialize;

use crate::{
    catalogue::MicroDollars,
    generate::{
        CacheResult, Completion, ErrorKind, GenerateError, ModelId, ProviderId, Receipt, Served, Target, Usage,
    },
};

/// What a reply says besides the text.
pub(super) struct Answered<'a> {
    /// The answer.
    pub(super) completion: &'a Completion,
    /// How it came about.
    pub(super) receipt: &'a Receipt,
    /// Whether the cache keeps it now.
    pub(super) stored: bool,
    /// What was asked for.
    pub(super) target: &'a Target,
    /// What this request cost; nothing for a hit or a joined call.
    pub(super) cost: MicroDollars,
    /// As sent, or `manual`.
    pub(super) routing_mode: &'static str,
    /// Fields that were left out because the model refuses them.
    pub(super) ignored: &'a [&'static str],
    /// The request's id.
    pub(super) request_id: &'a str,
    /// What is left to spend, as JSON.
    pub(super) budget: &'a Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    model: &'a ModelId,
    provider: &'a ProviderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    served_model: Option<&'a ModelId>,
    estimated_tokens: u64,
    estimated_cost: f64,
    routing_mode: &'static str,
    mock: bool,
    cached: bool,
    cache: String,
    usage: WireUsage,
    finish_reason: &'static str,
    attempts: u32,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ignored: &'a [&'static str],
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are promised")]
struct WireUsage {
    input_tokens: u64,
    output_tokens: u64,
    cached_input_tokens: u64,
    reasoning_tokens: u64,
}

/// What an answer of `/llm/generate` must be: text, not refused. Cut off by length is delivered, and marked.
///
/// # Errors
/// [`ErrorKind::ContentFilter`] or [`ErrorKind::EmptyAnswer`].
pub(super) fn deliverable(completion: &Completion) -> Result<(), GenerateError> {
    let Served { provider, model, .. } = &completion.served;
    let target = || Target { provider: provider.clone(), model: model.clone() };
    let is_refused = completion.refusal.is_some() || completion.reason == crate::generate::FinishReason::ContentFilter;
    if is_refused {
        return Err(GenerateError::from(ErrorKind::ContentFilter).at(target()));
    }
    if completion.text_json.as_ref() == b"\"\"" {
        return Err(GenerateError::from(ErrorKind::EmptyAnswer).at(target()));
    }
    Ok(())
}

impl Answered<'_> {
    /// The JSON object. `head` stands before its first field, such as `"type":"COMPLETE",`.
    pub(super) fn to_json(&self, head: &str) -> Vec<u8> {
        let Completion { text_json, reason, usage, served, .. } = self.completion;
        let Usage { input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, .. } = *usage;
        let cached = self.receipt.is_hit();
        let metadata = Metadata {
            model: &self.target.model,
            provider: &self.target.provider,
            served_model: Some(&served.model).filter(|model| **model != self.target.model),
            estimated_tokens: input_tokens + output_tokens,
            estimated_cost: self.cost.dollars(),
            routing_mode: self.routing_mode,
            mock: served.mock,
            cached,
            cache: CacheStatus { receipt: self.receipt, stored: self.stored }.to_string(),
            usage: WireUsage { input_tokens, output_tokens, cached_input_tokens, reasoning_tokens },
            finish_reason: reason.as_str(),
            attempts: if cached { 0 } else { served.attempts },
            ignored: self.ignored,
            request_id: self.request_id,
        };
        let mut json = Vec::with_capacity(text_json.len() + self.budget.len() + 640);
        json.push(b'{');
        json.extend_from_slice(head.as_bytes());
        json.extend_from_slice(b"\"code\":");
        json.extend_from_slice(text_json);
        json.extend_from_slice(if cached { b",\"cached\":true" } else { b",\"cached\":false" });
        json.extend_from_slice(b",\"metadata\":");
        if serde_json::to_writer(&mut json, &metadata).is_err() {
            unreachable!("numbers and texts are JSON, and a Vec takes all of it");
        }
        json.extend_from_slice(b",\"budget\":{\"alerts\":[],\"status\":");
        json.extend_from_slice(self.budget);
        json.extend_from_slice(b"}}");
        json
    }
}

/// The value of `Cache-Status` (RFC 9211).
pub(super) struct CacheStatus<'a> {
    pub(super) receipt: &'a Receipt,
    pub(super) stored: bool,
}

impl fmt::Display for CacheStatus<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("llm-gateway; ")?;
        match (self.receipt.cache, self.receipt.joined) {
            (CacheResult::Hit { ttl, .. }, _) => write!(f, "hit; ttl={}", ttl.as_secs()),
            (CacheResult::Miss, Some(_)) => f.write_str("fwd=miss; collapsed"),
            (CacheResult::Miss, None) if self.stored => f.write_str("fwd=miss; stored"),
            (CacheResult::Miss, None) => f.write_str("fwd=miss"),
            (CacheResult::Bypass, Some(_)) => f.write_str("fwd=bypass; collapsed"),
            (CacheResult::Bypass, None) => f.write_str("fwd=bypass"),
        }
    }
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
    /// The header's value. Written by hand: formatting took as long as everything else that a hit does with its answer.
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

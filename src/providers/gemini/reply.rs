//! What comes back when all is well: one body, or a stream of bodies that each bring a part.

use std::{borrow::Cow, ops::ControlFlow};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

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
    let mut decoder = ContentDecoder::default();
    decoder.whole(body).map_err(|error| error.with_usage(decoder.usage))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<Feedback<'a>>,
    #[serde(borrow)]
    usage_metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Part<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    thought: Option<bool>,
    #[serde(borrow)]
    function_call: Option<Call<'a>>,
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct Call<'a> {
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// What the vendor counted. `None`, and so an estimate, where that cannot be read: the answer is good all the same.
fn usage(raw: &RawValue) -> Option<Usage> {
    let wire: WireUsage = serde_json::from_str(raw.get()).ok()?;
    let or_none = Option::unwrap_or_default;
    plausible(Usage {
        input_tokens: wire.prompt_token_count?.saturating_add(or_none(wire.tool_use_prompt_token_count)),
        // Counts of nothing are absent.
        output_tokens: or_none(wire.candidates_token_count).saturating_add(or_none(wire.thoughts_token_count)),
        cached_input_tokens: or_none(wire.cached_content_token_count),
        cache_write_tokens: 0,
        reasoning_tokens: or_none(wire.thoughts_token_count),
        estimated: false,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the vendor's names")]
struct WireUsage {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
}

/// Reads a stream of replies. It has no mark of its end but the finish reason.
#[derive(Default)]
pub struct ContentDecoder {
    calls: Calls,
    usage: Option<Usage>,
    finish_reason: Option<String>,
    block_reason: Option<String>,
}

impl ContentDecoder {
    fn whole(&mut self, body: &[u8]) -> Result<Vec<Delta>, ProviderError> {
        let mut deltas = Vec::new();
        self.take(body, &mut deltas)?;
        let finish = self.finish()?.ok_or(ErrorKind::BadResponse)?;
        self.calls.end(&mut deltas)?;
        deltas.push(Delta::Finish(finish));
        Ok(deltas)
    }

    fn take(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        // An error may come in an array.
        if data.trim_ascii_start().starts_with(b"[") {
            return Err(Fault::read(data).instead());
        }
        let reply: Reply = serde_json::from_slice(data).map_err(|_| ErrorKind::BadResponse)?;
        // Every reply counts from the beginning.
        self.usage = reply.usage_metadata.and_then(usage).or(self.usage);
        if reply.error.is_some_and(|error| error.get() != "null") {
            return Err(Fault::read(data).instead());
        }
        if let Some(reason) = reply.prompt_feedback.and_then(|feedback| feedback.block_reason) {
            self.block_reason = Some(reason.into_owned());
        }
        let Some(candidate) = reply.candidates.unwrap_or_default().into_iter().next() else { return Ok(()) };
        for part in candidate.content.and_then(|content| content.parts).unwrap_or_default() {
            self.part(part, out)?;
        }
        if let Some(reason) = candidate.finish_reason {
            self.finish_reason = Some(reason.into_owned());
        }
        Ok(())
    }

    fn part(&mut self, part: Part<'_>, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
        let Part { text, thought, function_call, thought_signature } = part;
        let text = text.filter(|text| !text.is_empty() && thought != Some(true));
        out.extend(text.map(|text| Delta::Text(Bytes::copy_from_slice(text.as_bytes()))));
        if let Some(Call { id, name, args }) = function_call {
            let arguments = args.map_or("{}", RawValue::get);
            self.calls.add_next(CallPart { id, name, signature: thought_signature, arguments }, out)?;
        }
        Ok(())
    }

    /// How it ended. `None`: the vendor did not say that it has.
    fn finish(&mut self) -> Result<Option<Finish>, ProviderError> {
        let refusal = self.block_reason.take();
        let reason = match self.finish_reason.take().as_deref() {
            _ if refusal.is_some() => FinishReason::ContentFilter,
            None => return Ok(None),
            Some("STOP") if !self.calls.is_empty() => FinishReason::ToolCalls,
            Some("STOP") => FinishReason::Stop,
            Some("MAX_TOKENS" | "CONTINUATION") => FinishReason::Length,
            Some(
                "SAFETY"
                | "RECITATION"
                | "BLOCKLIST"
                | "PROHIBITED_CONTENT"
                | "SPII"
                | "LANGUAGE"
                | "IMAGE_SAFETY"
                | "IMAGE_PROHIBITED_CONTENT"
                | "IMAGE_RECITATION"
                | "ESCALATION"
                | "PUP_LIMITED_DISABLED",
            ) => FinishReason::ContentFilter,
            Some(
                "MALFORMED_FUNCTION_CALL"
                | "UNEXPECTED_TOOL_CALL"
                | "TOO_MANY_TOOL_CALLS"
                | "MALFORMED_RESPONSE"
                | "MISSING_THOUGHT_SIGNATURE",
            ) => return Err(ErrorKind::BadResponse.into()),
            Some(_) => FinishReason::Other,
        };
        Ok(Some(Finish { reason, refusal, usage: self.usage }))
    }
}

impl Decoder for ContentDecoder {
    fn frame(&mut self, data: &[u8], out: &mut Vec<Delta>) -> Result<ControlFlow<()>, ProviderError> {
        self.take(data, out).map(ControlFlow::Continue)
    }

    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ProviderError> {
        let finish = self.finish()?.ok_or(ErrorKind::StreamInterrupted)?;
        self.calls.end(out)?;
        out.push(Delta::Finish(finish));
        Ok(())
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }
}

//! What `OpenAI` and whoever speaks like it counted.

use serde::{Deserialize, Deserializer};

use crate::generate::Usage;

use super::counts::plausible;

/// What a vendor counted. `None`, and so an estimate, where that cannot be read: the answer is good all the same.
pub(super) fn usage<'de>(wire: impl Deserializer<'de>) -> Option<Usage> {
    let wire = WireUsage::deserialize(wire).ok()?;
    let (prompt, completion) = (wire.prompt_tokens?, wire.completion_tokens?);
    let reasoning_tokens = wire.completion_tokens_details.and_then(|d| d.reasoning_tokens).unwrap_or_default();
    // xAI counts reasoning apart from the completion, and its total tells.
    let apart = completion.saturating_add(reasoning_tokens);
    let is_apart = wire.total_tokens == Some(prompt.saturating_add(apart));
    let (cached, written) =
        wire.prompt_tokens_details.map_or((None, None), |details| (details.cached_tokens, details.cache_write_tokens));
    plausible(Usage {
        input_tokens: prompt,
        output_tokens: if is_apart { apart } else { completion },
        cached_input_tokens: cached.unwrap_or_default(),
        cache_write_tokens: written.unwrap_or_default(),
        reasoning_tokens,
        estimated: false,
    })
}

/// In the words of chat completions, or in those of responses.
#[derive(Deserialize)]
struct WireUsage {
    #[serde(alias = "input_tokens")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(alias = "output_tokens_details")]
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

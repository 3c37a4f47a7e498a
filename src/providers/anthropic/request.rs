//! What is sent.

use serde::Serialize;
use serde_json::Value;

use crate::providers::{ProviderError, body::json_body, instructions::instructions};

use crate::generate::{
    Delivery, Effort, Format, GenerateRequest, MESSAGES_MAX_TOKENS, ModelId, Params, ReasoningControl, Sampling,
    Target, Tool, ToolChoice, Tools, Wishes,
};

use super::{
    schema::enforceable,
    turns::{Turn, turns},
};

/// From here on the vendor caches what stands above the conversation: 1,024 tokens are the least that any of its models does, and
/// a mark on less is without effect and without cost. Four bytes are a token.
const CACHED_FROM_BYTES: usize = 4 * 1_024;
/// Above this the vendor's own client refuses to wait for the whole (`providers.md` 2).
const MAX_WHOLE_TOKENS: u32 = 21_333;

/// The body.
///
/// # Errors
/// When the conversation holds what this format cannot say, or nothing.
pub(super) fn body(request: &GenerateRequest, params: &Params) -> Result<Vec<u8>, ProviderError> {
    let GenerateRequest { target, messages, sampling, format, tools, delivery, end_user, .. } = request;
    let Target { provider: _, model } = target;
    let Sampling {
        temperature,
        top_p,
        max_tokens,
        stop,
        effort,
        // This format has none of these.
        seed: _,
        presence_penalty: _,
        frequency_penalty: _,
    } = sampling;
    let max_tokens = params.longest_answer(*max_tokens).unwrap_or(MESSAGES_MAX_TOKENS);
    let tool_choice = tool_choice(tools, params);
    let takes_thinking = params.takes_thinking_budget(sampling, Wishes::of(tools, messages, None));
    let output_config = OutputConfig {
        effort: effort
            .filter(|effort| *effort != Effort::None && params.reasoning_control == Some(ReasoningControl::Effort)),
        format: match format {
            Format::Text | Format::JsonObject => None,
            Format::JsonSchema { schema, .. } => Some(OutputFormat::JsonSchema { schema: enforceable(schema) }),
        },
    };
    let body = WireBody {
        model,
        max_tokens,
        system: System::new(system(request, params)),
        messages: turns(messages)?,
        temperature: *temperature,
        top_p: *top_p,
        stop_sequences: stop,
        thinking: effort.and_then(|effort| thinking(effort, params, max_tokens, takes_thinking)),
        output_config: (output_config != OutputConfig::default()).then_some(output_config),
        tools: tools
            .definitions
            .iter()
            .map(|Tool { name, description, parameters, strict: _ }| WireTool {
                name,
                description: description.as_deref(),
                input_schema: parameters,
            })
            .collect(),
        tool_choice,
        metadata: end_user.as_deref().map(|user_id| Metadata { user_id }),
        stream: (*delivery == Delivery::Stream || max_tokens > MAX_WHOLE_TOKENS).then_some(true),
    };
    if body.messages.is_empty() {
        return Err(ProviderError::unsayable("messages"));
    }
    Ok(json_body(&body))
}

#[derive(Serialize)]
struct WireBody<'a> {
    model: &'a ModelId,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<System>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

/// What stands above the conversation.
#[derive(Serialize)]
#[serde(untagged)]
enum System {
    Plain(String),
    /// Marked, so that the vendor reads it, and the tools before it, from its cache when it comes again within minutes: at a tenth of
    /// the price, and the first time at a quarter more.
    Cached([SystemBlock; 1]),
}

#[derive(Serialize)]
struct SystemBlock {
    #[serde(rename = "type")]
    kind: &'static str,
    text: String,
    cache_control: CacheControl,
}

#[derive(Serialize)]
struct CacheControl {
    #[serde(rename = "type")]
    kind: &'static str,
}

impl System {
    /// `None`: there is nothing to say.
    fn new(text: String) -> Option<Self> {
        match text.len() {
            0 => None,
            length if length < CACHED_FROM_BYTES => Some(System::Plain(text)),
            _ => {
                let cache_control = CacheControl { kind: "ephemeral" };
                Some(System::Cached([SystemBlock { kind: "text", text, cache_control }]))
            }
        }
    }
}

#[derive(Default, PartialEq, Serialize)]
struct OutputConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat>,
}

#[derive(PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum OutputFormat {
    JsonSchema { schema: Value },
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a Value,
}

#[derive(Serialize)]
struct WireChoice<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Serialize)]
struct Thinking<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_tokens: Option<u32>,
}

/// What stands above the conversation, and what this format can only ask for in words.
fn system(request: &GenerateRequest, params: &Params) -> String {
    let GenerateRequest { messages, format, tools, .. } = request;
    let mut texts = instructions(messages);
    if *format == Format::JsonObject {
        texts.push("Answer with one JSON object and nothing else.");
    }
    let must_call = match &tools.choice {
        _ if params.forced_tool_choice || tools.definitions.is_empty() => None,
        ToolChoice::Auto | ToolChoice::None => None,
        ToolChoice::Required => Some("You must call at least one of the tools now.".to_owned()),
        ToolChoice::Named(name) => Some(format!("You must call the tool `{name}` now.")),
    };
    texts.extend(must_call.as_deref());
    texts.join("\n\n")
}

fn tool_choice<'a>(tools: &'a Tools, params: &Params) -> Option<WireChoice<'a>> {
    let Tools { definitions, choice, parallel } = tools;
    let (kind, name) = match choice {
        ToolChoice::None => ("none", None),
        ToolChoice::Required if params.forced_tool_choice => ("any", None),
        ToolChoice::Named(name) if params.forced_tool_choice => ("tool", Some(name.as_str())),
        ToolChoice::Auto | ToolChoice::Required | ToolChoice::Named(_) => ("auto", None),
    };
    let disable_parallel_tool_use = (*parallel == Some(false) && kind != "none").then_some(true);
    (!definitions.is_empty()).then_some(WireChoice { kind, name, disable_parallel_tool_use })
}

/// How the model is told to think, where that is not an effort. `None`: not at all, or as it likes.
///
/// `takes_budget`: as [`Params::takes_thinking_budget`] says.
fn thinking(effort: Effort, params: &Params, max_tokens: u32, takes_budget: bool) -> Option<Thinking<'_>> {
    const BUDGETS: [u32; 4] = [32_768, 16_384, 4_096, 1_024];
    if effort == Effort::None {
        let kind = params.reasoning_off.as_deref().filter(|off| ["disabled", "between_tools"].contains(off))?;
        return Some(Thinking { kind, budget_tokens: None });
    }
    if params.reasoning_control != Some(ReasoningControl::ThinkingBudget) || !takes_budget {
        return None;
    }
    let wanted = match effort {
        Effort::None | Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 4_096,
        Effort::High => 16_384,
        Effort::Xhigh | Effort::Max => 32_768,
    };
    let budget = BUDGETS.into_iter().find(|budget| *budget <= wanted && *budget < max_tokens);
    budget.map(|budget| Thinking { kind: "enabled", budget_tokens: Some(budget) })
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn instructions_are_marked_for_the_vendors_cache_when_they_are_long_enough() {
        let system = |length: usize| System::new("x".repeat(length)).map(|system| to_value(system).unwrap());
        assert_eq!(system(0), None);
        assert_eq!(system(4_095), Some(json!("x".repeat(4_095))));
        let block = json!({"type": "text", "text": "x".repeat(4_096), "cache_control": {"type": "ephemeral"}});
        assert_eq!(system(4_096), Some(json!([block])));
    }
}

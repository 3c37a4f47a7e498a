//! What is sent.

use serde::Serialize;
use serde_json::Value;

use crate::providers::{ProviderError, body::json_body, instructions::instructions};

use crate::generate::{Effort, Format, GenerateRequest, Params, ReasoningControl, Sampling, Tool, ToolChoice, Tools};

use super::turns::{Turn, turns};

/// The body.
///
/// # Errors
/// When the conversation holds what this format cannot say, or nothing.
pub(super) fn body(request: &GenerateRequest, params: &Params) -> Result<Vec<u8>, ProviderError> {
    let GenerateRequest { messages, sampling, format, tools, .. } = request;
    let Sampling { temperature, top_p, max_tokens, seed, presence_penalty, frequency_penalty, stop, effort } = sampling;
    let system = instructions(messages);
    let (mime_type, schema) = match format {
        Format::Text => (None, None),
        Format::JsonObject => (Some("application/json"), None),
        Format::JsonSchema { schema, .. } => (Some("application/json"), Some(schema)),
    };
    let wants_signatures = params.reasoning_control == Some(ReasoningControl::ThinkingLevel);
    let body = WireBody {
        system_instruction: (!system.is_empty()).then(|| System { parts: [SystemText { text: system.join("\n\n") }] }),
        contents: turns(messages, wants_signatures)?,
        generation_config: GenerationConfig {
            max_output_tokens: *max_tokens,
            temperature: *temperature,
            top_p: *top_p,
            seed: *seed,
            presence_penalty: *presence_penalty,
            frequency_penalty: *frequency_penalty,
            stop_sequences: stop,
            response_mime_type: mime_type,
            response_json_schema: schema,
            thinking_config: effort.and_then(|effort| thinking(effort, params)),
        },
        tools: (!tools.definitions.is_empty()).then(|| [WireTools { function_declarations: functions(tools) }]),
        tool_config: (!tools.definitions.is_empty()).then(|| tool_config(&tools.choice)),
    };
    if body.contents.is_empty() {
        return Err(ProviderError::unsayable("messages"));
    }
    Ok(json_body(&body))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<System>,
    contents: Vec<Turn<'a>>,
    generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[WireTools<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
}

#[derive(Serialize)]
struct System {
    parts: [SystemText; 1],
}

#[derive(Serialize)]
struct SystemText {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

/// One of the two.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u32>,
}

/// How the model is told to think. `None`: as it likes.
fn thinking(effort: Effort, params: &Params) -> Option<ThinkingConfig> {
    let level = match effort {
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::Xhigh | Effort::Max => "HIGH",
    };
    // In tokens, within what every model of the older kind takes.
    let budget = match effort {
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High | Effort::Xhigh | Effort::Max => 24_576,
    };
    match params.reasoning_control? {
        ReasoningControl::ThinkingLevel => Some(ThinkingConfig { thinking_level: Some(level), thinking_budget: None }),
        ReasoningControl::ThinkingBudget if effort == Effort::None && params.reasoning_off.is_none() => None,
        ReasoningControl::ThinkingBudget => {
            Some(ThinkingConfig { thinking_level: None, thinking_budget: Some(budget) })
        }
        ReasoningControl::Effort | ReasoningControl::ReasoningEffort => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters_json_schema: &'a Value,
}

fn functions(tools: &Tools) -> Vec<Declaration<'_>> {
    let declarations = tools.definitions.iter().map(|Tool { name, description, parameters, strict: _ }| Declaration {
        name,
        description: description.as_deref(),
        parameters_json_schema: parameters,
    });
    declarations.collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: CallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

fn tool_config(choice: &ToolChoice) -> ToolConfig<'_> {
    let (mode, allowed) = match choice {
        ToolChoice::Auto => ("AUTO", None),
        ToolChoice::None => ("NONE", None),
        ToolChoice::Required => ("ANY", None),
        ToolChoice::Named(name) => ("ANY", Some([name.as_str()])),
    };
    ToolConfig { function_calling_config: CallingConfig { mode, allowed_function_names: allowed } }
}

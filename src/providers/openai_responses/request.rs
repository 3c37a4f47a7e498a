//! What is sent.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    generate::{Delivery, Effort, Format, GenerateRequest, ModelId, Sampling, Target, ToolChoice, Tools},
    providers::{
        body::json_body,
        instructions::instructions,
        openai_schema::{WireFunction, WireSchema},
    },
};

use super::items::{Item, items};

/// The body.
pub(super) fn body(request: &GenerateRequest) -> Vec<u8> {
    let GenerateRequest { target, messages, sampling, format, tools, delivery, end_user, .. } = request;
    let Target { provider: _, model } = target;
    let Sampling {
        max_tokens,
        effort,
        temperature,
        top_p,
        // This format knows no others.
        stop: _,
        frequency_penalty: _,
        presence_penalty: _,
        seed: _,
    } = sampling;
    let Tools { definitions, choice, parallel } = tools;
    let has_tools = !definitions.is_empty();
    let instructions = instructions(messages);
    let body = WireBody {
        model,
        instructions: (!instructions.is_empty()).then(|| instructions.join("\n\n")),
        input: messages.iter().flat_map(items).collect(),
        temperature: *temperature,
        top_p: *top_p,
        max_output_tokens: *max_tokens,
        reasoning: effort.map(|effort| Reasoning { effort }),
        text: match format {
            Format::Text => None,
            Format::JsonObject => Some(Text { format: WireFormat::JsonObject }),
            Format::JsonSchema { name, description, schema, strict } => {
                let schema = WireSchema { name, description: description.as_deref(), schema, strict: *strict };
                Some(Text { format: WireFormat::JsonSchema(schema) })
            }
        },
        tools: definitions.iter().map(|tool| WireTool::Function(WireFunction::from(tool).with_strictness())).collect(),
        tool_choice: has_tools.then(|| match choice {
            ToolChoice::Auto => json!("auto"),
            ToolChoice::None => json!("none"),
            ToolChoice::Required => json!("required"),
            ToolChoice::Named(name) => json!({"type": "function", "name": name}),
        }),
        parallel_tool_calls: parallel.filter(|_| has_tools),
        safety_identifier: end_user.as_deref(),
        store: false,
        stream: (*delivery == Delivery::Stream).then_some(true),
    };
    json_body(&body)
}

#[derive(Serialize)]
struct WireBody<'a> {
    model: &'a ModelId,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<&'a str>,
    /// The vendor would keep the answer for 30 days.
    store: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
struct Reasoning {
    effort: Effort,
}

/// What chat completions wrap, said beside its type.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireTool<'a> {
    Function(WireFunction<'a>),
}

#[derive(Serialize)]
struct Text<'a> {
    format: WireFormat<'a>,
}

/// The same.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    JsonObject,
    JsonSchema(WireSchema<'a>),
}

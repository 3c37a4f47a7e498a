//! What is sent.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    generate::{Delivery, Effort, Format, GenerateRequest, ModelId, Sampling, Target, ToolChoice, Tools},
    providers::{
        body::json_body,
        openai_sampling::WireSampling,
        openai_schema::{WireSchema, WireTool},
    },
};

use super::{
    ChatVendor,
    messages::{WireMessage, wire_message},
};

/// The body, in the spelling of `vendor`.
pub(super) fn body(request: &GenerateRequest, vendor: ChatVendor) -> Vec<u8> {
    let GenerateRequest { target, messages, sampling, format, tools, delivery, end_user, .. } = request;
    let Target { provider: _, model } = target;
    let Sampling { max_tokens, effort, .. } = sampling;
    let Tools { definitions, choice, parallel } = tools;
    let stream = *delivery == Delivery::Stream;
    let has_tools = !definitions.is_empty();
    let body = WireBody {
        model,
        messages: messages.iter().map(wire_message).collect(),
        sampling: sampling.into(),
        reasoning_effort: *effort,
        response_format: match format {
            Format::Text => None,
            Format::JsonObject => Some(WireFormat::JsonObject),
            Format::JsonSchema { name, description, schema, strict } => {
                let json_schema = WireSchema { name, description: description.as_deref(), schema, strict: *strict };
                Some(WireFormat::JsonSchema { json_schema })
            }
        },
        max_completion_tokens: max_tokens.filter(|_| vendor != ChatVendor::Compatible),
        max_tokens: max_tokens.filter(|_| vendor == ChatVendor::Compatible),
        safety_identifier: end_user.as_deref().filter(|_| vendor == ChatVendor::OpenAi),
        user: end_user.as_deref().filter(|_| vendor != ChatVendor::OpenAi),
        tools: definitions.iter().map(WireTool::from).collect(),
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
    json_body(&body)
}

#[derive(Serialize)]
struct WireBody<'a> {
    model: &'a ModelId,
    messages: Vec<WireMessage<'a>>,
    #[serde(flatten)]
    sampling: WireSampling<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<Effort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<WireFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: WireSchema<'a> },
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

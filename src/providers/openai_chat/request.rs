//! What is sent.

use serde::Serialize;
use serde_json::{Value, json};

use super::ChatVendor;

use crate::{
    generate::{
        Delivery, Effort, Format, GenerateRequest, Message, ModelId, Part, Sampling, Target, ToolCall, ToolChoice,
        Tools,
    },
    providers::{
        body::json_body,
        openai_sampling::WireSampling,
        openai_schema::{WireFunction, WireSchema},
    },
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
            Format::JsonObject => Some(json!({"type": "json_object"})),
            Format::JsonSchema { name, description, schema, strict } => {
                let schema = WireSchema { name, description: description.as_deref(), schema, strict: *strict };
                Some(json!({"type": "json_schema", "json_schema": schema}))
            }
        },
        max_completion_tokens: max_tokens.filter(|_| vendor != ChatVendor::Compatible),
        max_tokens: max_tokens.filter(|_| vendor == ChatVendor::Compatible),
        safety_identifier: end_user.as_deref().filter(|_| vendor == ChatVendor::OpenAi),
        user: end_user.as_deref().filter(|_| vendor != ChatVendor::OpenAi),
        tools: definitions
            .iter()
            .map(|tool| json!({"type": "function", "function": WireFunction::from(tool)}))
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
    response_format: Option<Value>,
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
    safety_identifier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
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
                            Part::Image { url, detail: None } => {
                                json!({"type": "image_url", "image_url": {"url": url}})
                            }
                            Part::Image { url, detail } => {
                                json!({"type": "image_url", "image_url": {"url": url, "detail": detail}})
                            }
                        })
                        .collect(),
                ),
            },
        },
        Message::Assistant { text, tool_calls } => WireMessage::Assistant {
            content: (!text.is_empty() || tool_calls.is_empty()).then_some(text),
            tool_calls: tool_calls
                .iter()
                .map(|ToolCall { id, name, arguments, signature: _ }| {
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
                })
                .collect(),
        },
        Message::Tool { call_id, content } => WireMessage::Tool { tool_call_id: call_id, content },
    }
}

//! What is sent.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    generate::{
        Delivery, Detail, Effort, Format, GenerateRequest, Message, ModelId, Part, Sampling, Target, ToolCall,
        ToolChoice, Tools,
    },
    providers::{
        body::json_body,
        openai_schema::{WireFunction, WireSchema},
    },
};

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
    let body = WireBody {
        model,
        instructions: instructions(messages),
        input: messages.iter().flat_map(items).collect(),
        temperature: *temperature,
        top_p: *top_p,
        max_output_tokens: *max_tokens,
        reasoning: effort.map(|effort| Reasoning { effort }),
        text: match format {
            Format::Text => None,
            Format::JsonObject => Some(json!({"format": {"type": "json_object"}})),
            Format::JsonSchema { name, description, schema, strict } => {
                let schema = WireSchema { name, description: description.as_deref(), schema, strict: *strict };
                Some(json!({"format": Flat { kind: "json_schema", of: schema }}))
            }
        },
        tools: definitions.iter().map(|tool| Flat { kind: "function", of: tool.into() }).collect(),
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
    input: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Flat<WireFunction<'a>>>,
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
struct Flat<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    of: T,
}

/// All that stands above the conversation. `None`: nothing.
fn instructions(messages: &[Message]) -> Option<String> {
    let texts = messages.iter().filter_map(|message| match message {
        Message::System(text) => Some(text.as_ref()).filter(|text| !text.is_empty()),
        Message::User(_) | Message::Assistant { .. } | Message::Tool { .. } => None,
    });
    let texts: Vec<&str> = texts.collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// A turn is none, one or several items: what the model said and each call that it made stand apart.
fn items(message: &Message) -> Vec<Value> {
    match message {
        Message::System(_) => Vec::new(),
        Message::User(parts) => {
            let content = parts.iter().map(|part| match part {
                Part::Text(text) => json!({"type": "input_text", "text": text}),
                Part::Image { url, detail } => {
                    json!({"type": "input_image", "image_url": url, "detail": detail.unwrap_or(Detail::Auto)})
                }
            });
            vec![json!({"role": "user", "content": content.collect::<Vec<_>>()})]
        }
        Message::Assistant { text, tool_calls } => {
            let said = (!text.is_empty())
                .then(|| json!({"role": "assistant", "content": [{"type": "output_text", "text": text}]}));
            let calls = tool_calls.iter().map(|ToolCall { id, name, arguments, signature: _ }| {
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
            });
            said.into_iter().chain(calls).collect()
        }
        Message::Tool { call_id, content } => {
            vec![json!({"type": "function_call_output", "call_id": call_id, "output": content})]
        }
    }
}

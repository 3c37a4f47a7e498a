//! What is sent.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    generate::{
        Delivery, Effort, Format, GenerateRequest, Message, ModelId, Part, Sampling, Target, Tool, ToolCall,
        ToolChoice, Tools,
    },
    providers::{
        ProviderError, arguments::arguments, body::json_body, data_url, openai_sampling::WireSampling,
        openai_schema::WireTool,
    },
};

/// The body.
///
/// # Errors
/// When the conversation holds what this format cannot say.
pub(super) fn body(request: &GenerateRequest) -> Result<Vec<u8>, ProviderError> {
    let GenerateRequest { target, messages, sampling, format, tools, delivery, .. } = request;
    let Target { provider: _, model } = target;
    let Sampling { max_tokens, effort, .. } = sampling;
    // It cannot be made to call a tool, but it can be kept from it.
    let Tools { definitions, choice, parallel: _ } = tools;
    let offered: &[Tool] = if matches!(choice, ToolChoice::None) { &[] } else { definitions };
    let options = Options { num_predict: *max_tokens, sampling: sampling.into() };
    let body = WireBody {
        model,
        messages: messages
            .iter()
            .enumerate()
            .map(|(at, message)| wire_message(at, message, messages))
            .collect::<Result<_, _>>()?,
        // Left out it would mean yes.
        stream: *delivery == Delivery::Stream,
        think: effort.map(|effort| think(effort, model)),
        format: match format {
            Format::Text => None,
            Format::JsonObject => Some(WireFormat::Json("json")),
            Format::JsonSchema { schema, .. } => Some(WireFormat::Schema(schema)),
        },
        options: (options != Options::default()).then_some(options),
        tools: offered.iter().map(WireTool::from).collect(),
    };
    Ok(json_body(&body))
}

#[derive(Serialize)]
struct WireBody<'a> {
    model: &'a ModelId,
    messages: Vec<WireMessage<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<WireFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Options<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think {
    Whether(bool),
    HowMuch(Effort),
}

/// Most models think or do not; gpt-oss wants to know how much.
fn think(effort: Effort, model: &ModelId) -> Think {
    match effort {
        Effort::None => Think::Whether(false),
        _ if !model.as_str().starts_with("gpt-oss") => Think::Whether(true),
        Effort::Minimal | Effort::Low => Think::HowMuch(Effort::Low),
        Effort::Medium => Think::HowMuch(Effort::Medium),
        Effort::High | Effort::Xhigh | Effort::Max => Think::HowMuch(Effort::High),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireFormat<'a> {
    Json(&'static str),
    Schema(&'a serde_json::Value),
}

#[derive(Default, PartialEq, Serialize)]
struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u32>,
    #[serde(flatten)]
    sampling: WireSampling<'a>,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum WireMessage<'a> {
    User {
        content: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        images: Vec<&'a str>,
    },
    System {
        content: &'a str,
    },
    Assistant {
        content: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall<'a>>,
    },
    Tool {
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_name: Option<&'a str>,
        content: &'a str,
    },
}

#[derive(Serialize)]
struct WireCall<'a> {
    function: CalledFunction<'a>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: &'a RawValue,
}

/// The function that the call of this id called.
fn called<'a>(history: &'a [Message], id: &str) -> Option<&'a str> {
    let calls = history.iter().filter_map(|message| match message {
        Message::Assistant { text: _, tool_calls } => Some(tool_calls),
        Message::System(_) | Message::User(_) | Message::Tool { .. } => None,
    });
    calls.flatten().find(|call| call.id == id).map(|call| call.name.as_str())
}

fn wire_message<'a>(at: usize, message: &'a Message, history: &'a [Message]) -> Result<WireMessage<'a>, ProviderError> {
    Ok(match message {
        Message::System(text) => WireMessage::System { content: text },
        Message::User(parts) => {
            let (mut words, mut images) = (Vec::new(), Vec::new());
            for (part_at, part) in parts.iter().enumerate() {
                match part {
                    Part::Text(text) => words.push(text.as_str()),
                    // It fetches nothing.
                    Part::Image { url, .. } => {
                        let image = data_url::parse(url);
                        images.push(
                            image
                                .ok_or_else(|| {
                                    ProviderError::in_message(at, format_args!("content[{part_at}].image_url.url"))
                                })?
                                .1,
                        );
                    }
                }
            }
            WireMessage::User { content: words.join("\n"), images }
        }
        Message::Assistant { text, tool_calls } => {
            let calls = tool_calls.iter().enumerate().map(|(call_at, call)| {
                let ToolCall { id: _, name, arguments: _, signature: _ } = call;
                let arguments = arguments(call).ok_or_else(|| {
                    ProviderError::in_message(at, format_args!("tool_calls[{call_at}].function.arguments"))
                })?;
                Ok::<_, ProviderError>(WireCall { function: CalledFunction { name, arguments } })
            });
            WireMessage::Assistant { content: text, tool_calls: calls.collect::<Result<_, _>>()? }
        }
        // Calls have no ids here: a result says whose it is.
        Message::Tool { call_id, content } => WireMessage::Tool { tool_name: called(history, call_id), content },
    })
}

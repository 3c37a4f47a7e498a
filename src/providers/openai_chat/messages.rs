//! The conversation.

use serde::Serialize;

use crate::generate::{Detail, Message, Part, ToolCall};

/// A turn.
#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum WireMessage<'a> {
    System {
        content: &'a str,
    },
    User {
        content: WireContent<'a>,
    },
    Assistant {
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<WireCall<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireContent<'a> {
    Text(&'a str),
    Parts(Vec<WirePart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WirePart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: WireImage<'a> },
}

#[derive(Serialize)]
pub(super) struct WireImage<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Detail>,
}

#[derive(Serialize)]
pub(super) struct WireCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: CalledFunction<'a>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// The turn that `message` is.
pub(super) fn wire_message(message: &Message) -> WireMessage<'_> {
    match message {
        Message::System(text) => WireMessage::System { content: text },
        Message::User(parts) => WireMessage::User {
            content: match parts.as_slice() {
                [Part::Text(text)] => WireContent::Text(text),
                parts => WireContent::Parts(parts.iter().map(wire_part).collect()),
            },
        },
        Message::Assistant { text, tool_calls } => WireMessage::Assistant {
            content: (!text.is_empty() || tool_calls.is_empty()).then_some(text),
            tool_calls: tool_calls.iter().map(wire_call).collect(),
        },
        Message::Tool { call_id, content } => WireMessage::Tool { tool_call_id: call_id, content },
    }
}

fn wire_part(part: &Part) -> WirePart<'_> {
    match part {
        Part::Text(text) => WirePart::Text { text },
        Part::Image { url, detail } => WirePart::ImageUrl { image_url: WireImage { url, detail: *detail } },
    }
}

fn wire_call(call: &ToolCall) -> WireCall<'_> {
    let ToolCall { id, name, arguments, signature: _ } = call;
    WireCall { id, kind: "function", function: CalledFunction { name, arguments } }
}

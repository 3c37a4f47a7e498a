//! The conversation, as items: what the model said and each call that it made stand apart.

use serde::Serialize;

use crate::generate::{Detail, Message, Part, ToolCall};

/// Words, or what was done between them.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Item<'a> {
    Message { role: &'static str, content: Vec<Content<'a>> },
    Call(Call<'a>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Content<'a> {
    InputText { text: &'a str },
    InputImage { image_url: &'a str, detail: Detail },
    OutputText { text: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Call<'a> {
    FunctionCall { call_id: &'a str, name: &'a str, arguments: &'a str },
    FunctionCallOutput { call_id: &'a str, output: &'a str },
}

/// What `message` is: nothing where it stands above the conversation.
pub(super) fn items(message: &Message) -> Vec<Item<'_>> {
    match message {
        Message::System(_) => Vec::new(),
        Message::User(parts) => {
            let content = parts.iter().map(|part| match part {
                Part::Text(text) => Content::InputText { text },
                Part::Image { url, detail } => {
                    Content::InputImage { image_url: url, detail: detail.unwrap_or(Detail::Auto) }
                }
            });
            vec![Item::Message { role: "user", content: content.collect() }]
        }
        Message::Assistant { text, tool_calls } => {
            let words = || Item::Message { role: "assistant", content: vec![Content::OutputText { text }] };
            let calls = tool_calls.iter().map(|ToolCall { id, name, arguments, signature: _ }| {
                Item::Call(Call::FunctionCall { call_id: id, name, arguments })
            });
            (!text.is_empty()).then(words).into_iter().chain(calls).collect()
        }
        Message::Tool { call_id, content } => {
            vec![Item::Call(Call::FunctionCallOutput { call_id, output: content })]
        }
    }
}

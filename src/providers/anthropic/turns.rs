//! The conversation, as turns of two that alternate.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    generate::{Message, Part, ToolCall},
    providers::{ProviderError, arguments::arguments, data_url},
};

/// What one of the two said, until the other spoke.
#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    ToolResult { tool_use_id: &'a str, content: &'a str },
    Text { text: &'a str },
    Image { source: Source<'a> },
    ToolUse { id: &'a str, name: &'a str, input: &'a RawValue },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

/// The turns of a conversation; what stands above it is left out, and so is what says nothing.
///
/// # Errors
/// When it holds a picture that is neither `https:` nor base64, or a call whose arguments are no JSON object.
pub(super) fn turns(messages: &[Message]) -> Result<Vec<Turn<'_>>, ProviderError> {
    let mut turns: Vec<Turn> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let (role, content) = match message {
            Message::System(_) => continue,
            Message::User(parts) => {
                let blocks = parts.iter().enumerate().filter_map(|(part_at, part)| match part {
                    Part::Text(text) => words(text).map(Ok),
                    Part::Image { url, .. } => Some(image(url).ok_or_else(|| {
                        ProviderError::in_message(at, format_args!("content[{part_at}].image_url.url"))
                    })),
                });
                (Role::User, blocks.collect::<Result<_, _>>()?)
            }
            Message::Assistant { text, tool_calls } => {
                let calls = tool_calls.iter().enumerate().map(|(call_at, tool_call)| {
                    call(tool_call).ok_or_else(|| {
                        ProviderError::in_message(at, format_args!("tool_calls[{call_at}].function.arguments"))
                    })
                });
                (Role::Assistant, words(text).map(Ok).into_iter().chain(calls).collect::<Result<_, _>>()?)
            }
            Message::Tool { call_id, content } => {
                (Role::User, vec![Block::ToolResult { tool_use_id: call_id, content }])
            }
        };
        match turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.content.extend(content),
            None if content.is_empty() => {}
            None => turns.push(Turn { role, content }),
        }
    }
    // Results first: what the person says besides must not stand between a call and its result.
    for turn in &mut turns {
        turn.content.sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
    }
    Ok(turns)
}

/// Text, unless it is blank, which the vendor refuses.
fn words(text: &str) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then_some(Block::Text { text })
}

fn image(url: &str) -> Option<Block<'_>> {
    let source = match data_url::parse(url) {
        Some((media_type, data)) => Source::Base64 { media_type, data },
        None if url.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("https")) => {
            Source::Url { url }
        }
        None => return None,
    };
    Some(Block::Image { source })
}

fn call(call: &ToolCall) -> Option<Block<'_>> {
    let ToolCall { id, name, arguments: _, signature: _ } = call;
    Some(Block::ToolUse { id, name, input: arguments(call)? })
}

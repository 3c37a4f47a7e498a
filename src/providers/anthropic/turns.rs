//! The conversation, as turns of two that alternate.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    generate::{ErrorKind, Message, Part, ToolCall},
    providers::data_url,
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
pub(super) fn turns(messages: &[Message]) -> Result<Vec<Turn<'_>>, ErrorKind> {
    let mut turns: Vec<Turn> = Vec::new();
    for message in messages {
        let (role, content) = match message {
            Message::System(_) => continue,
            Message::User(parts) => (Role::User, parts.iter().filter_map(said).collect::<Result<_, _>>()?),
            Message::Assistant { text, tool_calls } => {
                let calls = tool_calls.iter().map(call);
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

fn said(part: &Part) -> Option<Result<Block<'_>, ErrorKind>> {
    match part {
        Part::Text(text) => words(text).map(Ok),
        Part::Image { url } => Some(image(url)),
    }
}

fn image(url: &str) -> Result<Block<'_>, ErrorKind> {
    let source = match data_url::parse(url) {
        Some((media_type, data)) => Source::Base64 { media_type, data },
        None if url.starts_with("https:") => Source::Url { url },
        None => return Err(ErrorKind::InvalidRequest),
    };
    Ok(Block::Image { source })
}

fn call(call: &ToolCall) -> Result<Block<'_>, ErrorKind> {
    let ToolCall { id, name, arguments, signature: _ } = call;
    // Some clients send back a call without arguments as they got it.
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    let input: &RawValue = serde_json::from_str(arguments).map_err(|_| ErrorKind::InvalidRequest)?;
    if !input.get().starts_with('{') {
        return Err(ErrorKind::InvalidRequest);
    }
    Ok(Block::ToolUse { id, name, input })
}

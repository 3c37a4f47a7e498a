//! The conversation, as turns of two that alternate.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    generate::{self, Message, ToolCall},
    providers::{ProviderError, arguments::arguments, data_url},
};

/// What stands for a signature that the client did not keep (`providers.md` 6.5).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// What one of the two said, until the other spoke.
#[derive(Serialize)]
pub(super) struct Turn<'a> {
    role: Role,
    parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Model,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(flatten)]
    said: Said<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Said<'a> {
    Text(&'a str),
    InlineData { mime_type: &'a str, data: &'a str },
    FunctionCall { id: &'a str, name: &'a str, args: &'a RawValue },
    FunctionResponse { id: &'a str, name: &'a str, response: Output<'a> },
}

/// The vendor wants an object.
#[derive(Serialize)]
struct Output<'a> {
    output: &'a str,
}

impl<'a> From<Said<'a>> for Part<'a> {
    fn from(said: Said<'a>) -> Self {
        Self { said, thought_signature: None }
    }
}

/// The turns of a conversation; what stands above it is left out, and so is what says nothing.
///
/// # Errors
/// When it holds a picture that is not in the request itself, a call whose arguments are no JSON object, or a result of a
/// call that nobody made.
pub(super) fn turns(messages: &[Message], wants_signatures: bool) -> Result<Vec<Turn<'_>>, ProviderError> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut turns: Vec<Turn> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let (role, parts) = match message {
            Message::System(_) => continue,
            Message::User(parts) => {
                let parts = parts.iter().enumerate().filter_map(|(part_at, part)| match part {
                    generate::Part::Text(text) => words(text).map(Ok),
                    generate::Part::Image { url, .. } => Some(image(url).ok_or_else(|| {
                        ProviderError::in_message(at, format_args!("content[{part_at}].image_url.url"))
                    })),
                });
                (Role::User, parts.collect::<Result<_, _>>()?)
            }
            Message::Assistant { text, tool_calls } => {
                names.extend(tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str())));
                let calls = calls(tool_calls, wants_signatures).enumerate().map(|(call_at, call)| {
                    call.ok_or_else(|| {
                        ProviderError::in_message(at, format_args!("tool_calls[{call_at}].function.arguments"))
                    })
                });
                (Role::Model, words(text).map(Ok).into_iter().chain(calls).collect::<Result<_, _>>()?)
            }
            Message::Tool { call_id, content } => {
                let name = names
                    .get(call_id.as_str())
                    .copied()
                    .ok_or_else(|| ProviderError::in_message(at, format_args!("tool_call_id")))?;
                let response = Output { output: content };
                (Role::User, vec![Said::FunctionResponse { id: call_id, name, response }.into()])
            }
        };
        match turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.parts.extend(parts),
            None if parts.is_empty() => {}
            None => turns.push(Turn { role, parts }),
        }
    }
    Ok(turns)
}

fn words(text: &str) -> Option<Part<'_>> {
    (!text.is_empty()).then(|| Said::Text(text).into())
}

/// Another address would have to be fetched, from wherever it points.
fn image(url: &str) -> Option<Part<'_>> {
    data_url::parse(url).map(|(mime_type, data)| Said::InlineData { mime_type, data }.into())
}

/// The parts of calls; none for one whose arguments are no JSON object.
fn calls(calls: &[ToolCall], wants_signatures: bool) -> impl Iterator<Item = Option<Part<'_>>> {
    let is_signed = calls.iter().any(|call| call.signature.is_some());
    let filler = move |at: usize| (wants_signatures && !is_signed && at == 0).then_some(NO_SIGNATURE);
    calls.iter().enumerate().map(move |(at, call)| {
        let ToolCall { id, name, arguments: _, signature } = call;
        let said = Said::FunctionCall { id, name, args: arguments(call)? };
        Some(Part { said, thought_signature: signature.as_deref().or_else(|| filler(at)) })
    })
}

//! The conversation, as clients send it.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use utoipa::ToSchema;

use crate::{
    error::ApiError,
    generate::{Detail, Message, Part, ToolCall},
};

use super::{
    body::{Object, objects, refuse, unsupported},
    tools::MAX_NAME_BYTES,
};

/// One message: which of these it may have depends on its role.
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatMessage)]
pub(super) struct WireMessage {
    role: Role,
    content: Option<Content>,
    name: Option<String>,
    refusal: Option<String>,
    #[serde(default, deserialize_with = "objects")]
    tool_calls: Option<Vec<WireCall>>,
    tool_call_id: Option<String>,
    /// Refused.
    #[schema(value_type = Option<serde_json::Value>)]
    function_call: Option<IgnoredAny>,
    /// Refused.
    #[schema(value_type = Option<serde_json::Value>)]
    audio: Option<IgnoredAny>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Role {
    System,
    /// The newer word for the same.
    Developer,
    User,
    Assistant,
    Tool,
    /// Of before there were tools.
    Function,
}

/// A text, or a list of parts.
#[derive(ToSchema)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<WirePart>),
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ContentPart)]
struct WirePart {
    /// `text` or `image_url`; `refusal` in an assistant's message.
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
    image_url: Option<ImageUrl>,
}

#[derive(Deserialize, ToSchema)]
struct ImageUrl {
    /// An `https:` or a base64 `data:` URL.
    url: String,
    detail: Option<Detail>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ChatToolCall)]
struct WireCall {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    function: Option<Called>,
    #[expect(dead_code, reason = "known, because clients send back what they put together from a stream")]
    #[schema(value_type = Option<u64>)]
    index: Option<IgnoredAny>,
    extra_content: Option<ExtraContent>,
}

#[derive(Deserialize, ToSchema)]
struct Called {
    /// Up to 64 bytes.
    name: String,
    arguments: Option<String>,
}

/// Where clients keep what a vendor wants back with a call (`providers.md` 6.5).
#[derive(Deserialize, ToSchema)]
struct ExtraContent {
    google: Option<Google>,
}

#[derive(Deserialize, ToSchema)]
struct Google {
    thought_signature: Option<String>,
}

// By hand, because a derived one forgets where in the list something is wrong.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of parts")
            }

            fn visit_str<E>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Content, E> {
                Ok(Content::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, parts: A) -> Result<Content, A::Error> {
                let parts: Vec<Object<_>> = Deserialize::deserialize(SeqAccessDeserializer::new(parts))?;
                Ok(Content::Parts(parts.into_iter().map(|Object(part)| part).collect()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl WireMessage {
    /// What it has that nobody gets: who of several speaks, which no format but one can say, and what has no meaning in its role.
    pub(super) fn out_of_place(&self) -> impl Iterator<Item = &'static str> + use<> {
        let Self { role, content, name, refusal, tool_calls, tool_call_id, function_call: _, audio: _ } = self;
        let is_assistant = *role == Role::Assistant;
        let all = [
            ("messages.name", name.is_some()),
            ("messages.refusal", refusal.is_some() && (!is_assistant || content.is_some())),
            ("messages.tool_calls", tool_calls.is_some() && !is_assistant),
            ("messages.tool_call_id", tool_call_id.is_some() && *role != Role::Tool),
        ];
        all.into_iter().filter_map(|(name, is_there)| is_there.then_some(name))
    }
}

/// The conversation of `wire`, message by message: the places of both are the same.
///
/// # Errors
/// 400, with the first thing that is wrong with it.
pub(super) fn conversation(wire: Vec<WireMessage>) -> Result<Vec<Message>, ApiError> {
    let mut open = HashSet::new();
    let mut messages = Vec::with_capacity(wire.len());
    for (at, message) in wire.into_iter().enumerate() {
        if message.role != Role::Tool && !open.is_empty() {
            return Err(unanswered(at));
        }
        let message = At(at).message(message)?;
        match &message {
            Message::Assistant { text: _, tool_calls } => {
                if let Some(call_at) = tool_calls.iter().position(|call| !open.insert(call.id.clone())) {
                    return Err(At(at).refuse(&format!("tool_calls[{call_at}].id"), "Two calls have the same id"));
                }
            }
            Message::Tool { call_id, content: _ } => {
                if !open.remove(call_id) {
                    let rule =
                        "A message with the role `tool` answers a call of the assistant's message before it, once";
                    return Err(At(at).refuse("tool_call_id", rule));
                }
            }
            Message::System(_) | Message::User(_) => {}
        }
        messages.push(message);
    }
    if open.is_empty() { Ok(messages) } else { Err(unanswered(messages.len())) }
}

fn unanswered(at: usize) -> ApiError {
    let rule = "Every call of an assistant's message is followed by a message with the role `tool` that answers it";
    refuse(format!("messages[{at}]"), rule)
}

/// The place of a message, to say what is wrong with it.
#[derive(Clone, Copy)]
struct At(usize);

impl At {
    fn refuse(self, field: &str, rule: &'static str) -> ApiError {
        refuse(format!("messages[{}].{field}", self.0), rule)
    }

    fn unsupported(self, field: &str, rule: &'static str) -> ApiError {
        unsupported(format!("messages[{}].{field}", self.0), rule)
    }

    fn message(self, message: WireMessage) -> Result<Message, ApiError> {
        let WireMessage { role, content, name: _, refusal, tool_calls, tool_call_id, function_call, audio } = message;
        if audio.is_some() {
            return Err(self.unsupported("audio", "Messages are text and pictures here"));
        }
        if function_call.is_some() {
            return Err(self.unsupported("function_call", "Send `tool_calls`, which took its place"));
        }
        let content = content.ok_or_else(|| self.refuse("content", "The message lacks its `content`"));
        Ok(match role {
            Role::System | Role::Developer => Message::System(self.text(content?)?.into()),
            Role::User => Message::User(self.parts(content?)?),
            Role::Assistant => {
                let calls = tool_calls.unwrap_or_default().into_iter().enumerate();
                let tool_calls: Vec<_> = calls.map(|(at, call)| self.call(at, call)).collect::<Result<_, _>>()?;
                let text = match (content, refusal) {
                    (Ok(content), _) => self.text(content)?,
                    (Err(_), Some(refusal)) => refusal,
                    (Err(_), None) if !tool_calls.is_empty() => String::new(),
                    (Err(error), None) => return Err(error),
                };
                Message::Assistant { text, tool_calls }
            }
            Role::Tool => {
                let call_id = tool_call_id.filter(|id| !id.is_empty());
                let call_id =
                    call_id.ok_or_else(|| self.refuse("tool_call_id", "The message lacks its `tool_call_id`"))?;
                Message::Tool { call_id, content: self.text(content?)? }
            }
            Role::Function => return Err(self.unsupported("role", "Send the role `tool`, which took its place")),
        })
    }

    /// The texts of what is nothing but text.
    fn text(self, content: Content) -> Result<String, ApiError> {
        let parts = match content {
            Content::Text(text) => return Ok(text),
            Content::Parts(parts) => parts,
        };
        let texts = parts.into_iter().enumerate().map(|(at, part)| match part {
            WirePart { kind, text: Some(text), .. } if kind == "text" => Ok(text),
            WirePart { kind, refusal: Some(refusal), .. } if kind == "refusal" => Ok(refusal),
            _ => Err(self.unsupported(&format!("content[{at}].type"), "A message of this role is nothing but text")),
        });
        texts.collect()
    }

    fn parts(self, content: Content) -> Result<Vec<Part>, ApiError> {
        let parts = match content {
            Content::Text(text) => return Ok(vec![Part::Text(text)]),
            Content::Parts(parts) => parts,
        };
        if parts.is_empty() {
            return Err(self.refuse("content", "The message says nothing"));
        }
        let parts = parts.into_iter().enumerate().map(|(at, part)| {
            let WirePart { kind, text, image_url, refusal: _ } = part;
            match (kind.as_str(), text, image_url) {
                ("text", Some(text), _) => Ok(Part::Text(text)),
                ("image_url", _, Some(ImageUrl { url, detail })) if is_address(&url) => Ok(Part::Image { url, detail }),
                ("image_url", _, Some(_)) => Err(self.refuse(
                    &format!("content[{at}].image_url.url"),
                    "A picture is an `https:` or a base64 `data:` URL",
                )),
                ("text" | "image_url", ..) => {
                    Err(self.refuse(&format!("content[{at}]"), "The part lacks what it is made of"))
                }
                _ => Err(self.unsupported(&format!("content[{at}].type"), "A part is a `text` or an `image_url`")),
            }
        });
        parts.collect()
    }

    fn call(self, at: usize, call: WireCall) -> Result<ToolCall, ApiError> {
        let WireCall { id, kind, function, index: _, extra_content } = call;
        if kind.is_some_and(|kind| kind != "function") {
            return Err(self.unsupported(&format!("tool_calls[{at}].type"), "A call's `type` can only be `function`"));
        }
        let id = id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| self.refuse(&format!("tool_calls[{at}].id"), "The call lacks its `id`"))?;
        let lacks_function = || self.refuse(&format!("tool_calls[{at}].function"), "The call lacks its `function`");
        let Called { name, arguments } = function.ok_or_else(lacks_function)?;
        if name.len() > MAX_NAME_BYTES {
            let rule = format!("A function's name has at most {MAX_NAME_BYTES} bytes");
            return Err(refuse(format!("messages[{}].tool_calls[{at}].function.name", self.0), rule));
        }
        let signature = extra_content.and_then(|extra| extra.google).and_then(|google| google.thought_signature);
        Ok(ToolCall { id, name, arguments: arguments.unwrap_or_default(), signature })
    }
}

/// Whether a picture may be there. Who fetches it is the provider, which may stand where other addresses lead to what is the
/// operator's own.
fn is_address(url: &str) -> bool {
    let starts_with = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    starts_with("https://") || (starts_with("data:") && url.contains(";base64,"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(messages: Value) -> Result<Vec<Message>, ApiError> {
        conversation(serde_json::from_value(messages).unwrap())
    }

    fn calls(ids: &[&str]) -> Value {
        let call = |id: &&str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(call).collect::<Vec<_>>()})
    }

    fn result(id: &str) -> Value {
        json!({"role": "tool", "tool_call_id": id, "content": "21C"})
    }

    #[test]
    fn a_conversation_is_read_message_by_message() {
        let user = json!({"role": "user", "content": [
            {"type": "text", "text": "What?"},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
        ]});
        let mut signed = calls(&["a"]);
        signed["tool_calls"][0]["extra_content"] = json!({"google": {"thought_signature": "sig"}});
        let messages = json!([
            {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}]},
            user,
            signed,
            result("a"),
            {"role": "assistant", "content": null, "refusal": "No."},
            {"role": "assistant", "content": [{"type": "text", "text": "Still "}, {"type": "refusal", "refusal": "no."}]},
        ]);
        let Ok(messages) = read(messages) else { panic!("it is good") };
        let [
            Message::System(system),
            Message::User(parts),
            Message::Assistant { tool_calls, .. },
            Message::Tool { call_id, .. },
            Message::Assistant { text, .. },
            Message::Assistant { text: again, .. },
        ] = messages.as_slice()
        else {
            panic!("six messages")
        };
        assert_eq!((system.as_ref(), call_id.as_str()), ("Be brief.", "a"));
        assert_eq!((text.as_str(), again.as_str()), ("No.", "Still no."));
        assert_eq!(tool_calls[0].signature.as_deref(), Some("sig"));
        assert!(matches!(&parts[1], Part::Image { detail: Some(Detail::Low), .. }));
    }

    #[test]
    fn what_no_provider_would_take_is_refused_by_its_field() {
        let user = |content: Value| json!([{"role": "user", "content": content}]);
        for (messages, param) in [
            (json!([{"role": "user"}]), "messages[0].content"),
            (json!([{"role": "assistant"}]), "messages[0].content"),
            (user(json!([])), "messages[0].content"),
            (user(json!([{"type": "text"}])), "messages[0].content[0]"),
            (user(json!([{"type": "input_audio", "input_audio": {}}])), "messages[0].content[0].type"),
            (
                user(json!([{"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}])),
                "messages[0].content[0].image_url.url",
            ),
            (
                json!([{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]),
                "messages[0].content[0].type",
            ),
            (json!([{"role": "function", "name": "f", "content": "x"}]), "messages[0].role"),
            (
                json!([{"role": "assistant", "content": "x", "function_call": {"name": "f"}}]),
                "messages[0].function_call",
            ),
            (json!([{"role": "assistant", "audio": {"id": "x"}}]), "messages[0].audio"),
            (json!([result("a")]), "messages[0].tool_call_id"),
            (json!([calls(&["a", "b"]), result("a"), {"role": "user", "content": "x"}]), "messages[2]"),
            (json!([calls(&["a", "b"]), result("a")]), "messages[2]"),
            (json!([calls(&["a"]), result("a"), result("a")]), "messages[2].tool_call_id"),
            (json!([calls(&["a", "a"])]), "messages[0].tool_calls[1].id"),
            (json!([calls(&[""])]), "messages[0].tool_calls[0].id"),
            (
                json!([{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}]),
                "messages[0].tool_calls[0].type",
            ),
            (json!([{"role": "assistant", "tool_calls": [{"id": "a"}]}]), "messages[0].tool_calls[0].function"),
            (
                json!([{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f".repeat(65)}}]}]),
                "messages[0].tool_calls[0].function.name",
            ),
        ] {
            let Err(error) = read(messages.clone()) else { panic!("{messages} was found good") };
            assert_eq!(error.param.as_deref(), Some(param), "{messages}");
        }
    }
}

//! How large a question is, in tokens: by a guess, and at most.

use serde_json::Value;

use super::{Detail, Format, GenerateRequest, Message, Part, Tool, ToolCall, ToolChoice, Tools};

/// What pictures, roles and the wrapping of tools, calls and schemas can take in tokens; vendors say less of each.
const IMAGE_TOKENS: u64 = 5_120;
const MESSAGE_TOKENS: u64 = 16;
const TOOLS_TOKENS: u64 = 1_024;
/// A picture that is not made smaller: up to 10,000 patches, a token each.
const ORIGINAL_TOKENS: u64 = 10_240;

impl GenerateRequest {
    /// A rough count of the tokens that the question holds: a quarter of its bytes, rounded up.
    ///
    /// Good for an estimate where a provider reports no usage, and for nothing else.
    pub fn estimated_tokens(&self) -> u64 {
        let bytes: usize = self.messages.iter().map(Message::text_bytes).sum();
        (bytes as u64).div_ceil(4)
    }

    /// The most tokens that the question can hold: no vendor makes more tokens of a text than it has bytes.
    pub fn most_tokens(&self) -> u64 {
        let Self {
            messages,
            tools,
            format,
            // Numbers, and texts that no model reads.
            target: _,
            sampling: _,
            wanted: _,
            end_user: _,
            // Not sent.
            delivery: _,
            failover: _,
            conditions: _,
            policy: _,
            private_to: _,
            lookup_time: _,
            purpose: _,
        } = self;
        let messages: u64 = messages.iter().map(Message::most_tokens).sum();
        messages + tools.most_tokens() + format.most_tokens()
    }
}

impl Message {
    fn text_bytes(&self) -> usize {
        match self {
            Message::System(text) => text.len(),
            Message::User(parts) => {
                parts.iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum()
            }
            Message::Assistant { text, tool_calls } => {
                text.len() + tool_calls.iter().map(|call| call.arguments.len()).sum::<usize>()
            }
            Message::Tool { call_id: _, content } => content.len(),
        }
    }

    fn most_tokens(&self) -> u64 {
        let content: u64 = match self {
            Message::System(text) => bytes([text]),
            Message::User(parts) => parts.iter().map(Part::most_tokens).sum(),
            Message::Assistant { text, tool_calls } => {
                bytes([text]) + tool_calls.iter().map(ToolCall::most_tokens).sum::<u64>()
            }
            Message::Tool { call_id, content } => bytes([call_id, content]),
        };
        content + MESSAGE_TOKENS
    }
}

impl Part {
    fn most_tokens(&self) -> u64 {
        match self {
            Part::Text(text) => bytes([text]),
            Part::Image { url: _, detail: Some(Detail::Original) } => ORIGINAL_TOKENS,
            Part::Image { url: _, detail: None | Some(Detail::Auto | Detail::Low | Detail::High) } => IMAGE_TOKENS,
        }
    }
}

impl ToolCall {
    fn most_tokens(&self) -> u64 {
        let Self { id, name, arguments, signature } = self;
        bytes([id, name, arguments, signature.as_deref().unwrap_or_default()]) + MESSAGE_TOKENS
    }
}

impl Tools {
    fn most_tokens(&self) -> u64 {
        let Self { definitions, choice, parallel: _ } = self;
        let chosen = match choice {
            ToolChoice::Named(name) => bytes([name]),
            ToolChoice::Auto | ToolChoice::None | ToolChoice::Required => 0,
        };
        let wrapping = if definitions.is_empty() { 0 } else { TOOLS_TOKENS };
        definitions.iter().map(Tool::most_tokens).sum::<u64>() + chosen + wrapping
    }
}

impl Tool {
    fn most_tokens(&self) -> u64 {
        let Self { name, description, parameters, strict: _ } = self;
        bytes([name, description.as_deref().unwrap_or_default()]) + json_bytes(parameters)
    }
}

impl Format {
    fn most_tokens(&self) -> u64 {
        match self {
            Format::Text | Format::JsonObject => 0,
            Format::JsonSchema { name, description, schema, strict: _ } => {
                bytes([name, description.as_deref().unwrap_or_default()]) + json_bytes(schema) + TOOLS_TOKENS
            }
        }
    }
}

fn bytes<const N: usize>(texts: [&str; N]) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

fn json_bytes(json: &Value) -> u64 {
    json.to_string().len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: usize = 100_000;

    fn long() -> String {
        "x".repeat(LONG)
    }

    #[test]
    fn whatever_text_is_sent_counts() {
        let call = || ToolCall { id: "1".into(), name: "f".into(), arguments: "{}".into(), signature: None };
        let calling = |call| Message::Assistant { text: String::new(), tool_calls: vec![call] }.most_tokens();
        let tool = || Tool { name: "f".into(), description: None, parameters: Value::Null, strict: None };
        let format = |name, description| Format::JsonSchema { name, description, schema: Value::Null, strict: None };
        for (what, tokens) in [
            ("system", Message::System(long().into()).most_tokens()),
            ("text", Message::User(vec![Part::Text(long())]).most_tokens()),
            ("call.id", calling(ToolCall { id: long(), ..call() })),
            ("call.name", calling(ToolCall { name: long(), ..call() })),
            ("call.arguments", calling(ToolCall { arguments: long(), ..call() })),
            ("call.signature", calling(ToolCall { signature: Some(long()), ..call() })),
            ("call_id", Message::Tool { call_id: long(), content: String::new() }.most_tokens()),
            ("content", Message::Tool { call_id: String::new(), content: long() }.most_tokens()),
            ("tool.name", Tool { name: long(), ..tool() }.most_tokens()),
            ("tool.description", Tool { description: Some(long()), ..tool() }.most_tokens()),
            ("tool.parameters", Tool { parameters: long().into(), ..tool() }.most_tokens()),
            ("tool_choice", Tools { choice: ToolChoice::Named(long()), ..Tools::default() }.most_tokens()),
            ("schema.name", format(long(), None).most_tokens()),
            ("schema.description", format(String::new(), Some(long())).most_tokens()),
        ] {
            assert!(tokens >= LONG as u64, "{what}: {tokens}");
        }
    }

    #[test]
    fn a_picture_of_its_full_size_counts_for_more() {
        let image = |detail| Part::Image { url: "https://x.test/a.png".into(), detail }.most_tokens();
        assert_eq!(image(Some(Detail::Original)), 10_240);
        assert_eq!([None, Some(Detail::Auto), Some(Detail::Low), Some(Detail::High)].map(image), [5_120; 4]);
    }
}

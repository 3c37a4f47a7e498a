//! One hash over everything that decides an answer, and nothing else.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Effort, Format, GenerateRequest, Message, Part, Sampling, Target, Tool, ToolCall, ToolChoice, Tools};

/// SHA-256 over the fields that count. All 256 bits are kept: prompts come from strangers, and a collision would hand one
/// person's answer to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a request. Requests that mean the same have the same.
    ///
    /// Everything is taken apart completely, so that a new field does not compile until someone decides whether it counts.
    pub fn of(request: &GenerateRequest) -> Self {
        let GenerateRequest {
            target,
            messages,
            sampling,
            format,
            tools,
            delivery: _,
            wanted: _,
            failover: _,
            conditions: _,
            policy: _,
            private_to,
            lookup_time: _,
            purpose: _,
            end_user: _,
        } = request;
        let mut hash = Hash::new();
        let Target { provider, model } = target;
        hash.text(provider.as_str());
        hash.text(model.as_str());

        hash.length(messages.len());
        for message in messages {
            hash.message(message);
        }

        hash.sampling(sampling);
        hash.format(format);
        hash.tools(tools);
        hash.optional_text(private_to.as_deref());
        hash.finish()
    }
}

impl Fingerprint {
    /// Writes 64 hexadecimal digits in lower case behind `text`.
    pub fn write_hex(self, text: &mut String) {
        let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
        text.extend(self.0.into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    }

    /// The same digits alone.
    pub fn to_hex(self) -> String {
        let mut hex = String::with_capacity(64);
        self.write_hex(&mut hex);
        hex
    }
}

/// SHA-256 over parts that each say what they are and how long: no two sequences of parts read the same.
#[derive(Clone)]
pub(crate) struct Hash(Sha256);

/// The parts of every layout.
impl Hash {
    /// Nothing yet, of the layout that `version` names.
    pub(crate) fn of_layout(version: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(version))
    }

    pub(crate) fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finalize().into())
    }

    pub(crate) fn length(&mut self, length: usize) {
        self.0.update((length as u64).to_be_bytes());
    }

    pub(crate) fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    pub(crate) fn word(&mut self, word: u32) {
        self.0.update(word.to_be_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.update(text);
    }

    pub(crate) fn optional(&mut self, value: Option<u64>) {
        self.tag(u8::from(value.is_some()));
        self.0.update(value.unwrap_or_default().to_be_bytes());
    }

    pub(crate) fn optional_text(&mut self, text: Option<&str>) {
        self.tag(u8::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }
}

/// The parts of a generation's.
impl Hash {
    fn new() -> Self {
        // The version of this layout. Change it whenever the meaning of a part changes.
        Self::of_layout(b"llm-gateway/4\0")
    }

    fn number(&mut self, value: Option<f64>) {
        // `+ 0.0` makes one zero of two.
        self.optional(value.map(|value| (value + 0.0).to_bits()));
    }

    fn sampling(&mut self, sampling: &Sampling) {
        let Sampling { temperature, top_p, max_tokens, seed, presence_penalty, frequency_penalty, stop, effort } =
            sampling;
        for value in [temperature, top_p, presence_penalty, frequency_penalty] {
            self.number(*value);
        }
        self.optional(max_tokens.map(u64::from));
        self.optional(seed.map(i64::cast_unsigned));
        self.length(stop.len());
        for stop in stop {
            self.text(stop);
        }
        self.optional_text(effort.map(Effort::as_str));
    }

    fn format(&mut self, format: &Format) {
        match format {
            Format::Text => self.tag(1),
            Format::JsonObject => self.tag(2),
            Format::JsonSchema { name, description, schema, strict } => {
                self.tag(3);
                self.text(name);
                self.optional_text(description.as_deref());
                self.json(schema);
                self.optional(strict.map(u64::from));
            }
        }
    }

    /// Free-form JSON. The order of its keys counts: models write in the order of a schema.
    fn json(&mut self, value: &Value) {
        self.text(&value.to_string());
    }

    fn message(&mut self, message: &Message) {
        match message {
            Message::System(text) => {
                self.tag(1);
                self.text(text);
            }
            Message::User(parts) => {
                self.tag(2);
                self.length(parts.len());
                for part in parts {
                    match part {
                        Part::Text(text) => {
                            self.tag(1);
                            self.text(text);
                        }
                        Part::Image { url, detail } => {
                            self.tag(2);
                            self.text(url);
                            self.optional(detail.map(|detail| detail as u64));
                        }
                    }
                }
            }
            Message::Assistant { text, tool_calls } => {
                self.tag(3);
                self.text(text);
                self.length(tool_calls.len());
                for ToolCall { id, name, arguments, signature } in tool_calls {
                    self.text(id);
                    self.text(name);
                    self.text(arguments);
                    self.optional_text(signature.as_deref());
                }
            }
            Message::Tool { call_id, content } => {
                self.tag(4);
                self.text(call_id);
                self.text(content);
            }
        }
    }

    fn tools(&mut self, tools: &Tools) {
        let Tools { definitions, choice, parallel } = tools;
        self.length(definitions.len());
        for Tool { name, description, parameters, strict } in definitions {
            self.text(name);
            self.optional_text(description.as_deref());
            self.json(parameters);
            self.optional(strict.map(u64::from));
        }
        match choice {
            ToolChoice::Auto => self.tag(1),
            ToolChoice::None => self.tag(2),
            ToolChoice::Required => self.tag(3),
            ToolChoice::Named(name) => {
                self.tag(4);
                self.text(name);
            }
        }
        self.optional(parallel.map(u64::from));
    }
}

//! A function and a schema, as both of `OpenAI`'s formats describe them, and Ollama's a function.

use serde::Serialize;
use serde_json::Value;

use crate::generate::Tool;

/// A function that may be called.
#[derive(Serialize)]
pub(super) struct WireFunction<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

impl<'a> From<&'a Tool> for WireFunction<'a> {
    fn from(tool: &'a Tool) -> Self {
        let Tool { name, description, parameters, strict } = tool;
        Self { name, description: description.as_deref(), parameters, strict: *strict }
    }
}

impl WireFunction<'_> {
    /// The same in a format that takes silence for `strict`: it would make every property a required one, so `false` is said
    /// where the client said nothing.
    pub(super) fn with_strictness(self) -> Self {
        Self { strict: self.strict.or(Some(false)), ..self }
    }
}

/// The same as chat completions and Ollama wrap it.
#[derive(Serialize)]
pub(super) struct WireTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: WireFunction<'a>,
}

impl<'a> From<&'a Tool> for WireTool<'a> {
    fn from(tool: &'a Tool) -> Self {
        Self { kind: "function", function: tool.into() }
    }
}

/// What the answer must look like.
#[derive(Serialize)]
pub(super) struct WireSchema<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    pub(super) schema: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strict: Option<bool>,
}

//! What the scripted provider makes of texts: vectors that tell which text they are of.

use llm_gateway::{
    embed::{Embedded, Input, Vector},
    generate::Usage,
};

/// How many inputs it takes at once.
pub(crate) const MOST_INPUTS: usize = 4;
/// What it counts for each.
pub(crate) const TOKENS: u64 = 1_000;

/// The inputs of a call, as tests write them.
pub(crate) fn said(inputs: &[Input]) -> String {
    let said = inputs.iter().map(|input| match input {
        Input::Text(text) => text.clone(),
        Input::Tokens(tokens) => format!("{tokens:?}"),
    });
    said.collect::<Vec<_>>().join("|")
}

pub(crate) fn embedded(inputs: &[Input]) -> Embedded {
    let vectors = inputs.iter().map(|input| vector(&said(std::slice::from_ref(input)))).collect();
    Embedded { vectors, usage: Usage { input_tokens: TOKENS * inputs.len() as u64, ..Usage::default() } }
}

/// The vector of a text.
pub(crate) fn vector(text: &str) -> Vector {
    let bytes = text.bytes().map(f32::from);
    [
        text.bytes().map(|_| 1.0).sum::<f32>(),
        bytes.clone().next().unwrap_or_default(),
        bytes.map(|byte| byte / 3.0).sum::<f32>(),
    ]
    .into()
}

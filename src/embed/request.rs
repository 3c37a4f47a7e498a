//! What is to be turned into vectors, parsed and resolved.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::generate::{Policy, Target};

/// Everything that decides what the vectors are, and how they are wanted.
///
/// No `Debug`: what people wrote reaches no log.
pub struct EmbedRequest {
    /// Who is asked.
    pub target: Target,
    /// What is turned into vectors, in order; never empty.
    pub inputs: Vec<Input>,
    /// The length of the vectors; at least 1. `None` leaves it to the model.
    pub dimensions: Option<u32>,
    /// What the client wants of the cache.
    pub policy: Policy,
    /// Who alone may be given the vectors again. `None`: whoever asks the same.
    pub private_to: Option<Arc<str>>,
    /// How long looking for stored vectors may still take.
    pub lookup_time: Duration,
    /// Since when it is waited for: all that is done for it has to be over in the time that an answer has.
    pub begun: Instant,
}

/// One text, and so one vector. Never empty.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// As people write it.
    Text(String),
    /// As the model's own tokenizer cut it, for who speaks OpenAI's wire format.
    Tokens(Vec<u32>),
}

/// What models put around a text, in tokens; vendors say less.
const WRAPPING_TOKENS: u64 = 4;

impl Input {
    /// A rough count of its tokens: a quarter of its bytes, rounded up, or as many as it says.
    pub fn estimated_tokens(&self) -> u64 {
        match self {
            Input::Text(text) => (text.len() as u64).div_ceil(4),
            Input::Tokens(tokens) => tokens.len() as u64,
        }
    }

    /// The most tokens that it can hold: no vendor makes more tokens of a text than it has bytes.
    pub fn most_tokens(&self) -> u64 {
        let most = match self {
            Input::Text(text) => text.len() as u64,
            Input::Tokens(tokens) => tokens.len() as u64,
        };
        most + WRAPPING_TOKENS
    }
}

/// A rough count of the tokens of all `inputs`.
pub fn tokens_of(inputs: &[Input]) -> u64 {
    inputs.iter().map(Input::estimated_tokens).sum()
}

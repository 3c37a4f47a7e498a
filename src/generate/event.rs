//! The steps of an answer, from whoever gives it to whoever reads it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{Completion, GenerateError, MicroDollars, Outcome, Target};

/// One step of an answer.
///
/// `Calling` any number of times, each but the last followed by `Failed`, then `Text` and `Tool` in any order, then exactly
/// one `Finish` or, after `Failed` if there was a call, one `Err`, then nothing. A stream that ends without either was cut.
#[derive(Clone)]
pub enum Event {
    /// A provider is being called.
    Calling(Calling),
    /// The call brought no answer. Only the meter hears of it.
    Failed(Failed),
    /// A piece of text, not empty: valid UTF-8, cut between characters.
    Text(Bytes),
    /// A piece of a call of a tool.
    Tool(ToolPiece),
    /// The provider said that it was done.
    Finish {
        /// All that came, put together.
        completion: Arc<Completion>,
        /// What became of it in the cache.
        outcome: Outcome,
        /// What it costs who reads this, filled in by the meter. `None`: nothing, because another pays or nobody has to.
        cost: Option<MicroDollars>,
    },
}

impl Event {
    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        matches!(self, Event::Finish { .. })
    }
}

/// An answer under way.
pub type EventStream = BoxStream<'static, Result<Event, GenerateError>>;

/// Which call is being made.
#[derive(Clone, Debug)]
pub struct Calling {
    /// Who is called.
    pub target: Target,
    /// Counted from 1 over all models and providers.
    pub attempt: u32,
}

/// A call that brought no answer.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Who was asked.
    pub target: Target,
    /// What it took all the same, as far as is known.
    pub usage: Usage,
}

/// A piece of a call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolPiece {
    /// The next call begins. Calls are counted from 0, and their pieces may come in turns.
    Begin {
        /// As in [`ToolCall`].
        id: String,
        /// As in [`ToolCall`].
        name: String,
        /// As in [`ToolCall`].
        signature: Option<String>,
    },
    /// More of the arguments of a call that has begun; every finished call has some.
    Arguments {
        /// Which call.
        of: usize,
        /// Not empty: valid UTF-8, cut between characters. Only all of them together are JSON.
        text: Bytes,
    },
}

/// The model wants a function to be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The provider's id for this call, or one of ours.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments, a JSON object as text.
    pub arguments: String,
    /// What Gemini wants back together with the call (`providers.md` 6.5). `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// How a provider ended an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// The provider's words when it refused.
    pub refusal: Option<String>,
    /// What it counted. `None` when it reported nothing.
    pub usage: Option<Usage>,
}

impl ToolCall {
    /// Whether its arguments are what they must be. Decoders write `{}` where a vendor says nothing.
    pub fn has_object(&self) -> bool {
        self.arguments.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(&self.arguments).is_ok()
    }

    /// The call as the pieces that it once was, being the call number `of`.
    pub fn pieces(self, of: usize) -> [ToolPiece; 2] {
        let Self { id, name, arguments, signature } = self;
        [ToolPiece::Begin { id, name, signature }, ToolPiece::Arguments { of, text: arguments.into() }]
    }
}

impl Finish {
    /// Whether, of an answer without text, there is nothing at all to say.
    pub fn is_empty(&self) -> bool {
        self.reason.promises_content() && self.refusal.is_none()
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model was done.
    Stop,
    /// The limit of tokens was reached: the answer is cut off.
    Length,
    /// The model wants tools to be called.
    ToolCalls,
    /// The provider refused or filtered the answer.
    ContentFilter,
    /// Something that the provider alone understands.
    Other,
}

impl FinishReason {
    /// Whether there is no answer where nothing came before it. One that was cut off or filtered says so, and that is something.
    pub fn promises_content(self) -> bool {
        match self {
            FinishReason::Stop | FinishReason::ToolCalls | FinishReason::Other => true,
            FinishReason::Length | FinishReason::ContentFilter => false,
        }
    }

    /// The word for it in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            FinishReason::Stop | FinishReason::Other => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::ContentFilter => "content_filter",
        }
    }
}

/// What an answer took, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Usage {
    /// The question, cache reads and writes included.
    pub input_tokens: u64,
    /// The answer, reasoning included.
    pub output_tokens: u64,
    /// Of the input, what the provider read from its own cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_input_tokens: u64,
    /// Of the input, what the provider wrote to its own cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// Of the output, what the model thought and did not say.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
    /// Whether these are guesses by length because the provider reported nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

impl Usage {
    /// A guess where nobody has counted: four bytes of the answer are a token.
    pub fn estimate(question_tokens: u64, answer_bytes: u64) -> Self {
        Self {
            input_tokens: question_tokens,
            output_tokens: answer_bytes.div_ceil(4),
            estimated: true,
            ..Self::default()
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(tokens: &u64) -> bool {
    *tokens == 0
}

//! A finished answer. Only a provider's own end can make one, so a cut answer has no value of this type.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::json;

use super::{Event, EventStream, Finish, FinishReason, Outcome, Target, ToolCall, ToolPiece, Usage};

/// What was answered, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The text as a JSON string, quotes included: replies copy it as it is.
    pub text_json: Bytes,
    /// The tools that the model called, in its order.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub reason: FinishReason,
    /// The provider's words when it refused.
    pub refusal: Option<String>,
    /// What it took.
    pub usage: Usage,
    /// Who answered.
    pub served: Served,
}

/// Who gave an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The one that answered.
    pub target: Target,
    /// Calls that were made for it, this one included; at least 1.
    pub attempts: u32,
    /// Whether the demo provider made it up.
    pub mock: bool,
    /// Where this model stands in for the one asked for: the client's settings that it refuses.
    pub ignored: Option<Vec<&'static str>>,
}

impl Completion {
    /// The text as the provider gave it.
    pub fn text(&self) -> String {
        // Written by `serde_json` from a `String`, here or by the instance that stored it.
        serde_json::from_slice(&self.text_json).unwrap_or_default()
    }

    /// Whether it says something, in text.
    pub fn has_text(&self) -> bool {
        self.text_json.as_ref() != b"\"\""
    }

    /// Whether there is nothing in it that a client could use.
    pub fn is_empty(&self) -> bool {
        !self.has_text() && self.tool_calls.is_empty()
    }

    /// Whether it may answer another request later: whole, good, and not empty. A call that cannot be made is not good.
    pub fn is_storable(&self) -> bool {
        match self.reason {
            FinishReason::Stop | FinishReason::ToolCalls => {
                !self.is_empty() && self.refusal.is_none() && self.tool_calls.iter().all(ToolCall::has_object)
            }
            FinishReason::Length | FinishReason::ContentFilter | FinishReason::Other => false,
        }
    }

    /// The answer as the events that it once was.
    ///
    /// Law: to replay and then collect gives the same completion.
    pub fn replay(self: Arc<Self>) -> EventStream {
        let text = self.text();
        let text = (!text.is_empty()).then(|| Event::Text(text.into()));
        let calls = self.tool_calls.iter().cloned().enumerate();
        let pieces: Vec<_> = calls.flat_map(|(of, call)| call.pieces(of)).map(Event::Tool).collect();
        let finish = Event::Finish { completion: self, outcome: Outcome::Stored, cost: None };
        stream::iter(text.into_iter().chain(pieces).chain([finish]).map(Ok)).boxed()
    }
}

/// An answer that is still being written.
pub struct Draft {
    text: String,
    tool_calls: Vec<ToolCall>,
    limit_bytes: usize,
    question_tokens: u64,
}

/// The answer is longer than this service takes.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Draft {
    /// An empty draft that takes at most `limit_bytes`; `question_tokens` is what an estimate says the question holds.
    pub fn new(limit_bytes: usize, question_tokens: u64) -> Self {
        Self { text: String::new(), tool_calls: Vec::new(), limit_bytes, question_tokens }
    }

    /// Adds text.
    ///
    /// # Errors
    /// [`TooLong`] when the draft would exceed its limit.
    pub fn text(&mut self, piece: &str) -> Result<(), TooLong> {
        self.text.push_str(piece);
        self.within_limit()
    }

    /// Adds a piece of a call of a tool. One of a call that has not begun is lost.
    ///
    /// # Errors
    /// [`TooLong`] when the draft would exceed its limit.
    pub fn tool(&mut self, piece: &ToolPiece) -> Result<(), TooLong> {
        match piece {
            ToolPiece::Begin { id, name, signature } => {
                let (id, name, signature) = (id.clone(), name.clone(), signature.clone());
                self.tool_calls.push(ToolCall { id, name, arguments: String::new(), signature });
            }
            ToolPiece::Arguments { of, text } => {
                if let Some(call) = self.tool_calls.get_mut(*of) {
                    call.arguments.push_str(&String::from_utf8_lossy(text));
                }
            }
        }
        self.within_limit()
    }

    fn within_limit(&self) -> Result<(), TooLong> {
        let around = |call: &ToolCall| {
            let ToolCall { id, name, signature, arguments: _ /* counted below */ } = call;
            id.len() + name.len() + signature.as_deref().unwrap_or_default().len()
        };
        let held = self.length() + self.tool_calls.iter().map(around).sum::<usize>();
        if held > self.limit_bytes { Err(TooLong) } else { Ok(()) }
    }

    /// What the model has written, in bytes: ids and signatures it has not.
    fn length(&self) -> usize {
        let arguments: usize = self.tool_calls.iter().map(|call| call.arguments.len()).sum();
        self.text.len() + arguments
    }

    /// What it has taken so far, by a guess.
    pub fn estimate(&self) -> Usage {
        Usage::estimate(self.question_tokens, self.length() as u64)
    }

    /// What it has taken where its provider `told` so before it broke off. Some count the question alone until the end.
    pub fn counted(&self, told: Option<Usage>) -> Usage {
        let guess = self.estimate();
        match told {
            None => guess,
            Some(question) if question.output_tokens == 0 => {
                Usage { output_tokens: guess.output_tokens, estimated: true, ..question }
            }
            Some(all) => all,
        }
    }

    /// Makes the answer of it, now that the provider said that it was done.
    pub fn finish(self, finish: Finish, served: Served) -> Completion {
        let Finish { reason, refusal, usage } = finish;
        let usage = usage.unwrap_or_else(|| self.estimate());
        Completion { text_json: json_string(&self.text), tool_calls: self.tool_calls, reason, refusal, usage, served }
    }
}

fn json_string(text: &str) -> Bytes {
    // Most answers grow by an escape every few dozen characters.
    json::with_room(text.len() + text.len() / 16 + 2, text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_answer_that_broke_off_its_provider_may_have_counted_the_question_alone() {
        let mut draft = Draft::new(1_024, 7);
        assert_eq!(draft.text("twelve bytes"), Ok(()));
        let told = |output_tokens| Usage { input_tokens: 50, output_tokens, ..Usage::default() };
        assert_eq!(draft.counted(None), Usage::estimate(7, 12));
        assert_eq!(draft.counted(Some(told(0))), Usage { estimated: true, ..told(3) });
        assert_eq!(draft.counted(Some(told(9))), told(9));
    }

    #[test]
    fn all_of_a_call_counts_for_the_length_of_an_answer() {
        let begin = |id: usize, name: usize, signature: usize| {
            let [id, name, signature] = [id, name, signature].map(|length| "x".repeat(length));
            ToolPiece::Begin { id, name, signature: Some(signature) }
        };
        for (id, name, signature) in [(1_023, 1, 1), (1, 1_023, 1), (1, 1, 1_023)] {
            let mut draft = Draft::new(1_024, 0);
            assert_eq!(draft.tool(&begin(id, name, signature)), Err(TooLong), "{id}, {name}, {signature}");
        }
        let mut draft = Draft::new(1_024, 0);
        assert_eq!(draft.tool(&begin(1_000, 11, 11)), Ok(()));
        assert_eq!(draft.tool(&ToolPiece::Arguments { of: 0, text: "{}".into() }), Ok(()));
        assert_eq!(draft.text("x"), Err(TooLong));
    }
}

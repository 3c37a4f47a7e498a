//! What is answered: one object, or chunks of one.

use axum::response::sse;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::{
    ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{
    generate::{Completion, FinishReason, ToolCall, ToolPiece, Usage},
    http::{answer::AnswerEnd, events::event},
};

/// What one answer's object, or all of its chunks, have in common.
pub(super) struct Identity {
    /// Of this service: one for each reply, a stored answer's too.
    pub(super) id: String,
    /// In seconds since the Unix epoch.
    pub(super) created: u64,
    /// The model that answers, by its vendor's name.
    pub(super) model: String,
}

#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the vendor's names")]
struct Object<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "WireUsage::is_unsaid")]
    #[schema(value_type = Option<Counted>)]
    usage: WireUsage,
    /// Always `null`.
    #[schema(value_type = Option<String>)]
    system_fingerprint: Option<()>,
}

/// A whole answer: an [`Object`] of choices, by a name of its own.
pub(super) struct ChatCompletion;

impl utoipa::PartialSchema for ChatCompletion {
    fn schema() -> RefOr<Schema> {
        <Object<'_, Choice<'_>> as utoipa::PartialSchema>::schema()
    }
}

impl ToSchema for ChatCompletion {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Choice::name().into_owned(), <Choice<'_> as utoipa::PartialSchema>::schema()));
        <Choice<'_> as ToSchema>::schemas(schemas);
        schemas.push((Counted::name().into_owned(), <Counted as utoipa::PartialSchema>::schema()));
        <Counted as ToSchema>::schemas(schemas);
    }
}

/// A piece of an answer, likewise.
pub(in crate::http) struct ChatCompletionChunk;

impl utoipa::PartialSchema for ChatCompletionChunk {
    fn schema() -> RefOr<Schema> {
        <Object<'_, ChunkChoice<'_>> as utoipa::PartialSchema>::schema()
    }
}

impl ToSchema for ChatCompletionChunk {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((ChunkChoice::name().into_owned(), <ChunkChoice<'_> as utoipa::PartialSchema>::schema()));
        <ChunkChoice<'_> as ToSchema>::schemas(schemas);
        schemas.push((Counted::name().into_owned(), <Counted as utoipa::PartialSchema>::schema()));
        <Counted as ToSchema>::schemas(schemas);
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChatChoice)]
struct Choice<'a> {
    index: u32,
    #[schema(inline)]
    message: Said<'a>,
    /// Always `null`.
    #[schema(value_type = Option<Object>)]
    logprobs: Option<()>,
    #[schema(value_type = AnswerEnd)]
    finish_reason: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Said<'a> {
    role: &'static str,
    #[schema(value_type = Option<String>)]
    content: Option<&'a RawValue>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChatChunkChoice)]
struct ChunkChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    /// Always `null`.
    #[schema(value_type = Option<Object>)]
    logprobs: Option<()>,
    #[schema(value_type = Option<AnswerEnd>)]
    finish_reason: Option<&'static str>,
}

/// What is new.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ChatDelta)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Call<'a>>>)]
    tool_calls: Option<[Call<'a>; 1]>,
}

/// A call, or a piece of one, which has its number.
#[derive(Serialize, ToSchema)]
#[schema(as = ChatCall)]
struct Call<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Called<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChatCalled)]
struct Called<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// Where clients keep what a vendor wants back with a call (`providers.md` 6.5).
#[derive(Serialize, ToSchema)]
struct ExtraContent<'a> {
    google: Google<'a>,
}

#[derive(Serialize, ToSchema)]
struct Google<'a> {
    thought_signature: &'a str,
}

impl<'a> ExtraContent<'a> {
    fn of(signature: Option<&'a String>) -> Option<Self> {
        signature.map(|signature| Self { google: Google { thought_signature: signature } })
    }
}

/// What was counted, as far as that is said.
#[derive(Serialize)]
#[serde(untagged)]
enum WireUsage {
    /// Not at all.
    Unsaid,
    /// In a later chunk, which `null` stands for.
    Later,
    Here(Counted),
}

impl WireUsage {
    fn is_unsaid(&self) -> bool {
        matches!(self, WireUsage::Unsaid)
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ChatUsage)]
struct Counted {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize, ToSchema)]
struct PromptDetails {
    cached_tokens: u64,
}

#[derive(Serialize, ToSchema)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for Counted {
    fn from(usage: Usage) -> Self {
        let Usage { input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, .. } = usage;
        Self {
            prompt_tokens: input_tokens,
            completion_tokens: output_tokens,
            total_tokens: input_tokens.saturating_add(output_tokens),
            prompt_tokens_details: PromptDetails { cached_tokens: cached_input_tokens },
            completion_tokens_details: CompletionDetails { reasoning_tokens },
        }
    }
}

impl Identity {
    /// The whole answer.
    pub(super) fn object(&self, completion: &Completion) -> Vec<u8> {
        let Completion { text_json, tool_calls, reason, refusal, usage, served: _ } = completion;
        let has_reason = !tool_calls.is_empty() || refusal.is_some() || *reason == FinishReason::ContentFilter;
        let is_silent = !completion.has_text() && has_reason;
        let content = if is_silent { None } else { serde_json::from_slice::<&RawValue>(text_json).ok() };
        let calls = tool_calls.iter().map(|ToolCall { id, name, arguments, signature }| Call {
            index: None,
            id: Some(id),
            kind: Some("function"),
            function: Called { name: Some(name), arguments },
            extra_content: ExtraContent::of(signature.as_ref()),
        });
        let message = Said { role: "assistant", content, refusal: refusal.as_deref(), tool_calls: calls.collect() };
        let choices = [Choice { index: 0, message, logprobs: None, finish_reason: reason.as_str() }];
        let object = self.with("chat.completion", &choices, WireUsage::Here((*usage).into()));
        serde_json::to_vec(&object).unwrap_or_else(|_| unreachable!("numbers and texts are JSON"))
    }

    fn with<'a, C>(&'a self, object: &'static str, choices: &'a [C], usage: WireUsage) -> Object<'a, C> {
        let Self { id, created, model } = self;
        Object { id, object, created: *created, model, choices, usage, system_fingerprint: None }
    }
}

/// Makes the chunks of a stream.
pub(super) struct Chunks {
    pub(super) identity: Identity,
    /// Whether the last chunk says what was counted.
    pub(super) wants_usage: bool,
}

impl Chunks {
    /// The first: nothing has been said so far.
    pub(super) fn begin(&self) -> sse::Event {
        self.chunk(Delta { role: Some("assistant"), content: Some(""), ..Delta::default() }, None)
    }

    /// More text.
    pub(super) fn text(&self, text: &str) -> sse::Event {
        self.chunk(Delta { content: Some(text), ..Delta::default() }, None)
    }

    /// Why there is no answer.
    pub(super) fn refusal(&self, refusal: &str) -> sse::Event {
        self.chunk(Delta { refusal: Some(refusal), ..Delta::default() }, None)
    }

    /// More of a call, or a new one, which is then the call number `next`.
    pub(super) fn tool(&self, piece: &ToolPiece, next: usize) -> sse::Event {
        let text;
        let call = match piece {
            ToolPiece::Begin { id, name, signature } => Call {
                index: Some(next),
                id: Some(id),
                kind: Some("function"),
                function: Called { name: Some(name), arguments: "" },
                extra_content: ExtraContent::of(signature.as_ref()),
            },
            ToolPiece::Arguments { of, text: piece } => {
                text = String::from_utf8_lossy(piece);
                let function = Called { name: None, arguments: &text };
                Call { index: Some(*of), id: None, kind: None, function, extra_content: None }
            }
        };
        self.chunk(Delta { tool_calls: Some([call]), ..Delta::default() }, None)
    }

    /// The end of the answer.
    pub(super) fn finish(&self, reason: FinishReason) -> sse::Event {
        self.chunk(Delta::default(), Some(reason.as_str()))
    }

    /// What was counted, if the client wants to know.
    pub(super) fn usage(&self, usage: Usage) -> Option<sse::Event> {
        let none: &[ChunkChoice<'_>] = &[];
        self.wants_usage
            .then(|| event(&self.identity.with("chat.completion.chunk", none, WireUsage::Here(usage.into()))))
    }

    fn chunk(&self, delta: Delta<'_>, finish_reason: Option<&'static str>) -> sse::Event {
        let choice = ChunkChoice { index: 0, delta, logprobs: None, finish_reason };
        let usage = if self.wants_usage { WireUsage::Later } else { WireUsage::Unsaid };
        event(&self.identity.with("chat.completion.chunk", &[choice], usage))
    }
}

//! A provider without a network: it makes its answers up, the same for the same question, and says so.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    embed::{EmbedRequest, Embedded, Input},
    generate::{
        Delivery, ErrorKind, Fingerprint, Finish, FinishReason, Format, GenerateRequest, Message, Params, Part, Usage,
    },
};

use super::{Batch, Delta, DeltaStream, Provider, ProviderError, embed::made_up, example::example};

/// Between two pieces of a streamed answer: slow enough to be seen to stream.
const PACE: Duration = Duration::from_millis(12);
/// How long `demo:slow` thinks.
const SLOW: Duration = Duration::from_secs(3);
/// The length of a piece, in characters.
const PIECE_CHARS: usize = 16;

/// The models that misbehave, and how (`demo:<name>`). Every other model answers well.
pub const DEMO_SCRIPTS: [(&str, &str); 11] = [
    ("slow", "answers well after 3 seconds"),
    ("hang", "never answers"),
    ("cut", "breaks off in the middle of the text"),
    ("error", "fails at once"),
    ("rate-limited", "refuses, and asks to come back in 7 seconds"),
    ("overloaded", "has too much to do"),
    ("unauthorized", "does not take the key"),
    ("refusal", "refuses to answer"),
    ("empty", "is done without a word"),
    ("truncated", "reaches the limit of tokens in the middle of the text"),
    ("panic", "panics in the middle of the text"),
];

/// The demo provider.
pub(super) struct Demo;

#[async_trait]
impl Provider for Demo {
    async fn open(&self, request: &GenerateRequest, _: &Params) -> Result<DeltaStream, ProviderError> {
        begin(request.target.model.as_str()).await?;
        let answer = answer(request);
        let usage = Usage {
            input_tokens: request.estimated_tokens(),
            output_tokens: (answer.len() as u64).div_ceil(4),
            ..Usage::default()
        };
        let finish = |reason, refusal| Ok(Delta::Finish(Finish { reason, refusal, usage: Some(usage) }));
        let good = finish(FinishReason::Stop, None);
        let half = answer.chars().count() / 2;
        let (length, ending) = match request.target.model.as_str() {
            "cut" => (half, vec![Err(ProviderError::from(ErrorKind::StreamInterrupted).after(true))]),
            "refusal" => (0, vec![finish(FinishReason::ContentFilter, Some("The demo provider refuses.".to_owned()))]),
            "empty" => (0, vec![good]),
            "truncated" => (half, vec![finish(FinishReason::Length, None)]),
            "panic" => (half, Vec::new()),
            _ => (usize::MAX, vec![good]),
        };
        let panics = request.target.model.as_str() == "panic";
        let pace = if request.delivery == Delivery::Stream { PACE } else { Duration::ZERO };
        let pieces = stream::iter(pieces(&answer, length)).then(move |piece| async move {
            if !pace.is_zero() {
                sleep(pace).await;
            }
            Ok(Delta::Text(piece))
        });
        let ending = stream::iter(ending).chain(stream::poll_fn(move |_| {
            assert!(!panics, "the demo provider was asked to panic");
            std::task::Poll::Ready(None)
        }));
        Ok(pieces.chain(ending).boxed())
    }

    fn embeds(&self) -> Option<Batch> {
        Some(Batch { inputs: usize::MAX, tokens: u64::MAX })
    }

    async fn embed(&self, request: &EmbedRequest, inputs: &[Input]) -> Result<Embedded, ProviderError> {
        begin(request.target.model.as_str()).await?;
        made_up(request, inputs)
    }
}

/// What those that misbehave do before they say anything.
async fn begin(model: &str) -> Result<(), ProviderError> {
    match model {
        "slow" => sleep(SLOW).await,
        "hang" => std::future::pending().await,
        "error" => return Err(ErrorKind::ServerError.into()),
        "rate-limited" => {
            let retry_after = Some(Duration::from_secs(7));
            return Err(ProviderError { retry_after, ..ErrorKind::RateLimited.into() });
        }
        "overloaded" => return Err(ErrorKind::Overloaded.into()),
        "unauthorized" => return Err(ErrorKind::Authentication.into()),
        _ => {}
    }
    Ok(())
}

fn pieces(answer: &str, length: usize) -> Vec<Bytes> {
    let chars: Vec<char> = answer.chars().take(length).collect();
    chars.chunks(PIECE_CHARS).map(|piece| Bytes::from(piece.iter().collect::<String>())).collect()
}

/// The same words for the same question: its fingerprint picks the details.
fn answer(request: &GenerateRequest) -> String {
    let asked = request.messages.iter().rev().find_map(|message| match message {
        Message::User(parts) => parts.iter().find_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image { .. } => None,
        }),
        Message::System(_) | Message::Assistant { .. } | Message::Tool { .. } => None,
    });
    let title: String = asked.unwrap_or("Nothing").split_whitespace().take(12).collect::<Vec<_>>().join(" ");
    let title = title.replace(['`', '{', '}', '<', '>', '\\', '"'], "");
    match &request.format {
        Format::Text => {}
        Format::JsonObject => return json!({"demo": "made up by the demo provider", "asked": title}).to_string(),
        Format::JsonSchema { schema, .. } => return example(schema).to_string(),
    }
    let fingerprint = Fingerprint::of(request).to_hex();
    let id = fingerprint.get(..8).unwrap_or_default();
    let component = match id.bytes().next() {
        Some(b'0'..=b'3') => "Panel",
        Some(b'4'..=b'7') => "Card",
        Some(b'8'..=b'b') => "Board",
        _ => "Sheet",
    };
    format!(
        "This is the demo provider: no model was asked, and nothing was paid. Set a provider's key for real answers.\n\n\
         You asked: {title}\n\n\
         ```tsx src/{component}.tsx\n\
         export function {component}({{ title }}: {{ title: string }}) {{\n  \
           return (\n    \
             <section id=\"demo-{id}\">\n      \
               <h1>{{title}}</h1>\n      \
               <p>Made up by the demo provider.</p>\n    \
             </section>\n  \
           );\n\
         }}\n\
         ```\n\n\
         ```python server/demo_{id}.py\n\
         def answer(question: str) -> str:\n    \
             \"\"\"The same question always gets the same answer.\"\"\"\n    \
             return f\"{id}: {{question}}\"\n\
         ```\n"
    )
}

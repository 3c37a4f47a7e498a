//! What a generation is, in nobody's words: no HTTP, no vendor, no store.

mod request;

mod completion;
mod error;
mod event;
mod fingerprint;
mod money;
mod params;
mod policy;
mod purpose;
mod receipt;
mod size;
mod wishes;

use std::sync::Arc;

use futures_util::StreamExt as _;

pub use completion::{Completion, Draft, Served, TooLong};
pub use error::{Elsewhere, ErrorKind, GenerateError, Outlook, Periods, Retry};
pub use event::{Calling, Event, EventStream, Failed, Finish, FinishReason, ToolCall, ToolPiece, Usage};
pub use fingerprint::Fingerprint;
pub(crate) use fingerprint::Hash;
pub use money::MicroDollars;
pub use params::{Api, Effort, MESSAGES_MAX_TOKENS, Params, ReasoningControl, TakesSampling, TakesTools};
pub use policy::{Freshness, Policy};
pub use purpose::{Purpose, Seat, Waiting};
pub use receipt::{CacheResult, Outcome, Receipt};
pub use request::{
    Conditions, DEMO, Delivery, Detail, Failover, Format, GenerateRequest, Message, ModelId, Part, ProviderId,
    Question, Sampling, Target, Tool, ToolChoice, Tools,
};
pub use wishes::Wishes;

/// An answer whose origin is decided; its text may still be on its way.
pub struct Generation {
    /// How the answer came about, as far as that is known now.
    pub receipt: Receipt,
    /// The answer itself.
    pub answer: Answer,
}

/// Where the text of a generation is.
pub enum Answer {
    /// All of it is here.
    Whole(Arc<Completion>),
    /// It comes as events.
    Live(EventStream),
}

/// A finished answer together with what became of it.
pub struct Collected {
    /// The answer.
    pub completion: Arc<Completion>,
    /// What became of it in the cache.
    pub outcome: Outcome,
    /// What it costs who collected it. `None`: nothing, because another pays or nobody has to.
    pub cost: Option<MicroDollars>,
}

impl Answer {
    /// The answer as events, whichever form it has.
    pub fn into_events(self) -> EventStream {
        match self {
            Answer::Whole(completion) => completion.replay(),
            Answer::Live(events) => events,
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The stream's own error, or [`ErrorKind::StreamInterrupted`] when it ends without a finish.
    pub async fn collect(self) -> Result<Collected, GenerateError> {
        let mut events = match self {
            Answer::Whole(completion) => {
                return Ok(Collected { completion, outcome: Outcome::Stored, cost: None });
            }
            Answer::Live(events) => events,
        };
        while let Some(event) = events.next().await {
            match event? {
                Event::Finish { completion, outcome, cost } => return Ok(Collected { completion, outcome, cost }),
                Event::Calling(_) | Event::Failed(_) | Event::Text(_) | Event::Tool(_) => {}
            }
        }
        Err(ErrorKind::StreamInterrupted.into())
    }
}

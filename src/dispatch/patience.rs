//! How long each step of a generation may take.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use crate::{
    config::BoundsConfig,
    generate::{Delivery, ErrorKind},
    providers::{Delta, DeltaStream, ProviderError},
};

/// Those who wait leave when the time is over. That much earlier the call ends, because it knows why there is no answer.
const LAST_WORD: Duration = Duration::from_millis(50);

/// The bounds of one generation, over all of its attempts.
pub(super) struct Patience {
    bounds: BoundsConfig,
    delivery: Delivery,
    begun: Instant,
    had_text: bool,
}

impl Patience {
    /// Begins now.
    pub(super) fn new(bounds: BoundsConfig, delivery: Delivery) -> Self {
        Self::since(Instant::now(), bounds, delivery)
    }

    /// Began then.
    pub(super) fn since(begun: Instant, bounds: BoundsConfig, delivery: Delivery) -> Self {
        let bounds = BoundsConfig { answer: bounds.answer.saturating_sub(LAST_WORD), ..bounds };
        Self { bounds, delivery, begun, had_text: false }
    }

    /// When no other attempt may begin any more, and who has said nothing is overdue.
    pub(super) fn deadline(&self) -> Instant {
        self.begun + self.bounds.answer
    }

    /// When someone else should be asked, if there is anyone, because the present attempt has said nothing: after two thirds
    /// of the time that is left. `None`: never, because a body that comes in one piece shows no progress, and most of those
    /// that take long are long.
    pub(super) fn should_turn(&self) -> Option<Instant> {
        match self.delivery {
            Delivery::Stream => Some(self.deadline() - (self.deadline() - Instant::now()) / 3),
            Delivery::Whole => None,
        }
    }

    /// There was a piece of the answer.
    pub(super) fn had_text(&mut self) {
        self.had_text = true;
    }

    /// The next piece of an answer that has begun, or a sign that there will be one.
    pub(super) async fn next(&self, deltas: &mut DeltaStream) -> Result<Delta, ProviderError> {
        match timeout_at(self.limit(false), deltas.next()).await {
            Ok(Some(delta)) => delta,
            Ok(None) => Err(ProviderError::from(ErrorKind::StreamInterrupted).after(self.had_text)),
            Err(_) => Err(ProviderError::from(ErrorKind::Timeout).after(self.had_text)),
        }
    }

    /// Once there is text, silence and length count. Before it a stream has its limit; a body that comes in one piece
    /// shows no progress, so all that holds is the longest that any answer may take: those who wait have less patience. After
    /// a failure they want to hear of that in time.
    pub(super) fn limit(&self, has_failed: bool) -> Instant {
        let BoundsConfig { answer, idle, stream, answer_bytes: _ } = self.bounds;
        match self.delivery {
            _ if self.had_text => (Instant::now() + idle).min(self.begun + stream),
            Delivery::Stream => self.begun + answer,
            Delivery::Whole if has_failed => self.begun + answer,
            Delivery::Whole => self.begun + stream.max(answer),
        }
    }
}

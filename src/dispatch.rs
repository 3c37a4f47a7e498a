//! Asks the provider, within the time there is, and puts the pieces of its answer together.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};
use tower::Service;
use tracing::field::debug;

use crate::{
    config::BoundsConfig,
    generate::{
        Answer, Calling, Delivery, Draft, ErrorKind, Event, EventStream, GenerateError, GenerateRequest, Generation,
        Params, Receipt, Served, Target,
    },
    providers::{Delta, Provider, ProviderError, Providers},
};

/// The innermost service: what a request costs money for.
#[derive(Clone)]
pub struct Dispatch {
    providers: Providers,
    bounds: BoundsConfig,
}

impl Dispatch {
    /// Asks `providers`, each answer within `bounds`.
    pub fn new(providers: Providers, bounds: BoundsConfig) -> Self {
        Self { providers, bounds }
    }
}

impl Service<GenerateRequest> for Dispatch {
    type Response = Generation;
    type Error = GenerateError;
    type Future = Ready<Result<Generation, GenerateError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GenerateError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: GenerateRequest) -> Self::Future {
        // The catalogue lets only configured providers through, so this is our own mistake.
        let Some(provider) = self.providers.get(&request.target.provider) else {
            return ready(Err(GenerateError::from(ErrorKind::Internal).at(request.target)));
        };
        let events = ask(Arc::clone(provider), request, self.bounds);
        ready(Ok(Generation { receipt: Receipt::bypass(), answer: Answer::Live(events) }))
    }
}

/// One attempt. Nothing is sent before the stream is polled, and dropping it cancels what was sent.
fn ask(provider: Arc<dyn Provider>, request: GenerateRequest, bounds: BoundsConfig) -> EventStream {
    let events = async_stream::try_stream! {
        let target = request.target.clone();
        let attempts = 1;
        yield Event::Calling(Calling {
            provider: target.provider.clone(),
            model: target.model.clone(),
            attempt: attempts,
        });

        let mut patience = Patience::new(bounds, request.delivery);
        let failed = |error: ProviderError| {
            let ProviderError { kind, cause, retry_after, should_retry: _, param, began: _, detail } = error;
            let (provider, model, cause) = (target.provider.as_str(), target.model.as_str(), cause.map(debug));
            tracing::warn!(provider, model, ?kind, cause, detail, "provider failed");
            GenerateError { kind, target: Some(target.clone()), retry_after, param }
        };
        let mut deltas = timeout_at(patience.limit(), provider.open(&request, &Params::unknown()))
            .await
            .unwrap_or_else(|_| Err(ErrorKind::Timeout.into()))
            .map_err(failed)?;

        let mut draft = Draft::new(bounds.answer_bytes, request.estimated_tokens());
        let takes_calls = !request.tools.definitions.is_empty();
        // What was sent need not be held while it is answered.
        drop(request);
        loop {
            let delta = match timeout_at(patience.limit(), deltas.next()).await {
                Ok(Some(delta)) => delta,
                Ok(None) => Err(ProviderError::from(ErrorKind::StreamInterrupted).after(patience.had_text)),
                Err(_) if patience.had_text => Err(ProviderError::from(ErrorKind::Timeout).after(true)),
                Err(_) => Err(ErrorKind::Timeout.into()),
            };
            match delta.map_err(failed)? {
                Delta::Text(text) => {
                    patience.had_text = true;
                    // Decoders give text that was checked on the way in.
                    let piece = std::str::from_utf8(&text).map_err(|_| failed(ErrorKind::BadResponse.into()))?;
                    draft.text(piece).map_err(|_| failed(ErrorKind::AnswerTooLong.into()))?;
                    yield Event::Text(text);
                }
                // A call of what nobody offered cannot be used, and must not be kept.
                Delta::ToolCall(_) if !takes_calls => {
                    Err(failed(ErrorKind::BadResponse.into()))?;
                }
                Delta::ToolCall(call) => {
                    draft.tool_call(call.clone()).map_err(|_| failed(ErrorKind::AnswerTooLong.into()))?;
                    yield Event::ToolCall(call);
                }
                Delta::Finish(finish) => {
                    let Target { provider: name, model } = target.clone();
                    let served = Served { provider: name, model, attempts, mock: provider.is_mock() };
                    yield Event::Finish { completion: Arc::new(draft.finish(finish, served)), stored: false };
                    return;
                }
            }
        }
    };
    events.boxed()
}

/// How long the next step may take.
struct Patience {
    bounds: BoundsConfig,
    delivery: Delivery,
    begun: Instant,
    had_text: bool,
}

impl Patience {
    fn new(bounds: BoundsConfig, delivery: Delivery) -> Self {
        Self { bounds, delivery, begun: Instant::now(), had_text: false }
    }

    /// Once there is text, silence and length count. Before it a stream has its limit; a body that comes in one piece
    /// shows no progress, so all that holds is the longest that any answer may take: those who wait have less patience.
    fn limit(&self) -> Instant {
        let BoundsConfig { answer, idle, stream, answer_bytes: _ } = self.bounds;
        match self.delivery {
            _ if self.had_text => (Instant::now() + idle).min(self.begun + stream),
            Delivery::Stream => self.begun + answer,
            Delivery::Whole => self.begun + stream.max(answer),
        }
    }
}

//! Asks a provider, again or another one where that may help, within the time there is, and puts the pieces of the answer
//! together.

mod course;

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep, timeout_at};
use tower::Service;
use tracing::field::debug;

use crate::{
    breaker::{Breaker, Pass},
    catalogue::Catalogue,
    config::{AttemptsConfig, BoundsConfig},
    generate::{
        Answer, Calling, Delivery, Draft, ErrorKind, Event, EventStream, GenerateError, GenerateRequest, Generation,
        ProviderId, Receipt, Served, Target,
    },
    providers::{Delta, DeltaStream, Provider, ProviderError, Providers},
};

use course::{Course, Next};

/// The innermost service: what a request costs money for.
#[derive(Clone)]
pub struct Dispatch(Arc<Desk>);

struct Desk {
    providers: Providers,
    catalogue: Arc<Catalogue>,
    bounds: BoundsConfig,
    retries: u32,
    breakers: HashMap<ProviderId, Breaker>,
}

impl Dispatch {
    /// Asks `providers`, each answer within `bounds`, and goes on as `attempts` says where one fails.
    pub fn new(
        providers: Providers,
        catalogue: Arc<Catalogue>,
        bounds: BoundsConfig,
        attempts: AttemptsConfig,
    ) -> Self {
        let AttemptsConfig { retries, breaker_failures } = attempts;
        let breakers = providers.ids().map(|id| (id.clone(), Breaker::new(breaker_failures))).collect();
        Self(Arc::new(Desk { providers, catalogue, bounds, retries, breakers }))
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
        let events = Arc::clone(&self.0).answer(request);
        ready(Ok(Generation { receipt: Receipt::bypass(), answer: Answer::Live(events) }))
    }
}

impl Desk {
    /// All attempts, up to the first piece of an answer, and then that answer. Nothing is sent before the stream is polled,
    /// and dropping it cancels what was sent.
    fn answer(self: Arc<Self>, mut request: GenerateRequest) -> EventStream {
        let events = async_stream::try_stream! {
            let mut patience = Patience::new(self.bounds, request.delivery);
            let mut course = Course::new(self.retries, patience.deadline());
            let mut attempts = 0;
            let mut ignored = Vec::new();
            let mut pass = self.pass(&request.target);
            // At the present provider: one model in trouble counts, whatever another said after it.
            let mut outage = None;
            let (first, mut deltas) = loop {
                let error = match &pass {
                    Ok(_) => {
                        attempts += 1;
                        let Target { provider, model } = request.target.clone();
                        yield Event::Calling(Calling { provider, model, attempt: attempts });
                        match self.begin(&request, patience.limit()).await {
                            Ok(begun) => break begun,
                            Err(error) => error,
                        }
                    }
                    Err(wait) => ProviderError { retry_after: Some(*wait), ..ErrorKind::Skipped.into() },
                };
                note(&request.target, &error);
                outage = outage.or(Some(error.kind).filter(|kind| kind.is_outage()));
                match course.next(&error, &request, &self.catalogue) {
                    Next::Again(wait) => sleep(wait).await,
                    Next::Other(target) => {
                        let is_elsewhere = target.provider != request.target.provider;
                        ignored.extend(self.turn_to(target, &mut request));
                        // What counts at a provider is the generation, whichever of its models were tried.
                        if is_elsewhere {
                            let pass = std::mem::replace(&mut pass, self.pass(&request.target));
                            settle(pass, outage.take().or(Some(error.kind)));
                        }
                    }
                    Next::Nobody(first) => {
                        settle(pass, outage.or(Some(error.kind)));
                        Err(first)?;
                        return;
                    }
                }
            };

            let mut draft = Draft::new(self.bounds.answer_bytes, request.estimated_tokens());
            let GenerateRequest { target, tools, .. } = request;
            let takes_calls = !tools.definitions.is_empty();
            let mut next = Some(Ok(first));
            let finish = loop {
                let delta = match next.take() {
                    Some(delta) => delta,
                    None => patience.next(&mut deltas).await,
                };
                // Decoders give text that was checked on the way in.
                let event = match delta {
                    Ok(Delta::Finish(finish)) => break Ok(finish),
                    Ok(Delta::Text(text)) => match std::str::from_utf8(&text).map(|piece| draft.text(piece)) {
                        Ok(Ok(())) => Event::Text(text),
                        Ok(Err(_)) => break Err(ErrorKind::AnswerTooLong.into()),
                        Err(_) => break Err(ErrorKind::BadResponse.into()),
                    },
                    // A call of what nobody offered cannot be used, and must not be kept.
                    Ok(Delta::ToolCall(_)) if !takes_calls => break Err(ErrorKind::BadResponse.into()),
                    Ok(Delta::ToolCall(call)) => match draft.tool_call(call.clone()) {
                        Ok(()) => Event::ToolCall(call),
                        Err(_) => break Err(ErrorKind::AnswerTooLong.into()),
                    },
                    Err(error) => break Err(error),
                };
                patience.had_text = true;
                yield event;
            };
            settle(pass, finish.as_ref().err().map(|error: &ProviderError| error.kind));
            let finish = finish.inspect_err(|error| note(&target, error)).map_err(|error| told(error, &target))?;
            let mock = self.providers.get(&target.provider).is_some_and(|provider| provider.is_mock());
            let served = Served { provider: target.provider, model: target.model, attempts, mock, ignored };
            yield Event::Finish { completion: Arc::new(draft.finish(finish, served)), stored: false };
        };
        events.boxed()
    }

    /// Leave to ask the provider of `target`, or how long it is skipped.
    fn pass(&self, target: &Target) -> Result<Option<Pass>, std::time::Duration> {
        self.breakers.get(&target.provider).map(|breaker| breaker.pass(Instant::now())).transpose()
    }

    /// Asks once, and waits until `limit` for the first piece of the answer: with it there is no other attempt.
    async fn begin(&self, request: &GenerateRequest, limit: Instant) -> Result<(Delta, DeltaStream), ProviderError> {
        // The catalogue lets only configured providers through, so this is our own mistake.
        let provider: &Arc<dyn Provider> = self.providers.get(&request.target.provider).ok_or(ErrorKind::Internal)?;
        let params = self.catalogue.params(&request.target);
        let beginning = async {
            let mut deltas = provider.open(request, &params).await?;
            let first = deltas.next().await.unwrap_or_else(|| Err(ErrorKind::StreamInterrupted.into()))?;
            Ok((first, deltas))
        };
        timeout_at(limit, beginning).await.unwrap_or_else(|_| Err(ErrorKind::Timeout.into()))
    }

    /// Makes `request` one to `target`, and says which of its settings that does not take.
    fn turn_to(&self, target: Target, request: &mut GenerateRequest) -> Vec<&'static str> {
        let wanted = std::mem::take(&mut request.sampling);
        let (sampling, ignored) = self.catalogue.params(&target).fit(wanted);
        (request.sampling, request.target) = (sampling, target);
        ignored
    }
}

/// Tells the breaker how a generation went. `None`: well.
fn settle(pass: Result<Option<Pass>, std::time::Duration>, failed: Option<ErrorKind>) {
    let Ok(Some(pass)) = pass else { return };
    match failed {
        Some(kind) if kind.is_outage() => pass.failed(Instant::now()),
        // What is wrong with a request, a key or a rate says nothing of the provider's health; an answer does.
        Some(_) => drop(pass),
        None => pass.succeeded(),
    }
}

/// Tells the log what the client is not told.
fn note(target: &Target, error: &ProviderError) {
    let ProviderError { kind, cause, retry_after, detail, .. } = error;
    let (provider, model, cause, wait) =
        (target.provider.as_str(), target.model.as_str(), cause.map(debug), retry_after.map(debug));
    tracing::warn!(provider, model, ?kind, cause, wait, detail, "provider failed");
}

/// What the client is told.
fn told(error: ProviderError, target: &Target) -> GenerateError {
    let ProviderError { kind, retry_after, param, .. } = error;
    GenerateError { kind, target: Some(target.clone()), retry_after, param }
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

    /// When no other attempt may begin any more.
    fn deadline(&self) -> Instant {
        self.begun + self.bounds.answer
    }

    /// The next piece of an answer that has begun.
    async fn next(&self, deltas: &mut DeltaStream) -> Result<Delta, ProviderError> {
        match timeout_at(self.limit(), deltas.next()).await {
            Ok(Some(delta)) => delta,
            Ok(None) => Err(ProviderError::from(ErrorKind::StreamInterrupted).after(self.had_text)),
            Err(_) => Err(ProviderError::from(ErrorKind::Timeout).after(self.had_text)),
        }
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

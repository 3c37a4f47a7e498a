//! Asks a provider, again or another one where that may help, within the time there is, and puts the pieces of the answer
//! together.

mod attempt;
mod course;
mod embed;
mod patience;
mod retries;
mod verdict;

use std::{
    collections::HashMap,
    future::{Ready, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt as _, TryFutureExt as _};
use tokio::time::{Instant, sleep, timeout_at};
use tower::Service;
use tracing::{Instrument as _, field::debug};

use crate::{
    breaker::{Breaker, Pauses},
    catalogue::Catalogue,
    config::BoundsConfig,
    generate::{
        Answer, Calling, DEMO, Draft, ErrorKind, Event, EventStream, Failed, GenerateError, GenerateRequest,
        Generation, Outcome, ProviderId, Receipt, Served, Target, Usage,
    },
    metrics::{CallMetrics, Operation},
    providers::{Delta, DeltaStream, Provider, ProviderError, Providers},
};

use attempt::Attempt;
use course::{Course, Next};
use patience::Patience;
use verdict::Verdict;

/// How long a provider that keeps failing is skipped (`interface.md`).
const PAUSES: Pauses = Pauses { first: Duration::from_secs(5), longest: Duration::from_secs(60) };

/// The innermost service: what a request costs money for.
#[derive(Clone)]
pub struct Dispatch(Arc<Desk>);

struct Desk {
    providers: Providers,
    catalogue: Arc<Catalogue>,
    bounds: BoundsConfig,
    retries: u32,
    breakers: Arc<Breakers>,
    metrics: CallMetrics,
}

/// Who is skipped for a while.
pub type Breakers = HashMap<ProviderId, Breaker>;

/// For each of `providers` a breaker that opens at `failures` in a row. 0: never.
pub fn breakers(providers: &Providers, failures: u32) -> Breakers {
    providers.ids().map(|id| (id.clone(), Breaker::new(failures, PAUSES))).collect()
}

impl Dispatch {
    /// Asks `providers`, each answer within `bounds`, `retries` times more where that may help. Who fails too often by
    /// `breakers` is skipped. Every attempt is counted by `metrics`.
    pub fn new(
        providers: Providers,
        catalogue: Arc<Catalogue>,
        bounds: BoundsConfig,
        retries: u32,
        breakers: Arc<Breakers>,
        metrics: CallMetrics,
    ) -> Self {
        Self(Arc::new(Desk { providers, catalogue, bounds, retries, breakers, metrics }))
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
        let mut patience = Patience::new(self.bounds, request.delivery);
        let events = async_stream::try_stream! {
            let mut course = Course::new(self.retries, patience.deadline());
            let mut attempts = 0;
            let mut ignored = None;
            let mut verdict = self.verdict(&request.target, patience.deadline());
            let (attempt, first, mut deltas) = loop {
                let error = if let Some(wait) = verdict.skipped() {
                    ProviderError { retry_after: Some(wait), ..ErrorKind::Skipped.into() }
                } else {
                    attempts += 1;
                    yield Event::Calling(Calling { target: request.target.clone(), attempt: attempts });
                    let attempt = self.attempt(Operation::Chat, &request.target, attempts);
                    match self.begin(&request, &patience, &mut course).instrument(attempt.span()).await {
                        Ok((first, deltas)) => break (attempt, first, deltas),
                        Err(error) => {
                            attempt.failed(error.kind);
                            error
                        }
                    }
                };
                verdict.failed(error.kind);
                note(&request.target, &error);
                if error.kind != ErrorKind::Skipped {
                    let (target, guess) = (request.target.clone(), Usage::estimate(request.estimated_tokens(), 0));
                    yield Event::Failed(Failed { target, usage: took(&error, guess) });
                }
                match course.next(&error, &request, &self.catalogue) {
                    Next::Again(wait) => sleep(wait).await,
                    Next::Other(target) => {
                        if target.provider != request.target.provider {
                            std::mem::replace(&mut verdict, self.verdict(&target, patience.deadline())).close();
                        }
                        let params = self.catalogue.params(&target);
                        ignored = Some(request.turn_to(target, &params));
                    }
                    Next::Nobody(first) => {
                        verdict.close();
                        Err(GenerateError { attempts, ..first })?;
                        return;
                    }
                }
            };
            verdict.has_begun();
            attempt.has_begun();

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
                    // Nobody is told, and nobody's patience has come nearer to its end.
                    Ok(Delta::Alive) => continue,
                    Ok(Delta::Text(text)) => match std::str::from_utf8(&text).map(|piece| draft.text(piece)) {
                        Ok(Ok(())) => Event::Text(text),
                        Ok(Err(_)) => break Err(ErrorKind::AnswerTooLong.into()),
                        Err(_) => break Err(ErrorKind::BadResponse.into()),
                    },
                    // A call of what nobody offered cannot be used, and must not be kept.
                    Ok(Delta::Tool(_)) if !takes_calls => break Err(ErrorKind::BadResponse.into()),
                    Ok(Delta::Tool(piece)) => match draft.tool(&piece) {
                        Ok(()) => Event::Tool(piece),
                        Err(_) => break Err(ErrorKind::AnswerTooLong.into()),
                    },
                    Err(error) => break Err(error),
                };
                patience.had_text();
                yield event;
            };
            let finish = match finish {
                Ok(finish) => finish,
                Err(error) => {
                    attempt.failed(error.kind);
                    verdict.failed(error.kind);
                    note(&target, &error);
                    verdict.close();
                    yield Event::Failed(Failed { target: target.clone(), usage: draft.counted(error.usage) });
                    Err(GenerateError { attempts, ..told(&error, &target) })?;
                    return;
                }
            };
            attempt.finished(&finish);
            verdict.close();
            let mock = target.provider.as_str() == DEMO;
            let served = Served { target, attempts, mock, ignored };
            yield Event::Finish { completion: Arc::new(draft.finish(finish, served)), outcome: Outcome::NotStored, cost: None };
        };
        events.boxed()
    }

    /// The `number`th attempt of a request, at `target`, that begins now.
    fn attempt(&self, operation: Operation, target: &Target, number: u32) -> Attempt {
        Attempt::begin(&self.metrics, operation, target, self.catalogue.bounded(target), number)
    }

    /// Where the generation stands with the provider of `target`, which must have said something by `overdue`.
    fn verdict(&self, target: &Target, overdue: Instant) -> Verdict {
        Verdict::new(self.breakers.get(&target.provider), overdue)
    }

    /// Asks once, and waits for the first piece of the answer: with it there is no other attempt.
    async fn begin(
        &self,
        request: &GenerateRequest,
        patience: &Patience,
        course: &mut Course,
    ) -> Result<(Delta, DeltaStream), ProviderError> {
        // The catalogue lets only configured providers through, so this is our own mistake.
        let provider: &Arc<dyn Provider> = self.providers.get(&request.target.provider).ok_or(ErrorKind::Internal)?;
        let params = self.catalogue.params(&request.target);
        let beginning = async {
            let mut deltas = provider.open(request, &params).await?;
            // Who thinks has not begun to answer: what may end the wait for that is the time, and nothing that comes in it.
            let is_piece = |delta: &Result<Delta, _>| ready(!matches!(delta, Ok(Delta::Alive)));
            match deltas.by_ref().filter(is_piece).next().await {
                Some(Ok(Delta::Finish(finish))) if finish.is_empty() => {
                    Err(ProviderError { usage: finish.usage, ..ErrorKind::EmptyAnswer.into() })
                }
                Some(first) => Ok((first?, deltas)),
                None => Err(ErrorKind::StreamInterrupted.into()),
            }
        };
        let mut beginning = pin!(beginning.map_err(before_text));
        if let Some(turn) = patience.should_turn() {
            match timeout_at(turn, &mut beginning).await {
                Ok(begun) => return begun,
                Err(_) if course.can_turn(request, &self.catalogue) => {
                    return Err(ProviderError { should_retry: Some(false), ..ErrorKind::Timeout.into() });
                }
                Err(_) => {}
            }
        }
        timeout_at(patience.limit(course.has_failed()), beginning)
            .await
            .unwrap_or_else(|_| Err(ErrorKind::Timeout.into()))
    }
}

/// What a failed attempt took: what the provider said, or a guess where it may have cost something.
fn took(error: &ProviderError, guess: Usage) -> Usage {
    let guess = if error.may_have_cost() { guess } else { Usage::default() };
    error.usage.unwrap_or(guess)
}

/// What a failure is of which nobody has seen anything: another may answer, even where the same model is not asked again
/// because it had begun.
fn before_text(error: ProviderError) -> ProviderError {
    let kind = match error.kind {
        ErrorKind::StreamInterrupted => error.cause.unwrap_or(ErrorKind::BadResponse),
        kind => kind,
    };
    ProviderError { kind, cause: None, ..error }
}

/// Tells the log what the client is not told.
fn note(target: &Target, error: &ProviderError) {
    let ProviderError { kind, cause, retry_after, detail, .. } = error;
    let (provider, model, cause, wait) =
        (target.provider.as_str(), target.model.as_str(), cause.map(debug), retry_after.map(debug));
    tracing::warn!(provider, model, ?kind, cause, wait, detail, "provider failed");
}

/// What the client is told.
fn told(error: &ProviderError, target: &Target) -> GenerateError {
    let ProviderError { kind, retry_after, param, .. } = error;
    let (target, param) = (Some(target.clone()), param.clone());
    GenerateError { kind: *kind, target, retry_after: *retry_after, param, attempts: 0 }
}

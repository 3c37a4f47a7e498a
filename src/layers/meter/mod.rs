//! May this be spent, and what was spent: books what a call cost when it ends, however it ends.
//!
//! Wraps the typed request, inside the flight, so that a call nobody waits for any more is paid for all the same.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt as _};

use crate::{
    catalogue::Catalogue,
    generate::{
        Answer, Calling, Event, EventStream, Failed, GenerateError, GenerateRequest, Generation, MicroDollars, Purpose,
        Target, Usage,
    },
    ledger::{Kind, Ledger, Reserved},
};

/// Puts a [`Meter`] around a service.
#[derive(Clone)]
pub struct MeterLayer(Arc<Desk>);

struct Desk {
    catalogue: Arc<Catalogue>,
    ledger: Arc<Ledger>,
    longest_call: Duration,
}

impl MeterLayer {
    /// Books in `ledger` at the catalogue's prices. No call takes longer than `longest_call`.
    pub fn new(catalogue: Arc<Catalogue>, ledger: Arc<Ledger>, longest_call: Duration) -> Self {
        Self(Arc::new(Desk { catalogue, ledger, longest_call }))
    }
}

impl<S> Layer<S> for MeterLayer {
    type Service = Meter<S>;

    fn layer(&self, inner: S) -> Meter<S> {
        Meter { inner, desk: Arc::clone(&self.0) }
    }
}

/// A service whose answers are booked.
#[derive(Clone)]
pub struct Meter<S> {
    inner: S,
    desk: Arc<Desk>,
}

impl<S> Service<GenerateRequest> for Meter<S>
where
    S: Service<GenerateRequest, Response = Generation, Error = GenerateError, Future: Send> + Clone + Send + 'static,
{
    type Response = Generation;
    type Error = GenerateError;
    type Future = BoxFuture<'static, Result<Generation, GenerateError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GenerateError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: GenerateRequest) -> Self::Future {
        let (desk, inner) = (Arc::clone(&self.desk), self.inner.clone());
        async move {
            let (reserved, request) = desk.reserve(request).await?;
            let bill = Bill {
                desk,
                purpose: request.purpose.clone(),
                question_tokens: request.estimated_tokens(),
                open: None,
                _reserved: reserved,
            };
            let Generation { receipt, answer } = inner.oneshot(request).await?;
            Ok(Generation { receipt, answer: Answer::Live(bill.events(answer.into_events())) })
        }
        .boxed()
    }
}

impl Desk {
    /// Reserves what the answer may cost at worst, where budgets are limits. Nobody stands in then who might cost more.
    async fn reserve(
        &self,
        mut request: GenerateRequest,
    ) -> Result<(Option<Reserved>, GenerateRequest), GenerateError> {
        let by = Instant::now() + request.lookup_time;
        // An instance that was idle, or has just begun, may not know what is set and what others have spent.
        self.ledger.freshen(by).await;
        if !self.ledger.is_limited() {
            return Ok((None, request));
        }
        let worst = self.catalogue.worst_cost(&request);
        let reserved = self.ledger.reserve(worst, self.longest_call, by).await;
        let reserved = reserved.map_err(|error| error.at(request.target.clone()))?;
        request.conditions.reserved = Some(worst);
        Ok((Some(reserved), request))
    }

    fn book(&self, kind: Kind, target: &Target, usage: &Usage) -> MicroDollars {
        let cost = self.catalogue.price(&target.provider, &target.model).cost(usage);
        self.ledger.book(kind, target, usage, cost);
        cost
    }
}

/// What one generation has cost so far. Dropped before its end, because nobody wants it any more, what was under way is booked by
/// a guess.
struct Bill {
    desk: Arc<Desk>,
    purpose: Purpose,
    question_tokens: u64,
    /// The attempt that is under way.
    open: Option<Attempt>,
    /// What is reserved for it, until all of it is booked.
    _reserved: Option<Reserved>,
}

struct Attempt {
    target: Target,
    answer_bytes: u64,
}

impl Bill {
    /// The same events without those that are for the bill alone, and with what the answer costs.
    fn events(mut self, mut events: EventStream) -> EventStream {
        let events = async_stream::stream! {
            while let Some(mut event) = events.next().await {
                let is_over = event.as_mut().map_or(true, |event| self.note(event));
                if matches!(event, Ok(Event::Failed(_))) {
                    continue;
                }
                if is_over {
                    // Before anyone hears of the end: whoever asks next finds it booked.
                    drop(self);
                    yield event;
                    return;
                }
                yield event;
            }
        };
        events.boxed()
    }

    /// Takes down what an event says of the cost, and says whether it was the last.
    fn note(&mut self, event: &mut Event) -> bool {
        match event {
            Event::Calling(Calling { provider, model, attempt: _ }) => {
                let target = Target { provider: provider.clone(), model: model.clone() };
                self.open = Some(Attempt { target, answer_bytes: 0 });
                false
            }
            Event::Text(text) => {
                if let Some(attempt) = &mut self.open {
                    attempt.answer_bytes += text.len() as u64;
                }
                false
            }
            Event::ToolCall(call) => {
                if let Some(attempt) = &mut self.open {
                    attempt.answer_bytes += call.arguments.len() as u64;
                }
                false
            }
            Event::Failed(Failed { target, usage }) => {
                self.open = None;
                self.desk.book(Kind::Failed, target, usage);
                false
            }
            Event::Finish { completion, outcome: _, cost } => {
                self.open = None;
                let kind = match &self.purpose {
                    Purpose::Refresh => Kind::Refresh,
                    Purpose::Clients(waiting) if waiting.is_empty() => Kind::Abandoned,
                    Purpose::Clients(_) => Kind::Client,
                };
                let served = &completion.served;
                let target = Target { provider: served.provider.clone(), model: served.model.clone() };
                let spent = self.desk.book(kind, &target, &completion.usage);
                *cost = (kind == Kind::Client).then_some(spent);
                true
            }
        }
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        if let Some(Attempt { target, answer_bytes }) = self.open.take() {
            self.desk.book(Kind::Abandoned, &target, &Usage::estimate(self.question_tokens, answer_bytes));
        }
    }
}

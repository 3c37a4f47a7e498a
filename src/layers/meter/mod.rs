//! May this be spent, and what was spent: books what a call cost when it ends, however it ends.
//!
//! Wraps the typed request, inside the flight, so that a call nobody waits for any more is paid for all the same.

mod bill;
mod embed;

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt as _};

use crate::{
    catalogue::{Catalogue, Price},
    generate::{Answer, Event, EventStream, GenerateError, GenerateRequest, Generation, Purpose, Target, ToolPiece},
    ledger::{Kind, Ledger, Reserved},
    telemetry::Telemetry,
};

use bill::{Bill, Desk};

/// Puts a [`Meter`] around a service.
#[derive(Clone)]
pub struct MeterLayer(Arc<Desk>);

impl MeterLayer {
    /// Books in `ledger` at the catalogue's prices, and tells `telemetry`. No call takes longer than `longest_call`.
    pub fn new(
        catalogue: Arc<Catalogue>,
        ledger: Arc<Ledger>,
        telemetry: Arc<Telemetry>,
        longest_call: Duration,
    ) -> Self {
        Self(Arc::new(Desk { catalogue, ledger, telemetry, longest_call }))
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
            let (reserved, request) = reserve(&desk, request).await?;
            let (purpose, question_tokens) = (request.purpose.clone(), request.estimated_tokens());
            let bill = Bill::new(desk, price, reserved);
            let metered = Metered { bill, purpose, question_tokens };
            let Generation { receipt, answer } = inner.oneshot(request).await?;
            Ok(Generation { receipt, answer: Answer::Live(metered.events(answer.into_events())) })
        }
        .boxed()
    }
}

fn price(catalogue: &Catalogue, target: &Target) -> Price {
    catalogue.price(&target.provider, &target.model)
}

/// Reserves what the answer may cost at worst, where budgets are limits. Nobody stands in then who might cost more.
async fn reserve(
    desk: &Desk,
    mut request: GenerateRequest,
) -> Result<(Option<Reserved>, GenerateRequest), GenerateError> {
    let by = Instant::now() + request.lookup_time;
    let reserved = desk.reserve(&request.target, by, |catalogue| catalogue.worst_cost(&request)).await?;
    Ok(match reserved {
        Some((reserved, worst)) => {
            request.conditions.reserved = Some(worst);
            (Some(reserved), request)
        }
        None => (None, request),
    })
}

/// One generation and its bill.
struct Metered {
    bill: Bill,
    purpose: Purpose,
    question_tokens: u64,
}

impl Metered {
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
            Event::Calling(calling) => {
                self.bill.calling(calling, self.question_tokens);
                false
            }
            Event::Text(text) | Event::Tool(ToolPiece::Arguments { of: _, text }) => {
                self.bill.had(text.len());
                false
            }
            Event::Tool(ToolPiece::Begin { .. }) => false,
            Event::Failed(failed) => {
                self.bill.failed(failed);
                false
            }
            Event::Finish { completion, outcome: _, cost } => {
                let kind = match &self.purpose {
                    Purpose::Refresh => Kind::Refresh,
                    Purpose::Clients(waiting) if waiting.is_empty() => Kind::Abandoned,
                    Purpose::Clients(_) => Kind::Client,
                };
                let spent = self.bill.finished(kind, &completion.served.target, &completion.usage);
                *cost = (kind == Kind::Client).then_some(spent);
                true
            }
        }
    }
}

//! Desk what a call cost when it ends.
//!
//! Wraps the typed request, inside the flight, so that a call nobody waits for any more is paid for all the same.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};
use tower::{Layer, Service};

use crate::{
    catalogue::Catalogue,
    generate::{Answer, Event, GenerateError, GenerateRequest, Generation},
    ledger::Ledger,
};

/// Puts a [`Meter`] around a service.
#[derive(Clone)]
pub struct MeterLayer(Arc<Desk>);

struct Desk {
    catalogue: Arc<Catalogue>,
    ledger: Arc<Ledger>,
}

impl MeterLayer {
    /// Desk at the catalogue's prices.
    pub fn new(catalogue: Arc<Catalogue>, ledger: Arc<Ledger>) -> Self {
        Self(Arc::new(Desk { catalogue, ledger }))
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
    S: Service<GenerateRequest, Response = Generation, Error = GenerateError, Future: Send + 'static>,
{
    type Response = Generation;
    type Error = GenerateError;
    type Future = BoxFuture<'static, Result<Generation, GenerateError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), GenerateError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: GenerateRequest) -> Self::Future {
        let desk = Arc::clone(&self.desk);
        let answering = self.inner.call(request);
        answering.map(|generation| generation.map(|generation| desk.book(generation))).boxed()
    }
}

impl Desk {
    fn book(self: Arc<Self>, Generation { receipt, answer }: Generation) -> Generation {
        let events = answer.into_events().inspect(move |event| {
            if let Ok(Event::Finish { completion, .. }) = event {
                let served = &completion.served;
                let price = self.catalogue.price(&served.provider, &served.model);
                self.ledger.spend(price.cost(&completion.usage), &completion.usage);
            }
        });
        Generation { receipt, answer: Answer::Live(events.boxed()) }
    }
}

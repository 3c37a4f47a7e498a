//! One call for one question, and what it brings is kept.
//!
//! Wraps the typed request, below the look-up: misses meet here, so that one call serves all of them. It does not matter who of
//! its readers leaves: a flight that nobody goes on with becomes a task. How long a reader waits is its own
//! affair; a call that has brought nothing in the time that an answer may take is joined by nobody any more.

use std::{
    ops::ControlFlow,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, poll};
use tokio::time::{Instant, sleep_until};
use tower::{Layer, Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::{
    config::{Coalesce, FlightConfig},
    generate::{
        Answer, CacheResult, Delivery, ErrorKind, Event, GenerateError, GenerateRequest, Generation, Outcome, Policy,
        Purpose, Question, Receipt, Target,
    },
};

use super::{
    fanout::{Log, Opening},
    flights::{Flight, FlightKey, Flights},
    lease::{Holding, Leases, Turn},
    pilot::Pilot,
    shelf::{Found, Shelf},
};

/// Puts a [`FlightService`] around a service.
#[derive(Clone)]
pub struct FlightLayer(Arc<Desk>);

/// What every flight needs.
struct Desk {
    flights: Arc<Flights>,
    shelf: Arc<Shelf>,
    leases: Option<Leases>,
    config: FlightConfig,
}

impl FlightLayer {
    /// Lists calls in `flights`, keeps what they bring on `shelf`, and shares them with other instances by `leases`.
    pub fn new(flights: Arc<Flights>, shelf: Arc<Shelf>, leases: Option<Leases>, config: FlightConfig) -> Self {
        Self(Arc::new(Desk { flights, shelf, leases, config }))
    }
}

impl<S> Layer<S> for FlightLayer {
    type Service = FlightService<S>;

    fn layer(&self, inner: S) -> FlightService<S> {
        FlightService { inner, desk: Arc::clone(&self.0) }
    }
}

/// A service that is called once for all who ask the same at the same time.
#[derive(Clone)]
pub struct FlightService<S> {
    inner: S,
    desk: Arc<Desk>,
}

impl<S> Service<Question> for FlightService<S>
where
    S: Service<GenerateRequest, Response = Generation, Error = GenerateError, Future: Send> + Clone + Send + 'static,
{
    type Response = Generation;
    type Error = GenerateError;
    type Future = BoxFuture<'static, Result<Generation, GenerateError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GenerateError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, question: Question) -> Self::Future {
        Arc::clone(&self.desk).fly(self.inner.clone(), question).boxed()
    }
}

impl Desk {
    async fn fly<S>(self: Arc<Self>, inner: S, question: Question) -> Result<Generation, GenerateError>
    where
        S: Service<GenerateRequest, Response = Generation, Error = GenerateError, Future: Send>
            + Clone
            + Send
            + 'static,
    {
        let Question { fingerprint, request, .. } = &question;
        let (delivery, policy, purpose) = (request.delivery, request.policy, request.purpose.clone());
        let key = FlightKey::new(*fingerprint, request);
        let is_alone = self.config.coalesce == Coalesce::Off || policy.no_store;
        let mut question = Some(question);
        loop {
            let (joined, mut reader, flight) = if is_alone {
                let (flight, reader) = Flight::alone(&purpose);
                (None, reader, Some(flight))
            } else {
                self.flights.board(&key, self.config.patience, &purpose)
            };
            let own = flight.and_then(|flight| Some((flight, question.take()?)));
            let mut pilot = own.map(|(flight, question)| {
                let driving = Arc::clone(&self).drive(inner.clone(), question, flight).in_current_span();
                Pilot::new(driving, &self.flights.tasks)
            });
            let opening = match &mut pilot {
                Some(pilot) => pilot.until(reader.opening()).await?,
                None => reader.opening().await?,
            };
            let (cache, answer) = match opening {
                // Whose flight this is had another wish.
                Opening::Stored(found) if question.is_some() && !policy.accepts(found.freshness) => continue,
                Opening::Stored(Found { completion, freshness }) => {
                    (CacheResult::Hit(freshness), Answer::Whole(completion))
                }
                Opening::Live => {
                    let events = match delivery {
                        Delivery::Whole => reader.into_end(pilot),
                        // Who reads along may take its time, and others may join.
                        Delivery::Stream => reader.into_events(),
                    };
                    (CacheResult::Miss, Answer::Live(events))
                }
            };
            return Ok(Generation { receipt: Receipt { cache, joined, ..Receipt::bypass() }, answer });
        }
    }

    /// Finds the answer or makes the call, to its end or until nobody wants it.
    async fn drive<S>(self: Arc<Self>, inner: S, mut question: Question, mut flight: Flight)
    where
        S: Service<GenerateRequest, Response = Generation, Error = GenerateError>,
    {
        if let ControlFlow::Continue(lease) = self.look_again(&mut question, &mut flight).await {
            if let Purpose::Clients(waiting) = &mut question.request.purpose {
                *waiting = flight.log.waiting();
            }
            self.call(inner, question, flight).await;
            // Others look for the answer as long as this stands: until it is stored, or did not come.
            drop(lease);
        }
    }

    /// Looks for the answer here and at other instances, and goes on only if a call has to be made.
    async fn look_again(&self, question: &mut Question, flight: &mut Flight) -> ControlFlow<(), Option<Holding>> {
        let Question { key, by, request: GenerateRequest { target, policy, .. }, .. } = question;
        if self.config.coalesce == Coalesce::Off || policy.no_store {
            return ControlFlow::Continue(None);
        }
        let will_do = |found: &Found| policy.accepts(found.freshness);
        // A flight that ended between the caller's look-up and this one's beginning has left its answer there.
        if let Some(found) = self.shelf.peek(key, target).filter(will_do) {
            answer_stored(flight, found);
            return ControlFlow::Break(());
        }
        // Who wants the answer anew does not want what another instance asked for before.
        let Some(leases) = self.leases.as_ref().filter(|_| !policy.no_cache) else {
            return ControlFlow::Continue(None);
        };
        let read = |bytes: &Bytes| self.shelf.read(bytes, target).filter(will_do);
        match leases.turn(key, *by, read).await {
            Turn::Mine(lease) => ControlFlow::Continue(lease),
            Turn::Stored(found) => {
                answer_stored(flight, found);
                ControlFlow::Break(())
            }
            Turn::Others => {
                flight.log.open(Opening::Live);
                let left = by.saturating_duration_since(Instant::now());
                let turn = self.wait(target, flight, leases.wait(key, read)).await;
                // What is left of the store's time is left behind a wait that it was not to blame for.
                *by = Instant::now() + left;
                turn
            }
        }
    }

    /// Waits for what another instance's call brings.
    async fn wait(
        &self,
        target: &Target,
        flight: &mut Flight,
        turn: impl Future<Output = Turn>,
    ) -> ControlFlow<(), Option<Holding>> {
        let (log, mut turn) = (Arc::clone(&flight.log), pin!(turn));
        let found = loop {
            tokio::select! {
                // An answer that is there is not too late.
                biased;
                turn = &mut turn => match turn {
                    Turn::Stored(found) => break found,
                    Turn::Mine(lease) => return ControlFlow::Continue(lease),
                    Turn::Others => return ControlFlow::Continue(None),
                },
                () = log.abandoned() => if flight.leave_list_if_abandoned() {
                    return ControlFlow::Break(());
                },
                () = self.flights.stopping.cancelled() => {
                    flight.leave_list();
                    log.close(Err(GenerateError::from(ErrorKind::Stopping).at(target.clone())));
                    return ControlFlow::Break(());
                }
            }
        };
        flight.leave_list();
        let mut events = Arc::clone(&found.completion).replay();
        while let Some(Ok(event)) = events.next().await
            && !event.is_last()
        {
            log.push(event);
        }
        let finish = Event::Finish { completion: found.completion, outcome: Outcome::Collapsed, cost: None };
        log.close(Ok(Some(finish)));
        ControlFlow::Break(())
    }

    /// Makes the call, to its end or until nobody wants it, and keeps what it brings.
    async fn call<S>(&self, inner: S, question: Question, mut flight: Flight)
    where
        S: Service<GenerateRequest, Response = Generation, Error = GenerateError>,
    {
        let Question { fingerprint: _, key, lifetime, by, mut request } = question;
        request.lookup_time = by.saturating_duration_since(Instant::now());
        let (target, policy, delivery) = (request.target.clone(), request.policy, request.delivery);
        let mut events = match inner.oneshot(request).await {
            Ok(Generation { receipt: _, answer }) => answer.into_events(),
            Err(error) => {
                flight.leave_list();
                return flight.log.close(Err(error));
            }
        };
        // A body that comes in one piece shows no progress: when nobody waits, it has as long as an answer may take.
        let patience = match delivery {
            Delivery::Whole => Some(Instant::now() + self.config.patience),
            Delivery::Stream => None,
        };
        let log = Arc::clone(&flight.log);
        log.open(Opening::Live);
        let mut unwanted = pin!(self.unwanted(&log, policy, patience));
        let mut stopping = pin!(self.flights.stopping.cancelled());
        let end = loop {
            let event = tokio::select! {
                // An answer that is there is not too late.
                biased;
                event = events.next() => event,
                () = &mut unwanted => {
                    if flight.leave_list_if_abandoned() {
                        tracing::info!(provider = %target.provider, model = %target.model, "cancelled: nobody waits for it");
                        return;
                    }
                    unwanted.set(self.unwanted(&log, policy, patience));
                    continue;
                }
                () = &mut stopping => Some(Err(GenerateError::from(ErrorKind::Stopping).at(target.clone()))),
            };
            match event {
                Some(Ok(Event::Finish { completion, outcome: _, cost })) => {
                    let keeping =
                        async { !policy.no_store && self.shelf.keep(&key, &target, &completion, lifetime).await };
                    let mut keeping = pin!(keeping);
                    // What this process keeps is there at once, and a shared store gets it behind the answer.
                    let kept = poll!(&mut keeping);
                    flight.leave_list();
                    let outcome = if matches!(kept, Poll::Ready(false)) { Outcome::NotStored } else { Outcome::Stored };
                    log.close(Ok(Some(Event::Finish { completion: Arc::clone(&completion), outcome, cost })));
                    if kept.is_pending() {
                        keeping.await;
                    }
                    return;
                }
                Some(Ok(event)) => log.push(event),
                Some(Err(error)) => break Err(error),
                None => break Err(GenerateError::from(ErrorKind::StreamInterrupted).at(target)),
            }
        };
        flight.leave_list();
        log.close(end);
    }

    /// Waits until nobody waits for the call any more and it is not finished for the cache either: because that is not
    /// wanted, or could not be kept, or because there are too many such calls, or `patience` is over.
    async fn unwanted(&self, log: &Log, policy: Policy, patience: Option<Instant>) {
        let mut room = None;
        loop {
            log.abandoned().await;
            if room.is_none() && self.config.finish_abandoned && self.shelf.is_open() && !policy.no_store {
                room = self.flights.abandoned.try_acquire().ok();
            }
            match patience {
                _ if room.is_none() => return,
                None => std::future::pending().await,
                Some(patience) => sleep_until(patience).await,
            }
            if log.is_abandoned() {
                return;
            }
        }
    }
}

/// Ends a flight with what is stored after all.
fn answer_stored(flight: &mut Flight, found: Found) {
    flight.leave_list();
    flight.log.open(Opening::Stored(found));
    flight.log.close(Ok(None));
}

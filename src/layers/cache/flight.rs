//! One call for one question, and what it brings is kept.
//!
//! Wraps the typed request, below the look-up: misses meet here, so that one call serves all of them. A flight is a task
//! of its own from before the call, so it does not matter who of its readers leaves. How long a reader waits is its own
//! affair; a call that has brought nothing in the time that an answer may take is joined by nobody any more.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, poll};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Layer, Service, ServiceExt as _};
use tracing::Instrument as _;

use crate::{
    config::FlightConfig,
    generate::{
        Answer, CacheResult, Delivery, ErrorKind, Event, Fingerprint, GenerateError, GenerateRequest, Generation,
        Question, Receipt,
    },
};

use super::{
    fanout::{Log, Opening, Reader},
    shelf::{Found, Shelf},
};

/// The calls under way, and the tasks that make them.
pub struct Flights {
    under_way: Mutex<HashMap<FlightKey, Arc<Log>>>,
    tasks: TaskTracker,
    /// Room for calls that go on although everyone has left.
    abandoned: Semaphore,
    stopping: CancellationToken,
}

/// What two requests must share to share a call. Who forbids failover must not get an answer by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FlightKey {
    fingerprint: Fingerprint,
    allow_failover: bool,
}

impl Flights {
    /// None yet. At most `max_abandoned` go on when everyone has left; all of them end when `stopping` is cancelled.
    pub fn new(max_abandoned: usize, stopping: CancellationToken) -> Self {
        let (under_way, tasks) = (Mutex::default(), TaskTracker::new());
        Self { under_way, tasks, abandoned: Semaphore::new(max_abandoned), stopping }
    }

    /// How many questions are being answered and can be joined.
    pub fn len(&self) -> usize {
        self.under_way().len()
    }

    /// Whether no question is being answered that could be joined.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tasks that make the calls, for whoever ends them.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<FlightKey, Arc<Log>>> {
        // Nothing that could panic runs under this lock.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the flight of `key`, or begins one in place of one that has brought nothing for `patience`. The first of the
    /// three is how old the joined one is.
    fn board(self: &Arc<Self>, key: FlightKey, patience: Duration) -> (Option<Duration>, Reader, Option<Flight>) {
        let mut under_way = self.under_way();
        if let Some(log) = under_way.get(&key).filter(|log| log.has_text() || log.age() < patience) {
            return (Some(log.age()), log.reader(), None);
        }
        let (log, reader) = Log::new();
        let log = Arc::new(log);
        under_way.insert(key, Arc::clone(&log));
        (None, reader, Some(Flight { log, listed: Some((Arc::clone(self), key)) }))
    }

    /// Takes `log` off the list, unless another stands in its place.
    fn remove(under_way: &mut HashMap<FlightKey, Arc<Log>>, key: &FlightKey, log: &Arc<Log>) {
        if under_way.get(key).is_some_and(|listed| Arc::ptr_eq(listed, log)) {
            under_way.remove(key);
        }
    }
}

/// A flight as its driver holds it. Dropped, however that comes, it is no longer listed and its readers know.
struct Flight {
    log: Arc<Log>,
    listed: Option<(Arc<Flights>, FlightKey)>,
}

impl Flight {
    /// A flight that nobody can join, and its only reader.
    fn alone() -> (Self, Reader) {
        let (log, reader) = Log::new();
        (Self { log: Arc::new(log), listed: None }, reader)
    }

    /// Nobody can join from here on.
    fn leave_list(&mut self) {
        if let Some((flights, key)) = self.listed.take() {
            Flights::remove(&mut flights.under_way(), &key, &self.log);
        }
    }

    /// Leaves the list if nobody reads: joining and leaving exclude each other.
    fn leave_list_if_abandoned(&mut self) -> bool {
        let Some((flights, key)) = &self.listed else { return self.log.is_abandoned() };
        let mut under_way = flights.under_way();
        let is_abandoned = self.log.is_abandoned();
        if is_abandoned {
            Flights::remove(&mut under_way, key, &self.log);
            drop(under_way);
            self.listed = None;
        }
        is_abandoned
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.leave_list();
    }
}

/// Puts a [`FlightService`] around a service.
#[derive(Clone)]
pub struct FlightLayer {
    flights: Arc<Flights>,
    shelf: Arc<Shelf>,
    config: FlightConfig,
}

impl FlightLayer {
    /// Lists calls in `flights` and keeps what they bring on `shelf`.
    pub fn new(flights: Arc<Flights>, shelf: Arc<Shelf>, config: FlightConfig) -> Self {
        Self { flights, shelf, config }
    }
}

impl<S> Layer<S> for FlightLayer {
    type Service = FlightService<S>;

    fn layer(&self, inner: S) -> FlightService<S> {
        FlightService { inner, layer: self.clone() }
    }
}

/// A service that is called once for all who ask the same at the same time.
#[derive(Clone)]
pub struct FlightService<S> {
    inner: S,
    layer: FlightLayer,
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
        self.layer.clone().fly(self.inner.clone(), question).boxed()
    }
}

impl FlightLayer {
    async fn fly<S>(self, inner: S, question: Question) -> Result<Generation, GenerateError>
    where
        S: Service<GenerateRequest, Response = Generation, Error = GenerateError, Future: Send> + Send + 'static,
    {
        let delivery = question.request.delivery;
        let (joined, mut reader, flight) = if self.config.coalesce {
            let Question { fingerprint, key: _, request } = &question;
            let key = FlightKey { fingerprint: *fingerprint, allow_failover: request.allow_failover };
            self.flights.board(key, self.config.patience)
        } else {
            let (flight, reader) = Flight::alone();
            (None, reader, Some(flight))
        };
        if let Some(flight) = flight {
            let tasks = self.flights.tasks.clone();
            tasks.spawn(self.drive(inner, question, flight).in_current_span());
        }
        let (cache, answer) = match reader.opening().await? {
            Opening::Stored(Found { completion, age, ttl }) => {
                (CacheResult::Hit { age, ttl }, Answer::Whole(completion))
            }
            Opening::Live => {
                let events = match delivery {
                    Delivery::Whole => reader.into_end(),
                    Delivery::Stream => reader.into_events(),
                };
                (CacheResult::Miss, Answer::Live(events))
            }
        };
        Ok(Generation { receipt: Receipt { cache, joined, ..Receipt::bypass() }, answer })
    }

    /// Makes the call, to its end or until nobody wants it.
    async fn drive<S>(self, inner: S, question: Question, mut flight: Flight)
    where
        S: Service<GenerateRequest, Response = Generation, Error = GenerateError>,
    {
        let Question { fingerprint: _, key, request } = question;
        let target = request.target.clone();
        // A flight that ended between the caller's look-up and this one's beginning has left its answer there.
        if self.config.coalesce
            && let Some(found) = self.shelf.peek(&key, &target)
        {
            flight.leave_list();
            flight.log.open(Opening::Stored(found));
            return flight.log.close(Ok(None));
        }
        let delivery = request.delivery;
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
        let mut unwanted = pin!(self.unwanted(&log, patience));
        let end = loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = &mut unwanted => {
                    if flight.leave_list_if_abandoned() {
                        tracing::info!(provider = %target.provider, model = %target.model, "cancelled: nobody waits for it");
                        return;
                    }
                    unwanted.set(self.unwanted(&log, patience));
                    continue;
                }
                () = self.flights.stopping.cancelled() => Some(Err(GenerateError::from(ErrorKind::Stopping).at(target.clone()))),
            };
            match event {
                Some(Ok(Event::Finish { completion, stored: _ })) => {
                    let mut keeping = pin!(self.shelf.keep(&key, &target, &completion));
                    // What this process keeps is there at once, and a shared store gets it behind the answer.
                    let kept = poll!(&mut keeping);
                    flight.leave_list();
                    let stored = !matches!(kept, Poll::Ready(false));
                    log.close(Ok(Some(Event::Finish { completion: Arc::clone(&completion), stored })));
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
    async fn unwanted(&self, log: &Log, patience: Option<Instant>) {
        let mut room = None;
        loop {
            log.abandoned().await;
            if room.is_none() && self.config.finish_abandoned && self.shelf.is_open() {
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

//! Which questions are being answered right now, so that whoever asks the same can join.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    generate::{Conditions, Failover, Fingerprint, GenerateRequest, Purpose},
    trace,
};

use super::fanout::{Log, Reader};

/// The calls under way.
pub struct Flights {
    under_way: Mutex<HashMap<FlightKey, Arc<Log>>>,
    /// Where a call goes on that nobody goes on with.
    pub(super) tasks: TaskTracker,
    /// Room for calls that go on although everyone has left.
    pub(super) abandoned: Semaphore,
    pub(super) stopping: CancellationToken,
}

/// What two requests must share to share a call. Who forbids failover, wants others to stand in, or something else of them, must not
/// get an answer by it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct FlightKey {
    fingerprint: Fingerprint,
    failover: Failover,
    capabilities: Vec<String>,
    /// As bits, which can be compared.
    max_cost: Option<u64>,
}

impl FlightKey {
    pub(super) fn new(fingerprint: Fingerprint, request: &GenerateRequest) -> Self {
        let Conditions { capabilities, max_cost, reserved: _ } = &request.conditions;
        let (capabilities, max_cost) = (capabilities.clone(), max_cost.map(f64::to_bits));
        Self { fingerprint, failover: request.failover.clone(), capabilities, max_cost }
    }
}

impl Flights {
    /// None yet. At most `max_abandoned` go on when everyone has left, among `tasks`; all of them end when `stopping` is cancelled.
    pub fn new(max_abandoned: usize, tasks: TaskTracker, stopping: CancellationToken) -> Self {
        Self { under_way: Mutex::default(), tasks, abandoned: Semaphore::new(max_abandoned), stopping }
    }

    /// How many questions are being answered and can be joined.
    pub fn len(&self) -> usize {
        self.under_way().len()
    }

    /// Whether no question is being answered that could be joined.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<FlightKey, Arc<Log>>> {
        // Nothing that could panic runs under this lock.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the flight of `key`, or begins one in place of one that has brought nothing for `patience`. The first of the
    /// three is how old the joined one is. Who joins reads for `purpose`.
    pub(super) fn board(
        self: &Arc<Self>,
        key: &FlightKey,
        patience: Duration,
        purpose: &Purpose,
    ) -> (Option<Duration>, Reader, Option<Flight>) {
        let mut under_way = self.under_way();
        if let Some(log) = under_way.get(key).filter(|log| log.has_text() || log.age() < patience) {
            trace::joined(log.span());
            return (Some(log.age()), log.reader(purpose), None);
        }
        let (log, reader) = Log::new(purpose);
        let log = Arc::new(log);
        under_way.insert(key.clone(), Arc::clone(&log));
        (None, reader, Some(Flight { log, listed: Some((Arc::clone(self), key.clone())) }))
    }

    /// Takes `log` off the list, unless another stands in its place.
    fn remove(under_way: &mut HashMap<FlightKey, Arc<Log>>, key: &FlightKey, log: &Arc<Log>) {
        if under_way.get(key).is_some_and(|listed| Arc::ptr_eq(listed, log)) {
            under_way.remove(key);
        }
    }
}

/// A flight as its driver holds it. Dropped, however that comes, it is no longer listed and its readers know.
pub(super) struct Flight {
    pub(super) log: Arc<Log>,
    listed: Option<(Arc<Flights>, FlightKey)>,
}

impl Flight {
    /// A flight that nobody can join, and its only reader.
    pub(super) fn alone(purpose: &Purpose) -> (Self, Reader) {
        let (log, reader) = Log::new(purpose);
        (Self { log: Arc::new(log), listed: None }, reader)
    }

    /// Nobody can join from here on.
    pub(super) fn leave_list(&mut self) {
        if let Some((flights, key)) = self.listed.take() {
            Flights::remove(&mut flights.under_way(), &key, &self.log);
        }
    }

    /// Leaves the list if nobody reads: joining and leaving exclude each other.
    pub(super) fn leave_list_if_abandoned(&mut self) -> bool {
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

//! For whom a call is made.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// For whom a call is made.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// For clients: those that wait for it.
    Clients(Waiting),
    /// To replace an answer that is no longer fresh.
    Refresh,
}

/// The clients that wait for an answer.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Mutex<Seats>>);

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: BTreeSet<u64>,
}

/// One client that waits, as long as this lives. Seats are in the order in which they were taken.
#[derive(Debug)]
pub struct Seat {
    number: u64,
    waiting: Waiting,
}

impl Default for Purpose {
    fn default() -> Self {
        Purpose::Clients(Waiting::default())
    }
}

impl Waiting {
    /// One more that waits.
    pub fn seat(&self) -> Seat {
        let mut seats = self.seats();
        let number = seats.next;
        seats.next += 1;
        seats.taken.insert(number);
        Seat { number, waiting: self.clone() }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.seats().taken.is_empty()
    }

    /// The number of who has waited longest.
    pub fn first(&self) -> Option<u64> {
        self.seats().taken.first().copied()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Its number, unlike every other's.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.waiting.seats().taken.remove(&self.number);
    }
}

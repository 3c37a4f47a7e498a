//! One call for one question across instances: whoever has the lease makes it, and the others wait for what it brings.
//!
//! The store is asked, and trusted with nothing: when it fails, or the wait grows long, every instance calls for itself.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::TaskTracker;

use crate::stores::{Lease, LeaseStore, StoreError};

use super::shelf::Found;

/// How long a lease lasts that nobody renews: so long others wait for an instance that died.
const TTL: Duration = Duration::from_secs(10);
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// How often those who wait look: soon at first, then every half second.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The leases of a store.
#[derive(Clone)]
pub struct Leases {
    store: Arc<dyn LeaseStore>,
    tasks: TaskTracker,
    /// How long the store may take for one look, one renewal, one end.
    store_timeout: Duration,
    /// How long to wait for another's call.
    patience: Duration,
}

/// Whose turn it is.
pub(super) enum Turn {
    /// This instance's, as long as it holds this.
    Mine(Option<Holding>),
    /// Nobody's: this is stored.
    Stored(Found),
    /// Another's, which is making the call.
    Others,
}

/// A lease that is renewed until this is dropped, and then ends.
pub(super) struct Holding {
    _ends: oneshot::Sender<()>,
}

impl Leases {
    /// Leases in `store`, which may take `store_timeout` for each thing that it is asked; kept by `tasks`. Nobody waits for
    /// another's call for longer than `patience`.
    pub fn new(store: Arc<dyn LeaseStore>, tasks: TaskTracker, store_timeout: Duration, patience: Duration) -> Self {
        Self { store, tasks, store_timeout, patience }
    }

    /// Whose turn it is to fetch what belongs under `key`, as the store says `by` then. What is stored counts if it can be `read`.
    pub(super) async fn turn(&self, key: &Arc<str>, by: Instant, read: impl Fn(&Bytes) -> Option<Found>) -> Turn {
        let asked = Instant::now();
        match self.store.take(key, TTL, by).await {
            Ok(Lease { is_free, value }) => {
                let holding = is_free.then(|| self.hold(key, asked));
                match (value.as_ref().and_then(read), holding) {
                    // Whoever had the lease has just put it there.
                    (Some(found), _) => Turn::Stored(found),
                    (None, Some(holding)) => Turn::Mine(Some(holding)),
                    (None, None) => Turn::Others,
                }
            }
            Err(error) => alone(&error),
        }
    }

    /// Waits while it is another's turn.
    pub(super) async fn wait(&self, key: &Arc<str>, read: impl Fn(&Bytes) -> Option<Found> + Copy) -> Turn {
        timeout(self.patience, self.watch(key, read)).await.unwrap_or(Turn::Mine(None))
    }

    async fn watch(&self, key: &Arc<str>, read: impl Fn(&Bytes) -> Option<Found> + Copy) -> Turn {
        let mut pause = FIRST_LOOK;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(LOOK_INTERVAL);
            match self.store.look(key, Instant::now() + self.store_timeout).await {
                Err(error) => return alone(&error),
                Ok(Lease { is_free, value }) => {
                    if let Some(found) = value.as_ref().and_then(read) {
                        return Turn::Stored(found);
                    }
                    if !is_free {
                        continue;
                    }
                }
            }
            // Its holder failed, or could not keep what it brought.
            match self.turn(key, Instant::now() + self.store_timeout, read).await {
                Turn::Others => {}
                turn @ (Turn::Mine(_) | Turn::Stored(_)) => return turn,
            }
        }
    }

    /// Keeps the lease on `key`, which was asked for at `asked`.
    fn hold(&self, key: &Arc<str>, asked: Instant) -> Holding {
        let (ends, ended) = oneshot::channel();
        let (this, key) = (self.clone(), Arc::clone(key));
        self.tasks.spawn(async move { this.keep(&key, asked, ended).await });
        Holding { _ends: ends }
    }

    async fn keep(self, key: &str, asked: Instant, mut ended: oneshot::Receiver<()>) {
        // Whatever may be late must not be so late that the lease is another's.
        let patience = self.store_timeout.min(RENEW_INTERVAL);
        let mut until = asked + TTL;
        while timeout(RENEW_INTERVAL, &mut ended).await.is_err() {
            let asked = Instant::now();
            match self.store.renew(key, TTL, asked + patience).await {
                Ok(true) => until = asked + TTL,
                // It is lost, and may be another's by now.
                Ok(false) => return,
                Err(error) => tracing::debug!(%error, "a lease could not be renewed"),
            }
        }
        let by = Instant::now() + patience;
        // Who is not sure to have it still leaves it to its own end.
        if by < until
            && let Err(error) = self.store.release(key, by).await
        {
            tracing::debug!(%error, "a lease could not be ended");
        }
    }
}

fn alone(error: &StoreError) -> Turn {
    tracing::debug!(%error, "nobody can say whether another instance is making this call: this one does");
    Turn::Mine(None)
}

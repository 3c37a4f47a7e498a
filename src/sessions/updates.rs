//! Updates of sessions, of which none is lost: those of one session that come at once are written together, and what another
//! instance wrote meanwhile is kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;

use crate::stores::{SessionStore, StoreError, Swapped};

use super::{SessionData, SessionError, SessionId, data::MAX_SESSION_BYTES};

/// What an update comes to: the session as it is kept now. `None`: there is none to update.
type Updated = Result<Option<Bytes>, SessionError>;

/// Writes updates, one after the other for each session.
pub(super) struct Updates {
    store: Arc<dyn SessionStore>,
    ttl: Duration,
    store_timeout: Duration,
    tasks: TaskTracker,
    /// The updates that wait for the one of their session that is being written.
    waiting: Mutex<HashMap<SessionId, Vec<Waiting>>>,
}

struct Waiting {
    part: SessionData,
    told: oneshot::Sender<Updated>,
}

impl Updates {
    pub(super) fn new(
        store: Arc<dyn SessionStore>,
        ttl: Duration,
        store_timeout: Duration,
        tasks: TaskTracker,
    ) -> Self {
        Self { store, ttl, store_timeout, tasks, waiting: Mutex::default() }
    }

    /// Merges `part` into the session `id`. It is written whether or not anybody still waits for it.
    pub(super) async fn update(self: &Arc<Self>, id: SessionId, part: SessionData, by: Instant) -> Updated {
        let (told, hears) = oneshot::channel();
        if self.queue(id, Waiting { part, told }) {
            let turn = Turn { updates: Arc::clone(self), id, is_over: false };
            self.tasks.spawn(turn.write_all());
        }
        match timeout_at(by, hears).await {
            Ok(Ok(updated)) => updated,
            Ok(Err(_)) | Err(_) => Err(StoreError::Timeout.into()),
        }
    }

    /// Puts an update behind the others of its session. True: there are none, and nobody writes them.
    fn queue(&self, id: SessionId, update: Waiting) -> bool {
        let mut waiting = self.lock();
        let is_first = !waiting.contains_key(&id);
        waiting.entry(id).or_default().push(update);
        is_first
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Merges `parts` in their order, and says what has become of each.
    async fn write(&self, id: SessionId, parts: &[&SessionData]) -> Result<Vec<Updated>, StoreError> {
        let (key, by) = (id.key(), Instant::now() + self.store_timeout);
        let nothing = || Ok(parts.iter().map(|_| Ok(None)).collect());
        let mut kept = self.store.load(&key, self.ttl, by).await?;
        loop {
            let Some((before, mut data)) = kept.and_then(|json| SessionData::read(&json).map(|data| (json, data)))
            else {
                return nothing();
            };
            let fits: Vec<bool> = parts.iter().map(|part| merge(&mut data, part)).collect();
            let after = data.to_json();
            match self.store.swap(&key, before, after.clone(), self.ttl, by).await? {
                Swapped::Done => {
                    let updated = |fits: bool| if fits { Ok(Some(after.clone())) } else { Err(SessionError::TooLarge) };
                    return Ok(fits.into_iter().map(updated).collect());
                }
                Swapped::Gone => return nothing(),
                Swapped::Not(other) => kept = Some(other),
            }
            if Instant::now() >= by {
                return Err(StoreError::Timeout);
            }
        }
    }
}

/// Merges `part` if the whole is not too large then.
fn merge(data: &mut SessionData, part: &SessionData) -> bool {
    let mut merged = data.clone();
    merged.merge(part);
    let fits = merged.to_json().len() <= MAX_SESSION_BYTES;
    if fits {
        *data = merged;
    }
    fits
}

/// The turn of one session's updates.
struct Turn {
    updates: Arc<Updates>,
    id: SessionId,
    is_over: bool,
}

impl Turn {
    async fn write_all(mut self) {
        while let Some(batch) = self.next() {
            let parts: Vec<_> = batch.iter().map(|waiting| &waiting.part).collect();
            let written = self.updates.write(self.id, &parts).await;
            let updated = written.unwrap_or_else(|error| batch.iter().map(|_| Err(error.clone().into())).collect());
            for (Waiting { told, .. }, updated) in batch.into_iter().zip(updated) {
                // Who has left need not know.
                drop(told.send(updated));
            }
        }
    }

    /// What came while the last was written. `None`: nothing, and the turn is over.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut waiting = self.updates.lock();
        let batch = std::mem::take(waiting.get_mut(&self.id)?);
        if batch.is_empty() {
            waiting.remove(&self.id);
            self.is_over = true;
            return None;
        }
        Some(batch)
    }
}

/// A turn that ends by a panic keeps nobody waiting.
impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.updates.lock().remove(&self.id);
        }
    }
}

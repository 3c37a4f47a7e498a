//! Calls for the vectors that the cache does not know, and keeps each as soon as it has come.

use std::{pin::Pin, sync::Arc, task::Poll};

use bytes::Bytes;
use futures_util::{StreamExt as _, poll};
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

use crate::{
    embed::{EmbedRequest, EmbedStep, EmbedStream, Embedded, Input, shares},
    generate::{GenerateError, MicroDollars, Outcome},
};

use super::{
    super::shelf::Shelf,
    batch::Known,
    entry::{self, Entry},
};

/// What is called for.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    /// What the whole batch is kept under. `None`: nothing is to be kept.
    pub(super) keys: Option<&'a [Arc<str>]>,
    /// The places in the batch of those that are called for, in their order.
    pub(super) places: &'a [usize],
}

/// What has come of it.
pub(super) struct Fetched {
    pub(super) outcome: Outcome,
    /// Calls that were made.
    pub(super) attempts: u32,
    /// What those cost that brought something.
    pub(super) cost: MicroDollars,
}

/// A call, or several, under way.
pub(super) struct Fetch<'a> {
    shelf: &'a Arc<Shelf>,
    tasks: &'a TaskTracker,
    sought: Sought<'a>,
    /// The lengths of the inputs, by an estimate in tokens.
    sizes: Vec<u64>,
    /// How many of them have come.
    had: usize,
    all_kept: bool,
}

impl<'a> Fetch<'a> {
    /// Of what is `sought`, to be kept in `shelf`; what is kept behind an answer is among `tasks`.
    pub(super) fn new(shelf: &'a Arc<Shelf>, tasks: &'a TaskTracker, sought: Sought<'a>) -> Self {
        Self { shelf, tasks, sought, sizes: Vec::new(), had: 0, all_kept: true }
    }

    /// Puts what `request` brings into `known`, and says what became of it.
    pub(super) async fn all<S>(
        mut self,
        inner: S,
        request: EmbedRequest,
        known: &mut [Option<Known>],
    ) -> Result<Fetched, GenerateError>
    where
        S: Service<EmbedRequest, Response = EmbedStream, Error = GenerateError, Future: Send> + Send + 'static,
    {
        self.sizes = request.inputs.iter().map(Input::estimated_tokens).collect();
        let mut steps = inner.oneshot(request).await?;
        let (mut attempts, mut spent) = (0, MicroDollars(0));
        while let Some(step) = steps.next().await {
            match step? {
                EmbedStep::Embedded { embedded, cost } => {
                    spent = spent + cost.unwrap_or_default();
                    self.take(embedded, known).await;
                }
                EmbedStep::Calling { .. } => attempts += 1,
                EmbedStep::Failed(_) => {}
            }
        }
        let is_stored = self.sought.keys.is_some() && self.all_kept;
        let outcome = if is_stored { Outcome::Stored } else { Outcome::NotStored };
        Ok(Fetched { outcome, attempts, cost: spent })
    }

    /// The next vectors have come.
    async fn take(&mut self, Embedded { vectors, usage }: Embedded, known: &mut [Option<Known>]) {
        let next = self.had..(self.had + vectors.len()).min(self.sizes.len());
        self.had = next.end;
        let tokens = shares(self.sizes.get(next.clone()).unwrap_or_default(), usage.input_tokens);
        let (stored_ms, lifetime) = (self.shelf.now_ms(), self.shelf.config.ttl);
        let places = self.sought.places.get(next).unwrap_or_default();
        let mut entries = Vec::new();
        for ((vector, tokens), &place) in vectors.into_iter().zip(tokens).zip(places) {
            let entry = Entry { vector, tokens, is_estimated: usage.estimated, stored_ms, lifetime };
            if let Some(known) = known.get_mut(place) {
                *known = Some(Known::from(&entry));
            }
            let key = self.sought.keys.and_then(|keys| keys.get(place));
            entries.extend(key.map(|key| (Arc::clone(key), entry::encode(&entry))));
        }
        if !entries.is_empty() {
            self.all_kept &= self.keep(entries).await;
        }
    }

    /// Keeps `entries`: what this process keeps is there at once, and a shared store gets it behind the answer. Says `false` if it is
    /// known already that they are not kept.
    async fn keep(&self, entries: Vec<(Arc<str>, Bytes)>) -> bool {
        let to = Arc::clone(self.shelf);
        let mut keeping: Pin<Box<dyn Future<Output = bool> + Send>> = Box::pin(async move {
            let entries: Vec<_> = entries.iter().map(|(key, bytes)| (key.as_ref(), bytes.clone())).collect();
            to.keep_many(&entries, to.config.ttl).await
        });
        match poll!(&mut keeping) {
            Poll::Ready(is_kept) => is_kept,
            Poll::Pending => {
                self.tasks.spawn(keeping);
                true
            }
        }
    }
}

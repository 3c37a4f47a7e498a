//! What has to be done while the service serves, and when it ends.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::Catalogue, client::HttpClient, config::EndpointConfig, layers::cache::CacheCounts, ledger::Ledger,
    providers::list,
};

/// How often a provider is asked which models it has, and how long it may take to say so.
const LIST_INTERVAL: Duration = Duration::from_mins(1);
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often counts are added to the store's.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// How often while the store is away, so that it is used again soon.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long the end of the service waits for a store that does not take what was booked: longer than it is left alone twice after
/// failures, because the first attempt then may only find that the connection is gone.
const LAST_FLUSH: Duration = Duration::from_secs(12);

/// What has to be done while the service serves.
#[derive(Clone)]
pub struct Chores {
    /// Those that say themselves which models they have.
    pub(super) listing: Vec<EndpointConfig>,
    pub(super) client: HttpClient,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) counts: Arc<CacheCounts>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) store_timeout: Duration,
}

impl Chores {
    /// Asks the providers that list their models themselves, now and every minute, and the store how budgets stand; adds up what
    /// was counted and booked. Ends when `over` is cancelled, and then not amid what it does.
    pub async fn run(self, over: CancellationToken) {
        tokio::select! {
            () = self.list_models() => {}
            () = self.add_up(&over) => {}
        }
    }

    /// What is left to do when the last answer is given.
    pub async fn finish(&self) {
        tokio::join!(self.counts.flush(self.store_timeout), self.ledger.finish(LAST_FLUSH));
        // The store may have come back meanwhile.
        self.counts.flush(self.store_timeout).await;
    }

    /// Ends between two rounds: what is on its way to the store would else be sent once more.
    async fn add_up(&self, over: &CancellationToken) {
        if let Err(error) = self.ledger.refresh(Instant::now() + self.store_timeout).await {
            tracing::warn!(%error, "it is not known yet how budgets stand");
        }
        let interval = || if self.ledger.is_behind() { RETRY_INTERVAL } else { FLUSH_INTERVAL };
        while over.run_until_cancelled(sleep(interval())).await.is_some() {
            tokio::join!(self.counts.flush(self.store_timeout), self.ledger.tick());
        }
    }

    async fn list_models(&self) {
        loop {
            for endpoint in &self.listing {
                // Who cannot be asked keeps what it said last.
                if let Ok(listed) = list(endpoint, &self.client, LIST_TIMEOUT).await {
                    self.catalogue.set_installed(endpoint.name.as_str().into(), listed.models);
                }
            }
            sleep(LIST_INTERVAL).await;
        }
    }
}

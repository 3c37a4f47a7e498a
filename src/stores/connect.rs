//! The stores of a configuration, with everything around them that an outage asks for.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use crate::{
    client::HttpClient,
    clock::Clock,
    config::{Backend, StoreConfig},
    metrics::StoreMetrics,
};

use super::{
    BookStore, CacheStore, CounterStore, Degrade, FreshUntil, Guard, LeaseStore, Near, SessionStore, StoreError,
    TotalStore,
    memory::{MemoryBooks, MemoryCache, MemoryCounters, MemorySessions, MemoryTotals},
    redis::{BadAddress, Redis, Resp, Rest, Transport},
    trial::{Trial, try_out},
};

/// What the layers keep things in.
#[derive(Clone)]
pub struct Stores {
    /// Answers.
    pub cache: Arc<dyn CacheStore>,
    /// Limits.
    pub counters: Arc<dyn CounterStore>,
    /// Totals.
    pub totals: Arc<dyn TotalStore>,
    /// Money.
    pub books: Arc<dyn BookStore>,
    /// Who is signed in.
    pub sessions: Arc<dyn SessionStore>,
    /// Who fetches what others want too. `None`: there are no others.
    pub leases: Option<Arc<dyn LeaseStore>>,
    /// What other instances share too. `None`: nothing.
    pub shared: Option<Shared>,
}

/// A store outside of this process.
#[derive(Clone)]
pub struct Shared {
    /// As people call it.
    pub name: &'static str,
    backend: Arc<dyn Checked>,
}

impl Shared {
    /// Writes something, to see whether that is possible.
    ///
    /// # Errors
    /// When it is not.
    pub async fn check(&self, by: Instant) -> Result<(), StoreError> {
        self.backend.check(by).await
    }

    /// Does once whatever the start and requests ask of it, with keys of its own that do not stay, and reads the sheets `standing`.
    pub async fn try_out(&self, standing: &[&str], by: Instant) -> Trial {
        self.backend.try_out(standing, by).await
    }

    /// Whether nobody asks it for a while because it has failed too often.
    pub fn is_left_alone(&self) -> bool {
        self.backend.is_left_alone()
    }
}

#[async_trait]
trait Checked: Send + Sync {
    async fn check(&self, by: Instant) -> Result<(), StoreError>;

    async fn try_out(&self, standing: &[&str], by: Instant) -> Trial;

    fn is_left_alone(&self) -> bool;
}

#[async_trait]
impl<T: Transport> Checked for Guard<Redis<T>> {
    async fn check(&self, by: Instant) -> Result<(), StoreError> {
        // Whoever wants to know wants to know it now, whatever was a moment ago.
        timeout_at(by, self.inner().check(by)).await.unwrap_or(Err(StoreError::Timeout))
    }

    async fn try_out(&self, standing: &[&str], by: Instant) -> Trial {
        try_out(self.inner(), standing, by).await
    }

    fn is_left_alone(&self) -> bool {
        Guard::is_left_alone(self)
    }
}

/// How much may be held here, and for how long.
#[derive(Clone, Copy)]
pub struct Room {
    /// Answers, in bytes.
    pub cache_bytes: u64,
    /// The longest window of any limit.
    pub longest_window: Duration,
    /// What an answer from elsewhere must be, and how long a copy of it is as good.
    pub fresh_until: FreshUntil,
}

impl Stores {
    /// In this process alone.
    pub fn memory(room: Room) -> Self {
        Self {
            cache: Arc::new(MemoryCache::new(room.cache_bytes)),
            counters: Arc::new(MemoryCounters::new(room.longest_window)),
            totals: Arc::new(MemoryTotals::default()),
            books: Arc::new(MemoryBooks::default()),
            sessions: Arc::new(MemorySessions::default()),
            leases: None,
            shared: None,
        }
    }

    /// What `config` names, reached by `client` or trusting `extra_ca_pem`, and counted by `metrics`. Connects to nobody yet.
    ///
    /// # Errors
    /// [`BadAddress`], when an address or a token cannot be one.
    pub fn new(
        config: &StoreConfig,
        room: Room,
        clock: Clock,
        client: &HttpClient,
        extra_ca_pem: Option<&str>,
        metrics: StoreMetrics,
    ) -> Result<Self, BadAddress> {
        match &config.backend {
            Backend::Memory => Ok(Self::memory(room)),
            Backend::Redis(addresses) => {
                let redis = Redis::new(Resp::new(addresses, extra_ca_pem)?, clock);
                Ok(Self::around("Redis", Guard::new(redis, metrics), config, room, clock))
            }
            Backend::Upstash { url, token } => {
                let rest = Rest::new(client.clone(), url, token)?;
                let guarded = Guard::new(Redis::new(rest, clock), metrics);
                Ok(Self::around("Upstash", guarded, config, room, clock))
            }
        }
    }

    fn around<T: Transport + 'static>(
        name: &'static str,
        guarded: Guard<Redis<T>>,
        config: &StoreConfig,
        room: Room,
        clock: Clock,
    ) -> Self {
        let guarded = Arc::new(guarded);
        let near = Arc::new(Near::new(Arc::clone(&guarded), room.cache_bytes, room.fresh_until, clock));
        Self {
            cache: Arc::clone(&near) as _,
            leases: Some(near),
            counters: Arc::new(Degrade::new(Arc::clone(&guarded) as _, config.instances, room.longest_window)),
            totals: Arc::clone(&guarded) as _,
            books: Arc::clone(&guarded) as _,
            sessions: Arc::clone(&guarded) as _,
            shared: Some(Shared { name, backend: guarded }),
        }
    }
}

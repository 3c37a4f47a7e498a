//! Handlers: translate, call, translate.

pub mod budget;
pub mod generate;
pub mod openai;
pub mod page;

pub mod cors;
pub mod edge;
pub mod openapi;
pub mod sessions;
pub mod unread;

mod answer;
mod ask;
mod body;
mod body_budget;
mod cache;
mod cache_control;
mod cache_status;
mod check;
mod events;
mod exchange;
mod explain;
mod health;
mod metrics;
mod models;
mod narrate;
mod not_found;
mod resolve;
mod status;
mod test_provider;

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::Extension;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use crate::{
    breaker::Breaker,
    catalogue::Catalogue,
    clock::Clock,
    config::{BoundsConfig, CacheConfig, PromptStyle, RateLimitConfig, SessionConfig},
    embed::{EmbedRequest, Embeddings},
    generate::{GenerateError, GenerateRequest, Generation, ProviderId},
    layers::{
        StoreTook,
        cache::{CacheCounts, Flights, Shelf},
        load_shed::Places,
    },
    ledger::Ledger,
    sessions::Sessions,
    telemetry::Telemetry,
};

pub use body::Bodies;
pub use cache::{cache_stats, clear, forget};
pub use explain::explain;
pub use health::{StoreHealth, health, ready};
pub use metrics::metrics;
pub use models::{models, providers, usage};
pub use not_found::{method_not_allowed, not_found};
pub use status::status;
pub use test_provider::test_provider;

/// The typed layers with the dispatch behind them.
pub type GenerateService = BoxCloneSyncService<GenerateRequest, Generation, GenerateError>;

/// The same for vectors.
pub type EmbedService = BoxCloneSyncService<EmbedRequest, Embeddings, GenerateError>;

/// What the handlers work with.
pub struct Api {
    /// Answers generations.
    pub generate: GenerateService,
    /// Turns texts into vectors.
    pub embed: EmbedService,
    /// Which models there are.
    pub catalogue: Arc<Catalogue>,
    /// Which providers are skipped.
    pub breakers: Arc<HashMap<ProviderId, Breaker>>,
    /// How the store is.
    pub store_health: StoreHealth,
    /// When the service was put together.
    pub started: Instant,
    /// What was spent and saved.
    pub ledger: Arc<Ledger>,
    /// What the cache was good for.
    pub counts: Arc<CacheCounts>,
    /// Where answers are kept.
    pub shelf: Arc<Shelf>,
    /// What is wanted of them.
    pub cache: CacheConfig,
    /// Who is signed in.
    pub sessions: Arc<Sessions>,
    /// What browsers are told of that.
    pub session_cookie: SessionConfig,
    /// The time of day.
    pub clock: Clock,
    /// How long store calls together may delay a request.
    pub store_timeout: Duration,
    /// How long answers may take.
    pub bounds: BoundsConfig,
    /// How bodies are read.
    pub bodies: Bodies,
    /// The places of those whose body is there.
    pub places: Places,
    /// What the system message asks for.
    pub prompt_style: PromptStyle,
    /// The limit of a client, for lists.
    pub rate_limit: RateLimitConfig,
    /// Cancelled when answers still in flight have to end.
    pub stopping: CancellationToken,
    /// What has happened in this process.
    pub telemetry: Arc<Telemetry>,
    /// The calls under way.
    pub flights: Arc<Flights>,
}

/// A time in milliseconds since the Unix epoch, as `2026-11-24T00:00:00.123Z`.
fn rfc3339(epoch_ms: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(epoch_ms) * 1_000_000);
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// What the store has taken of a request's time so far.
type Took = Option<Extension<StoreTook>>;

/// When the store must have said what it has to say.
fn by(api: &Api, took: Took) -> Instant {
    let took = took.map(|Extension(took)| took.total()).unwrap_or_default();
    Instant::now() + api.store_timeout.saturating_sub(took)
}

/// The first value of the parameter `name`, decoded.
fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut parameters = url::form_urlencoded::parse(query?.as_bytes());
    parameters.find(|(other, _)| other == name).map(|(_, value)| value.into_owned())
}

//! Handlers: translate, call, translate.

pub mod generate;

pub mod cors;
pub mod edge;
pub mod unread;

mod answer;
mod ask;
mod body;
mod cache;
mod health;
mod models;
mod narrate;
mod not_found;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use crate::{
    catalogue::Catalogue,
    clock::Clock,
    config::{BoundsConfig, PromptStyle, RateLimitConfig},
    generate::{GenerateError, GenerateRequest, Generation},
    layers::cache::CacheCounts,
    ledger::Ledger,
};

pub use cache::cache_stats;
pub use health::health;
pub use models::{models, providers};
pub use not_found::{method_not_allowed, not_found};

/// The typed layers with the dispatch behind them.
pub type GenerateService = BoxCloneSyncService<GenerateRequest, Generation, GenerateError>;

/// What the handlers work with.
pub struct Api {
    /// Answers generations.
    pub generate: GenerateService,
    /// Which models there are.
    pub catalogue: Arc<Catalogue>,
    /// What was spent and saved.
    pub ledger: Arc<Ledger>,
    /// What the cache was good for.
    pub counts: Arc<CacheCounts>,
    /// The time of day.
    pub clock: Clock,
    /// How long answers may take.
    pub bounds: BoundsConfig,
    /// The longest body in bytes.
    pub body_limit_bytes: usize,
    /// What the system message asks for.
    pub prompt_style: PromptStyle,
    /// The limit of a client, for lists.
    pub rate_limit: RateLimitConfig,
    /// Cancelled when answers still in flight have to end.
    pub stopping: CancellationToken,
}

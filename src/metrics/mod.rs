//! What is counted and measured, for `GET /metrics`.
//!
//! Names are those of OpenTelemetry's semantic conventions, as Prometheus writes them, where there are such, and begin with
//! `llm_gateway_` where there are none. Each service has a registry of its own, so that tests run side by side. Every label has a
//! bounded number of values: who makes one sees to that.

mod cache;
mod calls;
mod http;
mod labels;
mod limiter;
#[cfg(target_os = "linux")]
mod process;
mod spending;
mod state;
mod store;

use std::sync::Arc;

use prometheus_client::{
    encoding::prometheus_text::{CONTENT_TYPE, encode},
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};

pub use cache::CacheMetrics;
pub use calls::{Call, CallMetrics, Operation};
pub use http::{HttpMetrics, OTHER, known_method};
pub use limiter::LimiterMetrics;
pub use spending::SpendingMetrics;
pub use state::StateMetrics;
pub use store::StoreMetrics;

/// The type of what [`Metrics::encode`] writes.
pub const TEXT: &str = CONTENT_TYPE;

/// A histogram for each set of labels.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All of it. Clones share everything.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Requests.
    pub http: HttpMetrics,
    /// What became of them in the cache.
    pub cache: CacheMetrics,
    /// Who was admitted.
    pub limiter: LimiterMetrics,
    /// What the shared store was asked.
    pub store: StoreMetrics,
    /// What providers were asked.
    pub calls: CallMetrics,
    /// Money and tokens.
    pub spending: SpendingMetrics,
    /// How things stand.
    pub state: StateMetrics,
}

impl Default for Metrics {
    /// Nothing counted so far.
    fn default() -> Self {
        let mut registry = Registry::default();
        let metrics = Self {
            http: HttpMetrics::new(&mut registry),
            cache: CacheMetrics::new(&mut registry),
            limiter: LimiterMetrics::new(&mut registry),
            store: StoreMetrics::new(&mut registry),
            calls: CallMetrics::new(&mut registry),
            spending: SpendingMetrics::new(&mut registry),
            state: StateMetrics::new(&mut registry),
            registry: Arc::default(),
        };
        #[cfg(target_os = "linux")]
        registry.register_collector(Box::new(process::Process));
        Self { registry: Arc::new(registry), ..metrics }
    }
}

impl Metrics {
    /// All of it in Prometheus' text format, version 0.0.4.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(64 * 1024);
        encode(&mut text, &self.registry).unwrap_or_else(|_| unreachable!("a String takes all of it"));
        text
    }
}

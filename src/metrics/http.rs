//! Requests, whatever they are for.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::Histograms;

/// What stands for a value that is none of those which are counted for themselves (OpenTelemetry's word).
pub const OTHER: &str = "_OTHER";

/// From a hit, which takes a tenth of a millisecond, to the longest stream.
const BUCKETS: [f64; 17] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
#[expect(clippy::struct_field_names, reason = "OpenTelemetry's names")]
struct Labels {
    http_request_method: &'static str,
    http_route: Arc<str>,
    http_response_status_code: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CacheLabels {
    cache: &'static str,
}

/// How long requests take, and how many are under way.
#[derive(Clone)]
pub struct HttpMetrics {
    durations: Histograms<Labels>,
    first_texts: Histograms<CacheLabels>,
    active: Gauge,
}

impl HttpMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            durations: Histograms::new_with_constructor(|| Histogram::new(BUCKETS)),
            first_texts: Histograms::new_with_constructor(|| Histogram::new(BUCKETS)),
            active: Gauge::default(),
        };
        let help = "How long requests took, until the last byte of the reply was handed over";
        registry.register("http_server_request_duration_seconds", help, metrics.durations.clone());
        let help = "How long streams took to their first text, by what became of the request in the cache";
        registry.register("llm_gateway_time_to_first_text_seconds", help, metrics.first_texts.clone());
        registry.register("http_server_active_requests", "Requests under way", metrics.active.clone());
        metrics
    }

    /// One begins.
    pub fn begun(&self) {
        self.active.inc();
    }

    /// One ends: to the `route` that it matched, empty if it was none, and with this status. 499: the client left before there was one.
    pub fn ended(&self, method: &str, route: Arc<str>, status: u16, took: Duration) {
        self.active.dec();
        let labels =
            Labels { http_request_method: known_method(method), http_route: route, http_response_status_code: status };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A stream's first text came so long after the request.
    pub fn first_text(&self, cache: &'static str, after: Duration) {
        self.first_texts.get_or_create(&CacheLabels { cache }).observe(after.as_secs_f64());
    }
}

/// A method as OpenTelemetry names it (`http.request.method`): one that is known, or [`OTHER`], because clients may make up more.
pub fn known_method(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

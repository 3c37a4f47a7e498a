//! `GET /metrics`: what this process has counted and measured, for Prometheus.

use std::sync::Arc;

use axum::{extract::State, http::header, response::IntoResponse};
use tokio::time::Instant;

use crate::metrics::TEXT;

use super::Api;

/// Tells what this process has counted and measured, in Prometheus' text format.
///
/// Where there is an `ADMIN_TOKEN`, it is wanted as `Authorization: Bearer <token>`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    responses((status = 200, description = "Metrics, as docs/metrics.md lists them.", body = String, content_type = "text/plain; version=0.0.4; charset=utf-8")),
)]
pub async fn metrics(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let metrics = &api.telemetry.metrics;
    let (held, now) = (api.shelf.held(), Instant::now());
    metrics.state.in_flight.set(signed(api.places.taken()));
    metrics.state.in_flight_limit.set(signed(api.places.limit()));
    metrics.state.flights.set(signed(api.flights.len()));
    metrics.state.cache_entries.set(i64::try_from(held.entries).unwrap_or(i64::MAX));
    metrics.state.cache_bytes.set(i64::try_from(held.bytes).unwrap_or(i64::MAX));
    metrics.store.set_open(api.store_health.is_left_alone());
    for (provider, breaker) in api.breakers.iter() {
        metrics.calls.set_open(provider, breaker.is_open(now));
    }
    ([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-store")], metrics.encode())
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

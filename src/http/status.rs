//! `GET /llm/status`: what the status page shows, in one reply.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, header},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    json,
    ledger::{Alert, BudgetStatus},
    telemetry::{RecentGeneration, SLICE, SliceForm},
};

use super::{
    Api, Took, by,
    cache::{CacheStats, stats},
    health::{ProviderForm, StoreForm, providers},
};

/// What operators want to see.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Status)]
pub struct Status {
    version: &'static str,
    /// How long this process has run.
    uptime_seconds: f64,
    /// As `GET /llm/cache/stats?detail=true`, but for the models.
    cache: CacheStats,
    /// As `GET /llm/budget/status`.
    #[schema(value_type = BudgetStatus<'static>)]
    budget: Box<RawValue>,
    /// Alerts that nobody has acknowledged.
    alerts: Vec<Alert>,
    limiter: Limiter,
    store: StoreForm,
    #[serde(serialize_with = "json::members")]
    #[schema(value_type = HashMap<String, ProviderForm>)]
    providers: Vec<(String, ProviderForm)>,
    /// Requests that are being answered by this process.
    in_flight: usize,
    /// How many there may be.
    in_flight_limit: usize,
    /// How long a slice is.
    slice_seconds: u64,
    /// The last twelve hours of this process, oldest first.
    slices: Vec<SliceForm>,
    /// The last 50 generations of this process, the newest first.
    recent: Vec<RecentGeneration>,
}

/// How often a client may ask, and who counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LimiterStatus)]
struct Limiter {
    /// Generations in a window. 0: as many as it likes.
    max: u32,
    window_seconds: u64,
    /// `shared`: the store counts for all instances; `memory`: this process counts, as there is no other; `local`: it does so because
    /// the store is away.
    mode: &'static str,
}

/// Says how the service is doing: the status page's numbers.
///
/// Where there is an `ADMIN_TOKEN`, it is wanted as `Authorization: Bearer <token>`.
#[utoipa::path(
    get,
    path = "/llm/status",
    tag = "service",
    responses((status = 200, description = "How it is doing.", body = Status)),
)]
pub async fn status(State(api): State<Arc<Api>>, took: Took) -> ([(HeaderName, HeaderValue); 1], Json<Status>) {
    let by = by(&api, took);
    // One after the other would wait twice. What is found out about the store is kept for all, so that has its whole time.
    let (cache, store) = tokio::join!(stats(&api, true, by), api.store_health.describe(api.store_timeout));
    let budget = std::str::from_utf8(&api.ledger.status()).map(str::to_owned).unwrap_or_default();
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: api.started.elapsed().as_secs_f64(),
        cache: cache.without_models(),
        budget: RawValue::from_string(budget).unwrap_or_else(|_| unreachable!("the ledger writes JSON")),
        alerts: api.ledger.alerts(),
        limiter: limiter(&api),
        store,
        providers: providers(&api),
        in_flight: api.places.taken(),
        in_flight_limit: api.places.limit(),
        slice_seconds: SLICE.as_secs(),
        slices: api.telemetry.slices(),
        recent: api.telemetry.recent_generations(),
    };
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(status))
}

fn limiter(api: &Api) -> Limiter {
    let mode = match (api.store_health.is_alone(), api.store_health.is_left_alone()) {
        (true, _) => "memory",
        (false, true) => "local",
        (false, false) => "shared",
    };
    let max = api.rate_limit.max.map_or(0, std::num::NonZeroU32::get);
    Limiter { max, window_seconds: api.rate_limit.window.as_secs(), mode }
}

//! `/llm/cache/stats` and what an administrator may do with the cache.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    error::ApiError,
    generate::{ModelId, ProviderId},
    layers::cache::Tally,
    stores::StoreError,
};

use super::{Api, Took, by, parameter, rfc3339};

/// How long an administrator waits for the store to look through all of its keys.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(25);
/// What keys of the cache begin with.
const KEYS: &str = "llm:cache:";

/// The four numbers, in this order, and what else there is to tell.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CacheStats {
    hits: u64,
    misses: u64,
    /// Per cent, two decimals.
    #[schema(value_type = f64)]
    hit_rate: Number,
    /// `$`, two decimals.
    #[schema(example = "$1.25")]
    estimated_savings: String,
    #[serde(flatten)]
    #[schema(inline)]
    detail: Option<Detail>,
}

/// Of all instances, as far as the store knows, and of this one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[schema(required = false)]
    joined: u64,
    #[schema(required = false)]
    stale: u64,
    #[schema(required = false)]
    bypassed: u64,
    /// The sum of the five.
    #[schema(required = false)]
    requests: u64,
    #[schema(required = false)]
    instance: Instance,
}

/// This process.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Instance {
    /// When it began to count.
    since: String,
    /// Answers in its memory, and what they take there.
    entries: u64,
    bytes: u64,
    /// Absent in `GET /llm/status`: there may be a thousand.
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<Vec<ModelStats>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ModelStats {
    #[schema(value_type = String)]
    provider: ProviderId,
    #[schema(value_type = String)]
    model: ModelId,
    hits: u64,
    misses: u64,
    joined: u64,
    stale: u64,
    bypassed: u64,
}

impl CacheStats {
    /// The same, but for what is said of each model.
    pub(super) fn without_models(mut self) -> Self {
        if let Some(detail) = &mut self.detail {
            detail.instance.models = None;
        }
        self
    }
}

/// A number that is written without a fraction when it has none.
#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Fraction(f64),
}

/// How many entries there were.
#[derive(Serialize, ToSchema)]
#[schema(as = EntriesDeleted)]
pub struct Deleted {
    deleted: u64,
}

/// Says what the cache was good for: hits, misses, their rate, and what hits and joined calls would have cost.
#[utoipa::path(
    get,
    path = "/llm/cache/stats",
    tag = "cache",
    params(("detail" = Option<bool>, Query, description = "`true`: more than the four numbers.")),
    responses((status = 200, description = "The counts of all instances, as far as the store knows.", body = CacheStats,
        example = json!({"hits": 5, "misses": 2, "hitRate": 71.43, "estimatedSavings": "$0.03"}))),
)]
pub async fn cache_stats(State(api): State<Arc<Api>>, took: Took, RawQuery(query): RawQuery) -> Json<CacheStats> {
    let wants_detail = parameter(query.as_deref(), "detail").is_some_and(|value| value == "true");
    Json(stats(&api, wants_detail, by(&api, took)).await)
}

/// What the cache was good for, as far as the store can say `by` then.
pub(super) async fn stats(api: &Api, wants_detail: bool, by: Instant) -> CacheStats {
    let (tally, known) = tokio::join!(api.counts.read(wants_detail, by), api.ledger.look(by));
    let Tally { hits, misses, joined, stale, bypassed } = tally;
    if let Err(error) = known {
        tracing::debug!(%error, "savings are as this process knows them");
    }
    let cents = (api.ledger.avoided().0 + 5_000) / 10_000;
    let estimated_savings = format!("${}.{:02}", cents / 100, cents % 100);
    let requests = hits + misses + joined + stale + bypassed;
    let detail = wants_detail.then(|| Detail { joined, stale, bypassed, requests, instance: instance(api) });
    CacheStats { hits, misses, hit_rate: per_cent(hits, hits + misses), estimated_savings, detail }
}

fn instance(api: &Api) -> Instance {
    let held = api.shelf.held();
    let since = api.clock.since_epoch().saturating_sub(api.started.elapsed());
    let models = api.counts.by_model().into_iter().map(|(target, tally)| {
        let Tally { hits, misses, joined, stale, bypassed } = tally;
        ModelStats { provider: target.provider, model: target.model, hits, misses, joined, stale, bypassed }
    });
    Instance {
        since: rfc3339(since.as_secs() * 1_000),
        entries: held.entries,
        bytes: held.bytes,
        models: Some(models.collect()),
    }
}

/// Forgets every answer.
///
/// # Errors
/// 503 when the store does not say that all is forgotten.
#[utoipa::path(
    delete,
    path = "/llm/cache",
    operation_id = "clear_cache",
    tag = "cache",
    responses(
        (status = 200, description = "How many there were.", body = Deleted, example = json!({"deleted": 42})),
        (status = 503, description = "The store does not say that all is forgotten."),
    ),
)]
pub async fn clear(State(api): State<Arc<Api>>) -> Result<Json<Deleted>, ApiError> {
    let deleted = api.shelf.clear(Instant::now() + CLEAR_TIMEOUT).await.map_err(|error| unavailable(&error))?;
    tracing::info!(deleted, "the cache was cleared");
    Ok(Json(Deleted { deleted }))
}

/// Forgets one answer.
///
/// # Errors
/// 400 when it is no key of the cache, 503 when the store does not say that it is forgotten.
#[utoipa::path(
    delete,
    path = "/llm/cache/{key}",
    operation_id = "forget_answer",
    tag = "cache",
    params(("key" = String, Path, description = "As `POST /llm/cache/explain` and the log name it.", pattern = "^llm:cache:",
        example = "llm:cache:openai:gpt-4o:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
    responses(
        (status = 200, description = "Whether it was there: 1 or 0.", body = Deleted, example = json!({"deleted": 1})),
        (status = 400, description = "It is no key of the cache."),
        (status = 503, description = "The store does not say that it is forgotten."),
    ),
)]
pub async fn forget(State(api): State<Arc<Api>>, Path(key): Path<String>) -> Result<Json<Deleted>, ApiError> {
    if !key.starts_with(KEYS) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "Not a key of the cache")
            .message("Keys of the cache begin with `llm:cache:`; `POST /llm/cache/explain` and the log name them."));
    }
    let was_there = api.shelf.delete(&key, by(&api, None)).await.map_err(|error| unavailable(&error))?;
    Ok(Json(Deleted { deleted: u64::from(was_there) }))
}

pub(super) fn unavailable(error: &StoreError) -> ApiError {
    tracing::warn!(%error, "the store could not do what the administrator wants");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The store does not answer")
        .message("It is not known whether all of it was done. Try again.")
        .retry_after(Duration::from_secs(5))
}

#[expect(clippy::cast_precision_loss, reason = "hundredths of a per cent are exact")]
fn per_cent(part: u64, whole: u64) -> Number {
    if whole == 0 {
        return Number::Whole(0);
    }
    let hundredths = (u128::from(part) * 20_000 / u128::from(whole)).div_ceil(2);
    let hundredths = u64::try_from(hundredths).unwrap_or_default();
    match hundredths % 100 {
        0 => Number::Whole(hundredths / 100),
        _ => Number::Fraction(hundredths as f64 / 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_has_at_most_two_decimals() {
        let written = |part, whole| serde_json::to_string(&per_cent(part, whole)).unwrap();
        assert_eq!(written(0, 0), "0");
        assert_eq!(written(1, 2), "50");
        assert_eq!(written(1, 3), "33.33");
        assert_eq!(written(2, 3), "66.67");
        assert_eq!(written(5, 5), "100");
    }
}

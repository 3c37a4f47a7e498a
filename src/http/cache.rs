//! `GET /llm/cache/stats`: what the cache was good for.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;

use super::Api;

/// The four numbers, in this order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheStats {
    hits: u64,
    misses: u64,
    /// Per cent, two decimals.
    hit_rate: Number,
    /// `$`, two decimals.
    estimated_savings: String,
}

/// A number that is written without a fraction when it has none.
#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Fraction(f64),
}

/// Hits, misses, their rate, and what hits and joined calls would have cost.
pub async fn cache_stats(State(api): State<Arc<Api>>) -> Json<CacheStats> {
    let (hits, misses) = api.counts.read(api.store_timeout).await;
    let cents = (api.ledger.saved().0 + 5_000) / 10_000;
    let estimated_savings = format!("${}.{:02}", cents / 100, cents % 100);
    Json(CacheStats { hits, misses, hit_rate: per_cent(hits, hits + misses), estimated_savings })
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

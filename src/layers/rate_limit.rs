//! Admits a caller's generations, or refuses with 429.
//!
//! Wraps HTTP, because the answer depends on who asks and not on what: the body is still unread.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::Instant;

use crate::{
    caller::{Caller, Callers},
    clock::Clock,
    config::RateLimitConfig,
    error::{ApiError, whole_seconds},
    stores::{Admission, CounterStore, Quota},
};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const MODE: HeaderName = HeaderName::from_static("x-ratelimit-mode");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Everything that one route's limit needs.
pub struct Limiter {
    counters: Arc<dyn CounterStore>,
    callers: Callers,
    quota: Option<Quota>,
    policy: HeaderValue,
    clock: Clock,
    store_timeout: Duration,
    /// Names the route in keys and log, however its path was spelled.
    scope: &'static str,
    path: &'static str,
}

/// How long the limiter took, for `Server-Timing`.
#[derive(Clone, Copy)]
pub struct LimiterTook(pub Duration);

impl Limiter {
    /// The limit of the route `path`, counted under `scope`.
    pub fn new(
        counters: Arc<dyn CounterStore>,
        callers: Callers,
        config: RateLimitConfig,
        clock: Clock,
        store_timeout: Duration,
        (scope, path): (&'static str, &'static str),
    ) -> Self {
        let quota = config.max.map(|max| Quota { max, window: config.window });
        let max = config.max.map_or(0, std::num::NonZeroU32::get);
        let policy = HeaderValue::try_from(format!("\"{scope}\";q={max};w={}", config.window.as_secs()));
        let policy = policy.unwrap_or_else(|_| unreachable!("a scope is a plain word"));
        Self { counters, callers, quota, policy, clock, store_timeout, scope, path }
    }

    fn set_headers(&self, headers: &mut HeaderMap, quota: Quota, admission: &Admission) {
        let grows_in_ms = u64::try_from(admission.grows_in.as_millis()).unwrap_or(u64::MAX);
        headers.insert(LIMIT, HeaderValue::from(quota.max.get()));
        headers.insert(REMAINING, HeaderValue::from(admission.remaining));
        headers.insert(RESET, HeaderValue::from(self.clock.epoch_ms().saturating_add(grows_in_ms)));
        headers.insert(RATE_LIMIT_POLICY, self.policy.clone());
        let (scope, seconds) = (self.scope, whole_seconds(admission.grows_in));
        if let Ok(value) = HeaderValue::try_from(format!("\"{scope}\";r={};t={seconds}", admission.remaining)) {
            headers.insert(RATE_LIMIT, value);
        }
        if admission.local {
            headers.insert(MODE, HeaderValue::from_static("local"));
        }
    }

    fn refuse(&self, caller: Caller, quota: Quota, admission: &Admission) -> Response {
        let max = quota.max.get();
        tracing::warn!("Rate limit exceeded: {} on {} ({}/{max})", caller.address, self.path, u64::from(max) + 1);
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded")
            .message("Too many LLM requests, please wait before trying again.")
            .retry_after(admission.retry_in);
        let mut response = error.into_response();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(whole_seconds(admission.retry_in)));
        response
    }
}

/// Passes the request on if its caller may ask once more.
pub async fn rate_limit(State(limiter): State<Arc<Limiter>>, mut request: Request, next: Next) -> Response {
    let Some(quota) = limiter.quota else { return next.run(request).await };
    let begun = Instant::now();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let peer = peer.unwrap_or_else(|| [0, 0, 0, 0].into());
    let caller = limiter.callers.caller(request.headers(), peer);
    let key = format!("ratelimit:{}:{caller}", limiter.scope);
    let admission = match limiter.counters.admit(&key, quota, begun + limiter.store_timeout).await {
        Ok(admission) => admission,
        Err(error) => {
            // A service that answers without counting is better than one that does not answer.
            tracing::error!(%error, "the rate limit could not be checked");
            return next.run(request).await;
        }
    };
    let mut response = if admission.admitted {
        request.extensions_mut().insert(LimiterTook(begun.elapsed()));
        next.run(request).await
    } else {
        limiter.refuse(caller, quota, &admission)
    };
    limiter.set_headers(response.headers_mut(), quota, &admission);
    response
}

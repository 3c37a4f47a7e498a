//! Admits a caller's generations, or refuses with 429.
//!
//! Wraps HTTP, because the answer depends on who asks and not on what: the body is still unread.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt as _};

use crate::{
    caller::{Caller, Who},
    clock::Clock,
    config::RateLimitConfig,
    error::{ApiError, whole_seconds},
    metrics::LimiterMetrics,
    stores::{Admission, CounterStore, Quota},
};

use super::StoreTook;

/// Names the limit in keys and headers. What spends is counted together, whichever route it takes.
const SCOPE: &str = "generate";

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const MODE: HeaderName = HeaderName::from_static("x-ratelimit-mode");
// What `OpenAI`'s own clients look for.
const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Puts a [`RateLimit`] around a service: one route's limit.
#[derive(Clone)]
pub struct RateLimitLayer {
    limiter: Arc<Limiter>,
}

/// Everything that one route's limit needs.
struct Limiter {
    counters: Arc<dyn CounterStore>,
    metrics: LimiterMetrics,
    /// Of who has no rate of its own. `None`: as often as it likes.
    quota: Option<Quota>,
    window: Duration,
    /// The headers that go with it.
    limit: HeaderValue,
    policy: HeaderValue,
    clock: Clock,
    store_timeout: Duration,
    /// Names the route in the log, however its path was spelled.
    path: &'static str,
}

impl RateLimitLayer {
    /// The limit, at the route `path`.
    pub fn new(
        counters: Arc<dyn CounterStore>,
        metrics: LimiterMetrics,
        config: RateLimitConfig,
        clock: Clock,
        store_timeout: Duration,
        path: &'static str,
    ) -> Self {
        let quota = config.max.map(|max| Quota { max, window: config.window });
        let limit = HeaderValue::from(config.max.map_or(0, NonZeroU32::get));
        let policy = quota.map_or(HeaderValue::from_static(""), policy);
        let window = config.window;
        let limiter = Limiter { counters, metrics, quota, window, limit, policy, clock, store_timeout, path };
        Self { limiter: Arc::new(limiter) }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit { inner, limiter: Arc::clone(&self.limiter) }
    }
}

/// A service that a caller may use only so often.
#[derive(Clone)]
pub struct RateLimit<S> {
    inner: S,
    limiter: Arc<Limiter>,
}

impl<S> Service<Request> for RateLimit<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Readiness below matters only to who is admitted.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (limiter, inner) = (Arc::clone(&self.limiter), self.inner.clone());
        async move { limiter.answer(inner, request).await }.boxed()
    }
}

impl Limiter {
    /// Passes the request on if its caller may ask once more.
    async fn answer<S>(&self, inner: S, mut request: Request) -> Result<Response, Infallible>
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        // Everyone has been identified further out.
        let Some(caller) = request.extensions().get::<Caller>() else { return inner.oneshot(request).await };
        let Some(quota) = self.quota_of(caller) else { return inner.oneshot(request).await };
        let begun = Instant::now();
        let key = format!("ratelimit:{SCOPE}:{caller}");
        let took = request.extensions().get::<StoreTook>().copied().unwrap_or_default();
        let by = begun + self.store_timeout.saturating_sub(took.total());
        let admission = match self.counters.admit(&key, quota, NonZeroU32::MIN, by).await {
            Ok(admission) => {
                self.metrics.decided(admission.admitted, admission.local);
                admission
            }
            Err(error) => {
                self.metrics.unchecked();
                // A service that answers without counting is better than one that does not answer.
                tracing::error!(%error, "the rate limit could not be checked");
                return inner.oneshot(request).await;
            }
        };
        let mut response = if admission.admitted {
            request.extensions_mut().insert(StoreTook { limiter: Some(begun.elapsed()), ..took });
            inner.oneshot(request).await?
        } else {
            self.refuse(caller, &admission)
        };
        self.set_headers(response.headers_mut(), quota, &admission);
        Ok(response)
    }

    /// How often the caller may ask: as often as its key may, or as everyone. `None`: as often as it likes.
    fn quota_of(&self, caller: &Caller) -> Option<Quota> {
        match caller.max() {
            Some(max) => NonZeroU32::new(max).map(|max| Quota { max, window: self.window }),
            None => self.quota,
        }
    }

    fn set_headers(&self, headers: &mut HeaderMap, quota: Quota, admission: &Admission) {
        let grows_in_ms = u64::try_from(admission.grows_in.as_millis()).unwrap_or(u64::MAX);
        let is_usual = self.quota == Some(quota);
        headers.insert(LIMIT, if is_usual && !admission.local { self.limit.clone() } else { admission.limit.into() });
        headers.insert(REMAINING, HeaderValue::from(admission.remaining));
        headers.insert(RESET, HeaderValue::from(self.clock.epoch_ms().saturating_add(grows_in_ms)));
        headers.insert(RATE_LIMIT_POLICY, if is_usual { self.policy.clone() } else { policy(quota) });
        headers.insert(RATE_LIMIT, Self::rate_limit_value(admission));
        if self.path.starts_with("/v1/") {
            headers.insert(LIMIT_REQUESTS, HeaderValue::from(admission.limit));
            headers.insert(REMAINING_REQUESTS, HeaderValue::from(admission.remaining));
            headers.insert(RESET_REQUESTS, openai_wait(admission.grows_in));
        }
        if admission.local {
            headers.insert(MODE, HeaderValue::from_static("local"));
        }
    }

    /// `"generate";r=19;t=60`: what is left, and in how many seconds that grows.
    fn rate_limit_value(admission: &Admission) -> HeaderValue {
        let mut value = String::with_capacity(64);
        for part in ["\"", SCOPE, "\";r=", itoa::Buffer::new().format(admission.remaining), ";t="] {
            value.push_str(part);
        }
        value.push_str(itoa::Buffer::new().format(whole_seconds(admission.grows_in)));
        HeaderValue::try_from(value).unwrap_or_else(|_| unreachable!("the scope is a plain word"))
    }

    fn refuse(&self, caller: &Caller, admission: &Admission) -> Response {
        let max = admission.limit;
        let client = match caller.who {
            // Runbooks search for the address as it is.
            Who::Anyone => caller.address.to_string(),
            Who::User(_) | Who::UserOf(..) | Who::Key(_) => caller.to_string(),
        };
        tracing::warn!("Rate limit exceeded: {client} on {} ({}/{max})", self.path, u64::from(max) + 1);
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded")
            .message("Too many LLM requests, please wait before trying again.")
            .retry_after(admission.retry_in);
        error.into_response()
    }
}

/// A wait as `OpenAI` writes it: `12ms`, `1s`, `6m0s` (`providers.md` 3). Whole seconds are rounded up.
fn openai_wait(wait: Duration) -> HeaderValue {
    let text = match whole_seconds(wait) {
        1 if wait.as_millis() < 1_000 => format!("{}ms", wait.as_millis()),
        seconds if seconds < 60 => format!("{seconds}s"),
        seconds => format!("{}m{}s", seconds / 60, seconds % 60),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| unreachable!("digits and letters"))
}

/// `"generate";q=20;w=60`: how many, and within how many seconds.
fn policy(quota: Quota) -> HeaderValue {
    let policy = HeaderValue::try_from(format!("\"{SCOPE}\";q={};w={}", quota.max, quota.window.as_secs()));
    policy.unwrap_or_else(|_| unreachable!("the scope is a plain word"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_written_as_clients_of_openai_read_it() {
        let waits = [(0, "0ms"), (12, "12ms"), (1_000, "1s"), (1_001, "2s"), (59_999, "1m0s"), (360_000, "6m0s")];
        for (ms, text) in waits {
            assert_eq!(openai_wait(Duration::from_millis(ms)), text);
        }
    }
}

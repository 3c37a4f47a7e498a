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
    caller::Caller,
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

/// Puts a [`RateLimit`] around a service: one route's limit.
#[derive(Clone)]
pub struct RateLimitLayer {
    limiter: Arc<Limiter>,
}

/// Everything that one route's limit needs.
struct Limiter {
    counters: Arc<dyn CounterStore>,
    quota: Option<Quota>,
    /// The headers that are always the same.
    limit: HeaderValue,
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

impl RateLimitLayer {
    /// The limit of the route `path`, counted under `scope`.
    pub fn new(
        counters: Arc<dyn CounterStore>,
        config: RateLimitConfig,
        clock: Clock,
        store_timeout: Duration,
        (scope, path): (&'static str, &'static str),
    ) -> Self {
        let quota = config.max.map(|max| Quota { max, window: config.window });
        let max = config.max.map_or(0, NonZeroU32::get);
        let policy = HeaderValue::try_from(format!("\"{scope}\";q={max};w={}", config.window.as_secs()));
        let policy = policy.unwrap_or_else(|_| unreachable!("a scope is a plain word"));
        let limit = HeaderValue::from(max);
        let limiter = Limiter { counters, quota, limit, policy, clock, store_timeout, scope, path };
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
        let caller = request.extensions().get::<Caller>().copied();
        // Everyone has been identified further out.
        let (Some(quota), Some(caller)) = (self.quota, caller) else { return inner.oneshot(request).await };
        let begun = Instant::now();
        let key = format!("ratelimit:{}:{caller}", self.scope);
        let admission = match self.counters.admit(&key, quota, NonZeroU32::MIN, begun + self.store_timeout).await {
            Ok(admission) => admission,
            Err(error) => {
                // A service that answers without counting is better than one that does not answer.
                tracing::error!(%error, "the rate limit could not be checked");
                return inner.oneshot(request).await;
            }
        };
        let mut response = if admission.admitted {
            request.extensions_mut().insert(LimiterTook(begun.elapsed()));
            inner.oneshot(request).await?
        } else {
            self.refuse(caller, &admission)
        };
        self.set_headers(response.headers_mut(), &admission);
        Ok(response)
    }

    fn set_headers(&self, headers: &mut HeaderMap, admission: &Admission) {
        let grows_in_ms = u64::try_from(admission.grows_in.as_millis()).unwrap_or(u64::MAX);
        headers.insert(LIMIT, if admission.local { admission.limit.into() } else { self.limit.clone() });
        headers.insert(REMAINING, HeaderValue::from(admission.remaining));
        headers.insert(RESET, HeaderValue::from(self.clock.epoch_ms().saturating_add(grows_in_ms)));
        headers.insert(RATE_LIMIT_POLICY, self.policy.clone());
        headers.insert(RATE_LIMIT, self.rate_limit_value(admission));
        if admission.local {
            headers.insert(MODE, HeaderValue::from_static("local"));
        }
    }

    /// `"generate";r=19;t=60`: what is left, and in how many seconds that grows.
    fn rate_limit_value(&self, admission: &Admission) -> HeaderValue {
        let mut value = String::with_capacity(64);
        for part in ["\"", self.scope, "\";r=", itoa::Buffer::new().format(admission.remaining), ";t="] {
            value.push_str(part);
        }
        value.push_str(itoa::Buffer::new().format(whole_seconds(admission.grows_in)));
        HeaderValue::try_from(value).unwrap_or_else(|_| unreachable!("a scope is a plain word"))
    }

    fn refuse(&self, caller: Caller, admission: &Admission) -> Response {
        let max = admission.limit;
        tracing::warn!("Rate limit exceeded: {} on {} ({}/{max})", caller.address, self.path, u64::from(max) + 1);
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded")
            .message("Too many LLM requests, please wait before trying again.")
            .retry_after(admission.retry_in);
        error.into_response()
    }
}

//! Which pages may read answers (CORS), as the original's pages know it: every preflight gets 204, on any path, and who is
//! not allowed gets the same answers without the header that would let a page read them.

use std::{
    convert::Infallible,
    future::ready,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    http::{
        HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
    response::{IntoResponse as _, Response},
};
use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use tower::{Layer, Service};

use crate::config::Origin;

/// The original's list.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
/// Headers that a page may read, besides those that every page may (`interface.md`, «Headers»).
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "x-request-id,cache-status,age,x-ratelimit-limit,x-ratelimit-remaining,x-ratelimit-reset,x-ratelimit-mode,ratelimit,\
     ratelimit-policy,retry-after,server-timing,x-routing-decision,x-gateway-dropped,x-should-retry,x-ratelimit-limit-requests,\
     x-ratelimit-remaining-requests,x-ratelimit-reset-requests",
);
/// How long a browser may remember the answer to a preflight: ten minutes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Puts a [`Cors`] around a service.
#[derive(Clone)]
pub struct CorsLayer {
    origins: Arc<[Origin]>,
}

impl CorsLayer {
    /// Lets pages of these origins read answers, those to their cookies too.
    pub fn new(origins: Arc<[Origin]>) -> Self {
        Self { origins }
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = Cors<S>;

    fn layer(&self, inner: S) -> Cors<S> {
        Cors { inner, origins: Arc::clone(&self.origins) }
    }
}

/// A service whose answers pages may read.
#[derive(Clone)]
pub struct Cors<S> {
    inner: S,
    origins: Arc<[Origin]>,
}

impl<S> Service<Request> for Cors<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let origin = request.headers().get(ORIGIN);
        let allowed =
            origin.filter(|origin| self.origins.iter().any(|allowed| allowed.allows(origin.as_bytes()))).cloned();
        let is_preflight =
            request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight {
            return ready(Ok(for_origin(preflight(&request), allowed))).boxed();
        }
        self.inner.call(request).map_ok(|response| for_origin(response, allowed)).boxed()
    }
}

fn preflight(request: &Request) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if let Some(wanted) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    headers.append(VARY, ACCESS_CONTROL_REQUEST_HEADERS.into());
    response
}

fn for_origin(mut response: Response, allowed: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    // Whether allowed or not: a cache must not give one origin's answer to another.
    headers.append(VARY, ORIGIN.into());
    if let Some(origin) = allowed {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
    response
}

//! Refuses with 503 what would be more than `MAX_IN_FLIGHT` requests at once.
//!
//! Wraps HTTP. A request takes its place when there is nothing more to come of it: at once where it has no body, and else its
//! handler takes it when the body is there, or those who send slowly would take all of them. The place lives in the reply's
//! body, so a stream counts until its end.

use std::{
    convert::Infallible,
    future::ready,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use crate::error::ApiError;

use super::Held;

/// The places of those that are being answered. Clones share them.
#[derive(Clone)]
pub struct Places {
    free: Arc<Semaphore>,
    limit: usize,
}

impl Places {
    /// `max_in_flight` of them.
    pub fn new(max_in_flight: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max_in_flight)), limit: max_in_flight }
    }

    /// How many there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.limit.saturating_sub(self.free.available_permits())
    }

    /// One of them, until it is dropped.
    ///
    /// # Errors
    /// 503 when there is none.
    pub fn take(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The service is busy")
                .message("Too many requests are being answered. Try again in a moment.")
                .retry_after(Duration::from_secs(1))
        })
    }
}

/// When a request takes its place.
#[derive(Clone, Copy)]
enum Takes {
    WithItsHead,
    WithItsBody,
}

/// Puts a [`LoadShed`] around a service.
#[derive(Clone)]
pub struct LoadShedLayer {
    places: Places,
    takes: Takes,
}

impl LoadShedLayer {
    /// For requests whose head says it all, or whose clients are trusted.
    pub fn new(places: Places) -> Self {
        Self { places, takes: Takes::WithItsHead }
    }

    /// For requests with a body: whether there is a place is looked at only. The handler takes one when the body is there.
    pub fn before_the_body(places: Places) -> Self {
        Self { places, takes: Takes::WithItsBody }
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> LoadShed<S> {
        LoadShed { inner, places: self.places.clone(), takes: self.takes }
    }
}

/// A service that is asked only while there is a place.
#[derive(Clone)]
pub struct LoadShed<S> {
    inner: S,
    places: Places,
    takes: Takes,
}

impl<S> Service<Request> for LoadShed<S>
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
        match (self.places.take(), self.takes) {
            (Ok(place), Takes::WithItsHead) => {
                let answering = self.inner.call(request);
                answering.map_ok(|response| response.map(|body| Held::body(body, place))).boxed()
            }
            (Ok(_), Takes::WithItsBody) => self.inner.call(request).boxed(),
            (Err(error), _) => ready(Ok(error.into_response())).boxed(),
        }
    }
}

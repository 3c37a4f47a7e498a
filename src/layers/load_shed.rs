//! Refuses with 503 what would be more than `MAX_IN_FLIGHT` requests at once.
//!
//! Wraps HTTP. The permit lives in the reply's body, so a stream counts until its end.

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
use tokio::sync::Semaphore;
use tower::{Layer, Service};

use crate::error::ApiError;

use super::Held;

/// Puts a [`LoadShed`] around a service; all of them share the same room.
#[derive(Clone)]
pub struct LoadShedLayer {
    room: Arc<Semaphore>,
}

impl LoadShedLayer {
    /// Room for `max_in_flight` requests.
    pub fn new(max_in_flight: usize) -> Self {
        Self { room: Arc::new(Semaphore::new(max_in_flight)) }
    }
}

impl<S> Layer<S> for LoadShedLayer {
    type Service = LoadShed<S>;

    fn layer(&self, inner: S) -> LoadShed<S> {
        LoadShed { inner, room: Arc::clone(&self.room) }
    }
}

/// A service that is asked only while there is room.
#[derive(Clone)]
pub struct LoadShed<S> {
    inner: S,
    room: Arc<Semaphore>,
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
        match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => {
                let answering = self.inner.call(request);
                answering.map_ok(|response| response.map(|body| Held::body(body, permit))).boxed()
            }
            Err(_) => ready(Ok(busy())).boxed(),
        }
    }
}

fn busy() -> Response {
    let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "The service is busy")
        .message("Too many requests are being answered. Try again in a moment.")
        .retry_after(Duration::from_secs(1));
    error.into_response()
}

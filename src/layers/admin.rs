//! Lets only the administrator through.
//!
//! Wraps HTTP, because the answer depends on who asks and not on what.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{extract::Request, http::HeaderMap, response::Response};
use futures_util::future::{Either, Ready, ready};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tower::{Layer, Service};

use super::bearer::{bearer_token, unauthorized};

const ADVICE: &str = "Send the service's ADMIN_TOKEN as `Authorization: Bearer <token>`.";

/// Puts an [`Admin`] around a service.
#[derive(Clone)]
pub struct AdminLayer {
    token: Arc<SecretString>,
}

impl AdminLayer {
    /// Lets through who knows `token`.
    pub fn new(token: SecretString) -> Self {
        Self { token: Arc::new(token) }
    }
}

impl<S> Layer<S> for AdminLayer {
    type Service = Admin<S>;

    fn layer(&self, inner: S) -> Admin<S> {
        Admin { inner, token: Arc::clone(&self.token) }
    }
}

/// A service for the administrator.
#[derive(Clone)]
pub struct Admin<S> {
    inner: S,
    token: Arc<SecretString>,
}

impl<S> Service<Request> for Admin<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if knows(request.headers(), &self.token) {
            Either::Right(self.inner.call(request))
        } else {
            Either::Left(ready(Ok(unauthorized("Administrator only", ADVICE))))
        }
    }
}

/// Whether the bearer token is `token`; how much of it is right takes no time to find out.
fn knows(headers: &HeaderMap, token: &SecretString) -> bool {
    let given = bearer_token(headers).unwrap_or_default();
    given.as_bytes().ct_eq(token.expose_secret().as_bytes()).into()
}

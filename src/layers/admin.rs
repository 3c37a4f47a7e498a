//! Lets only the administrator through.
//!
//! Wraps HTTP, because the answer depends on who asks and not on what.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    http::{HeaderMap, Method},
    response::Response,
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, ready},
};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tower::{Layer, Service};

use crate::{
    caller::Caller,
    telemetry::{CallerKind, Record, without_ids},
};

use super::bearer::{Realm, bearer_token, unauthorized};

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
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let act = Act::of(&request);
        if !knows(request.headers(), &self.token) {
            act.refused();
            return ready(Ok(unauthorized(Realm::Administration, "Administrator only", ADVICE))).boxed();
        }
        if let Some(record) = request.extensions().get::<Arc<Record>>() {
            record.set_caller(CallerKind::Admin);
        }
        let answering = self.inner.call(request);
        async move {
            let response = answering.await?;
            act.done(response.status().as_u16());
            Ok(response)
        }
        .boxed()
    }
}

/// What an administrator wants, for the audit: everything that may change something or be secret. What is only read is not.
struct Act {
    method: Method,
    path: String,
    address: Option<IpAddr>,
}

impl Act {
    fn of(request: &Request) -> Self {
        let address = request.extensions().get::<Caller>().map(|caller| caller.address);
        Self { method: request.method().clone(), path: without_ids(request.uri().path()).into_owned(), address }
    }

    fn done(self, status: u16) {
        let Self { method, path, address } = self;
        if !method.is_safe() {
            tracing::info!(
                method = method.as_str(),
                path,
                address = address.map(tracing::field::display),
                status,
                "audit: administrator"
            );
        }
    }

    /// Somebody tried who is none.
    fn refused(self) {
        let Self { method, path, address } = self;
        tracing::warn!(
            method = method.as_str(),
            path,
            address = address.map(tracing::field::display),
            "audit: not the administrator"
        );
    }
}

/// Whether the bearer token is `token`; how much of it is right takes no time to find out.
fn knows(headers: &HeaderMap, token: &SecretString) -> bool {
    let given = bearer_token(headers).unwrap_or_default();
    given.as_bytes().ct_eq(token.expose_secret().as_bytes()).into()
}

//! Finds out who is asking, and turns away who may not.
//!
//! Wraps HTTP, because the answer depends on who asks and not on what: the body is still unread.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Either},
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt as _};

use crate::{
    caller::{ApiKey, Caller, Keys, UserId, Who},
    config::Origin,
    error::ApiError,
    sessions::{LiveSession, Sessions},
    telemetry::Record,
};

use super::{
    NamedSession, StoreTook,
    bearer::{Realm, bearer_token, unauthorized},
};

const USER_HEADER: &str = "x-user-id";

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Whoever has a key or a live session; where there are no keys, anyone.
    Client,
    /// Whoever has a key.
    Key,
    /// Anyone: the session that it names is the route's own affair.
    Anyone,
}

/// What there is to know people by.
pub struct Desk {
    /// The keys that there are.
    pub keys: Keys,
    /// Who is signed in.
    pub sessions: Arc<Sessions>,
    /// The pages that may use a browser's cookie.
    pub origins: Arc<[Origin]>,
    /// How long store calls together may delay a request.
    pub store_timeout: Duration,
}

/// Puts an [`Authenticate`] around a service.
#[derive(Clone)]
pub struct AuthenticateLayer {
    desk: Arc<Desk>,
    wanted: Wanted,
}

impl AuthenticateLayer {
    /// Lets through who is `wanted`, as far as `desk` knows.
    pub fn new(desk: Arc<Desk>, wanted: Wanted) -> Self {
        Self { desk, wanted }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, layer: self.clone() }
    }
}

/// A service that knows who is asking.
#[derive(Clone)]
pub struct Authenticate<S> {
    inner: S,
    layer: AuthenticateLayer,
}

impl<S> Service<Request> for Authenticate<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let named = NamedSession::read(request.headers());
        // There is nothing to know anybody by but the address, and that is known.
        if named.is_none() && self.layer.desk.keys.is_empty() {
            take_down(&request);
            return Either::Left(self.inner.call(request));
        }
        let (AuthenticateLayer { desk, wanted }, inner) = (self.layer.clone(), self.inner.clone());
        let admitted = async move {
            match desk.admit(&mut request, named, wanted).await {
                Ok(()) => {
                    take_down(&request);
                    inner.oneshot(request).await
                }
                Err(refusal) => Ok(refusal),
            }
        };
        Either::Right(admitted.boxed())
    }
}

/// Takes down at the request's record who is asking.
fn take_down(request: &Request) {
    let extensions = request.extensions();
    if let (Some(record), Some(caller)) = (extensions.get::<Arc<Record>>(), extensions.get::<Caller>()) {
        record.set_caller(caller.into());
    }
}

impl Desk {
    /// Writes down at the request who is asking and which session it names, or refuses it.
    async fn admit(&self, request: &mut Request, named: Option<NamedSession>, wanted: Wanted) -> Result<(), Response> {
        let key = self.key(request.headers(), wanted)?.map(Arc::clone);
        // Everyone has been identified further out.
        let Some(Caller { address, .. }) = request.extensions().get::<Caller>() else {
            return Err(ApiError::internal().into_response());
        };
        let mut caller = Caller { address: *address, who: key.map_or(Who::Anyone, Who::Key) };
        if let Some(named) = named {
            if named.is_forgeable && caller.who == Who::Anyone {
                self.check_origin(request.method(), request.headers()).map_err(ApiError::into_response)?;
            }
            request.extensions_mut().insert(named);
        }
        if wanted == Wanted::Client {
            let session = match named {
                Some(named) => {
                    let begun = Instant::now();
                    let session = self.session(named, &caller, begun).await?;
                    request.extensions_mut().insert(StoreTook { session: begun.elapsed(), limiter: None });
                    session
                }
                None => None,
            };
            if session.is_none() && caller.who == Who::Anyone && !self.keys.is_empty() {
                return Err(unauthorized(Realm::Clients, "Not signed in", NO_KEY));
            }
            caller.who = match (session.and_then(|session| session.user), caller.who) {
                (Some(user), _) => Who::User(user),
                (None, Who::Key(key)) => match user_of_key(request.headers())? {
                    Some(user) => Who::UserOf(key, user),
                    None => Who::Key(key),
                },
                (None, who) => who,
            };
        }
        request.extensions_mut().insert(caller);
        Ok(())
    }

    /// The key that was given. Where there are none, `Authorization` means nothing: clients of other services send it always.
    fn key(&self, headers: &HeaderMap, wanted: Wanted) -> Result<Option<&Arc<ApiKey>>, Response> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        match (bearer_token(headers), wanted) {
            (Some(token), Wanted::Client | Wanted::Key) => self
                .keys
                .of(token)
                .map(Some)
                .ok_or_else(|| unauthorized(Realm::Clients, "The API key is not known", NO_KEY)),
            (Some(token), Wanted::Anyone) => Ok(self.keys.of(token)),
            (None, Wanted::Key) => Err(unauthorized(Realm::Clients, "An API key is wanted", ONLY_KEY)),
            (None, Wanted::Client | Wanted::Anyone) => Ok(None),
        }
    }

    /// The session that is named. `None`: there is no such session.
    async fn session(
        &self,
        named: NamedSession,
        caller: &Caller,
        begun: Instant,
    ) -> Result<Option<LiveSession>, Response> {
        match self.sessions.live(named.id, caller, begun + self.store_timeout).await {
            // Who may ask anyway is not kept from it because nobody can say who it is.
            Err(_) if caller.who != Who::Anyone || self.keys.is_empty() => Ok(None),
            found => found.map_err(|error| ApiError::from(error).into_response()),
        }
    }

    /// What changes something and may be a forgery of another page, because a browser adds the cookie by itself, must come from
    /// a page that is known.
    fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
        let is_known = |origin: &[u8]| self.origins.iter().any(|allowed| allowed.allows(origin));
        if method.is_safe() || headers.get(header::ORIGIN).is_some_and(|origin| is_known(origin.as_bytes())) {
            return Ok(());
        }
        Err(ApiError::new(StatusCode::FORBIDDEN, "The page may not use this session")
            .message("A request with the session's cookie needs an `Origin` that FRONTEND_URL lists. Servers send `X-Session-Id`."))
    }
}

const NO_KEY: &str =
    "Send an API key as `Authorization: Bearer <key>`, or the cookie or `X-Session-Id` of a live session.";
const ONLY_KEY: &str = "Send an API key as `Authorization: Bearer <key>`.";

/// The user for whom the holder of a key asks. Empty: nobody in particular.
fn user_of_key(headers: &HeaderMap) -> Result<Option<UserId>, Response> {
    let Some(value) = headers.get(USER_HEADER).filter(|value| !value.is_empty()) else { return Ok(None) };
    let user = std::str::from_utf8(value.as_bytes()).ok().and_then(|text| UserId::new(text).ok());
    user.map(Some).ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, "`X-User-Id` is not an id")
            .message("It has 1 to 256 bytes of UTF-8 without control characters.")
            .into_response()
    })
}

//! Sessions over HTTP: a trusted server makes and changes them, whoever has one may look at it and end it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use cookie::{Cookie, time::Duration as CookieAge};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::Instant;

use crate::{
    caller::{Caller, UserId},
    config::SameSite,
    error::ApiError,
    layers::{NamedSession, SESSION_COOKIE},
    sessions::{MAX_SESSION_BYTES, SessionData, SessionError, SessionOfUser},
};

use super::{Api, rfc3339};

/// How long a trusted server waits for all sessions of a user.
const MANY_TIMEOUT: Duration = Duration::from_secs(5);

/// A session that was just made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    session_id: String,
    expires_at: String,
}

/// `POST /sessions`: makes a session that holds the body, an object.
///
/// # Errors
/// 400 and 413 for the body, 503 when the store does not answer.
pub async fn create(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let data = read_data(&api, &head, body).await?;
    let id = api.sessions.create(&data, by(&api)).await?;
    let made = Made { session_id: id.to_hex(), expires_at: rfc3339(api.sessions.expires_at_ms()) };
    let mut response = (StatusCode::CREATED, Json(made)).into_response();
    set_cookie(&api, &mut response, &id.to_hex(), api.sessions.ttl());
    Ok(private(response))
}

/// `GET /sessions/current`: what the session holds. It is used by that, and the cookie lives on with it.
///
/// # Errors
/// 404 when there is none, 503 when the store does not answer.
pub async fn current(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (named, caller) = (named(&request)?, caller(&request)?);
    let json = api.sessions.get(named.id, &caller, by(&api)).await?.ok_or_else(no_session)?;
    Ok(holding(&api, named, json))
}

/// `PATCH /sessions/current`: puts the fields of the body into the session, one level deep, and answers with all of it.
///
/// # Errors
/// 400 and 413 for the body, 404 when there is no session, 503 when the store does not answer: it may be done.
pub async fn update(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let named = named(&request)?;
    let (head, body) = request.into_parts();
    let part = read_data(&api, &head, body).await?;
    let json = api.sessions.update(named.id, part, by(&api)).await?.ok_or_else(no_session)?;
    Ok(holding(&api, named, json))
}

/// How many sessions there were.
#[derive(Serialize)]
struct Deleted {
    deleted: u64,
}

/// `DELETE /sessions/current`: ends the session.
///
/// # Errors
/// 404 when there is none, 503 when the store does not answer.
pub async fn end(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (named, caller) = (named(&request)?, caller(&request)?);
    let was_there = api.sessions.end(named.id, &caller, by(&api)).await?;
    let mut response =
        if was_there { Json(Deleted { deleted: 1 }).into_response() } else { no_session().into_response() };
    set_cookie(&api, &mut response, "", Duration::ZERO);
    Ok(private(response))
}

/// The sessions of a user.
#[derive(Serialize)]
struct OfUser {
    sessions: Vec<Listed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    session_id: String,
    expires_at: String,
    data: Box<RawValue>,
}

/// `GET /users/{id}/sessions`: the sessions of a user.
///
/// # Errors
/// 400 when it is no id, 503 when the store does not answer.
pub async fn of_user(State(api): State<Arc<Api>>, Path(user): Path<String>) -> Result<Response, ApiError> {
    let sessions = api.sessions.of_user(&user_id(&user)?, by_and_by(&api)).await?;
    let listed = |SessionOfUser { id, json, expires_in }: SessionOfUser| {
        let expires_in = u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX);
        let expires_at = rfc3339(api.clock.epoch_ms().saturating_add(expires_in));
        let data = serde_json::from_slice(&json).or_else(|_| to_raw_value(&()));
        Ok(Listed { session_id: id.to_hex(), expires_at, data: data.map_err(|_| ApiError::internal())? })
    };
    let sessions = sessions.into_iter().map(listed).collect::<Result<_, ApiError>>()?;
    Ok(private(Json(OfUser { sessions }).into_response()))
}

/// `DELETE /users/{id}/sessions`: ends the sessions of a user.
///
/// # Errors
/// 400 when it is no id, 503 when the store does not answer: some may be ended.
pub async fn end_all(State(api): State<Arc<Api>>, Path(user): Path<String>) -> Result<Response, ApiError> {
    let deleted = api.sessions.end_all(&user_id(&user)?, by_and_by(&api)).await?;
    Ok(private(Json(Deleted { deleted }).into_response()))
}

fn by(api: &Api) -> Instant {
    Instant::now() + api.store_timeout
}

/// For what takes a store many commands, and no person waits for.
fn by_and_by(api: &Api) -> Instant {
    Instant::now() + api.store_timeout.max(MANY_TIMEOUT)
}

async fn read_data(api: &Api, head: &Parts, body: axum::body::Body) -> Result<SessionData, ApiError> {
    let body = api.bodies.read_json_up_to(MAX_SESSION_BYTES, &head.headers, body).await?;
    SessionData::read(&body).ok_or_else(|| {
        ApiError::new(StatusCode::BAD_REQUEST, "A session is a JSON object")
            .message("Send an object, such as {\"userId\":\"ann\"}.")
    })
}

fn named(request: &Request) -> Result<NamedSession, ApiError> {
    request.extensions().get::<NamedSession>().copied().ok_or_else(no_session)
}

fn caller(request: &Request) -> Result<Caller, ApiError> {
    request.extensions().get().cloned().ok_or_else(ApiError::internal)
}

fn user_id(text: &str) -> Result<UserId, ApiError> {
    UserId::new(text).map_err(|error| SessionError::BadUser(error).into())
}

fn no_session() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "No such session")
        .message("The cookie `sessionId` or the header `X-Session-Id` names no session that is live.")
}

/// What a session holds. A browser that named it keeps its cookie for as long as the session lives now.
fn holding(api: &Api, named: NamedSession, json: Bytes) -> Response {
    let mut response = ([(header::CONTENT_TYPE, "application/json")], json).into_response();
    if named.is_cookie {
        set_cookie(api, &mut response, &named.id.to_hex(), api.sessions.ttl());
    }
    private(response)
}

fn set_cookie(api: &Api, response: &mut Response, value: &str, age: Duration) {
    let same_site = match api.session_cookie.same_site {
        SameSite::Lax => cookie::SameSite::Lax,
        SameSite::None => cookie::SameSite::None,
    };
    let cookie = Cookie::build((SESSION_COOKIE, value))
        .http_only(true)
        .path("/")
        .max_age(CookieAge::try_from(age).unwrap_or(CookieAge::MAX))
        .secure(api.session_cookie.is_secure)
        .same_site(same_site)
        .build();
    if let Ok(mut value) = HeaderValue::try_from(cookie.to_string()) {
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// Nobody between here and the client keeps it.
fn private(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

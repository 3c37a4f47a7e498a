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
use utoipa::ToSchema;

use crate::{
    caller::{Caller, UserId},
    config::SameSite,
    error::ApiError,
    layers::{NamedSession, SESSION_COOKIE},
    sessions::{MAX_SESSION_BYTES, SessionData, SessionError, SessionOfUser},
};

use super::{Api, by, rfc3339};

/// How long a trusted server waits for all sessions of a user.
const MANY_TIMEOUT: Duration = Duration::from_secs(5);

/// A session that was just made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionMade)]
struct Made {
    #[schema(pattern = "^[0-9a-f]{64}$")]
    session_id: String,
    expires_at: String,
}

/// What a session holds: any JSON object of up to 16 KB.
#[derive(ToSchema)]
#[schema(as = Session, rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is kept as it was written")]
struct Kept {
    /// Whose it is. `None`: nobody's in particular.
    user_id: Option<KeptUser>,
}

#[derive(ToSchema)]
#[schema(as = SessionUser)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is kept as it was written")]
enum KeptUser {
    /// 1 to 256 bytes without control characters.
    Text(String),
    Number(i64),
}

/// Makes a session that holds the body.
///
/// # Errors
/// 400 and 413 for the body, 503 when the store does not answer.
#[utoipa::path(
    post,
    path = "/sessions",
    operation_id = "create_session",
    tag = "sessions",
    request_body(content = Kept, example = json!({"userId": "ann", "theme": "dark"})),
    responses((
        status = 201, description = "It is made.", body = Made,
        headers(("Set-Cookie" = String, description = "`sessionId`, for a browser.")),
        example = json!({"sessionId": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "expiresAt": "2026-11-25T00:00:00Z"}),
    )),
)]
pub async fn create(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let data = read_data(&api, &head, body).await?;
    let id = api.sessions.create(&data, by(&api, None)).await?;
    let made = Made { session_id: id.to_hex(), expires_at: expires_at(&api, api.sessions.ttl()) };
    let mut response = (StatusCode::CREATED, Json(made)).into_response();
    set_cookie(&api, &mut response, &id.to_hex(), api.sessions.ttl());
    Ok(private(response))
}

/// Says what the session holds.
///
/// It is used by that, and the cookie lives on with it.
///
/// # Errors
/// 404 when there is none, 503 when the store does not answer.
#[utoipa::path(
    get,
    path = "/sessions/current",
    operation_id = "current_session",
    tag = "sessions",
    responses(
        (
            status = 200, description = "What it holds.", body = Kept,
            headers(("Set-Cookie" = String, description = "The cookie again, where a cookie named the session.")),
            example = json!({"theme": "dark", "userId": "ann"}),
        ),
        (status = 404, description = "No session that is live is named."),
    ),
)]
pub async fn current(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (named, caller) = (named(&request)?, caller(&request)?);
    let json = api.sessions.get(named.id, &caller, by(&api, None)).await?.ok_or_else(no_session)?;
    Ok(holding(&api, named, json))
}

/// Puts the fields of the body into the session, one level deep, and answers with all of it.
///
/// # Errors
/// 400 and 413 for the body, 404 when there is no session, 503 when the store does not answer: it may be done.
#[utoipa::path(
    patch,
    path = "/sessions/current",
    operation_id = "update_session",
    tag = "sessions",
    security(("apiKey" = [], "sessionHeader" = []), ("apiKey" = [], "sessionCookie" = [])),
    request_body(content = Kept, example = json!({"theme": "light"})),
    responses(
        (
            status = 200, description = "All that it holds now.", body = Kept,
            headers(("Set-Cookie" = String, description = "The cookie again, where a cookie named the session.")),
            example = json!({"theme": "light", "userId": "ann"}),
        ),
        (status = 404, description = "No session that is live is named."),
    ),
)]
pub async fn update(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let named = named(&request)?;
    let (head, body) = request.into_parts();
    let part = read_data(&api, &head, body).await?;
    let json = api.sessions.update(named.id, part, by(&api, None)).await?.ok_or_else(no_session)?;
    Ok(holding(&api, named, json))
}

/// How many sessions there were.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionsEnded)]
struct Deleted {
    deleted: u64,
}

/// Ends the session.
///
/// # Errors
/// 404 when there is none, 503 when the store does not answer.
#[utoipa::path(
    delete,
    path = "/sessions/current",
    operation_id = "end_session",
    tag = "sessions",
    responses(
        (
            status = 200, description = "It is ended.", body = Deleted,
            headers(("Set-Cookie" = String, description = "An empty one that ends at once.")),
            example = json!({"deleted": 1}),
        ),
        (status = 404, description = "No session that is live is named."),
    ),
)]
pub async fn end(State(api): State<Arc<Api>>, request: Request) -> Result<Response, ApiError> {
    let (named, caller) = (named(&request)?, caller(&request)?);
    let was_there = api.sessions.end(named.id, &caller, by(&api, None)).await?;
    let mut response =
        if was_there { Json(Deleted { deleted: 1 }).into_response() } else { no_session().into_response() };
    set_cookie(&api, &mut response, "", Duration::ZERO);
    Ok(private(response))
}

/// The sessions of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionList)]
struct OfUser {
    sessions: Vec<Listed>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionListed)]
struct Listed {
    #[schema(pattern = "^[0-9a-f]{64}$")]
    session_id: String,
    expires_at: String,
    /// What it holds.
    #[schema(value_type = Kept)]
    data: Box<RawValue>,
}

/// Lists the sessions of a user.
///
/// # Errors
/// 400 when it is no id, 503 when the store does not answer.
#[utoipa::path(
    get,
    path = "/users/{id}/sessions",
    operation_id = "list_sessions",
    tag = "sessions",
    params(("id" = String, Path, description = "Its `userId`.", example = "ann", min_length = 1, max_length = 256)),
    responses((status = 200, description = "All of them.", body = OfUser, example = json!({"sessions": [{
        "sessionId": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "expiresAt": "2026-11-25T00:00:00Z", "data": {"userId": "ann"}
    }]}))),
)]
pub async fn of_user(State(api): State<Arc<Api>>, Path(user): Path<String>) -> Result<Response, ApiError> {
    let sessions = api.sessions.of_user(&user_id(&user)?, by_and_by(&api)).await?;
    let listed = |SessionOfUser { id, json, expires_in }: SessionOfUser| {
        let data = serde_json::from_slice(&json).or_else(|_| to_raw_value(&()));
        Ok(Listed {
            session_id: id.to_hex(),
            expires_at: expires_at(&api, expires_in),
            data: data.map_err(|_| ApiError::internal())?,
        })
    };
    let sessions = sessions.into_iter().map(listed).collect::<Result<_, ApiError>>()?;
    Ok(private(Json(OfUser { sessions }).into_response()))
}

/// Ends the sessions of a user.
///
/// # Errors
/// 400 when it is no id, 503 when the store does not answer: some may be ended.
#[utoipa::path(
    delete,
    path = "/users/{id}/sessions",
    operation_id = "end_sessions",
    tag = "sessions",
    params(("id" = String, Path, description = "Its `userId`.", example = "ann", min_length = 1, max_length = 256)),
    responses((status = 200, description = "How many there were.", body = Deleted, example = json!({"deleted": 2}))),
)]
pub async fn end_all(State(api): State<Arc<Api>>, Path(user): Path<String>) -> Result<Response, ApiError> {
    let deleted = api.sessions.end_all(&user_id(&user)?, by_and_by(&api)).await?;
    Ok(private(Json(Deleted { deleted }).into_response()))
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

/// When a session ends that is not used for `expires_in`.
fn expires_at(api: &Api, expires_in: Duration) -> String {
    let expires_in = u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX);
    rfc3339(api.clock.epoch_ms().saturating_add(expires_in))
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

//! What every request gets: an id, a span, errors as JSON, and one line in the log when its reply has ended.

use std::{
    convert::Infallible,
    future::Future,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Serialize;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    error::ApiError,
    layers::Held,
    metrics::known_method,
    telemetry::{CallerKind, Ending, Generating, Record, Telemetry, milliseconds, without_ids},
    trace,
};

use super::openai;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What the vendors' own clients go by before they go by the status.
const X_SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The longest id that is taken over from a client.
const MAX_ID_BYTES: usize = 128;

/// What a page may load: nothing but what it brings itself. And its scripts cannot make markup of texts, whatever they try.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);

/// Puts an [`Edge`] around a service: outside everything else.
#[derive(Clone)]
pub struct EdgeLayer {
    telemetry: Arc<Telemetry>,
}

impl EdgeLayer {
    /// Tells `telemetry` of every request.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self { telemetry }
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, telemetry: Arc::clone(&self.telemetry) }
    }
}

/// A service whose requests have an id and whose errors are JSON.
#[derive(Clone)]
pub struct Edge<S> {
    inner: S,
    telemetry: Arc<Telemetry>,
}

impl<S> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = request_id(request.headers());
        let span = trace::request(&id, request.uri().path(), request.headers());
        let record = Arc::new(Record::new(Arc::clone(&id)));
        self.telemetry.metrics.http.begun();
        let ended = Ended {
            span: span.clone(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            status: None,
            record: Arc::clone(&record),
            telemetry: Arc::clone(&self.telemetry),
        };
        request.extensions_mut().insert(record);
        let answering = span.in_scope(|| self.inner.call(request)).instrument(span);
        answer(answering, id, ended).boxed()
    }
}

async fn answer(
    answering: impl Future<Output = Result<Response, Infallible>>,
    id: Arc<str>,
    mut ended: Ended,
) -> Result<Response, Infallible> {
    let form = Form::of(&ended.path);
    let mut response = harden(say(answering.await?, &id, form));
    if let Ok(value) = HeaderValue::try_from(&*id) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    ended.status = Some(response.status());
    Ok(response.map(|body| Held::body(body, ended)))
}

/// Says what a browser must not make of a reply: something else than its type says, a source of addresses for other sites, and
/// of a page, one that loads or is loaded by others.
fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let content_type = headers.get(header::CONTENT_TYPE);
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/html")) {
        // A page that needs more says so itself.
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(PAGE_POLICY);
    }
    response
}

/// The client's own id if it is sane, else a new one.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let sane = |id: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
        !id.is_empty() && id.len() <= MAX_ID_BYTES && id.bytes().all(plain)
    };
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    given.map_or_else(|| Arc::from(&*Uuid::now_v7().hyphenated().encode_lower(&mut Uuid::encode_buffer())), Arc::from)
}

/// How errors are said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As the original says them.
    Original,
    /// As `OpenAI` does.
    OpenAi,
}

impl Form {
    /// The form of the API that `path` belongs to.
    pub(super) fn of(path: &str) -> Self {
        if path == "/v1" || path.starts_with("/v1/") { Form::OpenAi } else { Form::Original }
    }
}

/// Writes the body of an error, now that its id is known. An error that comes from a library is said in our form too.
fn say(mut response: Response, id: &str, form: Form) -> Response {
    let error = response.extensions_mut().remove::<ApiError>();
    let status = response.status();
    let is_json = || {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
    };
    let error = match error {
        Some(error) => error,
        None if (status.is_client_error() || status.is_server_error()) && !is_json() => {
            ApiError::new(status, status.canonical_reason().unwrap_or("Error"))
        }
        None => return response,
    };
    let (body, should_retry) = match form {
        Form::Original => (serde_json::to_vec(&Said { error: &error, request_id: id }), None),
        Form::OpenAi => (serde_json::to_vec(&openai::Said::from(&error)), openai::should_retry(&error)),
    };
    *response.body_mut() = body.unwrap_or_default().into();
    let headers = response.headers_mut();
    if let Some(should_retry) = should_retry {
        let value = if should_retry { "true" } else { "false" };
        headers.insert(X_SHOULD_RETRY, HeaderValue::from_static(value));
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error in the original's form.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Error)]
pub(super) struct Said<'a> {
    #[serde(flatten)]
    #[schema(inline)]
    error: &'a ApiError,
    /// What `X-Request-Id` says too.
    request_id: &'a str,
}

/// Lives in the reply's body, and says so when that has ended: one line for a request, with all that is known.
struct Ended {
    span: Span,
    method: Method,
    path: String,
    /// `None`: the client left before there was one.
    status: Option<StatusCode>,
    record: Arc<Record>,
    telemetry: Arc<Telemetry>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let Self { span, method, path, status: answered, record, telemetry } = self;
        let answered = answered.map(|status| status.as_u16());
        // nginx's word for it, and most log tools know it.
        let status = answered.unwrap_or(499);
        let took = record.arrived.elapsed();
        let (verb, ms) = (method.as_str(), milliseconds(took));
        let path = &*without_ids(path);
        let ending = record.ending(status).map(Ending::as_str);
        match record.generation() {
            Some(generating) => tell(span, verb, path, status, ms, ending, record, generating),
            None if is_routine(path) => {
                tracing::debug!(parent: &*span, method = verb, path, status, ms, "answered");
            }
            None => {
                let caller = record.caller().map(CallerKind::as_str);
                tracing::info!(parent: &*span, method = verb, path, status, ms, caller, cache = ending, "answered");
            }
        }
        telemetry.ended(record, method, status, took);
        trace::Ended {
            method: known_method(method.as_str()),
            path,
            route: &record.route(),
            status: answered,
            ending,
            error: record.generation().and_then(Generating::failure).map(|failure| failure.kind.as_str()),
        }
        .tell(span);
    }
}

/// Whether platforms, monitors or an open page ask for it every few seconds, or a page that is opened for many at once.
fn is_routine(path: &str) -> bool {
    ["/health", "/health/ready", "/metrics", "/llm/status"].contains(&path) || path.starts_with("/assets/")
}

/// Tells of a generation. Its path is its route: there is none with a name in it.
#[expect(clippy::too_many_arguments, reason = "they are the fields of one line")]
fn tell(
    span: &Span,
    method: &str,
    path: &str,
    status: u16,
    ms: f64,
    cache: Option<&str>,
    record: &Record,
    generating: &Generating,
) {
    let (answer, failure) = (generating.answer(), generating.failure());
    let caller = record.caller().map(CallerKind::as_str);
    let target = answer.map_or(&generating.asked, |answer| &answer.served);
    let (provider, model) = (target.provider.as_str(), target.model.as_str());
    let attempts = generating.attempts();
    let input_tokens = answer.map(|answer| answer.usage.input_tokens);
    let output_tokens = answer.map(|answer| answer.usage.output_tokens);
    let cost = answer.map(|answer| answer.cost.unwrap_or_default().dollars());
    let first_text_ms = generating.first_text().map(milliseconds);
    let error = failure.map(|failure| failure.kind.as_str());
    macro_rules! told {
        ($($message:tt)+) => {
            tracing::info!(
                parent: span, method, path, status, ms, caller, provider, model, cache, attempts, input_tokens,
                output_tokens, cost, first_text_ms, error, $($message)+
            )
        };
    }
    match generating.looked_up() {
        Some((key, true)) => told!("LLM Cache HIT: {key}"),
        Some((key, false)) => told!("LLM Cache MISS: {key}"),
        None => told!("answered"),
    }
}

#[cfg(test)]
mod tests {
    use axum::response::{Html, IntoResponse as _};

    use super::*;

    #[test]
    fn a_page_says_what_it_may_load_and_may_say_it_itself() {
        let policy = |response: Response| harden(response).headers()[header::CONTENT_SECURITY_POLICY].clone();
        assert_eq!(policy(Html("<p>").into_response()), PAGE_POLICY);
        let own = ([(header::CONTENT_SECURITY_POLICY, "sandbox")], Html("<p>")).into_response();
        assert_eq!(policy(own), "sandbox");
    }

    #[test]
    fn only_a_sane_id_is_taken_over() {
        let id = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            request_id(&headers).to_string()
        };
        assert_eq!(id("req-1795485306112-abcdefghi"), "req-1795485306112-abcdefghi");
        for insane in ["", "a b", "a\"b", "ü", &"x".repeat(129)] {
            assert_ne!(id(insane), insane);
            assert_eq!(id(insane).len(), 36, "{insane}");
        }
    }
}

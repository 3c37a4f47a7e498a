//! Rules for other whole replies. Each asks what was sent, what the old said, and that the new says exactly what is meant; to HEAD,
//! that it says of what type that would be.

use axum::http::Method;
use serde_json::{Value, json};

use super::refusals::{REFUSALS, is_exception, is_limited};
use crate::compare::{Body, Exchange, Recorded, Reply, answers::PERIODS, look::Look};

const JSON: &str = "application/json";

pub(super) fn health(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_old = |body: &Value| {
        ["healthy", "redis", "memory"].iter().all(|field| body[field].is_boolean()) && body["uptime"].is_number()
    };
    request.reads("/health")
        && [200, 503].contains(&old.status)
        && (old.would_be(JSON) || old.json().is_some_and(is_old))
        && new.status == 200
        && (new.would_be(JSON) || new.json() == Some(&json!({"status": "ok"})))
}

pub(super) fn status_page(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_greeting = !matches!(&old.body, Body::Page(page) if page.contains("<script"));
    let is_own = !matches!(&new.body, Body::Page(page) if !page.contains("<title>llm-gateway</title>"));
    request.reads("/")
        && (old.status, new.status) == (200, 200)
        && (old.is_page(), new.is_page()) == (true, true)
        && is_greeting
        && is_own
}

pub(super) fn prometheus(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_metrics = matches!(&new.body, Body::Text(text) if text.starts_with("# "));
    request.reads("/metrics")
        && (old.would_be(JSON) || old.json().is_some_and(|body| body["httpRequests"].is_object()))
        && new.status == 200
        && (new.would_be("text/plain") || is_metrics)
        && new.header("content-type").is_some_and(|kind| kind.starts_with("text/plain"))
}

/// What the old knows, but for what changes one alert or period.
const ROUTES: [(&str, &str); 14] = [
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("POST", "/llm/generate"),
    ("GET", "/llm/models"),
    ("GET", "/llm/providers"),
    ("GET", "/llm/cache/stats"),
    ("GET", "/llm/usage"),
    ("POST", "/llm/test-provider"),
    ("GET", "/llm/budget/status"),
    ("GET", "/llm/budget/config"),
    ("PUT", "/llm/budget/config"),
    ("GET", "/llm/budget/analytics"),
    ("GET", "/llm/budget/alerts"),
];

/// Whether both have to know this path with this method, so that «not found» says that the address is wrong.
fn is_known(request: &Recorded) -> bool {
    let route = request.route();
    let method = if request.method == Method::HEAD { "GET" } else { request.method.as_str() };
    let changes = ["/llm/budget/reset/", "/llm/budget/alerts/"];
    ROUTES.contains(&(method, &route)) || method == "POST" && changes.iter().any(|start| route.starts_with(start))
}

/// The largest body that the new takes, unless it is told otherwise.
const PROMISED_BYTES: usize = 1 << 20;

pub(super) fn json_errors(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_meant = match old.status {
        404 => !is_known(request),
        400 | 415 => !request.body.is_empty(),
        413 => request.body.len() > PROMISED_BYTES,
        _ => false,
    };
    old.is_page() && is_meant && new.status == old.status && new.is_error()
}

pub(super) fn wrong_method(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let allow = new.header("allow").unwrap_or_default();
    let names = |allow: &str| allow.split(',').any(|method| method.trim() == request.method.as_str());
    !is_known(request)
        && old.is_page()
        && old.status == 404
        && new.status == 405
        && new.is_error()
        && !allow.is_empty()
        && !names(allow)
}

pub(super) fn body_must_be_json(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let content_type = request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let is_json = content_type.split(';').next().unwrap_or_default().trim() == "application/json";
    let was_refused = (old.status == 400 && old.json().is_some_and(|body| body["errors"].is_array())) || threw(old);
    let is_none = request.json().is_none_or(|body| !body.is_object());
    was_refused
        && new.is_error()
        && match new.status {
            415 => !is_json,
            400 => is_none && old.status == 400 && new.json().is_some_and(|body| body.get("errors").is_none()),
            _ => false,
        }
}

fn threw(old: &Reply) -> bool {
    old.status == 500 && old.json().is_some_and(is_exception)
}

pub(super) fn own_sentences(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    // Who only reads, or asks a question, has done nothing wrong; and no question is answered without a key.
    let is_wrong = [Method::POST, Method::PUT].contains(&request.method) && !request.is_question();
    is_wrong
        && threw(old)
        && [400, 422].contains(&new.status)
        && new.is_error()
        && !REFUSALS.contains(&new.text("error"))
        && !new.json().is_some_and(is_exception)
}

pub(super) fn limited_before_reading(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_unread = request.is_generation() && old.is_page() && [400, 413, 415].contains(&old.status);
    let spends = request.method == Method::POST && request.route() == "/llm/test-provider" && old.status == 200;
    (was_unread || spends) && is_limited(new)
}

pub(super) fn administrators_only(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let route = request.route();
    let changes = match request.method {
        Method::PUT => route == "/llm/budget/config",
        Method::POST => {
            route.starts_with("/llm/budget/reset/")
                || (route.starts_with("/llm/budget/alerts/") && route.ends_with("/acknowledge"))
        }
        _ => false,
    };
    // A 404 of the old says what is not there; one of the new, that there is no such route.
    let is_closed = new.status == 401 || (new.status == 404 && new.text("error") == "Not found");
    // Who shows a token has to have the right one.
    let is_refused_in_vain = new.status == 401 && request.header("authorization").is_some();
    changes && old.json().is_some() && new.is_error() && is_closed && !is_refused_in_vain
}

pub(super) fn settings_are_checked(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    request.method == Method::PUT
        && request.route() == "/llm/budget/config"
        && request.json().is_none_or(|settings| !makes_sense(&settings))
        && [200, 500].contains(&old.status)
        && old.json().is_some()
        && new.status == 400
        && new.is_error()
}

/// Whether budget settings are what they are called, so that nobody may refuse them.
fn makes_sense(settings: &Value) -> bool {
    let is_amount = |value: &Value, most: f64| value.as_f64().is_some_and(|amount| (0.0..=most).contains(&amount));
    let is_threshold = |(period, value): (&String, &Value)| {
        ["daily", "weekly", "monthly"].contains(&period.as_str()) && is_amount(value, 100.0)
    };
    let is_setting = |(name, value): (&String, &Value)| match name.as_str() {
        "dailyLimit" | "weeklyLimit" | "monthlyLimit" => is_amount(value, 1e9),
        "alertThresholds" => value.as_object().is_some_and(|periods| periods.iter().all(is_threshold)),
        "enableAlerts" | "hardLimit" => value.is_boolean(),
        _ => false,
    };
    settings.as_object().is_some_and(|fields| fields.iter().all(is_setting))
}

pub(super) fn settings_break_nothing(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let has_answer = match &new.body {
        Body::Json(body) if request.route() == "/llm/budget/status" => Look::Object(PERIODS).fits(body),
        _ => new.would_be(JSON) || request.is_generation() && new.metadata("mock") == Some(&Value::Bool(false)),
    };
    // Other exceptions in a stream stand for a refusal.
    let read_nothing = |event: &Value| event.to_string().contains("Cannot read propert");
    let failed =
        threw(old) || old.ends_in("ERROR").is_some_and(read_nothing) || old.status == 500 && old.would_be(JSON);
    (request.reads("/llm/budget/status") || request.is_question()) && failed && new.status == 200 && has_answer
}

pub(super) fn no_304(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let asked = request.header("if-none-match").is_some();
    let has_body = new.json().is_some() || request.method == Method::HEAD && new.would_be(JSON);
    asked && old.status == 304 && new.status == 200 && has_body && new.header("etag").is_none()
}

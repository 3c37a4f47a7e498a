//! Rules for whole replies. Each asks what was sent, what the old said, and that the new says exactly what is meant.

use axum::http::Method;
use serde_json::{Value, json};

use crate::compare::{Body, Exchange, Recorded, Reply, events::outline};

/// The largest body that the old took.
const OLD_LIMIT_BYTES: usize = 100 * 1024;
/// What the old cached answers and errors by: texts of the language that it is written in.
const EXCEPTIONS: [&str; 6] = [
    "is not a function",
    "is not iterable",
    "Cannot destructure",
    "Cannot read propert",
    "Cannot set headers",
    "[object Object]",
];

/// What is refused before a provider is called.
const REFUSALS: [&str; 4] = [
    "Provider not configured",
    "Model not supported for provider",
    "Missing model registry entry",
    "Budget limit exceeded",
];

pub(super) fn health(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_old = |body: &Value| {
        ["healthy", "redis", "memory"].iter().all(|field| body[field].is_boolean()) && body["uptime"].is_number()
    };
    request.method == Method::GET
        && request.route() == "/health"
        && [200, 503].contains(&old.status)
        && old.json().is_some_and(is_old)
        && new.status == 200
        && new.json() == Some(&json!({"status": "ok"}))
}

pub(super) fn status_page(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_greeting = |body: &Body| matches!(body, Body::Page(page) if !page.contains("<script"));
    let is_page =
        |body: &Body| matches!(body, Body::Page(page) if page.to_ascii_lowercase().contains("<!doctype html"));
    request.method == Method::GET
        && request.route() == "/"
        && (old.status, new.status) == (200, 200)
        && is_greeting(&old.body)
        && is_page(&new.body)
}

pub(super) fn prometheus(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_metrics = matches!(&new.body, Body::Text(text) if text.starts_with("# "));
    request.method == Method::GET
        && request.route() == "/metrics"
        && old.json().is_some_and(|body| body["httpRequests"].is_object())
        && new.status == 200
        && is_metrics
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

pub(super) fn json_errors(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_meant = match old.status {
        404 => !is_known(request),
        400 | 413 | 415 => !request.body.is_empty(),
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

pub(super) fn larger_bodies(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    old.is_page()
        && old.status == 413
        && request.body.len() > OLD_LIMIT_BYTES
        && (new.answer().is_some() || ([400, 422].contains(&new.status) && new.is_error()))
}

pub(super) fn body_must_be_json(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let content_type = request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let is_json = content_type.split(';').next().unwrap_or_default().trim() == "application/json";
    let was_refused = (old.status == 400 && old.json().is_some_and(|body| body["errors"].is_array()))
        || (old.status == 500 && is_exception(old));
    !is_json && was_refused && new.status == 415 && new.is_error()
}

pub(super) fn streaming_is_a_flag(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_strange = |value: Value| !value.is_boolean() && !value.is_null();
    request.is_generation()
        && request.field("streaming").is_some_and(is_strange)
        && (old.answer().is_some() || old.ends_in("ERROR").is_some())
        && new.status == 400
        && new.is_error()
        && complains_of_only(new, &["streaming"])
}

/// Whether all entries of `errors` are of these fields, and there are some.
fn complains_of_only(reply: &Reply, fields: &[&str]) -> bool {
    let errors = reply.json().and_then(|body| body["errors"].as_array());
    let is_meant = |error: &Value| error["path"].as_str().is_some_and(|path| fields.contains(&path));
    errors.is_some_and(|errors| !errors.is_empty() && errors.iter().all(is_meant))
}

pub(super) fn refused_before_the_stream(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_called = |event: &Value| ["executing", "COMPLETE"].contains(&outline(event).as_str());
    let is_same = |event: &Value| {
        let (old, new) = (event["error"].as_str().unwrap_or_default(), new.text("error"));
        // What the old could no longer send as a status, it told as an exception.
        old == new || EXCEPTIONS.iter().any(|words| old.contains(words)) && REFUSALS.contains(&new)
    };
    request.is_generation()
        && old.status == 200
        && old.ends_in("ERROR").is_some_and(is_same)
        && old.events().is_some_and(|events| !events.iter().any(was_called))
        && [422, 429].contains(&new.status)
        && new.is_error()
}

pub(super) fn failures_are_errors(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_made_up = old.metadata("mock") == Some(&Value::Bool(true));
    request.is_generation() && was_made_up && (is_upstream_error(new) || ends_in_error(new))
}

/// Whether it is a provider's failure with its status.
fn is_upstream_error(new: &Reply) -> bool {
    let named = ["provider", "model", "requestId"].iter().all(|field| !new.text(field).is_empty());
    let has_status = match new.status {
        // The provider limits us, or refuses the request itself.
        400 | 404 | 413 | 502 | 503 | 504 => true,
        429 => new.header("retry-after").is_some(),
        _ => false,
    };
    has_status && new.is_error() && named
}

/// Whether it is a stream that was begun in order, and ends in an error that can be shown.
fn ends_in_error(new: &Reply) -> bool {
    let Some(error) = new.ends_in("ERROR") else { return false };
    let said = ["error", "message"].iter().all(|field| error[field].as_str().is_some_and(|text| !text.is_empty()));
    let mut names: Vec<_> = new.events().unwrap_or_default().iter().map(outline).collect();
    names.dedup();
    let begins = ["user", "planning", "researching", "executing"];
    let is_begun = names.iter().take(4).eq(begins.iter());
    let rest = names.iter().skip(4).filter(|name| *name != "DELTA");
    new.status == 200 && said && is_begun && rest.eq(["ERROR"].iter())
}

pub(super) fn empty_answers_fail(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    request.is_generation()
        && old.status == 500
        && old.text("details") == "No response generated from model"
        && new.status == 502
        && is_upstream_error(new)
}

/// Whether it is an answer of a model, whole.
fn is_answered(new: &Reply) -> bool {
    let is_whole =
        |answer: &Value| answer["code"].as_str().is_some_and(|code| !code.is_empty()) && answer["budget"].is_object();
    let names_whom = ["model", "provider"].iter().all(|name| new.metadata(name).is_some_and(Value::is_string));
    let is_real = new.metadata("mock") == Some(&Value::Bool(false));
    new.status == 200 && new.answer().is_some_and(is_whole) && names_whom && is_real
}

/// Whether the answer's metadata say this, whatever the case.
fn is_said(new: &Reply, field: &str, name: &str) -> bool {
    new.metadata(field).and_then(Value::as_str).is_some_and(|said| said.eq_ignore_ascii_case(name.trim()))
}

pub(super) fn every_mode_answers(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let text = |name| request.field(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let (mode, provider) = (text("routingMode"), text("activeProvider"));
    let never_worked = ["heuristic", "cost-aware", "orchestrated"].contains(&mode.as_str())
        || (mode == "single-model" && provider == "google");
    let failed = [422, 500].contains(&old.status) || old.ends_in("ERROR").is_some();
    let is_whom = provider.is_empty() || is_said(new, "provider", &provider);
    request.is_generation() && text("model").trim().is_empty() && never_worked && failed && is_answered(new) && is_whom
}

pub(super) fn one_catalogue(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let refusals = ["Missing model registry entry", "Model not supported for provider"];
    let was_refused = (old.status == 422 && refusals.contains(&old.text("error")))
        || old.ends_in("ERROR").is_some_and(|event| event["error"].as_str().is_some_and(|e| refusals.contains(&e)));
    let is_one_asked = |model: Value| {
        let name = model.as_str().unwrap_or_default().trim();
        let is_prefixed =
            name.split_once(':').is_some_and(|(of, name)| is_said(new, "provider", of) && is_said(new, "model", name));
        !name.is_empty() && (is_prefixed || is_said(new, "model", name))
    };
    let names_it = request.field("model").is_some_and(is_one_asked);
    request.is_generation() && names_it && was_refused && is_answered(new)
}

pub(super) fn blank_prompts(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_blank = |prompt: Value| prompt.as_str().is_some_and(|text| !text.is_empty() && text.trim().is_empty());
    request.is_generation()
        && request.field("prompt").is_some_and(is_blank)
        && old.answer().is_some()
        && new.status == 400
        && new.is_error()
        && complains_of_only(new, &["prompt"])
}

pub(super) fn null_is_absent(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let body = request.json().unwrap_or_default();
    let nulls: Vec<&str> =
        body.as_object().into_iter().flatten().filter(|(_, v)| v.is_null()).map(|(name, _)| name.as_str()).collect();
    request.is_generation()
        && !nulls.contains(&"prompt")
        && old.status == 400
        && complains_of_only(old, &nulls)
        && is_answered(new)
}

fn is_exception(old: &Reply) -> bool {
    let said = [old.text("error"), old.text("details")];
    said.iter().any(|said| EXCEPTIONS.iter().any(|words| said.contains(words)))
}

pub(super) fn own_sentences(Exchange { old, new, .. }: &Exchange<'_>) -> bool {
    old.status == 500
        && is_exception(old)
        && [400, 404, 422].contains(&new.status)
        && new.is_error()
        && !is_exception(new)
}

/// Whether the new refuses by its limit, as the old does.
fn is_limited(new: &Reply) -> bool {
    let waits = new.json().is_some_and(|body| body["retryAfter"].as_u64().is_some_and(|seconds| seconds > 0));
    new.status == 429 && new.text("error") == "Rate limit exceeded" && waits && new.header("retry-after").is_some()
}

pub(super) fn spelling_is_no_bucket(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_other = request.path.split('?').next() != Some("/llm/generate");
    request.is_generation() && is_other && old.status != 429 && is_limited(new)
}

pub(super) fn limited_before_reading(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_unread = request.is_generation() && old.is_page() && [400, 413, 415].contains(&old.status);
    let spends = request.method == Method::POST && request.route() == "/llm/test-provider" && old.status == 200;
    (was_unread || spends) && is_limited(new)
}

pub(super) fn hits_are_free(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_over = old.status == 429 && old.text("error") == "Budget limit exceeded";
    let is_hit = new.metadata("cached") == Some(&Value::Bool(true));
    request.is_generation() && was_over && is_hit && is_answered(new)
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
    changes && old.json().is_some() && new.is_error() && is_closed
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

pub(super) fn no_304(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let asked = request.header("if-none-match").is_some();
    asked && old.status == 304 && new.status == 200 && new.json().is_some() && new.header("etag").is_none()
}

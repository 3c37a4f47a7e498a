//! Rules for whole replies to generations. That an answer or an error of the new is one in itself, `answers.rs` and `errors.rs` say;
//! here stands what was asked, what the old said, and which of both the new may say to it.

use serde_json::{Value, json};

use super::refusals::{REFUSALS, UNKNOWN, is_exception, is_limited, lost_its_key, lost_its_way};
use crate::compare::{
    Exchange, Recorded, Reply,
    events::{CALL, outline},
};

/// The largest body that the old took.
const OLD_LIMIT_BYTES: usize = 100 * 1024;

/// The models that the old answered with, so that none of them can have been refused as unknown.
const ANSWERED: [&str; 19] = [
    "gpt-4o",
    "gpt-4-turbo",
    "gpt-4",
    "gpt-3.5-turbo",
    "claude-3-5-sonnet-20241022",
    "claude-3-opus-20240229",
    "claude-3-sonnet-20240229",
    "claude-3-5-haiku-20241022",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "grok-4-fast-reasoning",
    "grok-4-fast-non-reasoning",
    "grok-4-0709",
    "grok-code-fast-1",
    "grok-3",
    "grok-3-mini",
    "grok-2-vision-1212us-east-1",
    "grok-2-vision-1212eu-west-1",
];

/// Whether it asks for one of them, as the old wanted it spelled.
fn is_one_answered(request: &Recorded) -> bool {
    request.text("model").rsplit(':').next().is_some_and(|name| ANSWERED.contains(&name))
}

/// What the old failed with, as JSON or at the end of a stream.
fn failure(old: &Reply) -> Option<&Value> {
    old.ends_in("ERROR").or_else(|| old.json().filter(|_| old.status >= 400))
}

fn text<'a>(failure: &'a Value, field: &str) -> &'a str {
    failure[field].as_str().unwrap_or_default()
}

/// Whether it is an answer of a model, and not of the demo.
fn is_answered(new: &Reply) -> bool {
    new.status == 200 && new.metadata("mock") == Some(&Value::Bool(false))
}

/// Whether all entries of `errors` are of these fields, and there are some.
fn complains_of_only(reply: &Reply, fields: &[&str]) -> bool {
    let errors = reply.json().and_then(|body| body["errors"].as_array());
    let is_meant = |error: &Value| error["path"].as_str().is_some_and(|path| fields.contains(&path));
    errors.is_some_and(|errors| !errors.is_empty() && errors.iter().all(is_meant))
}

/// Whether the new finds fault with the request, and not with its own keys.
fn is_refused_for_itself(new: &Reply) -> bool {
    match new.status {
        400 => new.json().is_some_and(|body| body["errors"].is_array()),
        422 => UNKNOWN.contains(&new.text("error")),
        _ => false,
    }
}

pub(super) fn larger_bodies(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    request.is_generation()
        && old.is_page()
        && old.status == 413
        && request.body.len() > OLD_LIMIT_BYTES
        && (is_answered(new) || new.is_error() && is_refused_for_itself(new))
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

pub(super) fn refused_before_the_stream(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_called = |event: &Value| [CALL, "COMPLETE"].contains(&outline(event).as_str());
    // What the old could no longer send as a status, it told as an exception; but not that a key is missing.
    let was_thrown = match new.text("error") {
        "Budget limit exceeded" => true,
        error => UNKNOWN.contains(&error) && !is_one_answered(request),
    };
    let was_refused = |event: &Value| text(event, "error") == new.text("error") || was_thrown && is_exception(event);
    request.is_generation()
        && old.status == 200
        && old.ends_in("ERROR").is_some_and(was_refused)
        && old.events().is_some_and(|events| !events.iter().any(was_called))
        && [422, 429].contains(&new.status)
        && new.is_error()
}

pub(super) fn failures_are_errors(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_made_up = old.metadata("mock") == Some(&Value::Bool(true));
    // Who was asked is who failed.
    let is_same = |error: &Value| {
        ["provider", "model"].iter().all(|name| error[*name].is_string() && old.metadata(name) == error.get(*name))
    };
    let said = old.metadata("error").and_then(Value::as_str).unwrap_or_default();
    let is_alike = |error: &&Value| {
        let told = text(error, "error");
        !lost_its_key(said, told) && !lost_its_way(said, told)
    };
    request.is_generation() && was_made_up && failed(new).filter(is_alike).is_some_and(is_same)
}

/// What the new says of a provider that failed, with its status or at the end of a stream.
fn failed(new: &Reply) -> Option<&Value> {
    let has_status = match new.status {
        // The provider limits us, or refuses the request itself.
        400 | 404 | 413 | 502 | 503 | 504 => true,
        429 => new.header("retry-after").is_some(),
        _ => false,
    };
    let refused = new.json().filter(|_| has_status && new.is_error());
    refused.or_else(|| new.ends_in("ERROR")).filter(|error| error["requestId"].is_string())
}

pub(super) fn empty_answers_fail(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_told = |error: &Value| {
        text(error, "error").contains("empty") && error["provider"].is_string() && error["model"].is_string()
    };
    request.is_generation() && was_empty(old) && failed(new).is_some_and(is_told)
}

/// What the old failed with when an answer was empty.
const NOTHING_SAID: &str = "No response generated from model";

fn was_empty(old: &Reply) -> bool {
    let is_so = |said: &Value| ["error", "details"].iter().any(|field| text(said, field) == NOTHING_SAID);
    failure(old).is_some_and(is_so)
}

pub(super) fn all_parts_are_read(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    request.is_generation() && was_empty(old) && is_answered(new)
}

pub(super) fn every_mode_answers(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let (mode, provider) = (request.text("routingMode"), request.text("activeProvider"));
    let never_worked = ["heuristic", "cost-aware", "orchestrated"].contains(&mode.as_str())
        || (mode == "single-model" && provider == "google");
    let was_refused = [422, 500].contains(&old.status) || old.ends_in("ERROR").is_some();
    request.is_generation()
        && request.text("model").trim().is_empty()
        && never_worked
        && was_refused
        && is_answered(new)
}

pub(super) fn one_catalogue(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_unknown = |said: &Value| {
        // In a stream the old could not say so.
        let was_thrown = old.events().is_some() && is_exception(said) && !is_one_answered(request);
        UNKNOWN.contains(&text(said, "error")) || was_thrown
    };
    request.is_generation()
        && !request.text("model").trim().is_empty()
        && failure(old).is_some_and(was_unknown)
        && is_answered(new)
}

pub(super) fn blank_prompts(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let prompt = request.text("prompt");
    request.is_generation()
        && !prompt.is_empty()
        && prompt.trim().is_empty()
        // Or it was refused for what is looked at behind it.
        && (old.answer().is_some() || failure(old).is_some_and(|said| REFUSALS.contains(&text(said, "error"))))
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
        && (is_answered(new) || new.is_error() && new.status == 422 && is_refused_for_itself(new))
}

pub(super) fn spelling_is_no_bucket(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let is_other = request.path.split('?').next() != Some("/llm/generate");
    request.is_generation() && is_other && old.status != 429 && is_limited(new)
}

pub(super) fn hits_are_free(Exchange { request, old, new }: &Exchange<'_>) -> bool {
    let was_over = old.status == 429 && old.text("error") == "Budget limit exceeded";
    request.is_generation() && was_over && new.metadata("cached") == Some(&json!(true)) && is_answered(new)
}

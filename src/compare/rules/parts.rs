//! Rules for one thing in the reply to a generation or in an error, and for amounts wherever they stand.

use serde_json::Value;

use super::facts::is_text;
use crate::compare::{
    Exchange,
    answers::is_opening,
    diff::{Delta, Place},
    errors::ERROR,
    events::{CALL, FURTHER_CALL, PIECE},
    free::is_amount,
};

/// What a generation's answer says besides. What stands there is told in `answers.rs`.
const ADDITIONS: [&str; 8] = [
    "cached",
    "metadata.cache",
    "metadata.usage",
    "metadata.finishReason",
    "metadata.attempts",
    "metadata.requestId",
    "metadata.servedModel",
    "metadata.ignored",
];

pub(super) fn made_up_no_more(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    // What was made up was not kept, and what is answered is.
    let is_kept = exchange.turned("cached", false);
    exchange.turned("mock", true)
        && match delta {
            Delta::Changed(place, ..) => place.path == "metadata.mock" || is_kept && place.path == "metadata.cached",
            Delta::Missing(place, _) => place.path == "metadata.error",
            Delta::EventAdded(name, fits) => *fits && name == "drafting",
            Delta::EventMissing(name) => is_kept && name == CALL,
            _ => false,
        }
}

pub(super) fn todays_checks(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let request = exchange.request;
    let field = |entry: &Value| request.field(entry["path"].as_str().unwrap_or_default());
    let path = |entry: &Value| entry["path"].clone();
    let is_checked = request.is_generation() && (exchange.old.status, exchange.new.status) == (400, 400);
    is_checked
        && match delta {
            Delta::Changed(place, Value::Array(old), Value::Array(new)) if place.path == "errors" => {
                let is_null = |entry: &&Value| entry["path"] != "prompt" && field(entry) == Some(Value::Null);
                let is_new = |entry: &&Value| match (entry["path"].as_str(), field(entry)) {
                    (Some("prompt"), Some(Value::String(prompt))) => !prompt.is_empty() && prompt.trim().is_empty(),
                    (Some("streaming"), Some(streaming)) => !streaming.is_boolean() && !streaming.is_null(),
                    _ => false,
                };
                let old = old.iter().filter(|entry| !is_null(entry)).map(path);
                let new = new.iter().filter(|entry| !is_new(entry)).map(path);
                old.eq(new)
            }
            Delta::Missing(place, Value::Null) => place.path == "errors[].value",
            _ => false,
        }
}

pub(super) fn text_stays_text(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Changed(Place { path, .. }, old, new) = delta else { return false };
    match path.as_str() {
        "code" => exchange.request.is_generation() && !old.is_string() && new.is_string(),
        path => old.is_null() && is_amount(&exchange.request.route(), path, new),
    }
}

pub(super) fn cold_cache(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    // The second time it is there.
    exchange.turned("cached", true)
        && !exchange.request.is_repeated
        && match delta {
            Delta::Changed(place, ..) => place.path == "metadata.cached",
            Delta::EventAdded(name, fits) => *fits && name == CALL,
            _ => false,
        }
}

pub(super) fn pieces(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    exchange.request.is_generation() && matches!(delta, Delta::EventAdded(name, true) if name == PIECE)
}

pub(super) fn each_attempt_is_told(_: &Exchange<'_>, delta: &Delta) -> bool {
    matches!(delta, Delta::EventAdded(name, true) if name == FURTHER_CALL)
}

pub(super) fn error_message(_: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Added(place, new) = delta else { return false };
    place.event == "ERROR" && place.path == "message" && is_text(new)
}

pub(super) fn additions(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Added(place, _) = delta else { return false };
    let is_answer = place.event == "COMPLETE" || (place.event.is_empty() && exchange.new.answer().is_some());
    exchange.request.is_generation() && is_answer && ADDITIONS.contains(&&*place.path)
}

pub(super) fn error_fields(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Added(place, new) = delta else { return false };
    let is_error = place.event == "ERROR" || (place.event.is_empty() && exchange.new.status >= 400);
    let known = ERROR.iter().find(|(name, _)| name.trim_end_matches('?') == place.path);
    is_error && known.is_some_and(|(_, look)| look.fits(new))
}

pub(super) fn whole_characters(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Changed(place, Value::String(_), Value::String(new)) = delta else { return false };
    let prompt = exchange.request.text("prompt");
    // What is outside of the basic plane has two units of UTF-16, by which the old counted.
    let is_wide = prompt.chars().take(100).any(|c| c.len_utf16() == 2);
    place.event == "user" && place.path == "text" && is_wide && is_opening(&prompt, new)
}

pub(super) fn retry_after(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let seconds = |text: &str| text.parse::<u64>().is_ok_and(|seconds| (1..=3_600).contains(&seconds));
    match delta {
        Delta::Header(name, None, Some(new)) => {
            name == "retry-after" && [429, 503].contains(&exchange.new.status) && seconds(new)
        }
        Delta::Changed(place, old, new) => {
            place.path == "retryAfter" && old == 60 && new.as_u64().is_some_and(|seconds| (1..=60).contains(&seconds))
        }
        _ => false,
    }
}

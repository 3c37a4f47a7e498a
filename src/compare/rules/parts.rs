//! Rules for one thing that is not the same: a field, an event, a header.

use serde_json::Value;

use super::refusals::is_same_sort;
use crate::compare::{
    Exchange,
    answers::is_opening,
    diff::{Delta, Place},
    errors::ERROR,
    events::{CALL, FURTHER_CALL, PIECE},
    free::{is_amount, is_meant},
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

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

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

pub(super) fn settings_stay(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    const SETTINGS: [&str; 6] =
        ["dailyLimit", "weeklyLimit", "monthlyLimit", "alertThresholds", "enableAlerts", "hardLimit"];
    // Whoever changes them is told what they are now.
    let setting = |place: &Place| place.path.strip_prefix("config.").unwrap_or(&place.path).to_owned();
    let is_one = |setting: &str| SETTINGS.contains(&setting.split('.').next().unwrap_or_default());
    exchange.request.route() == "/llm/budget/config"
        && exchange.new.status == 200
        && match delta {
            Delta::Added(place, new) => setting(place).starts_with("alertThresholds.") && new.is_number(),
            Delta::Missing(place, _) => !is_one(&setting(place)),
            Delta::Changed(place, old, new) => match setting(place).as_str() {
                "alertThresholds" => !old.is_object() && new.is_object(),
                setting => setting.ends_with("Limit") && !old.is_number() && new.is_number(),
            },
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

const LISTS: [&str; 4] =
    ["availableModels", "providerStatuses[].models", "providerStatuses[].status.models", "allModels[].models"];

pub(super) fn more_models(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let lists_models =
        exchange.request.is_generation() || ["/llm/models", "/llm/providers"].contains(&&*exchange.request.route());
    lists_models
        && match delta {
            // Whatever could be chosen still can be.
            Delta::Changed(Place { path, .. }, Value::Array(old), Value::Array(new)) => {
                LISTS.iter().any(|list| is_meant(list, path)) && old.iter().all(|model| new.contains(model))
            }
            Delta::Changed(Place { path, .. }, Value::String(_), Value::String(new)) => {
                is_meant("providers[].apiBaseUrl", path) && is_public(new)
            }
            // Which models a server at home has, it says itself.
            Delta::Missing(Place { path, .. }, _) => path == "providers[Ollama (Local)].models.*",
            _ => false,
        }
}

/// Whether an address is none, or one without name, password or query, which may be secret.
fn is_public(address: &str) -> bool {
    let is_http = ["https://", "http://"].iter().any(|scheme| address.starts_with(scheme));
    address.is_empty() || is_http && !address.contains(['@', '?', '#'])
}

pub(super) fn todays_catalogue(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Changed(Place { path, .. }, old, new) = delta else { return false };
    let is = |field: &str| is_meant(&format!("providers[].models.*.{field}"), path);
    let is_at_home = path.starts_with("providers[Ollama (Local)]");
    let (before, now) = (old.as_f64().unwrap_or(f64::NAN), new.as_f64().unwrap_or(f64::NAN));
    // What costs something does not become free, and no size shrinks to less than the half.
    let is_price = now > 0.0 || now >= before;
    let is_size = now.fract() == 0.0 && now >= before / 2.0 && before > 0.0;
    let are_texts = new.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(is_text));
    let facts: [(&[&str], bool); 7] = [
        (&["inputCostPer1k", "outputCostPer1k"], is_price && old.is_number()),
        // What nobody knows of a model at home is not made up.
        (&["contextWindow", "maxTokens"], is_size || is_at_home && new.is_null()),
        (&["capabilities", "strengths"], old.is_array() && are_texts),
        (&["limits.requestsPerMinute", "limits.requestsPerHour"], old.is_number() && (new.is_null() || now >= 1.0)),
        (&["limits.dailyBudget"], old.is_number() && now >= 0.0),
        (&["routing.priority"], old.is_number() && now >= 1.0 && now.fract() == 0.0),
        // Nobody ever balanced anything.
        (&["routing.loadBalance"], *old == true && *new == false),
    ];
    ["/llm/models", "/llm/providers"].contains(&&*exchange.request.route())
        && facts.iter().any(|(fields, is_so)| *is_so && fields.iter().any(|field| is(field)))
}

pub(super) fn no_supernova(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Missing(place, _) = delta else { return false };
    let entries = ["providers[Supernova AI]", "providerStatuses[supernova]", "allModels[supernova]"];
    ["/llm/models", "/llm/providers"].contains(&&*exchange.request.route()) && entries.contains(&&*place.path)
}

pub(super) fn vendors_words(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Changed(place, Value::String(old), Value::String(new)) = delta else { return false };
    let both_failed = |reply: &crate::compare::Reply| reply.json().is_some_and(|body| body["success"] == false);
    // «Provider not found» is the old backend's own, and promised.
    exchange.request.route() == "/llm/test-provider"
        && place.path == "error"
        && both_failed(exchange.old)
        && both_failed(exchange.new)
        && ![old, new].iter().any(|said| ["Provider not found", "Provider not configured"].contains(&said.as_str()))
        && !new.is_empty()
        && !new.contains(['{', '<', '=', '@'])
        && !new.contains("://")
        && is_same_sort(old, new)
}

pub(super) fn analytics(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Added(place, new) = delta else { return false };
    exchange.request.route() == "/llm/budget/analytics"
        && match place.path.as_str() {
            "spent" | "avoided" => new.is_object(),
            "estimatedCost" => new.is_number(),
            _ => false,
        }
}

//! Rules for one thing that is not the same: a field, an event, a header.

use serde_json::Value;

use crate::compare::{
    Exchange,
    diff::{Delta, Place},
    free::is_meant,
};

/// Whether `value` is what its name says.
type Look = fn(&Value) -> bool;

/// What a generation's answer says besides: the paths, and what stands there.
const ADDITIONS: [(&str, Look); 8] = [
    ("cached", Value::is_boolean),
    ("metadata.cache", is_text),
    ("metadata.usage", Value::is_object),
    ("metadata.finishReason", is_text),
    ("metadata.attempts", Value::is_u64),
    ("metadata.requestId", is_text),
    ("metadata.servedModel", is_text),
    ("metadata.ignored", Value::is_array),
];

/// The same of errors.
const ERROR_FIELDS: [(&str, Look); 8] = [
    ("error", is_text),
    ("message", is_text),
    ("details", is_text),
    ("hint", is_text),
    ("provider", is_text),
    ("model", is_text),
    ("retryAfter", Value::is_u64),
    ("requestId", is_text),
];

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

fn is_listed(list: &[(&str, Look)], path: &str, value: &Value) -> bool {
    list.iter().any(|(name, look)| *name == path && look(value))
}

pub(super) fn made_up_no_more(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    exchange.turned("mock", true)
        && match delta {
            Delta::Changed(place, ..) => place.path == "metadata.mock",
            Delta::Missing(place, _) => place.path == "metadata.error",
            Delta::EventAdded(name, fits) => *fits && name == "drafting",
            _ => false,
        }
}

pub(super) fn text_stays_text(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Changed(Place { path, .. }, old, new) = delta else { return false };
    let is_amount = ["metadata.estimatedTokens", "metadata.estimatedCost"].contains(&path.as_str())
        || is_meant("budget.status.*.*", path)
        || is_meant("*.*", path) && exchange.request.route() == "/llm/budget/status"
        || path == "totalCost"
        || path == "averageCostPerRequest";
    match path.as_str() {
        "code" => exchange.request.is_generation() && !old.is_string() && new.is_string(),
        _ => is_amount && old.is_null() && new.is_number(),
    }
}

pub(super) fn cold_cache(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    // The second time it is there.
    exchange.turned("cached", true)
        && !exchange.request.is_repeated
        && match delta {
            Delta::Changed(place, ..) => place.path == "metadata.cached",
            Delta::EventAdded(name, fits) => *fits && name == "executing",
            _ => false,
        }
}

pub(super) fn pieces(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    exchange.request.is_generation() && matches!(delta, Delta::EventAdded(name, true) if name == "DELTA")
}

pub(super) fn each_attempt_is_told(_: &Exchange<'_>, delta: &Delta) -> bool {
    matches!(delta, Delta::EventAdded(name, true) if name == "another executing")
}

pub(super) fn error_message(_: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Added(place, new) = delta else { return false };
    place.event == "ERROR" && place.path == "message" && is_text(new)
}

pub(super) fn additions(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Added(place, new) = delta else { return false };
    let is_answer = place.event == "COMPLETE" || (place.event.is_empty() && exchange.new.answer().is_some());
    exchange.request.is_generation() && is_answer && is_listed(&ADDITIONS, &place.path, new)
}

pub(super) fn error_fields(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Added(place, new) = delta else { return false };
    let is_error = place.event == "ERROR" || (place.event.is_empty() && exchange.new.status >= 400);
    is_error && is_listed(&ERROR_FIELDS, &place.path, new)
}

pub(super) fn whole_characters(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Changed(place, Value::String(old), Value::String(new)) = delta else { return false };
    let prompt =
        exchange.request.field("prompt").and_then(|prompt| prompt.as_str().map(str::to_owned)).unwrap_or_default();
    // The hundredth unit of UTF-16 is half a character.
    let units: Vec<u16> = prompt.encode_utf16().collect();
    let is_split = units.get(99).is_some_and(|unit| (0xD800..0xDC00).contains(unit));
    let told = new.strip_prefix("Prompt: ").map(|told| told.trim_end_matches("..."));
    let is_cut = told.is_some_and(|told| prompt.starts_with(told) && (99..=101).contains(&told.encode_utf16().count()));
    place.event == "user" && place.path == "text" && is_split && is_cut && old.contains('\u{fffd}')
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
                is_meant("providers[].apiBaseUrl", path) && (new.is_empty() || new.starts_with("http"))
            }
            // What nobody knows of a model is not made up.
            Delta::Changed(Place { path, .. }, Value::Number(_), Value::Null) => {
                ["limits.requestsPerMinute", "limits.requestsPerHour", "contextWindow", "maxTokens"]
                    .iter()
                    .any(|field| is_meant(&format!("providers[].models.*.{field}"), path))
            }
            // Which models a server at home has, it says itself.
            Delta::Missing(Place { path, .. }, _) => path == "providers[Ollama (Local)].models.*",
            _ => false,
        }
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
        && is_same_sort(old, new)
}

/// Words by which a failure is known, whoever says it.
const SORTS: [&[&str]; 3] = [
    &["429", "rate limit", "limits this service's rate", "too many requests", "quota", "exhausted"],
    &["401", "403", "api key", "api_key", "service's key", "does not allow", "unauthorized", "permission"],
    &["timeout", "timed out", "too slow", "did not answer in time"],
];

/// Whether both say the same of what failed, as far as one can tell.
fn is_same_sort(old: &str, new: &str) -> bool {
    let sort = |said: &str| {
        let said = said.to_lowercase();
        SORTS.iter().position(|words| words.iter().any(|word| said.contains(word)))
    };
    match (sort(old), sort(new)) {
        (Some(old), Some(new)) => old == new,
        _ => true,
    }
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

pub(super) fn no_express(_: &Exchange<'_>, delta: &Delta) -> bool {
    matches!(delta, Delta::Header(name, Some(old), None) if name == "x-powered-by" && old == "Express")
}

pub(super) fn no_etags(_: &Exchange<'_>, delta: &Delta) -> bool {
    matches!(delta, Delta::Header(name, Some(old), None) if name == "etag" && old.starts_with("W/"))
}

/// Headers that may be there where the old had none.
const NEW_HEADERS: [&str; 12] = [
    "age",
    "cache-status",
    "content-security-policy",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "server-timing",
    "www-authenticate",
    "x-accel-buffering",
    "x-content-type-options",
    "x-gateway-dropped",
    "x-ratelimit-mode",
];

pub(super) fn new_headers(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Header(name, None, Some(new)) = delta else { return false };
    match name.as_str() {
        name if NEW_HEADERS.contains(&name) => true,
        // Also on what is refused before the old had made one.
        "x-request-id" => !new.is_empty(),
        "vary" => new.to_ascii_lowercase().contains("origin"),
        // The status page may be kept, as nothing else may.
        "cache-control" | "etag" if exchange.request.route() == "/" => exchange.new.is_page(),
        "cache-control" => new == "no-store",
        "allow" => exchange.new.status == 405,
        "x-routing-decision" => serde_json::from_str::<Value>(new).is_ok_and(|decision| decision.is_object()),
        "x-ratelimit-limit" | "x-ratelimit-remaining" | "x-ratelimit-reset" => {
            new.parse::<u64>().is_ok() && !exchange.old.headers.contains_key("x-ratelimit-limit")
        }
        _ => false,
    }
}

pub(super) fn readable_headers(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let is_allowed = exchange.new.header("access-control-allow-origin").is_some();
    is_allowed && matches!(delta, Delta::Header(name, None, Some(_)) if name == "access-control-expose-headers")
}

pub(super) fn more_origins(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Header(name, None, Some(new)) = delta else { return false };
    // Whether a further page may also come with its session, nobody knows but who set it up.
    exchange.new.header("access-control-allow-credentials").is_none()
        && name == "access-control-allow-origin"
        && exchange.request.header("origin") == Some(new)
}

pub(super) fn cookies(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Header(name, None, Some(new)) = delta else { return false };
    let origin = exchange.new.header("access-control-allow-origin");
    let is_allowed =
        origin.is_some_and(|origin| origin != "*") && exchange.old.header("access-control-allow-origin") == origin;
    match name.as_str() {
        "access-control-allow-credentials" => is_allowed && new == "true",
        "access-control-max-age" => new.parse::<u32>().is_ok(),
        _ => false,
    }
}

pub(super) fn unchanged_streams(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Header(name, Some(old), Some(new)) = delta else { return false };
    exchange.new.events().is_some() && name == "cache-control" && old == "no-cache" && new == "no-cache, no-transform"
}

pub(super) fn sane_ids(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Header(name, Some(old), Some(new)) = delta else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
    let is_sane = old.len() <= 128 && old.bytes().all(is_plain);
    let was_repeated = exchange.request.header("x-request-id") == Some(old);
    name == "x-request-id" && was_repeated && !is_sane && new.len() <= 128 && new.bytes().all(is_plain)
}

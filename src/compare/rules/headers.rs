//! Rules for headers.

use serde_json::Value;

use crate::compare::{
    Exchange,
    diff::Delta,
    headers::{is_id, is_left, number},
};

pub(super) fn no_express(_: &Exchange<'_>, delta: &Delta) -> bool {
    matches!(delta, Delta::Header(name, Some(old), None) if name == "x-powered-by" && old == "Express")
}

pub(super) fn no_etags(_: &Exchange<'_>, delta: &Delta) -> bool {
    matches!(delta, Delta::Header(name, Some(old), None) if name == "etag" && old.starts_with("W/"))
}

/// Headers that may be there where the old had none, whatever they say.
const NEW_HEADERS: [&str; 7] = [
    "content-security-policy",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "server-timing",
    "www-authenticate",
    "x-gateway-dropped",
];

/// The first of September 2001, in milliseconds since 1970: what is in seconds is less.
const EPOCH_MS: u64 = 1_000_000_000_000;

pub(super) fn new_headers(exchange: &Exchange<'_>, delta: &Delta) -> bool {
    let Delta::Header(name, None, Some(new)) = delta else { return false };
    match name.as_str() {
        name if NEW_HEADERS.contains(&name) => true,
        "age" => number(new).is_some(),
        "cache-status" => new.starts_with("llm-gateway; "),
        "x-accel-buffering" => new == "no",
        "x-content-type-options" => new == "nosniff",
        // Also on what is refused before the old had made one.
        "x-request-id" => is_id(new),
        "vary" => new.to_ascii_lowercase().contains("origin"),
        // The status page may be kept, as nothing else may.
        "cache-control" | "etag" if exchange.request.route() == "/" => exchange.new.is_page(),
        "cache-control" => new == "no-store",
        "allow" => exchange.new.status == 405,
        "x-routing-decision" => serde_json::from_str::<Value>(new).is_ok_and(|decision| decision.is_object()),
        // A reply that the old gave before it counted.
        _ if exchange.old.headers.contains_key("x-ratelimit-limit") => false,
        "x-ratelimit-limit" => number(new).is_some(),
        "x-ratelimit-remaining" => is_left(exchange.new, new),
        "x-ratelimit-reset" => number(new).is_some_and(|moment| moment >= EPOCH_MS),
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
    let was_repeated = exchange.request.header("x-request-id") == Some(old);
    name == "x-request-id" && was_repeated && !is_id(old) && is_id(new)
}

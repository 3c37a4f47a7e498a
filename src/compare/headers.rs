//! The headers of two replies.

use std::collections::BTreeSet;

use super::{Exchange, Reply, diff::Delta};

/// What belongs to a connection or to the platform in front of a service, and to neither of the services.
const NOBODYS: [&str; 20] = [
    "alt-svc",
    "cf-cache-status",
    "cf-ray",
    "connection",
    "content-encoding",
    "content-length",
    // Compared with the body.
    "content-type",
    "date",
    "keep-alive",
    "nel",
    "report-to",
    "rndr-id",
    "server",
    "strict-transport-security",
    "transfer-encoding",
    "via",
    "x-render-origin-server",
    "x-render-routing",
    "x-vercel-cache",
    "x-vercel-id",
];

/// What is not the same.
pub(super) fn compare(exchange: &Exchange<'_>) -> Vec<Delta> {
    let Exchange { request, old, new } = exchange;
    let names: BTreeSet<&String> = old.headers.keys().chain(new.headers.keys()).collect();
    let mut found = Vec::new();
    for name in names.into_iter().filter(|name| !NOBODYS.contains(&name.as_str())) {
        // What a stream says of its keeping says nothing of what came in its place.
        let is_about_a_stream = name == "cache-control" && old.events().is_some() && new.events().is_none();
        let (before, after) = (old.header(name).filter(|_| !is_about_a_stream), new.header(name));
        let is_kept = match (name.as_str(), before, after) {
            // Numbers of the moment.
            ("age", Some(_), Some(after)) => number(after).is_some(),
            ("x-ratelimit-remaining", Some(_), Some(after)) => is_left(new, after),
            ("x-ratelimit-reset", Some(before), Some(after)) => is_near(before, after),
            ("ratelimit", Some(before), Some(after)) => without_digits(before).eq(without_digits(after)),
            // Each makes one of its own where it took over none.
            ("x-request-id", Some(before), Some(after))
                if request.header("x-request-id").is_none_or(|sent| !is_id(sent) && sent != before) =>
            {
                is_id(after)
            }
            ("vary", Some(before), Some(after)) => varies(before).is_subset(&varies(after)),
            // Its numbers are prices; what was chosen is compared in the answer.
            ("x-routing-decision", Some(_), Some(after)) => serde_json::from_str::<serde_json::Value>(after).is_ok(),
            _ => before == after,
        };
        if !is_kept {
            found.push(Delta::Header(name.clone(), before.map(str::to_owned), after.map(str::to_owned)));
        }
    }
    found
}

/// Milliseconds that the moment at which the old lets one more pass may be before or behind that of the new.
const RESETS_WITHIN_MS: u64 = 3_600_000;

pub(super) fn number(value: &str) -> Option<u64> {
    value.parse().ok()
}

/// Whether so many may be left of what `reply` says that there is.
pub(super) fn is_left(reply: &Reply, left: &str) -> bool {
    let limit = reply.header("x-ratelimit-limit").and_then(number);
    matches!((number(left), limit), (Some(left), Some(limit)) if left <= limit)
}

fn is_near(before: &str, after: &str) -> bool {
    matches!((number(before), number(after)), (Some(before), Some(after)) if before.abs_diff(after) <= RESETS_WITHIN_MS)
}

/// Whether it is one id, and a sane one.
pub(super) fn is_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
    (1..=128).contains(&id.len()) && id.bytes().all(is_plain)
}

fn without_digits(value: &str) -> impl Iterator<Item = char> {
    value.chars().filter(|c| !c.is_ascii_digit())
}

fn varies(value: &str) -> BTreeSet<String> {
    value.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

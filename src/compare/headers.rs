//! The headers of two replies.

use std::collections::BTreeSet;

use super::{Exchange, diff::Delta};

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
            ("age" | "x-ratelimit-remaining" | "x-ratelimit-reset", Some(_), Some(after)) => {
                after.parse::<u64>().is_ok()
            }
            ("ratelimit", Some(before), Some(after)) => without_digits(before).eq(without_digits(after)),
            // Each makes one of its own where it was given none.
            ("x-request-id", Some(_), Some(after)) if request.header("x-request-id").is_none() => !after.is_empty(),
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

fn without_digits(value: &str) -> impl Iterator<Item = char> {
    value.chars().filter(|c| !c.is_ascii_digit())
}

fn varies(value: &str) -> BTreeSet<String> {
    value.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

//! Whether two replies to one request are the same, and why not.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    Body, Exchange, Recorded, Reply, Strictness, answers,
    diff::{self, Delta, Place, kind},
    errors, events,
    exchange::essence,
    headers,
    look::shown as shown_name,
    rules::{self, Rule},
};

/// One thing that is not the same.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Where, such as `status`, `header etag`, `metadata.mock` or `COMPLETE metadata.mock`.
    pub place: String,
    /// What is there. Values that clients can name, or that may be secret, are not repeated.
    pub what: String,
    /// The rule by which it is intended. `None`: it is not.
    pub rule: Option<&'static Rule>,
}

impl Difference {
    pub(super) fn is_of_every_reply(&self) -> bool {
        self.rule.is_some_and(Rule::is_of_every_reply)
    }
}

/// What is not the same in `old` and `new`, the replies to `request`. Empty: nothing.
pub fn judge(request: &Recorded, old: &Reply, new: &Reply, strictness: Strictness) -> Vec<Difference> {
    let mut found = Vec::new();
    // A stream that nobody asked for is compared by what it says.
    let old = match rules::unasked_stream(&Exchange { request, old, new }) {
        Some((rule, whole)) => {
            let what = "events → JSON".to_owned();
            found.push(Difference { place: "body".to_owned(), what, rule: Some(rule) });
            Cow::Owned(whole)
        }
        None => Cow::Borrowed(old),
    };
    let exchange = Exchange { request, old: &old, new };
    let deltas = bodies(&exchange, strictness);
    let whole = rules::of_reply(&exchange);
    match whole {
        Some(_) if !deltas.is_empty() => found.push(difference(&exchange, &Delta::Reply, whole)),
        _ => found.extend(deltas.iter().map(|delta| difference(&exchange, delta, rules::of_part(&exchange, delta)))),
    }
    let faults = [answers::faults(&exchange), errors::faults(&exchange)].concat();
    for fault in faults.iter().map(|fault| difference(&exchange, fault, None)) {
        // What is said of a place is said once.
        if !found.iter().any(|found| found.rule.is_none() && found.place == fault.place) {
            found.push(fault);
        }
    }
    let of_header = |delta: &Delta| {
        let of_page = || whole.filter(|_| rules::is_of_a_page(&exchange, delta));
        difference(&exchange, delta, rules::of_part(&exchange, delta).or_else(of_page))
    };
    found.extend(headers::compare(&exchange).iter().map(of_header));
    found
}

fn bodies(exchange: &Exchange<'_>, strictness: Strictness) -> Vec<Delta> {
    let Exchange { request, old, new } = exchange;
    if old.status != new.status {
        return vec![Delta::Reply];
    }
    let route = request.route();
    match (&old.body, &new.body) {
        (Body::Nothing, Body::Nothing) => {
            // To HEAD it says what there would be.
            let kind = |reply: &Reply| reply.header("content-type").map(essence);
            let is_other = matches!((kind(old), kind(new)), (Some(old), Some(new)) if old != new);
            is_other.then_some(Delta::Reply).into_iter().collect()
        }
        (Body::Json(old), Body::Json(new)) => diff::compare(&route, "", strictness, old, new),
        (Body::Events(old), Body::Events(new)) => events::compare(&route, old, new, strictness),
        (Body::Text(old), Body::Text(new)) | (Body::Page(old), Body::Page(new)) if old == new => Vec::new(),
        _ => vec![Delta::Reply],
    }
}

fn difference(exchange: &Exchange<'_>, delta: &Delta, rule: Option<&'static Rule>) -> Difference {
    let (place, what) = match delta {
        Delta::Reply => {
            let said = |reply: &Reply| format!("{} {}", reply.status, reply.body.form());
            ("reply".to_owned(), format!("{} → {}", said(exchange.old), said(exchange.new)))
        }
        Delta::Missing(place, old) => (named(place), format!("{} → nothing", shown(old))),
        Delta::Added(place, new) => (named(place), format!("nothing → {}", shown(new))),
        Delta::Changed(place, old, new) => (named(place), format!("{} → {}", shown(old), shown(new))),
        Delta::Header(name, old, new) => {
            let said = |value: &Option<String>| value.as_ref().map_or("nothing", |_| "a value");
            let (before, after) = match (old, new) {
                (Some(_), Some(_)) => ("a value", "another"),
                _ => (said(old), said(new)),
            };
            (format!("header {}", shown_name(name)), format!("{before} → {after}"))
        }
        Delta::Unsound(place, why) => (named(place), (*why).to_owned()),
        Delta::EventMissing(name) => (format!("event {name}"), "there → not there, or not in its place".to_owned()),
        Delta::EventAdded(name, true) => (format!("event {name}"), "not there → there".to_owned()),
        Delta::EventAdded(name, false) => {
            (format!("event {name}"), "not there → there, out of its place or form".to_owned())
        }
    };
    Difference { place, what, rule }
}

fn named(Place { event, path }: &Place) -> String {
    let path = if path.is_empty() { "body" } else { path };
    if event.is_empty() { path.to_owned() } else { format!("{event} {path}") }
}

/// Texts that are no secret, since a service has no others to choose from.
const WORDS: [&str; 22] = [
    "anthropic",
    "budget_reset",
    "content_filter",
    "cost-aware",
    "daily",
    "demo",
    "google",
    "heuristic",
    "length",
    "limit_exceeded",
    "manual",
    "monthly",
    "ok",
    "ollama",
    "openai",
    "orchestrated",
    "single-model",
    "stop",
    "supernova",
    "warning",
    "weekly",
    "xai",
];

/// A value as reports show it: numbers, flags and known words as they are; other texts by their length.
fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if WORDS.contains(&text.as_str()) => format!("`{text}`"),
        Value::String(text) => format!("a text of {} characters", text.chars().count()),
        Value::Array(list) => format!("{} of {}", kind(value), list.len()),
        Value::Object(_) => kind(value).to_owned(),
    }
}

//! What an error of the new may hold, whatever its route and its form.

use serde_json::Value;

use super::{
    Exchange, Recorded,
    diff::{Delta, Place},
    look::{Form, Look, MISSING},
};

/// What operators are told.
pub(super) const ALERT: Form = &[
    ("id", Look::Text),
    ("type", Look::Word(&["warning", "limit_exceeded", "budget_reset"])),
    ("period", Look::Word(&["daily", "weekly", "monthly"])),
    ("message", Look::Text),
    ("timestamp", Look::Time),
    ("acknowledged", Look::Flag),
];

/// An error, as JSON or as an event.
pub(super) const ERROR: Form = &[
    ("error", Look::Text),
    ("message?", Look::Text),
    ("details?", Look::Text),
    ("hint?", Look::Text),
    ("provider?", Look::Text),
    ("model?", Look::Text),
    ("availableModels?", Look::Texts),
    ("retryAfter?", Look::Count),
    ("reason?", Look::Text),
    ("wouldExceed?", Look::Texts),
    ("alerts?", Look::List(ALERT)),
    ("errors?", Look::List(FIELD)),
    ("requestId?", Look::Text),
];

/// What is wrong with a field of a request.
const FIELD: Form = &[
    ("type", Look::Word(&["field"])),
    ("value?", Look::Any),
    ("msg", Look::Text),
    ("path", Look::Text),
    ("location", Look::Word(&["body"])),
];

/// What is wrong with the error of the new, if it is one. No rule explains any of it.
pub(super) fn faults(exchange: &Exchange<'_>) -> Vec<Delta> {
    let Exchange { request, new, .. } = exchange;
    let (event, error) = match (new.json(), new.ends_in("ERROR")) {
        (Some(body), _) if new.status >= 400 && body["error"].is_string() => ("", body.clone()),
        (_, Some(event)) => ("ERROR", without_type(event)),
        _ => return Vec::new(),
    };
    let mut found = Look::Object(ERROR).faults("", &error);
    if !event.is_empty() && error.get("message").is_none() {
        found.push(("message".to_owned(), MISSING));
    }
    if request.is_generation() && !is_whom(request, &error) {
        found.push(("model".to_owned(), "is not who was asked for, or its provider is not"));
    }
    // An event comes too late for a header.
    let is_in_header = |seconds: &Value| new.header("retry-after") == Some(&*seconds.to_string());
    if event.is_empty() && !error.get("retryAfter").is_none_or(is_in_header) {
        found.push(("retryAfter".to_owned(), "is not what Retry-After says"));
    }
    found.into_iter().map(|(path, why)| Delta::Unsound(Place { event: event.to_owned(), path }, why)).collect()
}

/// Whether `provider` and `model` of `told`, as far as it names them, are those that a generation asks for.
pub(super) fn is_whom(request: &Recorded, told: &Value) -> bool {
    let is = |field: &str, asked: &str| {
        let told = told[field].as_str();
        asked.is_empty() || told.is_none_or(|told| told.eq_ignore_ascii_case(asked.trim()))
    };
    let (model, provider) = (request.text("model"), request.text("activeProvider"));
    let is_prefixed = model.split_once(':').is_some_and(|(of, name)| is("provider", of) && is("model", name));
    match model.trim() {
        // Without a model the old asked OpenAI, whoever was active.
        "" => ["", "manual"].contains(&&*request.text("routingMode")) || is("provider", &provider),
        model => is_prefixed || (is("model", model) && is("provider", &provider)),
    }
}

/// An event's fields without its type.
pub(super) fn without_type(event: &Value) -> Value {
    let fields = event.as_object().into_iter().flatten().filter(|(name, _)| *name != "type");
    Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
}

//! What a reply of the new to a generation has to be in itself, whatever the old said: in the form that was asked for, its events in
//! their order, every field there and of its kind, from whom was asked, whole.

use serde_json::Value;

use super::{
    Body, Exchange, Recorded,
    diff::{Delta, Place},
    errors::{self, ALERT, without_type},
    events::{CALL, PIECE, THOUGHT, outline},
    look::{Form, Look, WRONG},
};

const MODES: [&str; 5] = ["manual", "heuristic", "cost-aware", "orchestrated", "single-model"];

/// An answer, in JSON or in the event that completes a stream.
const ANSWER: Form = &[
    ("code", Look::Text),
    ("cached", Look::Flag),
    ("metadata", Look::Object(METADATA)),
    ("budget", Look::Object(&[("alerts", Look::List(ALERT)), ("status", Look::Object(PERIODS))])),
];

const METADATA: Form = &[
    ("model", Look::Text),
    ("provider", Look::Text),
    ("servedModel?", Look::Text),
    ("estimatedTokens", Look::Count),
    ("estimatedCost", Look::Amount),
    ("routingMode", Look::Word(&MODES)),
    ("mock", Look::Flag),
    ("cached", Look::Flag),
    ("cache", Look::Text),
    ("usage", Look::Object(USAGE)),
    ("finishReason", Look::Text),
    ("attempts", Look::Count),
    ("ignored?", Look::Texts),
    ("requestId", Look::Text),
];

const USAGE: Form = &[
    ("inputTokens", Look::Count),
    ("outputTokens", Look::Count),
    ("cachedInputTokens", Look::Count),
    ("reasoningTokens", Look::Count),
    ("estimated?", Look::Flag),
];

/// What is left of the budgets.
pub(super) const PERIODS: Form =
    &[("daily", Look::Object(PERIOD)), ("weekly", Look::Object(PERIOD)), ("monthly", Look::Object(PERIOD))];

const PERIOD: Form = &[
    ("period", Look::Word(&["daily", "weekly", "monthly"])),
    ("used", Look::Amount),
    ("limit", Look::Amount),
    ("remaining", Look::Amount),
    ("percentage", Look::Amount),
    ("isOverLimit", Look::Flag),
    ("isNearLimit", Look::Flag),
    ("resetDate", Look::Time),
];

const USER: Form =
    &[("type", Look::Word(&["THINKING"])), ("kind", Look::Text), ("ts", Look::Clock), ("text", Look::Text)];
const DELTA: Form = &[("type", Look::Word(&[PIECE])), ("text", Look::Text)];

/// What is wrong with the reply of the new. No rule explains any of it.
pub(super) fn faults(exchange: &Exchange<'_>) -> Vec<Delta> {
    let Exchange { request, new, .. } = exchange;
    if !request.is_generation() || new.status != 200 {
        return Vec::new();
    }
    let body = match &new.body {
        Body::Json(answer) => of_form("", Look::Object(ANSWER), answer),
        Body::Events(events) => of_events(request, events),
        Body::Nothing | Body::Page(_) | Body::Text(_) => Vec::new(),
    };
    let is_stream = new.events().is_some();
    let unasked =
        (is_stream != request.wants_events()).then(|| unsound("", "body", "is not in the form that was asked for"));
    unasked
        .into_iter()
        .chain(body)
        .chain(new.answer().into_iter().flat_map(|answer| of_whole(request, answer)))
        .collect()
}

fn unsound(event: &str, path: &str, why: &'static str) -> Delta {
    Delta::Unsound(Place { event: event.to_owned(), path: path.to_owned() }, why)
}

fn of_form(event: &str, look: Look, value: &Value) -> Vec<Delta> {
    look.faults("", value).into_iter().map(|(path, why)| unsound(event, &path, why)).collect()
}

fn of_events(request: &Recorded, events: &[Value]) -> Vec<Delta> {
    let names: Vec<String> = events.iter().map(outline).collect();
    let mut found = Vec::new();
    if !is_in_order(names.iter().map(String::as_str)) {
        found.push(unsound("", "events", "are not those of an answer in their order"));
    }
    for (name, event) in names.iter().zip(events) {
        found.extend(match name.as_str() {
            "user" => of_form(name, Look::Object(USER), event),
            PIECE => of_form(name, Look::Object(DELTA), event),
            "COMPLETE" => of_form(name, Look::Object(ANSWER), &without_type(event)),
            "planning" | "researching" | CALL | "drafting" | "summary" => of_form(name, Look::Object(THOUGHT), event),
            // Errors are those of every route; what nobody knows is in no place.
            _ => Vec::new(),
        });
        if name == "user" && !is_opening(&request.text("prompt"), event["text"].as_str().unwrap_or_default()) {
            found.push(unsound(name, "text", "is not the beginning of the prompt"));
        }
    }
    let Some(complete) = events.last().filter(|event| event["type"] == "COMPLETE") else { return found };
    let pieces = events.iter().filter(|event| event["type"] == PIECE);
    let text: String = pieces.filter_map(|event| event["text"].as_str()).collect();
    let is_cached = complete.pointer("/metadata/cached") == Some(&Value::Bool(true));
    // What is stored may come at once.
    if !(text.is_empty() && is_cached) && complete["code"] != *text {
        found.push(unsound("", PIECE, "its texts together are not the answer"));
    }
    if !is_cached && !names.iter().any(|name| name == CALL) {
        found.push(unsound("", CALL, "is not there, though nothing was stored"));
    }
    found
}

/// Whether the events are those of an answer, or of one that failed when a provider had been chosen.
fn is_in_order<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut names = names.peekable();
    let is_begun = ["user", "planning", "researching"].iter().all(|name| names.next() == Some(name));
    while names.next_if_eq(&CALL).is_some() {}
    while names.next_if_eq(&PIECE).is_some() {}
    let rest: Vec<_> = names.collect();
    is_begun && [&["drafting", "summary", "COMPLETE"][..], &["ERROR"]].contains(&&*rest)
}

/// Whether `text` tells a prompt back, cut between characters where it is long.
pub(super) fn is_opening(prompt: &str, text: &str) -> bool {
    let Some(told) = text.strip_prefix("Prompt: ") else { return false };
    let is_cut = |told: &str| {
        prompt.starts_with(told) && told.chars().count() <= 100 && told.encode_utf16().count() >= 99 && told != prompt
    };
    told == prompt && prompt.chars().count() <= 100 || told.strip_suffix("...").is_some_and(is_cut)
}

/// What is wrong with an answer as a whole.
fn of_whole(request: &Recorded, answer: &Value) -> Vec<Delta> {
    let metadata = &answer["metadata"];
    let mode = Some(request.text("routingMode")).filter(|mode| !mode.is_empty()).unwrap_or_else(|| "manual".to_owned());
    let is_whom = metadata["mock"] == true || errors::is_whom(request, metadata);
    let served = metadata.get("servedModel");
    let checks = [
        ("code", answer["code"].as_str().is_none_or(|code| !code.trim().is_empty()), "is blank"),
        ("metadata.model", is_whom, "is not who was asked for, or its provider is not"),
        (
            "metadata.servedModel",
            served.is_none_or(|served| *served == metadata["model"]),
            "is not the model that was asked for",
        ),
        (
            "metadata.finishReason",
            metadata.get("finishReason").is_none_or(|reason| reason == "stop"),
            "is not `stop`: the answer is not whole",
        ),
        ("metadata.routingMode", metadata["routingMode"] == *mode, WRONG),
        (
            "cached",
            answer.get("cached").is_none_or(|cached| *cached == metadata["cached"]),
            "is not what metadata says",
        ),
    ];
    let wrong = checks.into_iter().filter(|(_, is_right, _)| !is_right);
    wrong.map(|(path, _, why)| unsound("", path, why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_one_order() {
        let is = |names: &str| is_in_order(names.split(' '));
        assert!(is("user planning researching executing executing DELTA DELTA drafting summary COMPLETE"));
        assert!(is("user planning researching drafting summary COMPLETE"));
        assert!(is("user planning researching executing DELTA ERROR"));
        for wrong in [
            "DELTA COMPLETE",
            "user planning researching DELTA executing drafting summary COMPLETE",
            "user planning researching executing drafting summary COMPLETE ERROR",
            "user planning researching executing drafting summary",
            "unreadable user planning researching executing drafting summary COMPLETE",
        ] {
            assert!(!is(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_prompt_is_told_back_from_its_beginning() {
        let (long, wide) = ("x".repeat(150), "🦀".repeat(150));
        assert!(is_opening("x", "Prompt: x") && !is_opening("x", "Prompt: y") && !is_opening("x", "Prompt: x..."));
        assert!(is_opening(&long, &format!("Prompt: {}...", &long[..100])) && !is_opening(&long, "Prompt: x..."));
        assert!(
            !is_opening(&long, &format!("Prompt: {long}")) && !is_opening(&long, &format!("Prompt: {}", &long[..100]))
        );
        let cut: String = wide.chars().take(100).collect();
        assert!(is_opening(&wide, &format!("Prompt: {cut}...")));
    }
}

//! Two streams, event by event.

use serde_json::Value;

use super::{
    Strictness,
    diff::{Delta, Diff},
};

/// What comes in pieces while the text is written.
const PIECE: &str = "DELTA";
/// What is said when a provider is called: once for each attempt.
const CALL: &str = "executing";

/// What an event is: its kind when it is a thought, else its type.
pub(super) fn outline(event: &Value) -> String {
    let name = if event["type"] == "THINKING" { &event["kind"] } else { &event["type"] };
    name.as_str().unwrap_or("nameless").to_owned()
}

/// What is not the same in both streams.
pub(super) fn compare(route: &str, old: &[Value], new: &[Value], strictness: Strictness) -> Vec<Delta> {
    let (mut found, new) = without_additions(new);
    let olds: Vec<_> = old.iter().map(|event| (outline(event), event)).collect();
    let mut left = new.into_iter().peekable();
    for (name, old) in olds {
        // An event of the old is either the next one, or behind some that only the new has, or nowhere.
        let ahead = left.clone().position(|(other, _)| other == name);
        let Some(ahead) = ahead else {
            found.push(Delta::EventMissing(name));
            continue;
        };
        found.extend(left.by_ref().take(ahead).map(|(other, _)| Delta::EventAdded(other, true)));
        if let Some((_, new)) = left.next() {
            let diff = Diff { route, event: &name, strictness, found: Vec::new() };
            found.extend(diff.of(old, new));
        }
    }
    found.extend(left.map(|(other, _)| Delta::EventAdded(other, true)));
    found
}

/// The events that the old has too, by their names, and those of this service's own: pieces of text, once for all, and calls that
/// follow one another.
fn without_additions(events: &[Value]) -> (Vec<Delta>, Vec<(String, &Value)>) {
    let mut others: Vec<(String, &Value)> = Vec::new();
    let (mut pieces, mut calls) = (None, false);
    for event in events {
        let name = outline(event);
        let before = others.last().map(|(name, _)| name.as_str());
        if name == PIECE {
            let fits = before == Some(CALL) && event["text"].as_str().is_some_and(|text| !text.is_empty());
            pieces = Some(pieces.unwrap_or(true) && fits);
        } else if name == CALL && before == Some(CALL) && pieces.is_none() {
            calls = true;
        } else {
            others.push((name, event));
        }
    }
    let pieces = pieces.map(|fits| Delta::EventAdded(PIECE.to_owned(), fits));
    let calls = calls.then(|| Delta::EventAdded(format!("another {CALL}"), true));
    (pieces.into_iter().chain(calls).collect(), others)
}

//! Two streams, event by event.

use serde_json::Value;

use super::{
    Strictness,
    diff::{self, Delta},
    look::{Form, Look, shown},
};

/// What comes in pieces while the text is written.
pub(super) const PIECE: &str = "DELTA";
/// What is said when a provider is called: once for each attempt.
pub(super) const CALL: &str = "executing";
/// What a call is called that follows another.
pub(super) const FURTHER_CALL: &str = "another executing";
/// A thought, but for the first, which tells the prompt back.
pub(super) const THOUGHT: Form =
    &[("type", Look::Word(&["THINKING"])), ("kind", Look::Text), ("ts", Look::Clock), ("items", Look::Lines)];

/// As many calls may be told where the answer does not say how many there were.
const MOST_CALLS: u64 = 8;

/// What an event is: its kind when it is a thought, else its type.
pub(super) fn outline(event: &Value) -> String {
    let name = if event["type"] == "THINKING" { &event["kind"] } else { &event["type"] };
    shown(name.as_str().unwrap_or("nameless")).to_owned()
}

/// What is not the same in both streams.
pub(super) fn compare(route: &str, old: &[Value], new: &[Value], strictness: Strictness) -> Vec<Delta> {
    let (mut found, new) = without_additions(new);
    let olds: Vec<_> = old.iter().map(|event| (outline(event), event)).collect();
    let mut left = new.into_iter().peekable();
    for (name, old) in olds {
        // An event of the old is either the next one, or behind some that only the new has, or nowhere.
        let ahead = left.clone().position(|other| other.name == name);
        let Some(ahead) = ahead else {
            found.push(Delta::EventMissing(name));
            continue;
        };
        found.extend(left.by_ref().take(ahead).map(Told::added));
        if let Some(new) = left.next() {
            found.extend(diff::compare(route, &name, strictness, old, new.event));
        }
    }
    found.extend(left.map(Told::added));
    found
}

/// An event of the new.
#[derive(Clone)]
struct Told<'a> {
    name: String,
    event: &'a Value,
    /// Whether it could be there without the old having it: a call follows what was looked up, and a draft the call, if there was one.
    is_placed: bool,
}

impl Told<'_> {
    fn added(self) -> Delta {
        Delta::EventAdded(self.name, self.is_placed && Look::Object(THOUGHT).fits(self.event))
    }
}

/// The events that the old has too, by their names, and those of this service's own: pieces of text, once for all, and calls that
/// follow one another.
fn without_additions(events: &[Value]) -> (Vec<Delta>, Vec<Told<'_>>) {
    let mut others: Vec<Told<'_>> = Vec::new();
    let (mut pieces, mut calls) = (None, Vec::new());
    let is_stored = events.last().is_some_and(|last| last.pointer("/metadata/cached") == Some(&Value::Bool(true)));
    for event in events {
        let name = outline(event);
        let before = others.last().map(|before| before.name.as_str());
        if name == PIECE {
            let is_alone = event.as_object().is_some_and(|fields| fields.len() == 2);
            let has_text = event["text"].as_str().is_some_and(|text| !text.is_empty());
            pieces = Some(pieces.unwrap_or(true) && before == Some(CALL) && has_text && is_alone);
        } else if name == CALL && before == Some(CALL) && pieces.is_none() {
            calls.push(event);
        } else {
            let is_placed = match name.as_str() {
                CALL => before == Some("researching"),
                "drafting" => before == Some(CALL) || is_stored && before == Some("researching"),
                _ => true,
            };
            others.push(Told { name, event, is_placed });
        }
    }
    let attempts = events.last().and_then(|event| event.pointer("/metadata/attempts")?.as_u64()).unwrap_or(MOST_CALLS);
    let pieces = pieces.map(|fits| Delta::EventAdded(PIECE.to_owned(), fits));
    let is_told = calls.iter().all(|event| Look::Object(THOUGHT).fits(event)) && (calls.len() as u64) < attempts;
    let calls = (!calls.is_empty()).then(|| Delta::EventAdded(FURTHER_CALL.to_owned(), is_told));
    (pieces.into_iter().chain(calls).collect(), others)
}

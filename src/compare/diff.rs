//! Two JSON values, field by field.

use serde_json::Value;

use super::{
    Strictness,
    free::{Freedom, freedom},
};

/// One thing that is not the same.
#[derive(Clone, Debug)]
pub(super) enum Delta {
    /// The status, or what the body is.
    Reply,
    /// A field that only the old has.
    Missing(Place, Value),
    /// A field that only the new has.
    Added(Place, Value),
    /// A field of both, with its values.
    Changed(Place, Value, Value),
    /// A header, by its name in lower case.
    Header(String, Option<String>, Option<String>),
    /// An event that only the old has.
    EventMissing(String),
    /// An event that only the new has; and whether it stands where such events belong.
    EventAdded(String, bool),
    /// What is wrong with the answer of the new, by itself.
    Unsound(Place, &'static str),
}

/// Where in a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The event, by its kind, or its type. Empty: the whole body.
    pub(super) event: String,
    /// Names with dots between; `[]` is an entry of a list.
    pub(super) path: String,
}

/// Compares what a route says in one body or event.
pub(super) struct Diff<'a> {
    pub(super) route: &'a str,
    pub(super) event: &'a str,
    pub(super) strictness: Strictness,
    pub(super) found: Vec<Delta>,
}

/// Whether values count, or only what they look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Value,
    Look,
}

impl Diff<'_> {
    /// Notes what is not the same in `old` and `new`.
    pub(super) fn of(mut self, old: &Value, new: &Value) -> Vec<Delta> {
        self.compare("", old, new, By::Value);
        self.found
    }

    fn compare(&mut self, path: &str, old: &Value, new: &Value, by: By) {
        if old == new {
            return;
        }
        match freedom(self.route, path, new, self.strictness) {
            // What is free is so where the old keeps to it too: whatever else stands there has a meaning.
            Some(Freedom::Kept) if kind(old) == kind(new) => return,
            Some(Freedom::Entries) if kind(old) == kind(new) => return self.entries(path, old, new),
            Some(Freedom::Keyed(field)) if old.is_array() && new.is_array() => {
                return self.keyed(path, field, old, new);
            }
            Some(Freedom::Kept | Freedom::Broken | Freedom::Entries | Freedom::Keyed(_)) => {
                return self.changed(path, old, new);
            }
            None => {}
        }
        match (old, new) {
            (Value::Object(_), Value::Object(_)) => self.fields(path, old, new, by),
            (Value::Array(olds), Value::Array(news)) if by == By::Value => {
                if olds.len() != news.len() {
                    return self.changed(path, old, new);
                }
                for (old, new) in olds.iter().zip(news) {
                    self.compare(&format!("{path}[]"), old, new, by);
                }
            }
            _ if by == By::Look && looks_alike(old, new) => {}
            _ if old == new || is_same_number(old, new) => {}
            _ => self.changed(path, old, new),
        }
    }

    fn fields(&mut self, path: &str, old: &Value, new: &Value, by: By) {
        let empty = serde_json::Map::new();
        let (olds, news) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
        for (name, old) in olds {
            let path = below(path, name);
            match news.get(name) {
                Some(new) => self.compare(&path, old, new, by),
                None => self.found.push(Delta::Missing(self.place(&path), old.clone())),
            }
        }
        for (name, new) in news.iter().filter(|(name, _)| !olds.contains_key(*name)) {
            self.found.push(Delta::Added(self.place(&below(path, name)), new.clone()));
        }
    }

    /// Each entry of `new` looks like that of `old` in the same place, or else like its first.
    fn entries(&mut self, path: &str, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(olds), Value::Object(news)) => {
                for (_, old) in olds.iter().filter(|(name, _)| !news.contains_key(*name)) {
                    self.found.push(Delta::Missing(self.place(&below(path, "*")), old.clone()));
                }
                let Some(sample) = olds.values().next() else { return };
                for (name, new) in news {
                    let twin = olds.get(name);
                    let path = below(path, "*");
                    self.compare(&path, twin.unwrap_or(sample), new, By::Look);
                    // Who has the same key is called the same.
                    if let Some(twin) = twin.filter(|twin| twin["name"] != new["name"] && new["name"].is_string()) {
                        self.changed(&below(&path, "name"), &twin["name"], &new["name"]);
                    }
                }
            }
            (Value::Array(olds), Value::Array(news)) => {
                let Some(sample) = olds.first() else { return };
                for (at, new) in news.iter().enumerate() {
                    self.compare(&format!("{path}[]"), olds.get(at).unwrap_or(sample), new, By::Look);
                }
            }
            _ => self.changed(path, old, new),
        }
    }

    /// Entries that have the same in `field` are compared; what only one side has is noted.
    fn keyed(&mut self, path: &str, field: &str, old: &Value, new: &Value) {
        let name = |entry: &Value| entry[field].as_str().unwrap_or_default().to_owned();
        let none = Vec::new();
        let (olds, news) = (old.as_array().unwrap_or(&none), new.as_array().unwrap_or(&none));
        for old in olds {
            let path = format!("{path}[{}]", name(old));
            match news.iter().find(|new| name(new) == name(old)) {
                Some(new) => self.compare(&path, old, new, By::Value),
                None => self.found.push(Delta::Missing(self.place(&path), old.clone())),
            }
        }
        for new in news.iter().filter(|new| olds.iter().all(|old| name(old) != name(new))) {
            self.found.push(Delta::Added(self.place(&format!("{path}[{}]", name(new))), new.clone()));
        }
    }

    fn changed(&mut self, path: &str, old: &Value, new: &Value) {
        self.found.push(Delta::Changed(self.place(path), old.clone(), new.clone()));
    }

    fn place(&self, path: &str) -> Place {
        Place { event: self.event.to_owned(), path: path.to_owned() }
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether `new` is of the kind of `old`: no number below zero, blank text or stranger in a list where `old` has none.
fn looks_alike(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => {
            old.as_f64().is_some_and(|old| old < 0.0) || new.as_f64().is_some_and(|new| new >= 0.0)
        }
        (Value::String(old), Value::String(new)) => old.trim().is_empty() || !new.trim().is_empty(),
        (Value::Array(olds), Value::Array(news)) => {
            olds.first().is_none_or(|old| news.iter().all(|new| looks_alike(old, new)))
        }
        _ => kind(old) == kind(new),
    }
}

/// `50` and `50.0` are one number.
fn is_same_number(old: &Value, new: &Value) -> bool {
    matches!((old.as_f64(), new.as_f64()), (Some(old), Some(new)) if old.total_cmp(&new).is_eq())
}

/// What a value is, for reports and for what only has to look alike.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

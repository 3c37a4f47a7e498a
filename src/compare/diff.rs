//! Two JSON values, field by field.

use serde_json::Value;

use super::{
    Strictness,
    free::{Freedom, freedom},
    look::{below, shown},
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

/// What is not the same in `old` and `new`, which `route` says in one event, or in the whole body, whose name is empty.
pub(super) fn compare(route: &str, event: &str, strictness: Strictness, old: &Value, new: &Value) -> Vec<Delta> {
    let mut diff = Diff { route, event, strictness, found: Vec::new() };
    diff.compare("", old, new, By::Value);
    diff.found
}

struct Diff<'a> {
    route: &'a str,
    event: &'a str,
    strictness: Strictness,
    found: Vec<Delta>,
}

/// Whether values count, or only what they look like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Value,
    Look,
}

impl Diff<'_> {
    fn compare(&mut self, path: &str, old: &Value, new: &Value, by: By) {
        // Objects are equal in whatever order their names come.
        if old == new && is_ordered(old, new) {
            return;
        }
        match freedom(self.route, path, new, self.strictness) {
            // What is free is so where the old keeps to it too: whatever else stands there has a meaning.
            Some(Freedom::Kept) if kind(old) == kind(new) => return,
            Some(Freedom::Map) if old.is_object() && new.is_object() => return self.map(path, old, new),
            Some(Freedom::Keyed(field)) if old.is_array() && new.is_array() => {
                return self.keyed(path, field, old, new);
            }
            Some(Freedom::Ordered) if is_ordered(old, new) => {}
            Some(Freedom::Kept | Freedom::Broken | Freedom::Map | Freedom::Keyed(_) | Freedom::Ordered) => {
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

    /// Entries of the same name are compared; those that only the new has look like the first of the old.
    fn map(&mut self, path: &str, old: &Value, new: &Value) {
        let path = below(path, "*");
        let empty = serde_json::Map::new();
        let (olds, news) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
        for (_, old) in olds.iter().filter(|(name, _)| !news.contains_key(*name)) {
            self.found.push(Delta::Missing(self.place(&path), old.clone()));
        }
        let Some(sample) = olds.values().next() else { return };
        for (name, new) in news {
            match olds.get(name) {
                Some(old) => self.compare(&path, old, new, By::Value),
                None => self.compare(&path, sample, new, By::Look),
            }
        }
    }

    /// Entries that have the same in `field` are compared; what only one side has is noted.
    fn keyed(&mut self, path: &str, field: &str, old: &Value, new: &Value) {
        let name = |entry: &Value| entry[field].as_str().unwrap_or_default().to_owned();
        let none = Vec::new();
        let (olds, news) = (old.as_array().unwrap_or(&none), new.as_array().unwrap_or(&none));
        for old in olds {
            let path = format!("{path}[{}]", shown(&name(old)));
            match news.iter().find(|new| name(new) == name(old)) {
                Some(new) => self.compare(&path, old, new, By::Value),
                None => self.found.push(Delta::Missing(self.place(&path), old.clone())),
            }
        }
        for (at, new) in news.iter().enumerate() {
            let is_twice = news.iter().take(at).any(|before| name(before) == name(new));
            if is_twice || olds.iter().all(|old| name(old) != name(new)) {
                self.found.push(Delta::Added(self.place(&format!("{path}[{}]", shown(&name(new)))), new.clone()));
            }
        }
    }

    fn changed(&mut self, path: &str, old: &Value, new: &Value) {
        self.found.push(Delta::Changed(self.place(path), old.clone(), new.clone()));
    }

    fn place(&self, path: &str) -> Place {
        Place { event: self.event.to_owned(), path: path.to_owned() }
    }
}

/// Whether the names that both have come in the same order.
fn is_ordered(old: &Value, new: &Value) -> bool {
    let names = |of: &Value, other: &Value| -> Vec<String> {
        let names = of.as_object().into_iter().flat_map(serde_json::Map::keys);
        names.filter(|name| other.get(*name).is_some()).cloned().collect()
    };
    names(old, new) == names(new, old)
}

/// Whether `new` is of the kind of `old`: no number below zero, blank text or stranger in a list where `old` has none.
fn looks_alike(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => {
            old.as_f64().is_some_and(|old| old < 0.0) || new.as_f64().is_some_and(|new| new >= 0.0)
        }
        (Value::String(old), Value::String(new)) => old.trim().is_empty() || !new.trim().is_empty(),
        (Value::Array(olds), Value::Array(news)) => {
            olds.first().is_none_or(|old| !news.is_empty() && news.iter().all(|new| looks_alike(old, new)))
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

//! A reply, as far as it matters.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Value, json};

use super::Recorded;

/// What a service answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Headers by their names in lower case; several of one name as one, with commas between.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Body,
}

/// A body, by what its content type says that it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// No byte.
    Nothing,
    /// JSON.
    Json(Value),
    /// A stream of events, to its end.
    Events(Vec<Value>),
    /// HTML.
    Page(String),
    /// Anything else, and what is not what it is said to be.
    Text(String),
}

impl Body {
    /// Reads a body by its content type.
    pub fn read(content_type: &str, bytes: &[u8]) -> Self {
        let text = || String::from_utf8_lossy(bytes).into_owned();
        match essence(content_type).as_str() {
            _ if bytes.is_empty() => Self::Nothing,
            "application/json" => serde_json::from_slice(bytes).map_or_else(|_| Self::Text(text()), Self::Json),
            "text/event-stream" => Self::Events(events(bytes)),
            "text/html" => Self::Page(text()),
            _ => Self::Text(text()),
        }
    }

    /// What it is, for reports.
    pub(super) fn form(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Json(_) => "JSON",
            Self::Events(_) => "events",
            Self::Page(_) => "a page",
            Self::Text(_) => "text",
        }
    }
}

/// A content type without its parameters, in lower case.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The events of a stream: each one line, and a blank one behind it. What nobody can read is an event that nobody knows.
fn events(bytes: &[u8]) -> Vec<Value> {
    let unreadable = || json!({"type": "unreadable"});
    let Ok(text) = std::str::from_utf8(bytes) else { return vec![unreadable()] };
    let text = text.replace("\r\n", "\n");
    let mut blocks = text.split("\n\n").peekable();
    let mut events = Vec::new();
    while let Some(block) = blocks.next() {
        let mut lines = block.lines().filter(|line| !line.is_empty() && !line.starts_with(':'));
        let Some(line) = lines.next() else { continue };
        // Behind the last there is a blank line too.
        let is_whole = lines.next().is_none() && blocks.peek().is_some();
        events.push(event(line).filter(|_| is_whole).unwrap_or_else(unreadable));
    }
    events
}

/// The event of a line, as the frontend reads it: `data: ` with its space, and an object as JSON behind it.
fn event(line: &str) -> Option<Value> {
    serde_json::from_str(&without_halves(line.strip_prefix("data: ")?)).ok().filter(Value::is_object)
}

/// JSON in which half a character, as JavaScript cuts them, is the sign for one that cannot be read.
fn without_halves(json: &str) -> Cow<'_, str> {
    if !json.contains("\\ud") && !json.contains("\\uD") {
        return Cow::Borrowed(json);
    }
    let unit = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let (mut whole, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let next = escape.get(6..).and_then(unit);
        let (length, is_half) = match unit(escape) {
            Some(0xD800..=0xDBFF) if next.is_some_and(|next| (0xDC00..=0xDFFF).contains(&next)) => (12, false),
            Some(0xD800..=0xDFFF) => (6, true),
            Some(_) => (6, false),
            None => (2, false),
        };
        let (escape, behind) = escape.split_at_checked(length).unwrap_or((escape, ""));
        whole.push_str(if is_half { "\\ufffd" } else { escape });
        rest = behind;
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(super) fn json(&self) -> Option<&Value> {
        match &self.body {
            Body::Json(value) => Some(value),
            Body::Nothing | Body::Events(_) | Body::Page(_) | Body::Text(_) => None,
        }
    }

    /// Whether it is HTML, or says to HEAD that there would be some.
    pub(super) fn is_page(&self) -> bool {
        matches!(self.body, Body::Page(_)) || self.would_be("text/html")
    }

    /// Whether it is a reply to HEAD, which says that there would be a body of this type.
    pub(super) fn would_be(&self, kind: &str) -> bool {
        self.body == Body::Nothing && self.header("content-type").is_some_and(|it| essence(it) == kind)
    }

    pub(super) fn events(&self) -> Option<&[Value]> {
        match &self.body {
            Body::Events(events) => Some(events),
            Body::Nothing | Body::Json(_) | Body::Page(_) | Body::Text(_) => None,
        }
    }

    /// The last event, where that is of this type.
    pub(super) fn ends_in(&self, kind: &str) -> Option<&Value> {
        self.events()?.last().filter(|event| event["type"] == kind)
    }

    /// The answer to a generation: the JSON, or the event that completes it.
    pub(super) fn answer(&self) -> Option<&Value> {
        let answer = self.json().filter(|_| self.status == 200).or_else(|| self.ends_in("COMPLETE"))?;
        (answer.get("metadata")?.is_object()).then_some(answer)
    }

    /// A field of the answer's metadata.
    pub(super) fn metadata(&self, name: &str) -> Option<&Value> {
        self.answer()?.get("metadata")?.get(name)
    }

    /// Whether it is an error as JSON, or says to HEAD that it would be one. What it may hold is said in `errors.rs`.
    pub(super) fn is_error(&self) -> bool {
        self.status >= 400 && (!self.text("error").is_empty() || self.would_be("application/json"))
    }

    /// The text of a field of a JSON body. Empty: there is none.
    pub(super) fn text(&self, field: &str) -> &str {
        self.json().and_then(|body| body.get(field)).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A request and both replies.
pub(super) struct Exchange<'a> {
    pub(super) request: &'a Recorded,
    pub(super) old: &'a Reply,
    pub(super) new: &'a Reply,
}

impl Exchange<'_> {
    /// Whether this flag of both answers' metadata was `old`, and is the opposite now.
    pub(super) fn turned(&self, flag: &str, old: bool) -> bool {
        let is = |reply: &Reply, wanted: bool| reply.metadata(flag) == Some(&Value::Bool(wanted));
        is(self.old, old) && is(self.new, !old)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_character_is_read_as_one_that_cannot_be() {
        for (json, whole) in [
            (r#""y\ud83e...""#, r#""y\ufffd...""#),
            (r#""\uD83E\uDD80""#, r#""\uD83E\uDD80""#),
            (r#""\udd80\ud83e""#, r#""\ufffd\ufffd""#),
            (r#""\u0041\ud83e""#, r#""\u0041\ufffd""#),
            (r#""\\ud83e\n""#, r#""\\ud83e\n""#),
            (r#""\ud83e\"#, r#""\ufffd\"#),
        ] {
            assert_eq!(without_halves(json), whole);
        }
    }
}

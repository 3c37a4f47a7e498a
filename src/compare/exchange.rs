//! A reply, as far as it matters.

use std::collections::BTreeMap;

use serde_json::Value;

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
            "text/event-stream" => Self::Events(text().lines().filter_map(event).collect()),
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

/// The event of a line, as the frontend reads it: `data: ` with its space, and JSON behind it. `None`: a comment or nothing. A line
/// that the frontend cannot read is an event that nobody knows.
fn event(line: &str) -> Option<Value> {
    let line = line.trim();
    if line.is_empty() || line.starts_with(':') {
        return None;
    }
    let event = line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok());
    Some(event.filter(Value::is_object).unwrap_or_else(|| serde_json::json!({"type": "unreadable"})))
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

    pub(super) fn is_page(&self) -> bool {
        matches!(self.body, Body::Page(_))
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

    /// Whether it is an error as this service says it: JSON with a sentence, the id of the request, and no answer.
    pub(super) fn is_error(&self) -> bool {
        let is_text = |field: &Value| field.as_str().is_some_and(|text| !text.is_empty());
        self.status >= 400 && self.json().is_some_and(|body| is_text(&body["error"]) && body.get("code").is_none())
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

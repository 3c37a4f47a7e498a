//! What a request means, whatever dialect it came in.

use serde::Serialize;
use serde_json::{Map, Value};

/// A request for an answer, as a vendor understands it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) model: String,
    pub(crate) is_streamed: bool,
    /// All that stands above the conversation, joined with blank lines.
    pub(crate) system: String,
    pub(crate) turns: Vec<Turn>,
    /// The names of what may be called.
    pub(crate) tools: Vec<String>,
    /// Under `OpenAI`'s names, whatever the dialect calls them.
    pub(crate) sampling: Map<String, Value>,
    pub(crate) format: Format,
}

/// One step of a conversation. Calls have no ids here, because every vendor makes its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) enum Turn {
    User { text: String, pictures: Vec<Picture> },
    Model { text: String, calls: Vec<(String, Value)> },
    Result { name: String, content: String },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) enum Picture {
    Inline { media_type: String, length: usize },
    Url(String),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
    Schema(Value),
}

impl Asked {
    /// What the person said last.
    pub(crate) fn text(&self) -> &str {
        let said = self.turns.iter().rev().find_map(|turn| match turn {
            Turn::User { text, .. } => Some(text.as_str()),
            Turn::Model { .. } | Turn::Result { .. } => None,
        });
        said.unwrap_or_default()
    }

    /// The scenario's name; what follows it only tells one question from another.
    pub(crate) fn scenario(&self) -> &str {
        self.text().split_whitespace().next().unwrap_or_default()
    }

    /// What the person showed last.
    pub(crate) fn picture(&self) -> Option<&Picture> {
        self.turns.iter().rev().find_map(|turn| match turn {
            Turn::User { pictures, .. } => pictures.first(),
            Turn::Model { .. } | Turn::Result { .. } => None,
        })
    }

    /// What the tools gave back since the model spoke last.
    pub(crate) fn results(&self) -> Vec<(&str, &str)> {
        let mut results: Vec<_> = self
            .turns
            .iter()
            .rev()
            .map_while(|turn| match turn {
                Turn::Result { name, content } => Some((name.as_str(), content.as_str())),
                Turn::User { .. } | Turn::Model { .. } => None,
            })
            .collect();
        results.reverse();
        results
    }
}

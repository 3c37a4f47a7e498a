//! The id of a user, as a session or a trusted server names it.

use std::sync::Arc;

/// The longest id.
const MAX_BYTES: usize = 256;

/// An id: 1 to 256 bytes of text without control characters, so that it fits into a key and a line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserId(Arc<str>);

/// A text that cannot be an id. Says nothing of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user's id has 1 to {MAX_BYTES} bytes of UTF-8 without control characters")]
pub struct BadUserId;

impl UserId {
    /// The id that `text` is.
    ///
    /// # Errors
    /// When it cannot be one.
    pub fn new(text: &str) -> Result<Self, BadUserId> {
        let is_id = !text.is_empty() && text.len() <= MAX_BYTES && !text.chars().any(char::is_control);
        if is_id { Ok(Self(text.into())) } else { Err(BadUserId) }
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_short_text_on_one_line() {
        for id in ["42", "ann@example.com", "名前", "a b", &"x".repeat(256)] {
            assert_eq!(UserId::new(id).map(|id| id.as_str().to_owned()), Ok(id.to_owned()));
        }
        for text in ["", "a\nb", "a\u{0}", "\u{85}", &"x".repeat(257)] {
            assert_eq!(UserId::new(text), Err(BadUserId), "{text:?}");
        }
    }
}

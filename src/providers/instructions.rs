//! What stands above the conversation, for the formats that have a place of its own for it.

use crate::generate::Message;

/// The instructions of `messages`, in their order. Those that are blank are left out: vendors refuse them.
pub(super) fn instructions(messages: &[Message]) -> Vec<&str> {
    let texts = messages.iter().filter_map(|message| match message {
        Message::System(text) => Some(text.as_ref()),
        Message::User(_) | Message::Assistant { .. } | Message::Tool { .. } => None,
    });
    texts.filter(|text| !text.trim().is_empty()).collect()
}

//! Calls of tools, put together from the pieces that a stream brings.

use std::collections::BTreeMap;

use crate::generate::ToolCall;

use super::Delta;

/// More calls at once than any vendor makes: what is beyond is nonsense, not a reason to fill memory.
const MAX_CALLS: usize = 128;

/// Calls by their place in the answer; the places need not follow on one another.
#[derive(Default)]
pub(super) struct PartialCalls(BTreeMap<usize, PartialCall>);

/// What has come of a call.
#[derive(Default)]
pub(super) struct PartialCall {
    id: String,
    name: String,
    arguments: String,
}

impl PartialCalls {
    /// The call at this place, begun if need be. `None`: there are too many.
    pub(super) fn begin(&mut self, at: usize) -> Option<&mut PartialCall> {
        let has_room = self.0.len() < MAX_CALLS || self.0.contains_key(&at);
        has_room.then(|| self.0.entry(at).or_default())
    }

    /// The call at this place, if it has begun.
    pub(super) fn get(&mut self, at: usize) -> Option<&mut PartialCall> {
        self.0.get_mut(&at)
    }

    /// The place of the last call.
    pub(super) fn last(&self) -> Option<usize> {
        self.0.last_key_value().map(|(at, _)| *at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All calls, in order.
    pub(super) fn whole(self) -> impl Iterator<Item = Delta> {
        self.0.into_values().enumerate().map(|(at, call)| Delta::ToolCall(call.whole(at)))
    }
}

impl PartialCall {
    /// Takes a piece. Of id and name, the first counts; arguments follow on.
    pub(super) fn add(&mut self, id: Option<String>, name: Option<String>, arguments: &str) {
        if self.id.is_empty() {
            self.id = id.unwrap_or_default();
        }
        if self.name.is_empty() {
            self.name = name.unwrap_or_default();
        }
        self.arguments.push_str(arguments);
    }

    fn whole(self, at: usize) -> ToolCall {
        let Self { id, name, arguments } = self;
        ToolCall {
            id: if id.is_empty() { format!("call_{at}") } else { id },
            name,
            arguments: if arguments.is_empty() { "{}".to_owned() } else { arguments },
            signature: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_its_pieces_in_order_and_lacks_nothing() {
        let mut calls = PartialCalls::default();
        calls.begin(7).unwrap().add(None, Some("g".to_owned()), "");
        calls.begin(2).unwrap().add(Some("a".to_owned()), Some("f".to_owned()), "{\"x\"");
        calls.get(2).unwrap().add(Some("b".to_owned()), None, ":1}");
        assert!(calls.get(3).is_none());
        let call = |id: &str, name: &str, arguments: &str| {
            let (id, name, arguments) = (id.to_owned(), name.to_owned(), arguments.to_owned());
            Delta::ToolCall(ToolCall { id, name, arguments, signature: None })
        };
        let whole: Vec<_> = calls.whole().collect();
        assert_eq!(whole, [call("a", "f", "{\"x\":1}"), call("call_1", "g", "{}")]);
    }

    #[test]
    fn an_endless_row_of_calls_is_not_kept() {
        let mut calls = PartialCalls::default();
        assert_eq!((0..1_000).filter(|at| calls.begin(at * 1_000).is_some()).count(), MAX_CALLS);
    }
}

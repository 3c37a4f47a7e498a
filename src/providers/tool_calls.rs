//! Calls of tools as vendors tell of them, in pieces that are passed on at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use crate::generate::{ErrorKind, ToolPiece};

use super::Delta;

/// More calls at once than any vendor makes: what is beyond is nonsense, not a reason to fill memory.
const MAX_CALLS: usize = 128;

/// The calls of one answer, by the places that the vendor gives them; those need not follow on one another.
#[derive(Default)]
pub(super) struct Calls {
    by_place: BTreeMap<usize, Call>,
    begun: usize,
}

/// What is known of a call.
#[derive(Default)]
struct Call {
    /// Its number among those that have begun. `None`: it has not, because nobody has said yet which function is called.
    number: Option<usize>,
    id: String,
    /// Arguments that came before the name.
    early: String,
    has_arguments: bool,
}

/// What a vendor says of a call at once. What it leaves out it may have said before.
#[derive(Default)]
pub(super) struct CallPart<'a> {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) arguments: &'a str,
}

impl Calls {
    /// Takes what is said of the call at this place and adds what it means to `out`. Of id and name, the first counts; arguments
    /// follow on.
    pub(super) fn add(&mut self, at: usize, part: CallPart<'_>, out: &mut Vec<Delta>) {
        let CallPart { id, name, signature, arguments } = part;
        if self.by_place.len() >= MAX_CALLS && !self.by_place.contains_key(&at) {
            return;
        }
        let call = self.by_place.entry(at).or_default();
        if call.id.is_empty() {
            call.id = id.unwrap_or_default();
        }
        let Some(of) = call.number else {
            call.early.push_str(arguments);
            let Some(name) = name.filter(|name| !name.is_empty()) else { return };
            let of = self.begun;
            self.begun += 1;
            call.number = Some(of);
            out.push(Delta::Tool(ToolPiece::Begin { id: given_or_new(&call.id), name, signature }));
            let early = std::mem::take(&mut call.early);
            call.pass_on(of, early, out);
            return;
        };
        call.pass_on(of, arguments.to_owned(), out);
    }

    /// The same of the call that follows on the last.
    pub(super) fn add_next(&mut self, part: CallPart<'_>, out: &mut Vec<Delta>) {
        self.add(self.last().map_or(0, |last| last + 1), part, out);
    }

    /// Takes a whole call, unless something of it has come in pieces.
    pub(super) fn add_whole(&mut self, at: usize, part: CallPart<'_>, out: &mut Vec<Delta>) {
        match self.by_place.get(&at) {
            Some(call) if call.has_arguments => {}
            _ => self.add(at, part, out),
        }
    }

    /// The place of the last call.
    pub(super) fn last(&self) -> Option<usize> {
        self.by_place.last_key_value().map(|(at, _)| *at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// The answer is over: a call without arguments has empty ones.
    ///
    /// # Errors
    /// When nobody has said which function is called.
    pub(super) fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
        for call in self.by_place.values_mut() {
            let of = call.number.ok_or(ErrorKind::BadResponse)?;
            if !call.has_arguments {
                call.pass_on(of, "{}".to_owned(), out);
            }
        }
        Ok(())
    }
}

impl Call {
    fn pass_on(&mut self, of: usize, arguments: String, out: &mut Vec<Delta>) {
        if !arguments.is_empty() {
            self.has_arguments = true;
            out.push(Delta::Tool(ToolPiece::Arguments { of, text: Bytes::from(arguments) }));
        }
    }
}

/// The vendor's id, or one that no other call of the conversation has.
fn given_or_new(id: &str) -> String {
    if id.is_empty() { format!("call_{}", Uuid::new_v4().simple()) } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part<'a>(id: &str, name: &str, arguments: &'a str) -> CallPart<'a> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        CallPart { id: some(id), name: some(name), signature: None, arguments }
    }

    fn begin(id: &str, name: &str) -> Delta {
        Delta::Tool(ToolPiece::Begin { id: id.to_owned(), name: name.to_owned(), signature: None })
    }

    fn arguments(of: usize, text: &'static str) -> Delta {
        Delta::Tool(ToolPiece::Arguments { of, text: text.into() })
    }

    #[test]
    fn a_call_is_its_pieces_in_order_and_lacks_nothing() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        for (at, part) in [
            (7, part("a", "f", "")),
            (2, part("b", "", "{")),
            (7, part("x", "x", "{\"x\"")),
            (2, part("", "g", "}")),
            (7, part("", "", ":1}")),
            (9, part("c", "h", "")),
        ] {
            calls.add(at, part, &mut out);
        }
        calls.end(&mut out).unwrap();
        let expected = [
            begin("a", "f"),
            arguments(0, "{\"x\""),
            begin("b", "g"),
            arguments(1, "{}"),
            arguments(0, ":1}"),
            begin("c", "h"),
            arguments(2, "{}"),
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn a_call_of_nothing_is_an_error() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        calls.add(0, part("a", "", "{}"), &mut out);
        assert_eq!((calls.end(&mut out), out), (Err(ErrorKind::BadResponse), Vec::new()));
    }

    #[test]
    fn calls_without_an_id_get_one_of_their_own() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        calls.add(0, part("", "f", "{}"), &mut out);
        calls.add(1, part("", "f", "{}"), &mut out);
        let mut ids: Vec<_> = out
            .iter()
            .filter_map(|delta| match delta {
                Delta::Tool(ToolPiece::Begin { id, .. }) => Some(id),
                _ => None,
            })
            .collect();
        ids.dedup();
        assert!(ids.len() == 2 && ids.iter().all(|id| id.starts_with("call_") && id.len() == 37), "{ids:?}");
    }

    #[test]
    fn an_endless_row_of_calls_is_not_kept() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        for at in 0..1_000 {
            calls.add(at * 1_000, part("a", "f", ""), &mut out);
        }
        assert_eq!(out.len(), MAX_CALLS);
    }
}
